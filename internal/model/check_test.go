package model

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestReach: one request tells whether a model can be had, and what it is.
func TestReach(t *testing.T) {
	var requests atomic.Int32
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		refuse := func(status int, code string) {
			w.Header().Set("X-Error-Code", code)
			w.WriteHeader(status)
		}
		switch r.URL.Path {
		case "/org/good/resolve/main/config.json":
			_, _ = w.Write(hfModel()["config.json"])
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
	defer hub.Close()
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_ENDPOINT", hub.URL)
	for name, q := range map[string]struct {
		class, text string
		known       bool
	}{
		"org/good":         {"", "", true},
		"org/new":          {"", "", false},
		"org/ggufs":        {"", "", false},
		"org/ggufs:a.gguf": {"", "", false},
		"org/ggufs:b.gguf": {ClassNotFound, "there is no model", false},
		"org/gated":        {ClassGated, "set HF_TOKEN", false},
		"org/none":         {ClassNotFound, "there is no model org/none", false},
		"org/busy":         {ClassDownloadFailed, "503", false},
		"org/slow":         {ClassOffline, "does not answer", false},
	} {
		requests.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c, known, err := Reach(ctx, Request{Model: name})
		cancel()
		if Class(err) != q.class || known != q.known || err != nil && !strings.Contains(err.Error(), q.text) ||
			known && c.Layers != 2 {
			t.Errorf("%s: %+v, %t, %v", name, c, known, err)
		}
		if n := requests.Load(); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}

	hub.Close()
	if _, _, err := Reach(t.Context(), Request{Model: "org/good"}); Class(err) != ClassOffline ||
		!strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("no hub: %v", err)
	}
	if _, known, err := Reach(t.Context(), Request{Model: "random:tiny-llama"}); known || err != nil {
		t.Errorf("no model of the hub: %t, %v", known, err)
	}
}

// TestReachCached asks nobody about what is here.
func TestReachCached(t *testing.T) {
	h := newFakeHub(t, hfModel())
	if _, _, err := h.hub("").fetch(t.Context(), testRepo, Float16); err != nil {
		t.Fatal(err)
	}
	before := h.count()
	t.Setenv("HF_ENDPOINT", h.api.URL)
	c, known, err := Reach(t.Context(), Request{Model: "org/name"})
	if err != nil || !known || c.Layers != 2 || h.count() != before {
		t.Errorf("%+v, %t, %v, %d requests", c, known, err, h.count()-before)
	}
	if d, err := Describe("org/name"); err != nil || d != c {
		t.Errorf("described as %+v, %v", d, err)
	}
	if d, err := Describe("meta-llama/llama-3.1-8b"); err != nil || d.Layers != 32 {
		t.Errorf("a shape's source: %+v, %v", d, err)
	}
	if _, err := Describe("org/other"); Class(err) != ClassNotFound {
		t.Errorf("unknown: %v", err)
	}
}
