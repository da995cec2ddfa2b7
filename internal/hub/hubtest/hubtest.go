// Package hubtest provides a Hugging Face hub for tests.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Commit is the only revision of the hub.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Hub behaves like a Hugging Face hub with its storage on another host.
type Hub struct {
	t       *testing.T
	Files   map[string][]byte
	lfs     map[string]bool // large files: SHA-256, redirected to the storage
	API     *httptest.Server
	storage *httptest.Server

	mu       sync.Mutex
	requests []string
	Ranges   []string
	Failures map[string]int // status for a path prefix
	Code     string         // X-Error-Code sent with it
	Cuts     int            // how many of the storage's answers to cut in the middle
	NoRange  bool           // storage ignores Range
	Corrupt  bool           // storage sends other bytes
	Leaked   bool           // storage saw a token
	Slow     atomic.Bool    // storage sends half and then waits
	// Instead, if not nil, may answer a request to the hub ("api") or its storage ("storage") and reports whether it
	// did.
	Instead func(where string, w http.ResponseWriter, r *http.Request) bool
}

// New starts a hub with these files, and points the environment of the test only at it.
func New(t *testing.T, files map[string][]byte) *Hub {
	h := &Hub{t: t, Files: files, lfs: map[string]bool{}, Failures: map[string]int{}}
	for name := range files {
		h.lfs[name] = strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".gguf")
	}
	h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
	h.API = httptest.NewServer(http.HandlerFunc(h.serveAPI))
	t.Cleanup(h.API.Close)
	t.Cleanup(h.storage.Close)
	t.Setenv("HF_HUB_CACHE", filepath.Join(t.TempDir(), "hub"))
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HUGGING_FACE_HUB_TOKEN", "")
	t.Setenv("HF_TOKEN_PATH", filepath.Join(t.TempDir(), "token"))
	t.Setenv("HF_ENDPOINT", "")
	t.Setenv("HF_HUB_OFFLINE", "")
	return h
}

// ETag returns the hub's ETag for a file.
func (h *Hub) ETag(name string) string {
	b := h.Files[name]
	if h.lfs[name] {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	s := sha1.Sum(append([]byte(fmt.Sprintf("blob %d\x00", len(b))), b...))
	return hex.EncodeToString(s[:])
}

func (h *Hub) serveAPI(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	status := 0
	for prefix, s := range h.Failures {
		if strings.HasPrefix(r.URL.Path, prefix) {
			status = s
		}
	}
	h.mu.Unlock()
	if h.Instead != nil && h.Instead("api", w, r) {
		return
	}
	if status != 0 {
		if h.Code != "" {
			w.Header().Set("X-Error-Code", h.Code)
		}
		w.WriteHeader(status)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/models/") {
		files := []map[string]any{}
		for name, b := range h.Files {
			files = append(files, map[string]any{"rfilename": name, "size": len(b)})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": Commit, "siblings": files})
		return
	}
	_, name, _ := strings.Cut(r.URL.Path, "/resolve/"+Commit+"/")
	b, ok := h.Files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	w.Header().Set("ETag", `"`+h.ETag(name)+`"`)
	if h.lfs[name] {
		w.Header().Set("X-Linked-Etag", `"`+h.ETag(name)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
		http.Redirect(w, r, h.storage.URL+"/signed/"+name, http.StatusFound)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (h *Hub) serveStorage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/signed/")
	b := h.Files[name]
	h.mu.Lock()
	h.Leaked = h.Leaked || r.Header.Get("Authorization") != ""
	h.Ranges = append(h.Ranges, r.Header.Get("Range"))
	cut := h.Cuts > 0
	if cut {
		h.Cuts--
	}
	h.mu.Unlock()
	if h.Instead != nil && h.Instead("storage", w, r) {
		return
	}
	if h.Corrupt {
		b = bytes.Repeat([]byte{'x'}, len(b))
	}
	if h.NoRange {
		r.Header.Del("Range")
	}
	from := 0
	if s := r.Header.Get("Range"); s != "" {
		_, _ = fmt.Sscanf(s, "bytes=%d-", &from)
		if from >= len(b) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
	}
	if !cut && !h.Slow.Load() {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(b[from : from+(len(b)-from)/2])
	_ = http.NewResponseController(w).Flush()
	if h.Slow.Load() {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// Count returns the number of requests so far, excluding requests to the storage.
func (h *Hub) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}
