package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// Limits on reads: files in /proc or /sys are small, and a fake or broken tree must not fill the memory.
const (
	maxFile    = 1 << 20
	maxCPUInfo = 32 << 20 // 1.5 KiB per hardware thread on x86
	maxText    = 128      // of one value that goes into the snapshot
)

var (
	errEmpty  = errors.New("is empty")
	errFormat = errors.New("has an unexpected form")
)

// reader reads one tree and records why a fact is missing.
type reader struct {
	fsys    fs.FS
	live    bool // the tree is the running machine
	env     func(string) string
	unknown map[string]string

	cpuFlags      []string // of /proc/cpuinfo, for the virtualisation; nil: not known
	cpuHypervisor bool
}

// miss records why the field with the dotted JSON path is null.
func (r *reader) miss(field, reason string) { r.unknown[field] = reason }

// missErr records that the field is null because reading name failed. It keeps only the kind of the failure,
// because the text of an error may contain a private path.
func (r *reader) missErr(field, name string, err error) { r.miss(field, reason("/"+name, err)) }

// reason describes a failure to read name, without err's text.
func reason(name string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name + " does not exist"
	case errors.Is(err, fs.ErrPermission):
		return name + " is not readable by this user"
	case errors.Is(err, errEmpty):
		return name + " " + errEmpty.Error()
	case errors.Is(err, errFormat):
		return name + " " + errFormat.Error()
	}
	return name + " cannot be read"
}

// exists reports whether the file or folder is there.
func (r *reader) exists(name string) bool {
	_, err := fs.Stat(r.fsys, name)
	return err == nil
}

// bytes returns the file, cut at limit bytes.
func (r *reader) bytes(name string, limit int64) ([]byte, error) {
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// text returns the file without the white space and NULs around it; an empty
// one is an error.
func (r *reader) text(name string) (string, error) {
	b, err := r.bytes(name, maxFile)
	if err != nil {
		return "", err
	}
	b = bytes.Trim(b, "\x00 \t\r\n")
	if len(b) == 0 {
		return "", fmt.Errorf("%s: %w", name, errEmpty)
	}
	return string(b), nil
}

// integer returns the file's content as a whole number.
func (r *reader) integer(name string) (int64, error) {
	t, err := r.text(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, errFormat)
	}
	return n, nil
}

// str returns the file's content as one clean value, or nil, with a reason for field.
func (r *reader) str(field, name string) *string {
	t, err := r.text(name)
	if err == nil {
		if t = clean(t); t == "" {
			err = errEmpty
		}
	}
	if err != nil {
		r.missErr(field, name, err)
		return nil
	}
	return &t
}

// numbered returns the paths of the entries of dir whose names consist of prefix and a number, such as
// policy0.
func (r *reader) numbered(dir, prefix string) []string {
	entries, err := fs.ReadDir(r.fsys, dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), prefix); ok && isDigits(rest) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// clean makes a text from outside fit for one line of the snapshot: printable,
// single spaces, at most maxText bytes.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:maxText], ""))
	}
	return s
}

// token returns s if it looks like a name or a version number: at most 64 letters, digits and version
// characters, without separators of paths, users or hosts. Every text from a worker or the environment passes
// it.
func token(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return "", false
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.ContainsRune(".+-_!~", c):
		default:
			return "", false
		}
	}
	return s, true
}
