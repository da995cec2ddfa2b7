package web

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/prom"
)

// stored copies the stored studies into a folder of their own.
func stored(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../../testdata/stored")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve starts a server.
func serve(t *testing.T, o Options) (*Server, *httptest.Server) {
	t.Helper()
	o.Poll, o.Heartbeat = 5*time.Millisecond, 50*time.Millisecond
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() { h.CloseClientConnections(); h.Close(); s.Close() })
	return s, h
}

// get fetches a path, with changes to the request.
func get(t *testing.T, h *httptest.Server, path string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// keyOf returns the key of the study in a folder of that name.
func keyOf(t *testing.T, s *Server, name string) string {
	t.Helper()
	for _, st := range s.library.list() {
		if filepath.Base(st.path) == name {
			return st.Key
		}
	}
	t.Fatalf("no study %s", name)
	return ""
}

func TestPages(t *testing.T) {
	t.Parallel()
	s, h := serve(t, Options{Dirs: []string{stored(t)}, Version: "v"})
	key := keyOf(t, s, "queued")
	res, err := s.library.head(s.library.study(key))
	if err != nil {
		t.Fatal(err)
	}
	a, b := key+":"+res.Experiments[0].ID, key+":"+res.Experiments[1].ID
	run := "runs/" + res.Rows[0].ID + "-c1"
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/", 200, "3 of 3 studies"},
		{"/?q=QUEUED", 200, "1 of 3 studies"},
		{"/?q=queued+nothing-like-it", 200, "0 of 3 studies"},
		{"/nothing", 404, ""},
		{"/style.css", 200, "color-scheme"},
		{"/live.js", 200, "EventSource"},
		{"/study/" + key + "/", 200, res.Experiments[1].ID},
		{"/study/0000/", 404, "no such study"},
		{"/study/" + key + "/report", 200, "Content-Security-Policy"},
		{"/study/" + key + "/live", 200, "/study/" + key + "/events"},
		{"/study/" + key + "/files/", 200, "summary.json"},
		{"/study/" + key + "/files/" + run, 303, ""},
		{"/study/" + key + "/files/" + run + "/", 200, "power.parquet"},
		{"/study/" + key + "/files/" + run + "/power.parquet", 200, "PAR1"},
		{"/study/" + key + "/files/summary.json", 200, `"schema_version"`},
		{"/compare", 200, a},
		{"/compare?a=" + a + "&b=" + b, 200, "Verdict"},
		{"/compare?a=" + a + "&b=x", 200, "B: there is no such configuration"},
	} {
		code, text, header := get(t, h, c.path)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d, want %d with %q:\n%.400s", c.path, code, c.code, c.want, text)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: headers %v", c.path, header)
		}
	}
	if _, text, _ := get(t, h, "/compare?a="+a+"&b="+b); strings.Contains(text, `class="problem">A`) {
		t.Errorf("no comparison: %s", text)
	}
}

// TestReportIsCached makes a report once, and again when the study changed.
func TestReportIsCached(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	s, h := serve(t, Options{Dirs: []string{filepath.Join(dir, "ends")}})
	path := "/study/" + keyOf(t, s, "ends") + "/report"
	_, first, _ := get(t, h, path)
	if _, again, _ := get(t, h, path); again != first || len(s.reports.last) != 1 {
		t.Error("the second report differs, or was made again")
	}
	before := s.reports.last[0].at
	if err := os.Chtimes(filepath.Join(dir, "ends", "summary.json"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	get(t, h, path)
	if len(s.reports.last) != 1 || s.reports.last[0].at == before {
		t.Error("the report of a changed study was not made again")
	}
}

// TestUnnamedStudy shows a study without a name by the name of its folder, and where its energy comes from.
func TestUnnamedStudy(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	path := filepath.Join(dir, "simulated", "summary.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var summary map[string]any
	if err := json.Unmarshal(text, &summary); err != nil {
		t.Fatal(err)
	}
	summary["name"] = ""
	if text, err = json.Marshal(summary); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	_, index, _ := get(t, h, "/?q=simulated")
	if !strings.Contains(index, ">simulated</a>") || !strings.Contains(index, "J, simulated") {
		t.Errorf("index:\n%s", index)
	}
	if _, page, _ := get(t, h, "/study/"+keyOf(t, s, "simulated")+"/"); !strings.Contains(page, ", simulated") {
		t.Errorf("page:\n%s", page)
	}
}

func TestZip(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "ends", "link")); err != nil {
		t.Fatal(err)
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	_, text, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/zip")
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	_ = filepath.WalkDir(filepath.Join(dir, "ends"), func(p string, d fs.DirEntry, _ error) error {
		if !d.Type().IsRegular() {
			return nil
		}
		want++
		content, _ := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		f, err := z.Open(rel)
		if err != nil {
			t.Error(err)
			return nil
		}
		if got, _ := io.ReadAll(f); !bytes.Equal(got, content) {
			t.Errorf("%s differs", rel)
		}
		return nil
	})
	if len(z.File) != want {
		t.Errorf("%d files, want %d", len(z.File), want)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	_, h := serve(t, Options{Dirs: []string{stored(t)}})
	if _, page, _ := get(t, h, "/"); !strings.Contains(page, `<a href="/metrics">Prometheus metrics</a>`) {
		t.Error("the link does not name what it leads to")
	}
	_, text, _ := get(t, h, "/metrics")
	found, err := prom.Parse([]byte(text), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, f := range found {
		n[f.Name]++
	}
	if n["llem_study_runs_planned"] != 3 || n["llem_study_runs"] != 12 ||
		n["llem_energy_per_output_token_joules"] == 0 {
		t.Errorf("series %v of\n%s", n, text)
	}
}

// TestGuard sends what another site, another name, or a method that writes would.
func TestGuard(t *testing.T) {
	t.Parallel()
	_, h := serve(t, Options{Dirs: []string{stored(t)}})
	head := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, c := range []struct {
		what   string
		code   int
		change []func(*http.Request)
	}{
		{"plain", 200, nil},
		{"localhost", 200, []func(*http.Request){host("localhost:1")}},
		{"IPv6", 200, []func(*http.Request){host("[::1]:8642")}},
		{"rebound name", 421, []func(*http.Request){host("evil.example:8642")}},
		{"name that begins like it", 421, []func(*http.Request){host("127.0.0.1.evil.example")}},
		{"other address", 421, []func(*http.Request){host("10.0.0.1:8642")}},
		{"other origin", 403, []func(*http.Request){head("Origin", "http://evil.example")}},
		{"no origin", 403, []func(*http.Request){head("Origin", "null")}},
		{"script of another site", 403, []func(*http.Request){head("Sec-Fetch-Site", "cross-site"),
			head("Sec-Fetch-Mode", "no-cors")}},
		{"frame of another site", 403, []func(*http.Request){head("Sec-Fetch-Site", "cross-site"),
			head("Sec-Fetch-Mode", "navigate"), head("Sec-Fetch-Dest", "iframe")}},
		{"link of another site", 200, []func(*http.Request){head("Sec-Fetch-Site", "cross-site"),
			head("Sec-Fetch-Mode", "navigate"), head("Sec-Fetch-Dest", "document")}},
		{"post", 405, []func(*http.Request){func(r *http.Request) { r.Method = http.MethodPost }}},
		{"delete", 405, []func(*http.Request){func(r *http.Request) { r.Method = http.MethodDelete }}},
	} {
		if code, text, _ := get(t, h, "/", c.change...); code != c.code {
			t.Errorf("%s: %d %.80s, want %d", c.what, code, text, c.code)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	_, h := serve(t, Options{Dirs: []string{stored(t)}, Token: "right", Host: "0.0.0.0"})
	lan := func(r *http.Request) { r.Host = "10.0.0.1:8642" }
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for _, path := range []string{"/", "/metrics", "/style.css", "/?token=wrong", "/?token=", "/study/x/zip"} {
		if code, _, _ := get(t, h, path, lan); code != 401 {
			t.Errorf("%s without token: %d", path, code)
		}
	}
	if code, _, _ := get(t, h, "/", bearer("wrong")); code != 401 {
		t.Errorf("wrong bearer: %d", code)
	}
	if code, _, _ := get(t, h, "/metrics", bearer("right"), lan); code != 200 {
		t.Errorf("bearer: %d", code)
	}
	if code, _, _ := get(t, h, "/?token=right", func(r *http.Request) { r.Host = "evil.example" }); code != 421 {
		t.Errorf("rebound name with token: %d", code)
	}
	code, _, header := get(t, h, "/?q=a&token=right", lan)
	if code != 303 || header.Get("Location") != "/?q=a" {
		t.Fatalf("token: %d to %s", code, header.Get("Location"))
	}
	if _, _, other := get(t, h, "//evil.example/?token=right", lan); other.Get("Location") != "/evil.example/" {
		t.Errorf("redirected to %s", other.Get("Location"))
	}
	set := header.Get("Set-Cookie")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Errorf("cookie %s", set)
	}
	value, _, _ := strings.Cut(set, ";")
	if code, _, _ := get(t, h, "/", lan, func(r *http.Request) { r.Header.Set("Cookie", value) }); code != 200 {
		t.Errorf("cookie: %d", code)
	}
}

// TestPathsStayInside asks for files outside of the study by every way that is known.
func TestPathsStayInside(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	study := filepath.Join(dir, "ends")
	outside := filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{os.WriteFile(outside, []byte("SECRET"), 0o600),
		os.Symlink(outside, filepath.Join(study, "absolute")),
		os.Symlink("../queued/summary.json", filepath.Join(study, "relative")),
		os.Symlink(filepath.Dir(outside), filepath.Join(study, "folder")),
		os.Symlink(filepath.Dir(outside), filepath.Join(dir, "linked"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	files := "/study/" + keyOf(t, s, "ends") + "/files/"
	for _, name := range []string{"absolute", "relative", "folder/secret", "folder/", "../queued/summary.json",
		"%2e%2e/queued/summary.json", "..%2fqueued%2fsummary.json", "..%5cqueued", "runs/../../queued/summary.json",
		"/etc/passwd", "%2fetc%2fpasswd", "summary.json%00", "./summary.json", "runs//x", "..", "%c0%ae%c0%ae/queued",
		"....//queued"} {
		code, text, _ := get(t, h, files+name)
		if code == 200 || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %d %.60s", name, code, text)
		}
	}
	// A study with a link in it is listed, but not read by its path.
	if code, _, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/report"); code != 404 {
		t.Errorf("report of a study with links: %d", code)
	}
	if _, text, _ := get(t, h, files); strings.Contains(text, "absolute") {
		t.Error("the listing shows a link")
	}
}

// FuzzOpenFile opens any path: what can be opened lies in the folder.
func FuzzOpenFile(f *testing.F) {
	dir := f.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.MkdirAll(filepath.Join(in, "a", "b"), 0o755); err != nil {
		f.Fatal(err)
	}
	for name, text := range map[string]string{"in/a/x": "inside", "in/y": "inside", "out": "outside"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for name, to := range map[string]string{"l": "../out", "a/up": "../..", "ok": "a/x", "abs": dir} {
		if err := os.Symlink(to, filepath.Join(in, name)); err != nil {
			f.Fatal(err)
		}
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = root.Close() })
	for _, seed := range []string{"", "a/x", "y", "ok", "l", "a/up/out", "abs/out", "../out", "a/../../out",
		"/etc/passwd",
		"a//x", `..\out`, "a\x00x", "./y", "a/b/../../../out"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, err := openFile(root, name)
		if err != nil {
			return
		}
		defer file.Close()
		target, err := filepath.EvalSymlinks(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if target != in && !strings.HasPrefix(target, in+"/") {
			t.Errorf("%q opens %s", name, target)
		}
	})
}

// TestHostileNames shows a study whose texts are markup: all of them stay text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	evil := `"><script>alert(1)</script>` + "\u202e"
	study := filepath.Join(dir, "simulated")
	text, err := os.ReadFile(filepath.Join(study, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary map[string]any
	if err := json.Unmarshal(text, &summary); err != nil {
		t.Fatal(err)
	}
	summary["name"] = evil
	if text, err = json.Marshal(summary); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, strings.ReplaceAll(evil, "/", "_"))
	for _, err := range []error{os.WriteFile(filepath.Join(study, "summary.json"), text, 0o600),
		os.WriteFile(filepath.Join(study, strings.ReplaceAll(evil, "/", "_")), nil, 0o600), os.Rename(study, moved)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	key := keyOf(t, s, filepath.Base(moved))
	for _, path := range []string{"/", "/?q=" + strings.ReplaceAll("<script>", "<", "%3C"), "/compare",
		"/compare?a=%3Cscript%3E&b=%3Cscript%3E", "/study/" + key + "/", "/study/" + key + "/live",
		"/study/" + key + "/files/"} {
		_, text, _ := get(t, h, path)
		if strings.Contains(text, "<script>") || strings.Contains(text, "alert(1)</script>") {
			t.Errorf("%s has markup of a name:\n%s", path, text)
		}
	}
}

// follow reads n events of a study, beginning after last.
func follow(t *testing.T, h *httptest.Server, key, last string, n int) (ids []string, kinds []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/study/"+key+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for in := bufio.NewScanner(resp.Body); len(ids) < n && in.Scan(); {
		if id, ok := strings.CutPrefix(in.Text(), "id: "); ok {
			ids = append(ids, id)
		}
		if kind, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			kinds = append(kinds, kind)
		}
		if strings.HasPrefix(in.Text(), ": ") {
			kinds = append(kinds, "heartbeat")
		}
	}
	return ids, kinds
}

// TestEventsSurviveCuts follows a study that is written, cutting the connection after every few events: every line of
// the journal arrives once.
func TestEventsSurviveCuts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	journal := filepath.Join(dir, "study", "journal.jsonl")
	if err := os.MkdirAll(filepath.Dir(journal), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	key := keyOf(t, s, "study")
	const all = 30
	go func() {
		f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for i := range all { // each line in two writes
			fmt.Fprintf(f, `{"id":"a","cycle":%d,"sta`, i+1)
			time.Sleep(3 * time.Millisecond)
			fmt.Fprintf(f, `tus":"ok","run":"runs/a-c%d"}`+"\n", i+1)
		}
	}()
	last, got := "", []string(nil)
	for len(got) < all {
		ids, _ := follow(t, h, key, last, min(4, all-len(got)))
		if len(ids) == 0 {
			t.Fatalf("no event after %s", last)
		}
		got, last = append(got, ids...), ids[len(ids)-1]
	}
	for i, id := range got {
		if id != fmt.Sprint(i+1) {
			t.Fatalf("events %v", got)
		}
	}
	// A journal that lost lines makes the page load again.
	if _, kinds := follow(t, h, key, "99", 1); len(kinds) != 1 || kinds[0] != "reset" {
		t.Errorf("after a loss: %v", kinds)
	}
}

// TestFollowersAreLimited refuses one connection too many, and accepts it when another has left.
func TestFollowersAreLimited(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	if err := os.Remove(filepath.Join(dir, "ends", "summary.json")); err != nil {
		t.Fatal(err)
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	path := "/study/" + keyOf(t, s, "ends") + "/events"
	for range maxFollower {
		s.followers <- struct{}{}
	}
	if code, _, header := get(t, h, path); code != 503 || header.Get("Retry-After") == "" {
		t.Errorf("code %d", code)
	}
	<-s.followers
	if ids, _ := follow(t, h, keyOf(t, s, "ends"), "", 2); len(ids) != 2 {
		t.Errorf("events %v", ids)
	}
}

// TestEndOfStudy ends the stream of a complete study.
func TestEndOfStudy(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(dir, "queued", "summary.json"), now, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	s, h := serve(t, Options{Dirs: []string{dir}})
	_, text, _ := get(t, h, "/study/"+keyOf(t, s, "queued")+"/events") // until the server closes it
	if !strings.Contains(text, `"done":2,"planned":2`) || !strings.Contains(text, `"ended":true`) {
		t.Errorf("events:\n%s", text)
	}
}

// TestServeEnds ends the server while a client follows a study.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	if err := os.Remove(filepath.Join(dir, "ends", "summary.json")); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Dirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/study/" + keyOf(t, s, "ends") + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the server does not end")
	}
}
