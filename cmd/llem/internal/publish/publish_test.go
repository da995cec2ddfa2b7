package publish

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/llenergymeasure/llem/cmd/llem/internal/verdict"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/share"
	"github.com/llenergymeasure/llem/internal/share/sharetest"
)

// Stored studies: one with checksums, and older ones without.
const stored = "../../../../testdata/stored/"

// pushEnv and pullEnv make the test binary a process that can be killed.
const pushEnv, pullEnv = "LLEM_TEST_PUSH", "LLEM_TEST_PULL"

func TestMain(m *testing.M) {
	c := Command{Out: io.Discard, Doc: io.Discard, Err: io.Discard}
	switch {
	case os.Getenv(pushEnv) != "":
		_ = c.Push(context.Background(), os.Getenv(pushEnv), "hf:alice/study", PushFlags{})
	case os.Getenv(pullEnv) != "":
		_ = c.Pull(context.Background(), "hf:alice/study", PullFlags{Output: os.Getenv(pullEnv)})
	default:
		os.Exit(m.Run())
	}
}

// newHub starts a hub for the test's environment.
func newHub(t *testing.T) *sharetest.Hub {
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
	t.Setenv("HF_HUB_OFFLINE", "")
	return h
}

// said is what a command prints.
type said struct{ out, err bytes.Buffer }

func (s *said) command() Command {
	return Command{Out: &s.out, Doc: &s.out, Err: &s.err, In: strings.NewReader(""), Version: "test"}
}

// pushed pushes a study, which must succeed.
func pushed(t *testing.T, dir, to string, f PushFlags) *said {
	t.Helper()
	s := &said{}
	if err := s.command().Push(t.Context(), dir, to, f); err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOf is a copy of a stored study that a test may change.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(stored+name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestStored: studies of all versions go to the hub and come back, with the verdict that they had.
func TestStored(t *testing.T) {
	h := newHub(t)
	for _, name := range []string{"queued", "ends", "simulated"} {
		before, err := verdict.Of(stored + name)
		if err != nil {
			t.Fatal(err)
		}
		s := pushed(t, stored+name, "hf:alice/"+name, PushFlags{License: "mit"})
		if h.Commits("alice/"+name) != 1 || !h.Private("alice/"+name) || !strings.Contains(s.out.String(), "private") {
			t.Errorf("%s: %d commits, private %v: %s", name, h.Commits("alice/"+name), h.Private("alice/"+name),
				s.out.String())
		}
		at, remove, err := s.command().Local(t.Context(), "hf:alice/"+name)
		if err != nil {
			t.Fatal(err)
		}
		after, err := verdict.Judge(at)
		if err != nil || after.State != before.State || after.Numbers != before.Numbers {
			t.Errorf("%s: %+v, error %v, want %+v", name, after, err, before)
		}
		if remove(); disk.NoFolder(at) == "" {
			t.Errorf("%s was left", at)
		}
		files := h.Files("alice/" + name)
		card := files[cardFile]
		for _, part := range []string{"license: mit\n", "data_files: runs.parquet\n  default: true\n",
			"llem verify hf:alice/" + name} {
			if !strings.Contains(card, part) {
				t.Errorf("%s: the card lacks %q:\n%s", name, part, card)
			}
		}
		if strings.Contains(card, figureFile) != (files[figureFile] != "") {
			t.Errorf("%s: the card and its figure do not agree", name)
		}
		if !untouched([]byte(card)) || untouched([]byte(card+"x")) {
			t.Errorf("%s: the seal of the card", name)
		}
	}
}

// TestRunsTable: a row per run, and the metrics of the runs.
func TestRunsTable(t *testing.T) {
	h := newHub(t)
	pushed(t, stored+"queued", "hf:alice/study", PushFlags{})
	text := h.Files("alice/study")[runsFile]
	file, err := parquet.OpenFile(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range file.Root().Columns() {
		names = append(names, c.Name())
	}
	all := strings.Join(names, " ")
	if file.NumRows() != 2 || !strings.HasPrefix(all, "run id cycle status model backend config.") ||
		!strings.Contains(all, "energy.per_output_token_j") {
		t.Errorf("%d rows of %s", file.NumRows(), all)
	}
}

// TestCardStays: a card that somebody edited in the repository is not replaced in silence.
func TestCardStays(t *testing.T) {
	h := newHub(t)
	pushed(t, stored+"queued", "hf:alice/study", PushFlags{})
	s := pushed(t, stored+"queued", "hf:alice/study", PushFlags{License: "mit"})
	if !strings.Contains(h.Files("alice/study")[cardFile], "license: mit") ||
		!strings.Contains(s.out.String(), "1 file sent") {
		t.Errorf("the card of push was not replaced: %s", s.out.String())
	}
	h.Put("alice/study", true, map[string]string{cardFile: "# my own words\n"})
	s = pushed(t, stored+"queued", "hf:alice/study", PushFlags{})
	if h.Files("alice/study")[cardFile] != "# my own words\n" || !strings.Contains(s.err.String(), "was edited") {
		t.Errorf("the edited card was replaced: %s", s.err.String())
	}
	pushed(t, stored+"queued", "hf:alice/study", PushFlags{Force: true})
	if !untouched([]byte(h.Files("alice/study")[cardFile])) {
		t.Error("--force did not replace the card")
	}
}

// TestOtherContent: what is in a repository is not overwritten, and --force removes nothing but a study.
func TestOtherContent(t *testing.T) {
	h := newHub(t)
	h.Put("alice/data", true, map[string]string{"train.csv": "1,2", cardFile: "# data"})
	var s said
	err := s.command().Push(t.Context(), stored+"queued", "hf:alice/data", PushFlags{})
	if err == nil || !strings.Contains(err.Error(), "holds other files, such as train.csv, so nothing was sent") {
		t.Errorf("error %v", err)
	}
	pushed(t, stored+"queued", "hf:alice/data", PushFlags{Force: true})
	pushed(t, stored+"ends", "hf:alice/data", PushFlags{Force: true})
	files := h.Files("alice/data")
	if files["train.csv"] != "1,2" || files["runs/7064f532c5e5-c1/result.json"] == "" ||
		files["runs/a0ad14b62020-c1/result.json"] != "" {
		t.Errorf("%d files after two studies", len(files))
	}
	if err := s.command().Pull(t.Context(), "hf:alice/data", PullFlags{Output: t.TempDir() + "/x"}); err != nil ||
		!strings.Contains(s.err.String(), "not fetched, as not of a study: 1 file (train.csv)") {
		t.Errorf("error %v: %s", err, s.err.String())
	}
	h.Put("alice/none", true, map[string]string{"train.csv": "1,2"})
	err = s.command().Pull(t.Context(), "hf:alice/none", PullFlags{Output: t.TempDir() + "/x"})
	if err == nil || !strings.Contains(err.Error(), "holds no study of llem") {
		t.Errorf("error %v", err)
	}
}

// TestPublic: nothing becomes public without a yes.
func TestPublic(t *testing.T) {
	for _, q := range []struct {
		ask, yes bool
		answer   string
		want     bool
	}{{true, false, "y\n", true}, {true, false, "yes\n", true}, {true, false, "n\n", false}, {true, false, "\n", false},
		{true, false, "", false}, {false, false, "y\n", false}, {false, true, "", true}} {
		h := newHub(t)
		var s said
		c := s.command()
		c.Ask, c.In = q.ask, strings.NewReader(q.answer)
		err := c.Push(t.Context(), stored+"queued", "hf:alice/study", PushFlags{Public: true, Yes: q.yes})
		public := h.Commits("alice/study") == 1 && !h.Private("alice/study")
		if public != q.want || (err == nil) != q.want {
			t.Errorf("%+v: public %v, error %v", q, public, err)
		}
		if !q.want && len(h.Requests("POST ")) > 0 {
			t.Errorf("%+v: something was sent: %v", q, h.Requests("POST "))
		}
	}
	h := newHub(t)
	h.Put("alice/study", false, map[string]string{cardFile: ""})
	var s said
	err := s.command().Push(t.Context(), stored+"queued", "hf:alice/study", PushFlags{})
	if _, usage := errors.AsType[*Error](err); !usage || !strings.Contains(err.Error(), "everybody would see") {
		t.Errorf("error %v", err)
	}
}

// TestLicense: a licence that the hub does not know is refused before anything is sent.
func TestLicense(t *testing.T) {
	h := newHub(t)
	var s said
	err := s.command().Push(t.Context(), stored+"queued", "hf:alice/study", PushFlags{License: "no-such-license"})
	if err == nil || !strings.Contains(err.Error(), `"license" must be one of`) || len(h.Requests("PUT ")) > 0 {
		t.Errorf("error %v", err)
	}
}

// TestFolders: what cannot be sent.
func TestFolders(t *testing.T) {
	newHub(t)
	changed := copyOf(t, "queued")
	record := filepath.Join(changed, "runs", "a0ad14b62020-c1", "result.json")
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, bytes.Replace(text, []byte(`"total_j"`), []byte(`"total_j":0,"x"`), 1),
		0o600); err != nil {
		t.Fatal(err)
	}
	running := copyOf(t, "queued")
	journal, err := os.Open(filepath.Join(running, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	if err := disk.LockFolder(journal); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{changed: "damaged|do not follow",
		running:     "another llem process is writing",
		t.TempDir(): "it is not the folder of a study", stored: "it holds studies",
		stored + "queued/runs/a0ad14b62020-c1": "is the folder of one run", "nowhere": "no such folder"} {
		var s said
		err := s.command().Push(t.Context(), dir, "hf:alice/x", PushFlags{})
		found := false
		for part := range strings.SplitSeq(want, "|") {
			found = found || err != nil && strings.Contains(err.Error(), part)
		}
		if !found {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestOnlyOwn: neither other files nor links leave the folder, whatever their names are.
func TestOnlyOwn(t *testing.T) {
	h := newHub(t)
	dir := copyOf(t, "queued")
	for _, name := range []string{"notes.txt", ".env", "runs/a0ad14b62020-c1/core", "env.json.bak", "sub/env.json",
		"id_rsa"} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700),
			os.WriteFile(at, []byte("PRIVATE"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "id_rsa"), filepath.Join(dir, "options.json")); err != nil {
		t.Fatal(err)
	}
	s := pushed(t, dir, "hf:alice/study", PushFlags{JSON: true})
	for name, text := range h.Files("alice/study") {
		if strings.Contains(text, "PRIVATE") {
			t.Errorf("%s was sent", name)
		}
	}
	var doc Pushed
	if err := json.Unmarshal(s.out.Bytes(), &doc); err != nil || len(doc.NotSent) != 7 || doc.Commit == "" ||
		doc.Verdict != verdict.Verified {
		t.Errorf("%+v, error %v", doc, err)
	}
}

// killed starts a process of the test binary and kills it once the hub has seen some transfers.
func killed(t *testing.T, h *sharetest.Hub, variable, value, request string, n int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+value)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	before := len(h.Requests(request))
	for end := time.Now().Add(time.Minute); len(h.Requests(request))-before < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the process sent %d requests", len(h.Requests(request))-before)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// slow lets the storage of a hub answer some requests and then none, until it is told to go on.
func slow(h *sharetest.Hub, method string, fast int) (goOn func()) {
	free, gate := make(chan struct{}, fast), make(chan struct{})
	for range fast {
		free <- struct{}{}
	}
	h.Broken = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasPrefix(r.URL.Path, "/put/") && !strings.HasPrefix(r.URL.Path, "/get/") {
			return false
		}
		select {
		case <-free:
		case <-gate:
		case <-r.Context().Done():
			return true
		}
		return false
	}
	return func() { close(gate) }
}

// TestKilledPush: a push that was killed leaves nothing visible, and the next one sends only what is missing.
func TestKilledPush(t *testing.T) {
	h := newHub(t)
	const arrive = 3
	goOn := slow(h, http.MethodPut, arrive)
	killed(t, h, pushEnv, stored+"queued", "PUT /put/", arrive+2)
	if h.Commits("alice/study") != 0 {
		t.Error("half of a study is visible")
	}
	arrived := h.Stored()
	goOn()
	before := len(h.Requests("PUT /put/"))
	pushed(t, stored+"queued", "hf:alice/study", PushFlags{})
	all := 0
	for name := range h.Files("alice/study") {
		if strings.HasSuffix(name, ".parquet") {
			all++
		}
	}
	if n := len(h.Requests("PUT /put/")) - before; n > all-arrived || arrived < 1 || h.Commits("alice/study") != 1 {
		t.Errorf("%d of %d large files were sent again, of which %d had arrived", n, all, arrived)
	}
}

// TestKilledPull: a pull that was killed leaves no folder, and the next one continues.
func TestKilledPull(t *testing.T) {
	h := newHub(t)
	pushed(t, stored+"queued", "hf:alice/study", PushFlags{})
	const arrive = 3
	goOn := slow(h, http.MethodGet, arrive)
	dir := filepath.Join(t.TempDir(), "study")
	killed(t, h, pullEnv, dir, "GET /get/", arrive+2)
	if disk.NoFolder(dir) == "" {
		t.Error("half of a study is there")
	}
	there, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".study.pull-*", "runs", "*", "*.parquet"))
	if err != nil || len(there) == 0 {
		t.Fatalf("%v, %v", there, err)
	}
	all := 0
	for name := range h.Files("alice/study") {
		if strings.HasSuffix(name, ".parquet") {
			all++
		}
	}
	goOn()
	before := len(h.Requests("GET /get/"))
	var s said
	if err := s.command().Pull(t.Context(), "hf:alice/study", PullFlags{Output: dir}); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Requests("GET /get/")) - before; n > all-len(there) {
		t.Errorf("%d of %d large files were fetched again, of which %d had arrived", n, all, len(there))
	}
	if v, err := verdict.Of(dir); err != nil || v.State != verdict.Verified {
		t.Errorf("%+v, error %v", v, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "env.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.command().Pull(t.Context(), "hf:alice/study", PullFlags{Output: dir})
	if err == nil || !strings.Contains(err.Error(), "has other files already, which are not replaced") {
		t.Errorf("a changed folder: %v", err)
	}
}

// zipped is a stored study as an archive.
func zipped(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	if err := errors.Join(w.AddFS(os.DirFS(stored+"queued")), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestAddress: an archive on a web server is judged, by whatever name; pages, cut and missing files have a next step.
func TestAddress(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	text := zipped(t)
	cuts := 1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/study.zip", "/files/7/content":
			_, _ = w.Write(text)
		case "/moved":
			http.Redirect(w, r, "/study.zip", http.StatusFound)
		case "/cut.zip":
			if cuts--; cuts >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				_, _ = w.Write(text[:len(text)/2])
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(text)
		case "/large.zip":
			w.Header().Set("Content-Length", fmt.Sprint(int64(mostToJudge)+1))
			_, _ = w.Write(text)
		case "/page.zip":
			fmt.Fprint(w, "<!doctype html>")
		default:
			http.NotFound(w, r)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("the token of the hub was sent to a web server")
		}
	}))
	defer server.Close()
	t.Setenv("HF_TOKEN", sharetest.Token)
	var s said
	for _, path := range []string{"/study.zip", "/files/7/content?download=1", "/moved", "/cut.zip"} {
		at, remove, err := s.command().Local(t.Context(), server.URL+path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if v, err := verdict.Judge(at); err != nil || v.State != verdict.Verified {
			t.Errorf("%s: %+v, error %v", path, v, err)
		}
		remove()
	}
	for address, want := range map[string]string{server.URL + "/none.zip": "404",
		server.URL + "/page.zip":   "it is a web page",
		server.URL + "/large.zip":  "at most 16.0 GiB are downloaded",
		"http://example.org/x.zip": "is not an https address",
		"https:///x.zip":           "is not an https address", "hf:x": "the user or the organisation is missing"} {
		_, _, err := s.command().Local(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
		if step, ok := errors.AsType[interface {
			error
			NextStep() string
		}](err); !ok || step.NextStep() == "" {
			t.Errorf("%s has no next step: %v", address, err)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestInterrupted: Ctrl-C at the question, and during a transfer, ends the command.
func TestInterrupted(t *testing.T) {
	h := newHub(t)
	why := errors.New("Ctrl-C")
	ctx, stop := context.WithCancelCause(t.Context())
	in, out := io.Pipe()
	defer out.Close()
	var s said
	c := s.command()
	seen, asked := io.Pipe()
	c.Ask, c.In, c.Err = true, in, asked
	go func() {
		lines := bufio.NewReader(seen)
		for {
			text, err := lines.ReadString(']')
			if err != nil {
				return
			}
			if strings.Contains(text, "Make this public") {
				stop(why)
			}
		}
	}()
	err := c.Push(ctx, stored+"queued", "hf:alice/study", PushFlags{Public: true})
	if asked.Close(); !errors.Is(err, why) || h.Files("alice/study") != nil {
		t.Errorf("error %v", err)
	}
	ctx, stop = context.WithCancelCause(t.Context())
	h.Broken = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			stop(why)
			panic(http.ErrAbortHandler)
		}
		return false
	}
	err = s.command().Push(ctx, stored+"queued", "hf:alice/study", PushFlags{})
	if !errors.Is(err, why) || h.Commits("alice/study") != 0 {
		t.Errorf("error %v", err)
	}
	if _, ok := errors.AsType[*share.Error](err); ok {
		t.Errorf("an interruption is told as a failure of the hub: %v", err)
	}
}
