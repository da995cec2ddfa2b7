package share

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
)

// partial ends the name of a file that has not arrived completely.
const partial = ".incomplete"

// Fetch is what is downloaded.
type Fetch struct {
	// Ref names the repository, and Commit its state.
	Ref    Ref
	Commit string
	// Files are downloaded into the folder Dir, which exists. Files that are there already are kept, and files that
	// were cut off are continued.
	Files []Remote
	Dir   string
	// Progress, if set, is told how many bytes have arrived, of how many.
	Progress func(have, total int64)
}

// Download downloads files and compares them with their hashes. Nothing is written outside of the folder.
func (c *Client) Download(ctx context.Context, f Fetch) error {
	var total, have int64
	for _, r := range f.Files {
		total += r.Size
	}
	if disk.CheckSpace(f.Dir, total) != nil {
		return &Error{What: fmt.Sprintf("%s needs %s, and %s has no space for it", f.Ref, digits.Bytes(total), f.Dir),
			Next: "free space, or choose another folder with --output"}
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only a handle
	var mu sync.Mutex
	moved := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		have += n
		if f.Progress != nil {
			f.Progress(have, total)
		}
	}
	return each(ctx, f.Files, func(ctx context.Context, r Remote) error {
		return c.fetch(ctx, f, root, r, moved)
	})
}

// fetch downloads one file.
func (c *Client) fetch(ctx context.Context, f Fetch, root *os.Root, r Remote, moved func(int64)) error {
	if same(root, r.Path, r) {
		moved(r.Size)
		return nil
	}
	if err := root.MkdirAll(path.Dir(r.Path), 0o755); err != nil {
		return writing(r.Path, err)
	}
	part, err := root.OpenFile(r.Path+partial, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return writing(r.Path, err)
	}
	err = errors.Join(c.receive(ctx, f, part, r, moved), part.Close())
	if err != nil {
		return err
	}
	if !same(root, r.Path+partial, r) {
		_ = root.Remove(r.Path + partial)
		return &Error{What: fmt.Sprintf("%s of %s arrived with another hash than the hub announces, and was deleted",
			r.Path, f.Ref), Next: "run the same command again; if it happens twice, a proxy or the disk " +
			"changes the data"}
	}
	return writing(r.Path, root.Rename(r.Path+partial, r.Path))
}

// receive appends to a file until it is complete. Attempts count only while nothing arrives.
func (c *Client) receive(ctx context.Context, f Fetch, part *os.File, r Remote, moved func(int64)) error {
	of := asked{fmt.Sprintf("download %s of %s", r.Path, f.Ref), f.Ref.Name, false}
	at, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return writing(part.Name(), err)
	}
	if at > r.Size {
		at = 0 // of another file
	}
	moved(at)
	for again := 0; at < r.Size; {
		req := call{asked: of, method: http.MethodGet, url: fmt.Sprintf("%s/datasets/%s/resolve/%s/%s", c.Endpoint,
			f.Ref.Name, f.Commit, escaped(r.Path))}
		if at > 0 {
			req.header = map[string]string{"Range": "bytes=" + strconv.FormatInt(at, 10) + "-"}
		}
		err := c.send(ctx, req, func(resp *http.Response) error {
			if at > 0 && (resp.StatusCode != http.StatusPartialContent ||
				!strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", at))) {
				moved(-at) // it sends the file from its beginning
				at = 0
				again++
			}
			n, err := c.copy(part, resp.Body, at, r, moved)
			if at += n; err != nil && n > 0 && retryable(err) {
				return nil // there was progress: begin to count again
			}
			return err
		})
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusRequestedRangeNotSatisfiable && at > 0 {
			moved(-at)
			at, err = 0, nil
			again++
		}
		if err == nil && again > attempts {
			err = &Error{What: fmt.Sprintf("cannot %s: it begins again and again", of.doing), Next: resumes}
		}
		if err != nil {
			return err
		}
	}
	if err := part.Truncate(r.Size); err != nil {
		return writing(part.Name(), err)
	}
	return writing(part.Name(), part.Sync())
}

// writing is a failure to write a file.
func writing(path string, err error) error {
	if err == nil {
		return nil
	}
	return disk.Problem("write", path, err)
}

// retryable reports whether a repetition may succeed.
func retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.again
}

// copy appends an answer to the file, and returns how many bytes arrived.
func (c *Client) copy(part *os.File, body io.Reader, at int64, r Remote, moved func(int64)) (n int64, err error) {
	buf := make([]byte, 1<<18)
	for at+n < r.Size {
		got, readErr := body.Read(buf[:min(int64(len(buf)), r.Size-at-n)])
		if got > 0 {
			if _, err := part.WriteAt(buf[:got], at+n); err != nil {
				return n, writing(part.Name(), err)
			}
			n += int64(got)
			moved(int64(got))
		}
		if readErr != nil && at+n < r.Size {
			return n, &Error{What: fmt.Sprintf("%s was cut off after %s of %s", r.Path, digits.Bytes(at+n),
				digits.Bytes(r.Size)), Next: resumes, again: true, Err: readErr}
		}
	}
	return n, nil
}

// escaped is a path in an address.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// same reports whether a file of a folder is the one of the repository.
func same(root *os.Root, name string, r Remote) bool {
	in, err := root.Open(name)
	if err != nil {
		return false
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != r.Size {
		return false
	}
	var sum hash.Hash
	want := r.SHA256
	if sum = sha256.New(); want == "" {
		sum, want = gitHash(r.Size), r.SHA1
	}
	_, err = io.Copy(sum, in)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == want
}

// Holds reports whether a folder has exactly these files, and no other file.
func Holds(dir string, files []Remote) (bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer func() { _ = root.Close() }() // only a handle
	want := map[string]Remote{}
	for _, r := range files {
		want[r.Path] = r
	}
	found, other := 0, errors.New("another file")
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		r, ok := want[name]
		if !ok || !same(root, name, r) {
			return other
		}
		found++
		return nil
	})
	if errors.Is(err, other) {
		return false, nil
	}
	return err == nil && found == len(want), err
}

// Get downloads an address to a file, of at most so many bytes. The token of the hub is not sent.
func Get(ctx context.Context, address, to string, most int64, progress func(have, total int64)) error {
	c := New()
	c.Token, c.plain = "", true
	u, err := url.Parse(address)
	local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return &Error{What: fmt.Sprintf("%.200q is not an https address", address), Usage: true,
			Next: "give an address that begins with https://"}
	}
	c.Endpoint = u.Scheme + "://" + u.Host
	out, err := os.OpenFile(to, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600) //nolint:gosec // a temporary file of llem's
	if err != nil {
		return writing(to, err)
	}
	defer out.Close()
	of := asked{doing: "download " + u.Redacted()}
	return c.send(ctx, call{asked: of, method: http.MethodGet, url: address}, func(resp *http.Response) error {
		size := resp.ContentLength
		if size > most {
			return tooLarge(of, size, most)
		}
		if err := errors.Join(out.Truncate(0), disk.CheckSpace(path.Dir(to), max(0, size))); err != nil {
			return err
		}
		if _, err := out.Seek(0, io.SeekStart); err != nil {
			return writing(to, err)
		}
		have := int64(0)
		n, err := io.Copy(writerFunc(func(p []byte) (int, error) {
			have += int64(len(p))
			if progress != nil {
				progress(have, size)
			}
			n, err := out.Write(p)
			return n, writing(to, err)
		}), io.LimitReader(resp.Body, most+1))
		switch {
		case n > most:
			return tooLarge(of, n, most)
		case err != nil && ctx.Err() == nil && !written(err):
			return &Error{What: fmt.Sprintf("cannot %s: it was cut off after %s", of.doing, digits.Bytes(n)), Err: err,
				Next: "run the same command again", again: true}
		}
		return err
	})
}

// written reports whether writing failed, not reading.
func written(err error) bool {
	return errors.As(err, new(*disk.FileError))
}

// tooLarge is the failure of a file of which the limit stops the download.
func tooLarge(of asked, size, most int64) error {
	return &Error{What: fmt.Sprintf("cannot %s: it has %s or more, and at most %s are downloaded", of.doing,
		digits.Bytes(size), digits.Bytes(most)), Next: "download it yourself, look at it, and give the file"}
}
