package hub

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

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/internal/gguf"
	"github.com/llenergymeasure/llem/internal/hub/hubtest"
	"github.com/llenergymeasure/llem/note"
)

var testRepo = ID{Name: "org/name", Rev: "main"}

// client queries the fake hub and never waits between attempts.
func client(h *hubtest.Hub, token string) *Client {
	x := New(Options{Endpoint: h.API.URL, Token: token})
	x.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return x
}

// hfModel is the content of a small repository.
func hfModel() map[string][]byte {
	return map[string][]byte{
		"config.json": []byte(`{"model_type":"llama"}`), "tokenizer.json": []byte(`{"version":"1.0"}`),
		"README.md":                         []byte("hi"),
		"model.safetensors":                 bytes.Repeat([]byte("0123456789"), 50_000),
		"original/consolidated.safetensors": []byte("old copy"),
	}
}

func TestHubDownload(t *testing.T) {
	h := hubtest.New(t, hfModel())
	x := client(h, "hf_secret")
	var done, total int64
	x.Progress = func(d, n int64) { done, total = d, n }
	dir, commit, err := x.Fetch(context.Background(), testRepo, gguf.Float16)
	if err != nil {
		t.Fatal(err)
	}
	if commit != hubtest.Commit || done != total || total < 500_000 {
		t.Errorf("commit %s, progress %d of %d", commit, done, total)
	}
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(b, h.Files[name]) {
			t.Errorf("%s: %v", name, err)
		}
		link, err := os.Readlink(filepath.Join(dir, name))
		if want := "../../blobs/" + h.ETag(name); err != nil || link != want {
			t.Errorf("%s links to %s, want %s (%v)", name, link, want, err)
		}
	}
	for _, name := range []string{"README.md", "original"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was downloaded", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(x.cache.repo(testRepo), "refs", "main")); err != nil ||
		string(b) != hubtest.Commit {
		t.Errorf("refs/main is %q, %v", b, err)
	}
	if h.Leaked {
		t.Error("the storage saw the token")
	}
	// Again: one request for the listing, and none offline or for a commit.
	before := h.Count()
	if _, _, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16); err != nil ||
		h.Count() != before+1 {
		t.Errorf("second time: %v, %d requests", err, h.Count()-before)
	}
	pinned := ID{Name: testRepo.Name, Rev: hubtest.Commit}
	if _, _, err := client(h, "").Fetch(context.Background(), pinned, gguf.Float16); err != nil ||
		h.Count() != before+1 {
		t.Errorf("pinned: %v, %d requests", err, h.Count()-before)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, _, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16); err != nil ||
		h.Count() != before+1 {
		t.Errorf("offline: %v, %d requests", err, h.Count()-before)
	}
	if _, _, err := client(h, "").Fetch(context.Background(), ID{Name: "org/other", Rev: "main"},
		gguf.Float16); fault.Class(err) != codes.ClassOffline {
		t.Errorf("offline and absent: %v", err)
	}
}

func TestHubUsesCacheWhenUnreachable(t *testing.T) {
	h := hubtest.New(t, hfModel())
	if _, _, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16); err != nil {
		t.Fatal(err)
	}
	h.API.Close()
	if _, commit, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16); err != nil ||
		commit != hubtest.Commit {
		t.Errorf("%v", err)
	}
	if _, _, err := client(h, "").Fetch(context.Background(), ID{Name: "org/other", Rev: "main"},
		gguf.Float16); fault.Class(err) != codes.ClassOffline {
		t.Errorf("absent: %v", err)
	}
}

func TestHubErrors(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		status int
		code   string
		token  string
		class  note.Class
		text   string
	}{
		"no such model":       {"/api", 404, "RepoNotFound", "", codes.ClassModelNotFound, "check the spelling"},
		"no such model, anon": {"/api", 401, "RepoNotFound", "", codes.ClassModelNotFound, "private"},
		"no such revision":    {"/api", 404, "RevisionNotFound", "", codes.ClassModelNotFound, "no revision"},
		"no token":            {"/api", 401, "", "", codes.ClassGated, "set HF_TOKEN"},
		"bad token":           {"/api", 401, "", "hf_bad", codes.ClassGated, "expired"},
		"gated":               {"/org", 403, "GatedRepo", "hf_ok", codes.ClassGated, "accept its licence at"},
		"gated, anon":         {"/org", 401, "GatedRepo", "", codes.ClassGated, "accept its licence at"},
		"file gone":           {"/org", 404, "EntryNotFound", "", codes.ClassModelNotFound, "does not exist"},
		"broken":              {"/api", 500, "", "", codes.ClassDownloadFailed, "try again"},
		"too many":            {"/api", 429, "", "", codes.ClassDownloadFailed, "try again"},
		"teapot":              {"/api", 418, "", "", codes.ClassDownloadFailed, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t, hfModel())
			h.Failures[c.path], h.Code = c.status, c.code
			_, _, err := client(h, c.token).Fetch(context.Background(), testRepo, gguf.Float16)
			if fault.Class(err) != c.class || !strings.Contains(err.Error(), c.text) {
				t.Errorf("class %s: %v", fault.Class(err), err)
			}
			want := 1
			if c.status >= 500 || c.status == 429 {
				want = attempts
			}
			if c.path == "/api" && h.Count() != want {
				t.Errorf("%d requests, want %d", h.Count(), want)
			}
		})
	}
}

func TestHubResumes(t *testing.T) {
	h := hubtest.New(t, hfModel())
	h.Cuts = 7 // more than one attempt's worth, with progress each time
	dir, _, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "model.safetensors")); !bytes.Equal(b, h.Files["model.safetensors"]) {
		t.Error("the file differs")
	}
	if len(h.Ranges) != 8 || h.Ranges[1] == "" {
		t.Errorf("ranges asked for: %q", h.Ranges)
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
			h := hubtest.New(t, hfModel())
			h.NoRange = c.noRange
			x := client(h, "")
			full := bytes.Repeat([]byte("0123456789"), 60_000)
			part := x.cache.blob(testRepo, h.ETag("model.safetensors")) + ".incomplete"
			if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(part, full[:c.part], 0o600); err != nil {
				t.Fatal(err)
			}
			dir, _, err := x.Fetch(context.Background(), testRepo, gguf.Float16)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(filepath.Join(dir, "model.safetensors")); !bytes.Equal(b,
				h.Files["model.safetensors"]) {
				t.Error("the file differs")
			}
		})
	}
}

func TestHubChecksumMismatch(t *testing.T) {
	h := hubtest.New(t, hfModel())
	h.Corrupt = true
	x := client(h, "")
	_, _, err := x.Fetch(context.Background(), testRepo, gguf.Float16)
	if fault.Class(err) != codes.ClassCorruptModel || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("%v", err)
	}
	blob := x.cache.blob(testRepo, h.ETag("model.safetensors"))
	for _, p := range []string{blob, blob + ".incomplete"} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
	h.Corrupt = false
	if _, _, err := x.Fetch(context.Background(), testRepo, gguf.Float16); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestHubCancelKeepsPart(t *testing.T) {
	h := hubtest.New(t, hfModel())
	h.Slow.Store(true)
	x := client(h, "")
	ctx, cancel := context.WithCancel(context.Background())
	x.Progress = func(done, _ int64) {
		if done > 100_000 {
			cancel()
		}
	}
	_, _, err := x.Fetch(ctx, testRepo, gguf.Float16)
	if fault.Class(err) != codes.ClassInterrupted {
		t.Errorf("class %q: %v", fault.Class(err), err)
	}
	st, err := os.Stat(x.cache.blob(testRepo, h.ETag("model.safetensors")) + ".incomplete")
	if err != nil || st.Size() < 100_000 {
		t.Errorf("partial file: %v, %v", st, err)
	}
	h.Slow.Store(false)
	if _, _, err := client(h, "").Fetch(context.Background(), testRepo, gguf.Float16); err != nil {
		t.Errorf("continuing: %v", err)
	}
	if last := h.Ranges[len(h.Ranges)-1]; last == "" {
		t.Error("it did not continue where it stopped")
	}
}

func TestHubStall(t *testing.T) {
	h := hubtest.New(t, hfModel())
	h.Slow.Store(true)
	x := client(h, "")
	x.stall = 50 * time.Millisecond
	stalls := 0
	x.wait = func(context.Context, time.Duration) error {
		if stalls++; stalls == 2 {
			h.Slow.Store(false)
		}
		return nil
	}
	if _, _, err := x.Fetch(context.Background(), testRepo, gguf.Float16); err != nil {
		t.Error(err)
	}
}

func TestHubNotAHub(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer srv.Close()
	_, _, err := New(Options{Endpoint: srv.URL}).Fetch(context.Background(), testRepo, gguf.Float16)
	if fault.Class(err) != codes.ClassDownloadFailed || !strings.Contains(err.Error(), "HF_ENDPOINT") {
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
		dtype gguf.DType
		want  string // sorted as listed, or the class of the error
	}{
		"sharded": {l("config.json", "a.py", "consolidated.safetensors", "model-1.safetensors",
			"model.safetensors.index.json"), "", "", "config.json, model.safetensors.index.json, model-1.safetensors"},
		"hostile names": {l("config.json", "../../evil.safetensors", "/etc/x.safetensors", "model.safetensors"), "",
			"", "config.json, model.safetensors"},
		"pytorch": {l("config.json", "pytorch_model.bin", "training_args.bin"), "", "",
			"config.json, pytorch_model.bin"},
		"one gguf":       {l("x-Q4_K_M.gguf", "config.json"), "", gguf.Float16, "x-Q4_K_M.gguf"},
		"gguf by dtype":  {l("x-gguf.Q4_0.gguf", "x-f16.gguf", "x-bf16.gguf"), "", gguf.Float16, "x-f16.gguf"},
		"gguf ambiguous": {l("x-Q4_K_M.gguf", "x-Q5_K_M.gguf"), "", gguf.Float16, string(codes.ClassModelNotFound)},
		"gguf named":     {l("x-Q4_K_M.gguf", "x-Q5_K_M.gguf"), "x-Q5_K_M.gguf", "", "x-Q5_K_M.gguf"},
		"gguf misnamed":  {l("x-Q4_K_M.gguf"), "y.gguf", "", string(codes.ClassModelNotFound)},
		"no weights":     {l("README.md", "config.json"), "", "", string(codes.ClassUnsupportedModel)},
	} {
		got, err := wanted(c.list, ID{Name: "org/name", File: c.file}, c.dtype, Options{})
		text := names(got)
		if err != nil {
			text = string(fault.Class(err))
		}
		if text != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, text, c.want, err)
		}
	}
}

func TestWantedForPython(t *testing.T) {
	only := listing{Siblings: []sibling{{"x.gguf", 1}, {"config.json", 1}}}
	if _, err := wanted(only, testRepo, "", Options{NoGGUF: true}); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("%v", err)
	}
	both := listing{Siblings: append(only.Siblings, sibling{"pytorch_model.bin", 1})}
	if got, err := wanted(both, testRepo, "", Options{NoGGUF: true}); err != nil ||
		names(got) != "config.json, pytorch_model.bin" {
		t.Errorf("%s, %v", names(got), err)
	}
}

// TestWantedForConversion: files that cannot be converted are not downloaded.
func TestWantedForConversion(t *testing.T) {
	l := listing{Siblings: []sibling{{"config.json", 1}, {"pytorch_model.bin", 1}}}
	if _, err := wanted(l, testRepo, "", Options{NoTorch: true}); fault.Class(err) != codes.ClassUnsupportedModel ||
		!strings.Contains(err.Error(), "PyTorch") {
		t.Errorf("%v", err)
	}
	l.Siblings = append(l.Siblings, sibling{"model.safetensors", 1})
	if got, err := wanted(l, testRepo, "", Options{NoTorch: true}); err != nil ||
		names(got) != "config.json, model.safetensors" {
		t.Errorf("%s, %v", names(got), err)
	}
}

// TestHubRefusesBeforeDownload: the download stops after config.json if the engine could not run the model.
func TestHubRefusesBeforeDownload(t *testing.T) {
	h := hubtest.New(t, hfModel())
	x := client(h, "")
	x.Usable = func(dir string) error {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
			t.Error(err)
		}
		return fault.New(codes.ClassUnsupportedModel, nil, "", "no engine runs it")
	}
	if _, _, err := x.Fetch(context.Background(), testRepo,
		gguf.Float16); fault.Class(err) != codes.ClassUnsupportedModel {
		t.Errorf("%v", err)
	}
	if len(h.Ranges) != 0 {
		t.Error("the weights were downloaded nevertheless")
	}
}

func TestParseRepoID(t *testing.T) {
	for in, want := range map[string]ID{
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
		got, ok := ParseID(in)
		if got != want || ok != (want.Name != "") {
			t.Errorf("%s: %+v, %v", in, got, ok)
		}
	}
}
