package hub

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // git names its blobs with it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// Fetch ensures that the repository's snapshot is in the cache and returns its folder and commit. Without a
// network, or when offline, it uses a complete snapshot from an earlier time.
func (h *Client) Fetch(ctx context.Context, id ID, dtype gguf.DType) (dir, commit string, err error) {
	dir, commit, ok := h.cache.complete(id)
	if ok && (h.offline || id.Rev == commit) {
		return dir, commit, nil
	}
	if h.offline {
		return "", "", h.offlineError(id)
	}
	l, err := h.list(ctx, id)
	if err != nil {
		if ok && (fault.Class(err) == codes.ClassOffline || fault.Class(err) == codes.ClassDownloadFailed) {
			return dir, commit, nil
		}
		return "", "", err
	}
	files, err := wanted(l, id, dtype, h.Options)
	if err != nil {
		return "", "", err
	}
	if err := h.fetchFiles(ctx, id, l.SHA, files); err != nil {
		return "", "", err
	}
	dir = h.cache.snapshot(id, l.SHA)
	return dir, l.SHA, disk.WriteError(dir, 0, h.cache.setCommit(id, l.SHA))
}

// offlineError returns the failure of an offline request for files that are not in the cache.
func (h *Client) offlineError(id ID) error {
	return fault.New(codes.ClassOffline, nil, "unset HF_HUB_OFFLINE, or download it once with a network",
		"%s at %q is not in %s and HF_HUB_OFFLINE is set", id.Name, id.Rev, h.cache.root)
}

// fetchFiles downloads the files that the snapshot does not have.
func (h *Client) fetchFiles(ctx context.Context, id ID, commit string, files []sibling) error {
	if err := h.cache.heal(id); err != nil {
		return err
	}
	// The configuration comes first: it shows whether the weights are usable.
	rank := func(name string) int {
		if name == "config.json" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(files, func(a, b sibling) int {
		return cmp.Compare(rank(a.Name), rank(b.Name))
	})
	var missing []sibling
	var total int64
	for _, f := range files {
		if !regular(filepath.Join(h.cache.snapshot(id, commit), filepath.FromSlash(f.Name))) {
			missing = append(missing, f)
			total += max(0, f.Size)
		}
	}
	var before int64
	for _, f := range missing {
		report := func(done int64) {
			if h.Progress != nil {
				h.Progress(min(before+done, total), total)
			}
		}
		if err := h.fetchFile(ctx, id, commit, f, report); err != nil {
			return err
		}
		if f.Name == "config.json" && h.Usable != nil {
			if err := h.Usable(h.cache.snapshot(id, commit)); err != nil {
				return err
			}
		}
		before += max(0, f.Size)
		report(0)
	}
	return nil
}

// remoteFile is the hub's description of one file.
type remoteFile struct {
	url  string
	etag string // SHA-256 for large files, git's SHA-1 for others
	size int64  // -1 if unknown
}

// head requests the file's hash and size. The hub sends both in the answer that redirects to the storage, so
// redirects to other hosts are not followed.
func (h *Client) head(ctx context.Context, id ID, commit, name string) (remoteFile, error) {
	f := remoteFile{url: fmt.Sprintf("%s/%s/resolve/%s/%s", h.Endpoint, id.Name, commit, escapePath(name))}
	c := *h.client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if err := follow(req, via); err != nil {
			return err
		}
		if req.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	err := h.retry(ctx, func() error {
		resp, err := h.do(ctx, &c, http.MethodHead, f.url, 0)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if err := h.status(resp, id, name); err != nil {
			return err
		}
		f.etag = strings.Trim(strings.TrimPrefix(cmp.Or(resp.Header.Get("X-Linked-Etag"), resp.Header.Get("ETag")),
			"W/"), `"`)
		f.size = announcedSize(resp)
		return nil
	})
	if err == nil && !safeETag(f.etag) {
		err = fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
			"%s sent no usable ETag for %s, the file's name in the cache: %.40q", h.Endpoint, name, f.etag)
	}
	return f, err
}

// announcedSize returns the size of the file behind the answer, -1 if unknown. The Content-Length of a redirect
// belongs to the redirect.
func announcedSize(resp *http.Response) int64 {
	length := resp.Header.Get("X-Linked-Size")
	if length == "" && resp.StatusCode == http.StatusOK {
		length = resp.Header.Get("Content-Length")
	}
	if n, err := strconv.ParseInt(length, 10, 64); err == nil && n >= 0 {
		return n
	}
	return -1
}

func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// fetchFile downloads one file into its blob and links it into the snapshot.
func (h *Client) fetchFile(ctx context.Context, id ID, commit string, s sibling, report func(int64)) error {
	f, err := h.head(ctx, id, commit, s.Name)
	if err != nil {
		return err
	}
	if f.size < 0 && s.Size > 0 {
		f.size = s.Size // from the list of files
	}
	blob := h.cache.blob(id, f.etag)
	unlock, err := disk.Lock(ctx, h.cache.lock(id, f.etag))
	if err != nil {
		return err
	}
	defer unlock()
	if st, err := os.Stat(blob); err != nil || !st.Mode().IsRegular() || f.size >= 0 && st.Size() != f.size {
		part := blob + ".incomplete"
		if err := h.fetchBlob(ctx, download{hub: h, id: id, name: s.Name, remote: f, report: report},
			part); err != nil {
			return err
		}
		if err := verify(part, f, s.Name); err != nil {
			return err
		}
		if err := os.Rename(part, blob); err != nil {
			return disk.WriteError(blob, f.size, err)
		}
	}
	return disk.WriteError(blob, 0, h.cache.link(id, commit, s.Name, f.etag))
}

// download is one file that is being downloaded.
type download struct {
	hub    *Client
	id     ID
	name   string
	remote remoteFile
	out    *os.File
	have   int64 // bytes on disk
	report func(have int64)
}

// fetchBlob appends to the file part until it is complete.
func (h *Client) fetchBlob(ctx context.Context, d download, part string) error {
	size := d.remote.size
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		return disk.WriteError(part, size, err)
	}
	var err error
	if d.out, err = disk.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o644, disk.Unbounded); err != nil {
		return disk.WriteError(part, size, err)
	}
	defer d.out.Close()
	if d.have, err = d.out.Seek(0, io.SeekEnd); err != nil {
		return disk.WriteError(part, size, err)
	}
	if err := disk.CheckSpace(filepath.Dir(part), max(0, size-d.have)); err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		if _, ok := errors.AsType[*tooLong](err); ok {
			_ = os.Remove(part) // it cannot be continued
		}
		return err
	}
	return disk.WriteError(part, size, d.out.Sync())
}

// run requests the rest until the file is complete. A cut connection continues where it stopped; attempts count
// only while nothing arrives.
func (d *download) run(ctx context.Context) error {
	for {
		before, done := d.have, false
		err := d.hub.retry(ctx, func() error {
			var err error
			done, err = d.part(ctx)
			var t *transient
			if d.have > before && errors.As(err, &t) {
				return nil // there was progress: restart the count
			}
			return err
		})
		if err != nil || done {
			return err
		}
		if err := d.hub.wait(ctx, time.Second); err != nil {
			return fault.New(codes.ClassInterrupted, err, "run it again to continue where it stopped",
				"the download of %s was interrupted", d.name)
		}
	}
}

// part requests the missing bytes, appends them, and reports whether the file is complete.
func (d *download) part(ctx context.Context) (bool, error) {
	size := d.remote.size
	if size >= 0 && d.have > size {
		d.have = 0 // a leftover of another file
	}
	if size >= 0 && d.have == size {
		return true, disk.WriteError(d.out.Name(), size, d.out.Truncate(size))
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	resp, err := d.hub.do(ctx, d.hub.client, http.MethodGet, d.remote.url, d.have)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable,
		resp.StatusCode == http.StatusPartialContent && !startsAt(resp, d.have):
		d.have = 0 // the part on disk does not match the remote file
		return false, &transient{fault.New(codes.ClassDownloadFailed, nil, "try again", "the hub would not continue %s",
			d.name)}
	case resp.StatusCode != http.StatusPartialContent:
		if err := d.hub.status(resp, d.id, d.name); err != nil {
			return false, err
		}
		if resp.StatusCode != http.StatusOK {
			return false, fault.New(codes.ClassDownloadFailed, nil, checkEndpoint, "%s answered %s instead of %s",
				d.hub.Endpoint, resp.Status, d.name)
		}
		d.have = 0 // the server sends the file from its beginning
	}
	if err := d.hub.plain(resp, d.name); err != nil {
		return false, err
	}
	if size < 0 && resp.ContentLength >= 0 {
		d.remote.size = d.have + resp.ContentLength
		if err := disk.CheckSpace(filepath.Dir(d.out.Name()), resp.ContentLength); err != nil {
			return false, err
		}
	}
	if err := d.out.Truncate(d.have); err != nil {
		return false, disk.WriteError(d.out.Name(), size, err)
	}
	return d.copyBody(resp.Body, cut)
}

func startsAt(resp *http.Response, at int64) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", at))
}

// copyBody appends the body, and cuts the connection if nothing arrives for too long.
func (d *download) copyBody(body io.Reader, cut func()) (bool, error) {
	size, stall := d.remote.size, d.hub.stall
	idle := time.AfterFunc(stall, cut)
	defer idle.Stop()
	buf := make([]byte, 1<<20)
	for {
		n, err := body.Read(buf)
		idle.Reset(stall)
		if n > 0 {
			if err := d.fits(int64(n)); err != nil {
				return false, err
			}
			if _, err := d.out.WriteAt(buf[:n], d.have); err != nil {
				return false, disk.WriteError(d.out.Name(), size, err)
			}
			d.have += int64(n)
			d.report(d.have)
		}
		if err == io.EOF && (size < 0 || d.have >= size) {
			return true, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return false, &transient{fault.New(codes.ClassDownloadFailed, err,
				"run it again to continue where it stopped",
				"the connection was cut while downloading %s", d.name)}
		}
	}
}

// Limits on files whose size neither the list of files nor an answer gives, in bytes.
const (
	mostWeights = 16 << 30
	mostOther   = disk.MaxDocument
	// spaceStep is the number of bytes between two checks of the free disk space.
	spaceStep = 64 << 20
)

// tooLong refuses a file that exceeds its limit.
type tooLong struct{ err error }

func (t *tooLong) Error() string { return t.err.Error() }
func (t *tooLong) Unwrap() error { return t.err }

// fits refuses the next n bytes if the file would exceed its size, or the limit of files without one.
func (d *download) fits(n int64) error {
	size, have := d.remote.size, d.have+n
	if size >= 0 {
		if have <= size {
			return nil
		}
		return &tooLong{fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
			"%s sent more of %s than the announced %s; the received part was deleted", d.hub.Endpoint, d.name,
			disk.SizeText(size))}
	}
	most := int64(mostOther)
	switch filepath.Ext(d.name) {
	case ".safetensors", ".gguf", ".bin":
		most = mostWeights
	}
	if have > most {
		return &tooLong{fault.New(codes.ClassDownloadFailed, nil,
			checkEndpoint+", or put the file into your own folder and name that",
			"%s does not announce the size of %s, and it exceeds the limit of %s; the received part was deleted",
			d.hub.Endpoint, d.name, disk.SizeText(most))}
	}
	if d.have/spaceStep != have/spaceStep {
		return disk.CheckSpace(filepath.Dir(d.out.Name()), spaceStep)
	}
	return nil
}

// verify compares the downloaded file with the hub's hash and deletes it if they differ.
func verify(path string, f remoteFile, name string) error {
	in, err := disk.Open(path, disk.Unbounded)
	if err != nil {
		return disk.WriteError(path, f.size, err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return disk.WriteError(path, f.size, err)
	}
	start := make([]byte, 512)
	if n, _ := in.ReadAt(start, 0); isHTML(start[:n]) {
		_ = os.Remove(path)
		return fault.New(codes.ClassDownloadFailed, nil, checkEndpoint,
			"instead of %s an HTML page arrived, such as the login page of a proxy; it was deleted", name)
	}
	var sum hash.Hash
	switch {
	case sha256Hash.MatchString(f.etag):
		sum = sha256.New()
	case commitHash.MatchString(f.etag):
		sum = sha1.New() //nolint:gosec // git's object format
		fmt.Fprintf(sum, "blob %d\x00", st.Size())
	default:
		return nil // a mirror with its own ETags
	}
	if _, err := io.Copy(sum, in); err != nil {
		return fmt.Errorf("reading %s again: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.etag {
		_ = os.Remove(path)
		return fault.New(codes.ClassCorruptModel, nil,
			"run it again; if it happens twice, a proxy or the disk changes the data",
			"%s arrived damaged and was deleted: its hash is %.12s…, the hub has %.12s…", name, got, f.etag)
	}
	return nil
}
