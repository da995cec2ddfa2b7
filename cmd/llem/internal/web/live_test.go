package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/running"
)

// evilName tries to leave every context that it may be printed in.
const evilName = `"'><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u202e\n"

// running1 makes the study in a folder look as if this process ran it.
func running1(t *testing.T, dir string, change ...func(*running.State)) {
	t.Helper()
	own, _ := kin.Read(os.Getpid())
	v := func(x float64) *float64 { return &x }
	now := time.Now()
	s := running.State{SchemaVersion: 1, Began: now, Written: now, Since: now, Name: "s", Planned: 4, Finished: 1,
		Process: running.Process{Host: "here", System: kin.System(), PID: os.Getpid(), Start: own.Start},
		LeftS:   v(90), Phase: event.Measure, Fraction: 0.5, Detail: "8 of 16 requests", EveryS: 1,
		Run: &running.Run{Index: 2, ID: "abc", Label: "batch_size=4", Cycle: 2, Began: now, Done: 8, Requests: 16,
			TokensPerS: v(512)},
		Devices: []running.Device{{ID: "gpu0", Watts: v(400), WindowJ: v(800), TotalJ: 5000,
			History: []*float64{v(80), nil, v(400)}}, {ID: "package-0", Origin: "modelled", Watts: v(50), TotalJ: 9}}}
	for _, c := range change {
		c(&s)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Remove(filepath.Join(dir, "summary.json")),
		os.WriteFile(filepath.Join(dir, fmt.Sprintf("live-0.%d.state", s.Process.PID)), text, 0o600)} {
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestLivePages shows what a running study does, on the page of the study, on its live page and in the index.
func TestLivePages(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	running1(t, filepath.Join(dir, "ends"))
	s, h := serve(t, Options{Dirs: []string{dir}})
	path := "/study/" + keyOf(t, s, "ends") + "/"
	for _, page := range []string{path, path + "live"} {
		_, text, _ := get(t, h, page)
		for _, want := range []string{"Running: 1 of 4 runs finished.", "2 of 4: batch_size=4, cycle 2",
			`<li aria-current="step">window</li>`, "8 of 16", "512 1/s", "Output tokens, provisional", "400 W", "800 J",
			"(modelled)", "about 1:30, until ", "<svg", "Provisional:"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", page, want, text)
			}
		}
	}
	if _, text, _ := get(t, h, "/"); !strings.Contains(text, `live">running</a>`) {
		t.Errorf("index:\n%s", text)
	}
}

// TestStandings reports what became of a process: never by age.
func TestStandings(t *testing.T) {
	t.Parallel()
	old := func(s *running.State) { s.Written = time.Now().Add(-48 * time.Hour) }
	for want, change := range map[string]func(*running.State){
		"Running: 1 of 4":      old,
		"Died: process ":       func(s *running.State) { s.Process.Start++ },
		"cannot be known here": func(s *running.State) { s.Process.System = "00000000" },
		"--resume=":            func(s *running.State) { s.Process.PID = 1 << 22 },
		"between two runs, 30 s, for ": func(s *running.State) {
			s.Run, s.Phase, s.Detail = nil, event.Rest,
				"30 s"
		},
	} {
		dir := stored(t)
		running1(t, filepath.Join(dir, "ends"), change)
		s, h := serve(t, Options{Dirs: []string{dir}})
		if _, text, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/live"); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for what, change := range map[string]func(*running.State){
		"about 1:30, until ": func(*running.State) {},
		// The page may take a minute.
		"(1 h 0 min|59:..) to (2 h 0 min|1 h 59 min), by the plan": func(s *running.State) {
			s.LeftS, s.PlanS, s.Began = nil, &[2]float64{3600, 7200}, time.Now().Add(time.Second/2)
		},
		"</dl>": func(s *running.State) { s.Process.Start++ }, // a dead process has nothing left
	} {
		dir := stored(t)
		running1(t, filepath.Join(dir, "ends"), change)
		s, h := serve(t, Options{Dirs: []string{dir}})
		_, text, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/live")
		if !regexp.MustCompile(what).MatchString(text) ||
			strings.Contains(text, "Left of the study") != (what != "</dl>") {
			t.Errorf("no %q in\n%s", what, text)
		}
	}
	stopped := exec.CommandContext(t.Context(), "sleep", "60")
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stopped.Process.Kill(); _ = stopped.Wait() }()
	_ = stopped.Process.Signal(syscall.SIGSTOP)
	dir := stored(t)
	running1(t, filepath.Join(dir, "ends"), func(s *running.State) {
		var p kin.Process
		for p.State != 'T' { // a signal takes a moment
			p, _ = kin.Read(stopped.Process.Pid)
		}
		s.Process.PID, s.Process.Start = p.PID, p.Start
	})
	s, h := serve(t, Options{Dirs: []string{dir}})
	if _, text, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/"); !strings.Contains(text, "Paused: process ") {
		t.Errorf("of a stopped process:\n%s", text)
	}

	dir = stored(t)
	if err := os.Remove(filepath.Join(dir, "ends", "summary.json")); err != nil {
		t.Fatal(err)
	}
	s, h = serve(t, Options{Dirs: []string{dir}})
	_, text, _ := get(t, h, "/study/"+keyOf(t, s, "ends")+"/live")
	if !strings.Contains(text, "Not running") {
		t.Errorf("without a process:\n%s", text)
	}
}

// messages reads the data of the newest event of each kind until enough says so.
func messages(t *testing.T, h *httptest.Server, path string, enough func(map[string]string) bool) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	found, kind := map[string]string{}, ""
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if k, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			kind = k
		}
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			if found[kind] = data; enough(found) {
				return found
			}
		}
	}
	t.Fatalf("the stream ends with %v", found)
	return nil
}

// TestLiveEvents: each connection gets everything, then what changes, and signs of life; a
// process that is gone is said.
func TestLiveEvents(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	study := filepath.Join(dir, "ends")
	running1(t, study)
	s, h := serve(t, Options{Dirs: []string{dir}})
	path := "/study/" + keyOf(t, s, "ends") + "/events"
	for range 2 {
		got := messages(t, h, path, func(m map[string]string) bool { return m["beat"] != "" })
		for kind, want := range map[string]string{"now": "Running: 1 of 4", "progress": `"planned"`,
			"intervals": "Configuration", "run": `"status":"failed"`} {
			if !strings.Contains(got[kind], want) {
				t.Errorf("%s: %s", kind, got[kind])
			}
		}
	}
	messages(t, h, path, func(m map[string]string) bool {
		if m["now"] != "" && !strings.Contains(m["now"], "Died") {
			running1(t, study, func(s *running.State) { s.Process.Start++ })
		}
		return strings.Contains(m["now"], "Died") && strings.Contains(m["now"], `"class":"problem"`)
	})
}

// metricLine is a line of a page of metrics, as promtool accepts it.
var metricLine = regexp.MustCompile(`^([a-z_]+)\{[^{}]*\} [0-9eE.+-]+$`)

// TestLiveMetrics: the live run for Prometheus; names, units, types and help as promtool wants them.
func TestLiveMetrics(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	running1(t, filepath.Join(dir, "ends"))
	running1(t, filepath.Join(dir, "queued"), func(s *running.State) { s.Process.Start++ }) // died
	_, h := serve(t, Options{Dirs: []string{dir}})
	_, text, header := get(t, h, "/metrics")
	if got := header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("type %s", got)
	}
	checkMetrics(t, text)
	found, err := prom.Parse([]byte(text), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range found {
		if strings.HasSuffix(f.Label("study"), "ends") {
			key := f.Name
			for _, l := range []string{"device", "phase"} {
				if v := f.Label(l); v != "" {
					key += " " + v
				}
			}
			got[key] = f.Value
			if f.Label("device") == "package-0" && f.Label("origin") != "modelled" {
				t.Errorf("%s is not labelled as modelled", f)
			}
		} else if strings.HasPrefix(f.Name, "llem_live_") && f.Name != "llem_live_up" &&
			f.Name != "llem_live_written_timestamp_seconds" {
			t.Errorf("%s of a process that is gone", f)
		} else if f.Name == "llem_live_up" && f.Value != 0 {
			t.Errorf("%s is %g", f, f.Value)
		}
	}
	for name, want := range map[string]float64{"llem_live_up": 1, "llem_live_power_watts gpu0": 400,
		"llem_live_energy_joules_total gpu0": 5000, "llem_live_window_energy_joules gpu0": 800,
		"llem_live_phase window": 1, "llem_live_phase baseline": 0, "llem_live_run_requests_done": 8,
		"llem_live_run_requests": 16, "llem_live_output_tokens_per_second": 512, "llem_live_runs_finished": 1,
		"llem_live_left_seconds": 90} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
}

// checkMetrics checks a page as promtool does: each family together, with help and type before it, counters with
// _total, units of Prometheus, no series twice.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	types, seen, current := map[string]string{}, map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		f := strings.SplitN(line, " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			current = f[2]
			if types[current] != "" || len(f) < 4 || !strings.HasSuffix(f[3], ".") {
				t.Errorf("help: %s", line)
			}
		case strings.HasPrefix(line, "# TYPE "):
			types[f[2]] = f[3]
			if f[2] != current || (f[3] == "counter") != strings.HasSuffix(f[2], "_total") {
				t.Errorf("type: %s", line)
			}
		default:
			m := metricLine.FindStringSubmatch(line)
			if m == nil || m[1] != current || types[current] == "" {
				t.Fatalf("line %q within %s", line, current)
			}
			series, _, _ := strings.Cut(line, "} ")
			if seen[series] {
				t.Errorf("twice: %s", series)
			}
			seen[series] = true
			if regexp.MustCompile(`_(kw|mj|wh|ms|percent|seconds_total_)`).MatchString(m[1]) {
				t.Errorf("unit of %s", m[1])
			}
		}
	}
}

// TestHostileState: texts of a state are text on every page, in events and in metrics.
func TestHostileState(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	running1(t, filepath.Join(dir, "ends"), func(s *running.State) {
		s.Name, s.Detail, s.Warning, s.Run.Label, s.Devices[0].ID, s.Devices[0].Origin = evilName, evilName, evilName,
			evilName,
			evilName, evilName
		s.Process.Host, s.Phase = evilName, event.Warmup
	})
	s, h := serve(t, Options{Dirs: []string{dir}})
	path := "/study/" + keyOf(t, s, "ends") + "/"
	_, overview, _ := get(t, h, path)
	_, live, _ := get(t, h, path+"live")
	got := messages(t, h, path+"events", func(m map[string]string) bool { return m["now"] != "" })
	var now happening
	if err := json.Unmarshal([]byte(got["now"]), &now); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"study": overview, "live": live, "event": now.HTML} {
		if strings.Contains(text, "<script>a") || strings.Contains(text, "<img src=x") ||
			!strings.Contains(text, "&lt;script&gt;") {
			t.Errorf("%s has markup of a name:\n%s", what, text)
		}
	}
	_, text, _ := get(t, h, "/metrics")
	checkMetrics(t, text)
}

// TestRunPage: a run with its numbers, doubts, chart and files, linked from its study; other names lead nowhere.
func TestRunPage(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	s, h := serve(t, Options{Dirs: []string{dir}})
	key := keyOf(t, s, "queued")
	res, err := s.library.head(s.library.study(key))
	if err != nil {
		t.Fatal(err)
	}
	id := res.Rows[0].ID
	path := "/study/" + key + "/run/" + id + "-c1/"
	if _, text, _ := get(t, h, "/study/"+key+"/"); !strings.Contains(text, `href="run/`+id+`-c1/"`) {
		t.Errorf("the study does not lead to the run:\n%s", text)
	}
	code, text, _ := get(t, h, path)
	for _, want := range []string{"<h2>Speed</h2>", "<h2>Doubts</h2>", "<b>flag</b>: ",
		"per output token, gross",
		"<h2>Files</h2>", "power.parquet", `src="power.svg"`} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%d, no %q in\n%s", code, want, text)
		}
	}
	for p, want := range map[string]int{path + "power.svg": 200, path + "power.svg?dark": 200,
		"/study/" + key + "/run/" + id + "/": 303, "/study/" + key + "/run/" + id + "-c9/": 404,
		"/study/" + key + "/run/..%2f..%2fends/": 400, "/study/" + key + "/run/runs/": 404,
		"/study/" + key + "/run/" + strings.ToUpper(id) + "-c1/": 404} {
		if code, text, _ := get(t, h, p); code != want || want == 200 && !strings.Contains(text, "<svg") {
			t.Errorf("%s: %d, want %d: %.100s", p, code, want, text)
		}
	}
	// A run with a link in its folder is not read.
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "queued", "runs", id+"-c1", "x")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "power.svg"} {
		if code, _, _ := get(t, h, p); code != 404 {
			t.Errorf("%s of a run with a link: %d", p, code)
		}
	}
}

// TestNewRoutesAreGuarded sends to every route what the guard refuses.
func TestNewRoutesAreGuarded(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	s, open := serve(t, Options{Dirs: []string{dir}})
	_, closed := serve(t, Options{Dirs: []string{dir}, Token: "right", Host: "0.0.0.0"})
	st := "/study/" + keyOf(t, s, "ends") + "/"
	for _, path := range []string{st, st + "live", st + "events", st + "run/abc-c1/", st + "run/abc-c1/power.svg",
		st + "report",
		st + "zip", st + "files/", "/metrics", "/compare", "/live.js"} {
		for what, c := range map[string]struct {
			h      *httptest.Server
			change func(*http.Request)
			code   int
		}{
			"rebinding":    {open, func(r *http.Request) { r.Host = "evil.example" }, 421},
			"cross-origin": {open, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
			"cross-site":   {open, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
			"post":         {open, func(r *http.Request) { r.Method = http.MethodPost }, 405},
			"put":          {open, func(r *http.Request) { r.Method = http.MethodPut }, 405},
			"no token":     {closed, func(*http.Request) {}, 401},
		} {
			if code, _, _ := get(t, c.h, path, c.change); code != c.code {
				t.Errorf("%s, %s: %d, want %d", path, what, code, c.code)
			}
		}
	}
}

// TestNarrowing: the interval after each run, within its scale, and the goal.
func TestNarrowing(t *testing.T) {
	t.Parallel()
	n := &narrowing{id: "a", values: map[int]float64{}}
	tl := &tail{order: []*narrowing{n}, goal: 0.03, names: func(string) string { return "x" }}
	for i, v := range []float64{10, 10.4, 9.9, 10.1, 10, 10} {
		n.add(i+1, i+1, event.Metric{Name: "energy.per_output_token_j", Unit: "J", Value: v})
	}
	n.add(7, 7, event.Metric{Name: "throughput.output_tokens_per_s", Value: 1}) // another metric
	got := tl.intervals()
	l := got.Lines[0]
	if l.Cycles != "6" || l.Mean != "10.1 J" || l.Half != "±1.8 %" || !l.Met || got.Goal != "3.0" {
		t.Errorf("%+v, goal %s", l, got.Goal)
	}
	if strings.Count(string(l.Chart), "<circle") != 6 || strings.Contains(string(l.Chart), "NaN") {
		t.Errorf("chart %s", l.Chart)
	}
}

// TestSeveralJournals follows the journals of two workers over a cut connection: each run comes once.
func TestSeveralJournals(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "study")
	write := func(name string, cycles ...int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, c := range cycles {
			at := time.Unix(int64(c), 0).UTC().Format(time.RFC3339)
			fmt.Fprintf(f, `{"id":"a","cycle":%d,"status":"ok","at":%q,"run":"runs/a-c%[1]d"}`+"\n", c, at)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write("journal.jsonl")
	write("journal-w1.jsonl", 1, 4)
	write("journal-w2.jsonl", 2)
	s, h := serve(t, Options{Dirs: []string{filepath.Dir(dir)}})
	key := keyOf(t, s, "study")
	before := s.library.study(key).state()
	ids, _ := follow(t, h, key, "", 3)
	if want := "[0,journal-w1.jsonl:1 0,journal-w1.jsonl:1,journal-w2.jsonl:1 " +
		"0,journal-w1.jsonl:2,journal-w2.jsonl:1]"; fmt.Sprint(ids) !=
		want {
		t.Fatalf("ids %v", ids)
	}
	write("journal-w2.jsonl", 3) // which finished before the last one that the client knows
	if s.library.study(key).state() == before {
		t.Error("the line of a worker does not change the study")
	}
	if ids, _ = follow(t, h, key, ids[2], 1); fmt.Sprint(ids) != "[0,journal-w1.jsonl:2,journal-w2.jsonl:2]" {
		t.Errorf("after the cut: %v", ids)
	}
	for _, bad := range []string{"x", "1,x:2", "-1", "1,journal-../x.jsonl:2", "1,journal-w.jsonl:z", ""} {
		if parsePosition(bad) != nil {
			t.Errorf("%q is a position", bad)
		}
	}
	if _, kinds := follow(t, h, key, "0,journal-w1.jsonl:9", 1); len(kinds) == 0 || kinds[0] != "reset" {
		t.Errorf("after a loss: %v", kinds)
	}
}
