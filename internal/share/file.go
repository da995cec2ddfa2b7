package share

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git names its blobs with it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/llenergymeasure/llem/internal/disk"
)

// File is a file to send.
type File struct {
	// Path within the repository.
	Path string
	// Local is the file on disk; if it is empty, Content is the file.
	Local   string
	Content []byte
	// Size in bytes, and the hashes, are filled in by Hash.
	Size         int64
	SHA256, SHA1 string
}

// open opens the file.
func (f *File) open() (io.ReadCloser, error) {
	if f.Local == "" {
		return io.NopCloser(bytes.NewReader(f.Content)), nil
	}
	in, err := disk.Open(f.Local, disk.Unbounded)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// Hash computes size and hashes.
func (f *File) Hash() error {
	in, err := f.open()
	if err != nil {
		return err
	}
	defer in.Close()
	if f.Size, err = f.measure(); err != nil {
		return err
	}
	large, small := sha256.New(), gitHash(f.Size)
	n, err := io.Copy(io.MultiWriter(large, small), in)
	if err == nil && n != f.Size {
		err = f.changed()
	}
	if err != nil {
		return err
	}
	f.SHA256, f.SHA1 = hex.EncodeToString(large.Sum(nil)), hex.EncodeToString(small.Sum(nil))
	return nil
}

// measure returns the size of the file.
func (f *File) measure() (int64, error) {
	if f.Local == "" {
		return int64(len(f.Content)), nil
	}
	in, err := disk.Open(f.Local, disk.Unbounded)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Same reports whether the repository has the file as it is here.
func (f *File) Same(r Remote) bool {
	return f.Path == r.Path && f.Size == r.Size &&
		(r.SHA256 != "" && r.SHA256 == f.SHA256 || r.SHA256 == "" && r.SHA1 == f.SHA1)
}

// changed is the failure of a file that is written to while it is sent.
func (f *File) changed() error {
	return &Error{What: f.Path + " changed while it was read",
		Next: "wait until the study has finished, and run the same command again"}
}

// gitHash computes the name that git gives a file of a size.
func gitHash(size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // git's object format
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// summed reads a file. If it is not the one that was hashed any more, its last bytes are withheld.
type summed struct {
	io.ReadCloser
	file *File
	hash hash.Hash
	n    int64
	// moved is told how many bytes were read.
	moved func(n int64)
}

// Read implements io.Reader.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	switch {
	case s.n > s.file.Size, err == io.EOF && s.n < s.file.Size,
		s.n == s.file.Size && hex.EncodeToString(s.hash.Sum(nil)) != s.file.SHA256:
		return 0, s.file.changed()
	}
	if n > 0 && s.moved != nil {
		s.moved(int64(n))
	}
	return n, err
}

// body opens the file for sending.
func (f *File) body(moved func(int64)) (io.ReadCloser, error) {
	in, err := f.open()
	if err != nil {
		return nil, err
	}
	return &summed{ReadCloser: in, file: f, hash: sha256.New(), moved: moved}, nil
}
