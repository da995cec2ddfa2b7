package share

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/share/sharetest"
)

// newHub starts a hub, and a client of its owner that does not wait.
func newHub(t *testing.T) (*sharetest.Hub, *Client) {
	t.Helper()
	h := sharetest.New()
	t.Cleanup(func() {
		h.Close()
		if faults := h.Faults(); len(faults) > 0 {
			t.Error(faults)
		}
	})
	t.Setenv("HF_ENDPOINT", h.URL)
	t.Setenv("HF_TOKEN", sharetest.Token)
	c := New()
	c.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return h, c
}

// files are files to send, hashed.
func files(t *testing.T, texts map[string]string) (out []*File) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		f := &File{Path: name, Content: []byte(texts[name])}
		if err := f.Hash(); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// some are files of both kinds, an empty one and two with the same content.
func some() map[string]string {
	return map[string]string{"README.md": "# a card\n", "empty.log": "", "empty.parquet": "",
		"a/power.parquet": strings.Repeat("power", 200_000), "b/power.parquet": strings.Repeat("power", 200_000),
		"b/steps.parquet": strings.Repeat("steps", 100_000), "b/ü 1.json": `{"a": 1}`}
}

// push creates a repository and sends files.
func push(t *testing.T, c *Client, texts map[string]string) (string, error) {
	t.Helper()
	if err := c.Create(t.Context(), "alice/study", Private); err != nil {
		return "", err
	}
	return c.Push(t.Context(), Change{Name: "alice/study", Summary: "results", Add: files(t, texts)})
}

// TestPushAndDownload: what is sent arrives, in one commit, and comes back.
func TestPushAndDownload(t *testing.T) {
	h, c := newHub(t)
	h.Page = 2
	commit, err := push(t, c, some())
	if err != nil {
		t.Fatal(err)
	}
	got := h.Files("alice/study")
	delete(got, ".gitattributes")
	if !maps.Equal(got, some()) || h.Commits("alice/study") != 1 || !h.Private("alice/study") {
		t.Errorf("the hub has %d files in %d commits, private %v", len(got), h.Commits("alice/study"),
			h.Private("alice/study"))
	}
	if n := len(h.Requests("PUT ")); n != 2 {
		t.Errorf("%d large files were sent, want 2: equal ones are one", n)
	}
	ref := Ref{"alice/study", Main}
	info, err := c.Info(t.Context(), ref)
	if err != nil || info == nil || info.Commit != commit || !info.Private {
		t.Fatalf("info %+v, error %v, want commit %s", info, err, commit)
	}
	all, err := c.Files(t.Context(), ref, commit)
	if err != nil || len(all) != len(some())+1 {
		t.Fatalf("%d files, error %v", len(all), err)
	}
	dir := t.TempDir()
	h.CutDownloads(3)
	if err := c.Download(t.Context(), Fetch{Ref: ref, Commit: commit, Files: all, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	for name, want := range some() {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %d bytes, error %v", name, len(text), err)
		}
	}
	if same, err := Holds(dir, all); err != nil || !same {
		t.Errorf("the folder is not what was downloaded: %v", err)
	}
}

// TestCutUpload: uploads that are cut are sent again, and a push that gave up is continued
// without sending what arrived.
func TestCutUpload(t *testing.T) {
	h, c := newHub(t)
	h.CutUploads(3)
	var mu sync.Mutex
	var last, total int64
	if err := c.Create(t.Context(), "alice/study", Private); err != nil {
		t.Fatal(err)
	}
	change := Change{Name: "alice/study", Summary: "results", Add: files(t, some()), Progress: func(sent, of int64) {
		mu.Lock()
		defer mu.Unlock()
		last, total = sent, of
	}}
	if _, err := c.Push(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if last != total || total != 1_500_000 {
		t.Errorf("at the end %d of %d bytes were counted", last, total)
	}

	h.CutUploads(1000)
	more := map[string]string{"c.parquet": "new", "a/power.parquet": some()["a/power.parquet"]}
	if _, err := push(t, c, more); err == nil {
		t.Fatal("a push without uploads has succeeded")
	} else if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Next, "run the same command again") {
		t.Errorf("error %v", err)
	}
	if h.Commits("alice/study") != 1 || h.Files("alice/study")["c.parquet"] != "" {
		t.Error("half of a push is visible")
	}
	h.CutUploads(0)
	before := len(h.Requests("PUT "))
	if _, err := push(t, c, more); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Requests("PUT ")) - before; n != 1 || h.Files("alice/study")["c.parquet"] != "new" {
		t.Errorf("%d files were sent again, want 1", n)
	}
}

// TestFailures: each status has a message of what failed, where, and what to do.
func TestFailures(t *testing.T) {
	answers := func(status int, head map[string]string, at string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, at) {
				return false
			}
			for k, v := range head {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":"the hub's words"}`)
			return true
		}
	}
	for _, q := range []struct {
		status    int
		token, at string
		what, nxt string
	}{
		{0, "hf_wrongwrongwrongwrongwrong", "", "cannot create hf:alice/study: .* 401", "is wrong or has expired"},
		{0, sharetest.OtherToken, "", "403 Forbidden: You don't have the rights", "no write access to alice"},
		{0, sharetest.ReadToken, "", "403", "has no write access"},
		{401, "", "create", "401 Unauthorized: the hub's words", "the token from HF_TOKEN is wrong"},
		{404, "", "preupload", "cannot announce the files for hf:alice/study: .* 404", "check the spelling"},
		{409, "", "commit", "409 Conflict", "run the same command again"},
		{412, "", "commit", "412", "changed meanwhile"},
		{413, "", "commit", "cannot commit to hf:alice/study: .* 413", "free space in the account"},
		{413, "", "/put/", "cannot send a/power.parquet|cannot send b/", "free space in the account"},
		{429, "", "preupload", "429 Too Many Requests: the hub's words .5 attempts.", "what has arrived is not"},
		{500, "", "batch", "500", "the fault is at the hub"},
		{503, "", "/put/", "503 Service Unavailable", "run the same command again"},
		{418, "", "commit", "418", "correct what the hub names"},
	} {
		t.Run(fmt.Sprint(q.status, q.at, q.token), func(t *testing.T) {
			h, c := newHub(t)
			if q.token != "" {
				c.Token, c.TokenFrom = q.token, "HF_TOKEN"
			}
			if q.status != 0 {
				h.Broken = answers(q.status, nil, q.at)
			}
			_, err := push(t, c, some())
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if !matches(q.what, e.What) || !strings.Contains(e.Next, q.nxt) {
				t.Errorf("%s\nnext: %s", e.What, e.Next)
			}
			if strings.Contains(e.What+e.Next, "Signature") || strings.Contains(e.What+e.Next, c.Token) {
				t.Errorf("a secret is shown: %s", e.What)
			}
			if h.Commits("alice/study") > 0 {
				t.Error("something was committed")
			}
		})
	}
}

// TestWaits: the client waits as long as the hub asks, and gives up if that is too long.
func TestWaits(t *testing.T) {
	for _, q := range []struct {
		name, value string
		want        time.Duration
		gives       bool
	}{{"Retry-After", "7", 7 * time.Second, false}, {"RateLimit", `"api";r=0;t=42`, 42 * time.Second, false},
		{"Retry-After", "100000", 0, true}, {"X", "", time.Second, false}} {
		h, c := newHub(t)
		var waited []time.Duration
		c.wait = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
		once := false
		h.Broken = func(w http.ResponseWriter, r *http.Request) bool {
			if once || !strings.Contains(r.URL.Path, "create") {
				return false
			}
			once = true
			w.Header().Set(q.name, q.value)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		_, err := push(t, c, some())
		if q.gives {
			if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Next, "asks to wait") ||
				len(waited) > 0 {
				t.Errorf("%s: %s: waited %v, error %v", q.name, q.value, waited, err)
			}
			continue
		}
		if err != nil || len(waited) != 1 || waited[0] != q.want {
			t.Errorf("%s: %s: waited %v, error %v", q.name, q.value, waited, err)
		}
	}
}

// TestLostAnswer: a commit whose answer was lost is not made twice, nor taken for failed.
func TestLostAnswer(t *testing.T) {
	h, c := newHub(t)
	commit, err := push(t, c, map[string]string{"a.json": "1"})
	if err != nil {
		t.Fatal(err)
	}
	// The hub commits by other means, as if the answer to the same change were lost.
	h.Broken = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/commit/") {
			h.Put("alice/study", true, map[string]string{"a.json": "2"})
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}
	got, err := c.Push(t.Context(), Change{Name: "alice/study", Parent: commit, Summary: "s",
		Add: files(t, map[string]string{"a.json": "2"})})
	if err != nil || got == commit || got == "" {
		t.Errorf("commit %q, error %v", got, err)
	}
}

// TestInterrupted: the end of the context ends everything, and a download that was interrupted is continued.
func TestInterrupted(t *testing.T) {
	h, c := newHub(t)
	commit, err := push(t, c, some())
	if err != nil {
		t.Fatal(err)
	}
	ref := Ref{"alice/study", Main}
	all, err := c.Files(t.Context(), ref, commit)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the user has had enough")
	ctx, stop := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	var mu sync.Mutex
	err = c.Download(ctx, Fetch{Ref: ref, Commit: commit, Files: all, Dir: dir, Progress: func(have, _ int64) {
		mu.Lock()
		defer mu.Unlock()
		if have > 300_000 {
			stop(why)
		}
	}})
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	// Requests of the first download may still arrive, so files are counted and not the requests since then.
	partial, files := map[string]bool{}, map[string]int{}
	for _, r := range all {
		files[r.SHA256]++
		if info, err := os.Stat(filepath.Join(dir, r.Path)); err != nil || info.Size() != r.Size {
			partial[r.SHA256] = true
		}
	}
	if err := c.Download(t.Context(), Fetch{Ref: ref, Commit: commit, Files: all, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	for sum, n := range files {
		if got := len(h.Requests("GET /get/" + sum)); sum != "" && !partial[sum] && got > n {
			t.Errorf("%d downloads of %d files that were complete", got, n)
		}
	}
	if same, err := Holds(dir, all); err != nil || !same {
		t.Errorf("the folder is not complete: %v", err)
	}
}

// TestHostile: names and lists that no folder can have are refused, and nothing is written.
func TestHostile(t *testing.T) {
	for _, name := range []string{"../evil", "/etc/evil", "a/../../evil", `a\evil`, "a//b", "", "."} {
		h, c := newHub(t)
		h.Put("alice/study", false, map[string]string{"a.json": "1"})
		h.Broken = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tree/") {
				return false
			}
			_ = json.NewEncoder(w).Encode([]map[string]any{{"type": "file", "path": name, "size": 1,
				"oid": strings.Repeat("a", 40)}})
			return true
		}
		_, err := c.Files(t.Context(), Ref{"alice/study", Main}, strings.Repeat("a", 40))
		if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Next, "do not trust") {
			t.Errorf("%q: %v", name, err)
		}
	}
	h, c := newHub(t)
	h.Put("alice/study", false, map[string]string{"a.json": "1"})
	h.Broken = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/tree/") {
			w.Header().Set("Link", `<http://127.0.0.1:9/steal>; rel="next"`)
			fmt.Fprint(w, "[]")
			return true
		}
		return false
	}
	if _, err := c.Files(t.Context(), Ref{"alice/study", Main}, strings.Repeat("a", 40)); err == nil ||
		!strings.Contains(err.Error(), "another host") {
		t.Errorf("the next page on another host: %v", err)
	}
	h.Broken = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>log in")
		return true
	}
	if _, err := c.Info(t.Context(), Ref{"alice/study", Main}); err == nil ||
		!strings.Contains(err.Error(), "web page") {
		t.Errorf("a web page: %v", err)
	}
}

// TestDamagedDownload: bytes that are not the hub's are deleted.
func TestDamagedDownload(t *testing.T) {
	h, c := newHub(t)
	commit, err := push(t, c, map[string]string{"x.parquet": "right"})
	if err != nil {
		t.Fatal(err)
	}
	ref := Ref{"alice/study", Main}
	all, err := c.Files(t.Context(), ref, commit)
	if err != nil {
		t.Fatal(err)
	}
	h.Broken = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/get/") {
			fmt.Fprint(w, "wrong")
			return true
		}
		return false
	}
	dir := t.TempDir()
	err = c.Download(t.Context(), Fetch{Ref: ref, Commit: commit, Files: all, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another hash") {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*parquet*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestChangedFile: a file that changes while it is sent is not committed.
func TestChangedFile(t *testing.T) {
	h, c := newHub(t)
	for _, name := range []string{"a.json", "a.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := &File{Path: name, Local: path}
		if err := f.Hash(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("after!"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), "alice/study", Private); err != nil {
			t.Fatal(err)
		}
		_, err := c.Push(t.Context(), Change{Name: "alice/study", Summary: "s", Add: []*File{f}})
		if err == nil || !strings.Contains(err.Error(), name+" changed while it was read") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if h.Commits("alice/study") != 0 {
		t.Error("a changed file was committed")
	}
}

// TestParseRef: names are checked before the hub is asked.
func TestParseRef(t *testing.T) {
	for text, bad := range map[string]string{"alice/x": "does not begin with hf:",
		"hf:x":     "the user or the organisation",
		"hf:a/b/c": "one slash", "hf:https://huggingface.co/datasets/a/b": "an address", "hf:a/b--c": "--",
		"hf:a/b.git": ".git", "hf:a/b c": "letters", "hf:../x": "letters", "hf:": "missing",
		"hf:a/" + strings.Repeat("x", 100): "at most 96"} {
		if _, err := ParseRef(text); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]Ref{"hf:a/b": {"a/b", "main"},
		"hf:a-1/b.c_d@refs/pr/1": {"a-1/b.c_d", "refs/pr/1"}} {
		if got, err := ParseRef(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// matches reports whether a text has a pattern.
func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
