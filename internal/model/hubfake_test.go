package model

import (
	"bytes"
	"context"
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

const testCommit = "0123456789abcdef0123456789abcdef01234567"

// fakeHub behaves like a Hugging Face hub with its storage on another host.
type fakeHub struct {
	t       *testing.T
	files   map[string][]byte
	lfs     map[string]bool // large files: SHA-256, redirected to the storage
	api     *httptest.Server
	storage *httptest.Server

	mu       sync.Mutex
	requests []string
	ranges   []string
	failures map[string]int // status for a path prefix
	code     string         // X-Error-Code sent with it
	cuts     int            // answers of the storage to cut in the middle
	noRange  bool           // storage ignores Range
	corrupt  bool           // storage sends other bytes
	leaked   bool           // storage saw a token
	slow     atomic.Bool    // storage sends half and then waits
}

func newFakeHub(t *testing.T, files map[string][]byte) *fakeHub {
	h := &fakeHub{t: t, files: files, lfs: map[string]bool{}, failures: map[string]int{}}
	for name := range files {
		h.lfs[name] = strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".gguf")
	}
	h.storage = httptest.NewServer(http.HandlerFunc(h.serveStorage))
	h.api = httptest.NewServer(http.HandlerFunc(h.serveAPI))
	t.Cleanup(h.api.Close)
	t.Cleanup(h.storage.Close)
	t.Setenv("HF_HUB_CACHE", filepath.Join(t.TempDir(), "hub"))
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_ENDPOINT", "")
	t.Setenv("HF_HUB_OFFLINE", "")
	return h
}

func (h *fakeHub) etag(name string) string {
	b := h.files[name]
	if h.lfs[name] {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	s := sha1.Sum(append([]byte(fmt.Sprintf("blob %d\x00", len(b))), b...))
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) serveAPI(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	status := 0
	for prefix, s := range h.failures {
		if strings.HasPrefix(r.URL.Path, prefix) {
			status = s
		}
	}
	h.mu.Unlock()
	if status != 0 {
		if h.code != "" {
			w.Header().Set("X-Error-Code", h.code)
		}
		w.WriteHeader(status)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/models/") {
		var l listing
		l.SHA = testCommit
		for name, b := range h.files {
			l.Siblings = append(l.Siblings, sibling{name, int64(len(b))})
		}
		_ = json.NewEncoder(w).Encode(l)
		return
	}
	_, name, _ := strings.Cut(r.URL.Path, "/resolve/"+testCommit+"/")
	b, ok := h.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", testCommit)
	w.Header().Set("ETag", `"`+h.etag(name)+`"`)
	if h.lfs[name] {
		w.Header().Set("X-Linked-Etag", `"`+h.etag(name)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
		http.Redirect(w, r, h.storage.URL+"/signed/"+name, http.StatusFound)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (h *fakeHub) serveStorage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/signed/")
	b := h.files[name]
	h.mu.Lock()
	h.leaked = h.leaked || r.Header.Get("Authorization") != ""
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	cut := h.cuts > 0
	if cut {
		h.cuts--
	}
	h.mu.Unlock()
	if h.corrupt {
		b = bytes.Repeat([]byte{'x'}, len(b))
	}
	if h.noRange {
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
	if !cut && !h.slow.Load() {
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
	if h.slow.Load() {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func (h *fakeHub) hub(token string) *hub {
	x := newHub(Request{Endpoint: h.api.URL, Token: token})
	x.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return x
}

func (h *fakeHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

// hfModel is the content of a small repository.
func hfModel() map[string][]byte {
	s, _ := Lookup("tiny-llama")
	cfg, _ := s.Config.hfConfig(BFloat16)
	b, _ := json.Marshal(cfg)
	return map[string][]byte{
		"config.json": b, "tokenizer.json": []byte(`{"version":"1.0"}`), "README.md": []byte("hi"),
		"model.safetensors": bytes.Repeat([]byte("0123456789"),
			50_000), "original/consolidated.safetensors": []byte("old copy"),
	}
}
