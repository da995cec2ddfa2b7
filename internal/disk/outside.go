package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
)

// Limits on files from outside, in bytes. Each is far above usual sizes.
const (
	// MaxSmall bounds files that people write: a study, a configuration of a model.
	MaxSmall = 16 << 20
	// MaxDocument bounds files that programs write and that are read as a whole: a tokenizer, the
	// index of a checkpoint, the record of a run.
	MaxDocument = 256 << 20
	// MaxList bounds files with an entry for each run of a study: its summary and its journal.
	MaxList = 1 << 30
	// Unbounded is for files that are read in parts: weights, series.
	Unbounded = math.MaxInt64
)

// OddFileError is the error if a path is not a regular file of a usual size.
type OddFileError struct {
	// Path of the file.
	Path string
	// What describes it and completes "it is".
	What string
	// Next is the next step for the user.
	Next string
}

// Error names the file and what it is.
func (e *OddFileError) Error() string { return e.Path + " is " + e.What }

// NextStep returns Next.
func (e *OddFileError) NextStep() string { return e.Next }

// Open opens a file from outside for reading. A pipe, socket, device or folder, or a file of more than most
// bytes, is an [*OddFileError]; Open never waits for one.
func Open(path string, most int64) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0, most) }

// OpenFile is [Open] with the flags of [os.OpenFile].
func OpenFile(path string, flag int, perm fs.FileMode, most int64) (*os.File, error) {
	// Opening a device may affect it, so check the name first.
	if info, err := os.Stat(path); err == nil {
		if err := odd(path, info, most); err != nil {
			return nil, err
		}
	} else if flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// The file may have changed; without O_NONBLOCK, opening a pipe waits for its other end.
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = odd(path, info, most)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile reads a file from outside like [os.ReadFile], with the limits of [Open].
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil {
		b.Grow(int(min(info.Size(), most)) + bytes.MinRead)
	}
	limit := most
	if limit < Unbounded {
		limit++
	}
	if _, err := b.ReadFrom(io.LimitReader(f, limit)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > most { // it grew meanwhile
		return nil, large(path, int64(b.Len()), most)
	}
	return b.Bytes(), nil
}

// Check returns why [Open] would not open a file; nil also if there is none.
func Check(path string, most int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // opening it reports the error
	}
	return odd(path, info, most)
}

// odd returns why a file is not opened, or nil.
func odd(path string, info fs.FileInfo, most int64) error {
	const next = "use a regular file: a pipe or a device may never end"
	what := ""
	switch mode := info.Mode(); {
	case mode.IsRegular() && info.Size() <= most:
		return nil
	case mode.IsRegular():
		return large(path, info.Size(), most)
	case mode.IsDir():
		return &OddFileError{path, "a folder", "give the path of a file"}
	case mode&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	default:
		what = "another kind of file"
	}
	return &OddFileError{path, what + ", not a regular file", next}
}

func large(path string, size, most int64) error {
	return &OddFileError{path, fmt.Sprintf("%s large; such a file has at most %s", SizeText(size), SizeText(most)),
		"check that it is the right file"}
}

// ReadError classifies a failure to open or read a file of a model. It returns an error that already has a
// class unchanged.
func ReadError(path string, err error) error {
	switch e, odd := errors.AsType[*OddFileError](err); {
	case err == nil:
		return nil
	case odd:
		return fault.New(codes.ClassCorruptModel, nil, e.Next, "%s", e)
	case fault.Class(err) != "":
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(codes.ClassModelNotFound, nil, "check the path", "no such file: %s", path)
	}
	return fault.New(codes.ClassPermission, err, "check its read permission", "cannot read %s", path)
}

// NoFolder returns why a path is not a folder; empty if it is one.
func NoFolder(path string) string {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return ""
	case err == nil:
		return path + " is a file, not a folder"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "no such folder: " + path
	}
	return fmt.Sprintf("cannot open the folder %s: %v", path, err)
}

// PathError is what is wrong with a path, for people: Error leaves out the cause, which it wraps.
type PathError struct {
	// Msg is the message, Next the next step.
	Msg, Next string
	// Err is the cause.
	Err error
}

// Error returns the message.
func (e *PathError) Error() string { return e.Msg }

// NextStep returns the next step.
func (e *PathError) NextStep() string { return e.Next }

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }
