package model

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub"
	"github.com/llenergymeasure/llem/internal/hub/hubtest"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/note"
)

// hfModel is the content of a small repository.
func hfModel(t *testing.T) map[string][]byte {
	t.Helper()
	s, err := shape.Lookup("tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	config, err := hfConfig(s.Config, gguf.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"config.json": b, "tokenizer.json": []byte(`{"version":"1.0"}`),
		"model.safetensors": []byte("0123456789")}
}

// TestReach: one request shows whether a model is available, and its architecture.
func TestReach(t *testing.T) {
	var requests atomic.Int32
	model := hfModel(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		refuse := func(status int, code string) {
			w.Header().Set("X-Error-Code", code)
			w.WriteHeader(status)
		}
		switch r.URL.Path {
		case "/org/good/resolve/main/config.json":
			_, _ = w.Write(model["config.json"])
		case "/org/new/resolve/main/config.json":
			_, _ = w.Write([]byte(`{"model_type": "newer_than_this"}`))
		case "/org/gated/resolve/main/config.json":
			refuse(401, "GatedRepo")
		case "/org/ggufs/resolve/main/config.json":
			refuse(404, "EntryNotFound")
		case "/org/ggufs/resolve/main/a.gguf":
			if r.Method != http.MethodHead {
				t.Errorf("%s of a file", r.Method)
			}
		case "/org/busy/resolve/main/config.json":
			refuse(503, "")
		case "/org/slow/resolve/main/config.json":
			<-r.Context().Done()
		default:
			refuse(404, "RepoNotFound")
		}
	}))
	defer server.Close()
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_ENDPOINT", server.URL)
	for name, q := range map[string]struct {
		class note.Class
		text  string
		known bool
	}{
		"org/good":         {"", "", true},
		"org/new":          {"", "", false},
		"org/ggufs":        {"", "", false},
		"org/ggufs:a.gguf": {"", "", false},
		"org/ggufs:b.gguf": {codes.ClassModelNotFound, "there is no model", false},
		"org/gated":        {codes.ClassGated, "set HF_TOKEN", false},
		"org/none":         {codes.ClassModelNotFound, "there is no model org/none", false},
		"org/busy":         {codes.ClassDownloadFailed, "503", false},
		"org/slow":         {codes.ClassOffline, "does not answer", false},
	} {
		requests.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c, known, err := Reach(ctx, Request{Model: name})
		cancel()
		if fault.Class(err) != q.class || known != q.known || err != nil && !strings.Contains(err.Error(), q.text) ||
			known && c.Layers != 2 {
			t.Errorf("%s: %+v, %t, %v", name, c, known, err)
		}
		if n := requests.Load(); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}

	server.Close()
	if _, _, err := Reach(t.Context(), Request{Model: "org/good"}); fault.Class(err) != codes.ClassOffline ||
		!strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("no hub: %v", err)
	}
	if _, known, err := Reach(t.Context(), Request{Model: "random:tiny-llama"}); known || err != nil {
		t.Errorf("no model of the hub: %t, %v", known, err)
	}
}

// TestReachCached: no request is sent for a model that is in the cache.
func TestReachCached(t *testing.T) {
	h := hubtest.New(t, hfModel(t))
	if _, _, err := hub.New(hub.Options{Endpoint: h.API.URL}).Fetch(t.Context(),
		hub.ID{Name: "org/name", Rev: "main"}, gguf.Float16); err != nil {
		t.Fatal(err)
	}
	before := h.Count()
	t.Setenv("HF_ENDPOINT", h.API.URL)
	c, known, err := Reach(t.Context(), Request{Model: "org/name"})
	if err != nil || !known || c.Layers != 2 || h.Count() != before {
		t.Errorf("%+v, %t, %v, %d requests", c, known, err, h.Count()-before)
	}
	if d, err := Describe("org/name"); err != nil || d != c {
		t.Errorf("described as %+v, %v", d, err)
	}
	if d, err := Describe("meta-llama/llama-3.1-8b"); err != nil || d.Layers != 32 {
		t.Errorf("the source of a shape: %+v, %v", d, err)
	}
	if _, err := Describe("org/other"); fault.Class(err) != codes.ClassModelNotFound {
		t.Errorf("unknown: %v", err)
	}
}
