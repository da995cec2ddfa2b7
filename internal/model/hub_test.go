package model

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testRepo = repoID{name: "org/name", rev: "main"}

func TestHubDownload(t *testing.T) {
	h := newFakeHub(t, hfModel())
	x := h.hub("hf_secret")
	var done, total int64
	x.progress = func(d, n int64) { done, total = d, n }
	dir, commit, err := x.fetch(context.Background(), testRepo, Float16)
	if err != nil {
		t.Fatal(err)
	}
	if commit != testCommit || done != total || total < 500_000 {
		t.Errorf("commit %s, progress %d of %d", commit, done, total)
	}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(b, h.files[name]) {
			t.Errorf("%s: %v", name, err)
		}
		link, err := os.Readlink(filepath.Join(dir, name))
		if want := "../../blobs/" + h.etag(name); err != nil || link != want {
			t.Errorf("%s links to %s, want %s (%v)", name, link, want, err)
		}
	}
	for _, name := range []string{"README.md", "original"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was downloaded", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(x.cache.repo(testRepo), "refs", "main")); err != nil ||
		string(b) != testCommit {
		t.Errorf("refs/main is %q, %v", b, err)
	}
	if h.leaked {
		t.Error("the storage saw the token")
	}
	// Again: one request for the listing, and none offline or for a commit.
	before := h.count()
	if _, _, err := h.hub("").fetch(context.Background(), testRepo, Float16); err != nil || h.count() != before+1 {
		t.Errorf("second time: %v, %d requests", err, h.count()-before)
	}
	pinned := repoID{name: testRepo.name, rev: testCommit}
	if _, _, err := h.hub("").fetch(context.Background(), pinned, Float16); err != nil || h.count() != before+1 {
		t.Errorf("pinned: %v, %d requests", err, h.count()-before)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, _, err := h.hub("").fetch(context.Background(), testRepo, Float16); err != nil || h.count() != before+1 {
		t.Errorf("offline: %v, %d requests", err, h.count()-before)
	}
	if _, _, err := h.hub("").fetch(context.Background(), repoID{name: "org/other", rev: "main"},
		Float16); Class(err) != ClassOffline {
		t.Errorf("offline and absent: %v", err)
	}
}

func TestHubUsesCacheWhenUnreachable(t *testing.T) {
	h := newFakeHub(t, hfModel())
	if _, _, err := h.hub("").fetch(context.Background(), testRepo, Float16); err != nil {
		t.Fatal(err)
	}
	h.api.Close()
	if _, commit, err := h.hub("").fetch(context.Background(), testRepo, Float16); err != nil || commit != testCommit {
		t.Errorf("%v", err)
	}
	if _, _, err := h.hub("").fetch(context.Background(), repoID{name: "org/other", rev: "main"},
		Float16); Class(err) != ClassOffline {
		t.Errorf("absent: %v", err)
	}
}

func TestHubErrors(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		status int
		code   string
		token  string
		class  string
		text   string
	}{
		"no such model":       {"/api", 404, "RepoNotFound", "", ClassNotFound, "check the spelling"},
		"no such model, anon": {"/api", 401, "RepoNotFound", "", ClassNotFound, "private"},
		"no such revision":    {"/api", 404, "RevisionNotFound", "", ClassNotFound, "no revision"},
		"no token":            {"/api", 401, "", "", ClassGated, "set HF_TOKEN"},
		"bad token":           {"/api", 401, "", "hf_bad", ClassGated, "expired"},
		"gated":               {"/org", 403, "GatedRepo", "hf_ok", ClassGated, "accept its licence at"},
		"gated, anon":         {"/org", 401, "GatedRepo", "", ClassGated, "accept its licence at"},
		"file gone":           {"/org", 404, "EntryNotFound", "", ClassNotFound, "does not exist"},
		"broken":              {"/api", 500, "", "", ClassDownloadFailed, "try again"},
		"too many":            {"/api", 429, "", "", ClassDownloadFailed, "try again"},
		"teapot":              {"/api", 418, "", "", ClassDownloadFailed, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t, hfModel())
			h.failures[c.path], h.code = c.status, c.code
			_, _, err := h.hub(c.token).fetch(context.Background(), testRepo, Float16)
			if Class(err) != c.class || !strings.Contains(err.Error(), c.text) {
				t.Errorf("class %s: %v", Class(err), err)
			}
			want := 1
			if c.status >= 500 || c.status == 429 {
				want = attempts
			}
			if c.path == "/api" && h.count() != want {
				t.Errorf("%d requests, want %d", h.count(), want)
			}
		})
	}
}

func TestHubResumes(t *testing.T) {
	h := newFakeHub(t, hfModel())
	h.cuts = 7 // more than one attempt's worth, with progress each time
	dir, _, err := h.hub("").fetch(context.Background(), testRepo, Float16)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "model.safetensors")); !bytes.Equal(b, h.files["model.safetensors"]) {
		t.Error("the file differs")
	}
	if len(h.ranges) != 8 || h.ranges[1] == "" {
		t.Errorf("ranges asked for: %q", h.ranges)
	}
}

// TestHubLeftovers starts from a partial file of an earlier process.
func TestHubLeftovers(t *testing.T) {
	for name, c := range map[string]struct {
		part    int
		noRange bool
	}{"half": {250_000, false}, "range ignored": {250_000, true}, "all": {500_000, false},
		"too much": {600_000, false}} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t, hfModel())
			h.noRange = c.noRange
			x := h.hub("")
			full := bytes.Repeat([]byte("0123456789"), 60_000)
			part := x.cache.blob(testRepo, h.etag("model.safetensors")) + ".incomplete"
			if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(part, full[:c.part], 0o600); err != nil {
				t.Fatal(err)
			}
			dir, _, err := x.fetch(context.Background(), testRepo, Float16)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(filepath.Join(dir, "model.safetensors")); !bytes.Equal(b,
				h.files["model.safetensors"]) {
				t.Error("the file differs")
			}
		})
	}
}

func TestHubChecksumMismatch(t *testing.T) {
	h := newFakeHub(t, hfModel())
	h.corrupt = true
	x := h.hub("")
	_, _, err := x.fetch(context.Background(), testRepo, Float16)
	if Class(err) != ClassCorrupt || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("%v", err)
	}
	blob := x.cache.blob(testRepo, h.etag("model.safetensors"))
	for _, p := range []string{blob, blob + ".incomplete"} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
	h.corrupt = false
	if _, _, err := x.fetch(context.Background(), testRepo, Float16); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestHubCancelKeepsPart(t *testing.T) {
	h := newFakeHub(t, hfModel())
	h.slow.Store(true)
	x := h.hub("")
	ctx, cancel := context.WithCancel(context.Background())
	x.progress = func(done, _ int64) {
		if done > 100_000 {
			cancel()
		}
	}
	_, _, err := x.fetch(ctx, testRepo, Float16)
	if Class(err) != ClassInterrupted {
		t.Errorf("class %q: %v", Class(err), err)
	}
	st, err := os.Stat(x.cache.blob(testRepo, h.etag("model.safetensors")) + ".incomplete")
	if err != nil || st.Size() < 100_000 {
		t.Errorf("partial file: %v, %v", st, err)
	}
	h.slow.Store(false)
	if _, _, err := h.hub("").fetch(context.Background(), testRepo, Float16); err != nil {
		t.Errorf("continuing: %v", err)
	}
	if last := h.ranges[len(h.ranges)-1]; last == "" {
		t.Error("it did not continue where it stopped")
	}
}

func TestHubStall(t *testing.T) {
	h := newFakeHub(t, hfModel())
	h.slow.Store(true)
	x := h.hub("")
	x.stall = 50 * time.Millisecond
	stalls := 0
	x.wait = func(context.Context, time.Duration) error {
		if stalls++; stalls == 2 {
			h.slow.Store(false)
		}
		return nil
	}
	if _, _, err := x.fetch(context.Background(), testRepo, Float16); err != nil {
		t.Error(err)
	}
}

func TestHubNotAHub(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer srv.Close()
	_, _, err := newHub(Request{Endpoint: srv.URL}).fetch(context.Background(), testRepo, Float16)
	if Class(err) != ClassDownloadFailed || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("%v", err)
	}
}

func TestWantedFiles(t *testing.T) {
	l := func(names ...string) (l listing) {
		for _, n := range names {
			l.Siblings = append(l.Siblings, sibling{n, 1})
		}
		return l
	}
	for name, c := range map[string]struct {
		list  listing
		file  string
		dtype DType
		want  string // sorted as listed, or the class of the error
	}{
		"sharded": {l("config.json", "a.py", "consolidated.safetensors", "model-1.safetensors",
			"model.safetensors.index.json"), "", "", "config.json, model.safetensors.index.json, model-1.safetensors"},
		"hostile names": {l("config.json", "../../evil.safetensors", "/etc/x.safetensors", "model.safetensors"), "",
			"", "config.json, model.safetensors"},
		"pytorch": {l("config.json", "pytorch_model.bin", "training_args.bin"), "", "",
			"config.json, pytorch_model.bin"},
		"one gguf":       {l("x-Q4_K_M.gguf", "config.json"), "", Float16, "x-Q4_K_M.gguf"},
		"gguf by dtype":  {l("x-Q4_0.gguf", "x-f16.gguf", "x-bf16.gguf"), "", Float16, "x-f16.gguf"},
		"gguf ambiguous": {l("x-Q4_K_M.gguf", "x-Q5_K_M.gguf"), "", Float16, ClassNotFound},
		"gguf named":     {l("x-Q4_K_M.gguf", "x-Q5_K_M.gguf"), "x-Q5_K_M.gguf", "", "x-Q5_K_M.gguf"},
		"gguf misnamed":  {l("x-Q4_K_M.gguf"), "y.gguf", "", ClassNotFound},
		"no weights":     {l("README.md", "config.json"), "", "", ClassUnsupportedModel},
	} {
		got, err := wanted(c.list, repoID{name: "org/name", file: c.file}, c.dtype, FormatGGUF)
		text := names(got)
		if err != nil {
			text = Class(err)
		}
		if text != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, text, c.want, err)
		}
	}
}

func TestWantedForPython(t *testing.T) {
	only := listing{Siblings: []sibling{{"x.gguf", 1}, {"config.json", 1}}}
	if _, err := wanted(only, testRepo, "", FormatHF); Class(err) != ClassUnsupportedModel {
		t.Errorf("%v", err)
	}
	both := listing{Siblings: append(only.Siblings, sibling{"pytorch_model.bin", 1})}
	if got, err := wanted(both, testRepo, "", FormatHF); err != nil || names(got) != "config.json, pytorch_model.bin" {
		t.Errorf("%s, %v", names(got), err)
	}
}

// TestHubRefusesBeforeDownload stops after config.json when the engine could
// not run the model.
func TestHubRefusesBeforeDownload(t *testing.T) {
	files := hfModel()
	files["config.json"] = []byte(`{"architectures":["OddForCausalLM"],"model_type":"odd"}`)
	h := newFakeHub(t, files)
	x := h.hub("")
	x.format = FormatGGUF
	if _, _, err := x.fetch(context.Background(), testRepo, Float16); Class(err) != ClassUnsupportedModel {
		t.Errorf("%v", err)
	}
	if len(h.ranges) != 0 {
		t.Error("the weights were downloaded all the same")
	}
}

func TestParseRepoID(t *testing.T) {
	for in, want := range map[string]repoID{
		"Qwen/Qwen3-0.6B":           {"Qwen/Qwen3-0.6B", "main", ""},
		"a/b@refs/pr/1":             {"a/b", "refs/pr/1", ""},
		"a/b@v1.0:q/x.gguf":         {"a/b", "v1.0", "q/x.gguf"},
		"a/b:x-Q4_K_M.gguf":         {"a/b", "main", "x-Q4_K_M.gguf"},
		"gpt2":                      {},
		"a/b/c":                     {},
		"a/b@../../etc":             {},
		"../a/b":                    {},
		"https://huggingface.co/a/": {},
	} {
		got, ok := parseRepoID(in)
		if got != want || ok != (want.name != "") {
			t.Errorf("%s: %+v, %v", in, got, ok)
		}
	}
}
