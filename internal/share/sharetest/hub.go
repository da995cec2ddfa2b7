// Package sharetest provides a Hugging Face hub of data sets for tests: a server that keeps repositories in memory and
// answers as the hub does, with its storage of large files on another host.
package sharetest

import (
	"crypto/sha1" //nolint:gosec // git names its blobs with it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// Token belongs to the user Owner and may write; ReadToken may only read, OtherToken belongs to somebody else.
const (
	Owner      = "alice"
	Token      = "hf_ownerownerownerownerowner"
	ReadToken  = "hf_readreadreadreadreadread"
	OtherToken = "hf_otherotherotherotherother"
)

// Hub is a hub. Fields are set before the first request.
type Hub struct {
	// URL is the address of the hub.
	URL string
	// Page is the maximum number of files in a page of a list.
	Page int
	// Broken, if set, may answer a request instead, and reports whether it did.
	Broken func(w http.ResponseWriter, r *http.Request) bool

	api, storage *httptest.Server

	mu       sync.Mutex
	repos    map[string]*repo
	objects  map[string][]byte // by SHA-256
	requests []string
	cutPuts  int
	cutGets  int
	faults   []string
}

// file is a file of a repository; large ones are in the storage.
type file struct {
	text  []byte
	large bool
}

// commit is a state of a repository.
type commit struct {
	id      string
	files   map[string]file
	summary string
}

// repo is a repository.
type repo struct {
	private bool
	commits []commit
}

func (r *repo) last() *commit { return &r.commits[len(r.commits)-1] }

// at returns the state of a revision; nil if there is none.
func (r *repo) at(rev string) *commit {
	if rev == "main" {
		return r.last()
	}
	for i := range r.commits {
		if r.commits[i].id == rev {
			return &r.commits[i]
		}
	}
	return nil
}

// New starts a hub. Close ends it.
func New() *Hub {
	h := &Hub{Page: 1000, repos: map[string]*repo{}, objects: map[string][]byte{}}
	h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
	h.api = httptest.NewServer(http.HandlerFunc(h.serveAPI))
	h.URL = h.api.URL
	return h
}

// Close ends the hub.
func (h *Hub) Close() {
	h.api.CloseClientConnections()
	h.storage.CloseClientConnections()
	h.api.Close()
	h.storage.Close()
}

// CutUploads and CutDownloads cut the next n transfers of the storage in the middle.
func (h *Hub) CutUploads(n int) { h.locked(func() { h.cutPuts = n }) }

// CutDownloads cuts the next n downloads in the middle.
func (h *Hub) CutDownloads(n int) { h.locked(func() { h.cutGets = n }) }

func (h *Hub) locked(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
}

// Requests returns the requests so far that begin with a text, such as "PUT ".
func (h *Hub) Requests(prefix string) (out []string) {
	h.locked(func() {
		for _, r := range h.requests {
			if strings.HasPrefix(r, prefix) {
				out = append(out, r)
			}
		}
	})
	return out
}

// Faults returns what clients did that a client must not do.
func (h *Hub) Faults() (out []string) {
	h.locked(func() { out = slices.Clone(h.faults) })
	return out
}

// Stored returns the number of large files in the storage.
func (h *Hub) Stored() (n int) {
	h.locked(func() { n = len(h.objects) })
	return n
}

// Files returns the files of a repository; nil if it does not exist.
func (h *Hub) Files(name string) (out map[string]string) {
	h.locked(func() {
		if r := h.repos[name]; r != nil {
			out = map[string]string{}
			for path, f := range r.last().files {
				out[path] = string(f.text)
			}
		}
	})
	return out
}

// Private reports whether a repository is private.
func (h *Hub) Private(name string) (private bool) {
	h.locked(func() { private = h.repos[name] != nil && h.repos[name].private })
	return private
}

// Commits returns the number of commits of a repository after its creation.
func (h *Hub) Commits(name string) (n int) {
	h.locked(func() {
		if r := h.repos[name]; r != nil {
			n = len(r.commits) - 1
		}
	})
	return n
}

// Put makes a repository with files, or a commit with them.
func (h *Hub) Put(name string, private bool, files map[string]string) {
	h.locked(func() {
		r := h.repos[name]
		if r == nil {
			r = newRepo(private)
			h.repos[name] = r
		}
		next := maps.Clone(r.last().files)
		for path, text := range files {
			next[path] = file{[]byte(text), isLarge(path, int64(len(text)))}
			h.objects[next[path].sha256()] = []byte(text)
		}
		r.add(next, "by hand")
	})
}

func newRepo(private bool) *repo {
	r := &repo{private: private}
	r.add(map[string]file{".gitattributes": {text: []byte("*.parquet filter=lfs diff=lfs merge=lfs -text\n")}},
		"initial commit")
	return r
}

func (r *repo) add(files map[string]file, summary string) {
	sum := sha1.New() //nolint:gosec // git's object format
	fmt.Fprintln(sum, len(r.commits), summary)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(sum, path, files[path].sha256())
	}
	r.commits = append(r.commits, commit{hex.EncodeToString(sum.Sum(nil)), files, summary})
}

func (f file) sha256() string { return sumOf(f.text) }

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// blob is the name that git gives the file, or the pointer to it.
func (f file) blob() string {
	text := f.text
	if f.large {
		text = fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", f.sha256(),
			len(f.text))
	}
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(text)), text...)) //nolint:gosec // git's object format
	return hex.EncodeToString(sum[:])
}
