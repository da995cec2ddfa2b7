package disk

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile writes a file atomically: to a temporary file in the same folder, synced, then renamed. On error,
// an earlier file is intact and no temporary file is left.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	f, err := createTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return Problem("write", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = Problem("write", path, err)
		}
	}()
	b := bufio.NewWriterSize(f, 1<<16)
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// createTemp creates a file whose name begins with prefix, with the permissions that the user's umask allows,
// because it becomes a file of results.
func createTemp(dir, prefix string) (*os.File, error) {
	for {
		f, err := os.OpenFile(filepath.Join(dir, prefix+rand.Text()[:10]), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// EncodeJSON writes a value in the format of results: indented, without escapes for < and >.
func EncodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// SyncDir makes renames in a folder durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems do not sync folders; the rename itself has happened.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// FileError is a failure to write a file of results.
type FileError struct {
	// Doing is the action on the file at Path.
	Doing, Path string
	// Err is the cause.
	Err error
}

// Error names the action, the file and the cause.
func (e *FileError) Error() string { return fmt.Sprintf("%s %s: %v", e.Doing, e.Path, e.cause()) }

func (e *FileError) cause() error {
	if pe, ok := errors.AsType[*os.PathError](e.Err); ok {
		return pe.Err
	}
	return e.Err
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// NextStep returns the next step for the user.
func (e *FileError) NextStep() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "the disk is full: free some space, or write elsewhere with --output or LLEM_RESULTS"
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS):
		return "the folder cannot be written: choose another with --output or LLEM_RESULTS"
	case errors.Is(e.Err, syscall.ENOTDIR), errors.Is(e.Err, fs.ErrExist):
		return "a file has the folder's name: choose another folder with --output"
	}
	return ""
}

// Problem wraps an error in a [FileError], unless it is one.
func Problem(doing, path string, err error) error {
	if we, ok := errors.AsType[*FileError](err); ok {
		return we
	}
	return &FileError{doing, path, err}
}

// SafeName returns a text as the name of a file: without characters that are not safe in one, and not too long. A text
// of which nothing is left is replaced.
func SafeName(s, replacement string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s, "-.")
	if len(s) > 64 {
		s = s[:64]
	}
	if s == "" {
		return replacement
	}
	return s
}
