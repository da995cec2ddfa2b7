package live

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/event"
)

var update = flag.Bool("update", false, "write the golden files")

// playback is a view with a clock that is moved by hand.
type playback struct {
	*view
	now   time.Time
	index int
	total int
}

func play(color bool, s event.StudyStarted) *playback {
	p := &playback{view: newView(color, chart.Unicode), now: time.Date(2026, 1, 2, 23, 50, 0, 0, time.UTC),
		total: s.Runs}
	p.event(s)
	return p
}

func (p *playback) event(e event.Event) { p.observe(e, p.now) }

// start begins a run of the i-th experiment.
func (p *playback) start(i, cycle int) {
	p.index++
	p.event(event.RunStarted{Index: p.index, Total: p.total, ID: fmt.Sprintf("id%d", i),
		Label: "random:llama-3.1-8b vllm bfloat16", Cycle: cycle})
}

// run makes a whole run of 40 s.
func (p *playback) run(i, cycle int, status, message string, m event.Metric) {
	p.start(i, cycle)
	p.now = p.now.Add(40 * time.Second)
	p.event(event.RunFinished{Index: p.index, Total: p.total, ID: fmt.Sprintf("id%d", i), Cycle: cycle,
		Status: status, Message: message, Took: 38 * time.Second, Metric: m})
}

// measure lets the current run be in its window for 10 s.
func (p *playback) measure() {
	p.event(event.PhaseStarted{Phase: event.Baseline, Detail: "5 s idle"})
	for range 8 {
		p.event(event.Power{Device: "gpu0", Watts: 71.2})
		p.sample()
	}
	p.event(event.PhaseStarted{Phase: event.Measure, Detail: "16 requests"})
	p.sample()
	for i := range 40 {
		p.now = p.now.Add(refresh)
		p.event(event.Power{Device: "gpu0", Watts: 500 + 100*math.Sin(float64(i)/4)})
		p.event(event.Power{Device: "gpu1", Watts: 90})
		p.sample()
	}
	p.event(event.Progress{Phase: event.Measure, Fraction: 0.25, Detail: "4 of 16 requests"})
}

func studyOf(n, cycles int) event.StudyStarted {
	return event.StudyStarted{Name: "batch-and-precision", Runs: n * cycles,
		Dir: "results/batch-and-precision-20260102T235000Z", Experiments: experiments(n), Cycles: cycles}
}

// scenes are moments of studies.
var scenes = []struct {
	name string
	play func(color bool) *playback
}{
	{"one", func(color bool) *playback {
		s := studyOf(1, 20)
		s.Precision, s.Cycles, s.Runs = 0.02, 5, 5
		p := play(color, s)
		for c := range 5 {
			p.run(0, c+1, "ok", "", joules(0.8+0.01*float64(c)))
		}
		p.total = 6
		p.start(0, 6)
		p.measure()
		return p
	}},
	{"five", func(color bool) *playback {
		p := play(color, studyOf(5, 3))
		p.event(event.Note{Code: "governor", Message: "the CPU governor is powersave"})
		for i := range 2 {
			for c := range 3 {
				p.run(i, c+1, "ok", "", joules(float64(2-i)+0.003*float64(c)))
			}
		}
		p.event(event.Note{Code: "governor", Message: "the CPU governor is powersave"})
		p.run(2, 1, "failed", "CUDA out of memory:\ntried to allocate \x1b[2J 2 GiB", event.Metric{Value: math.NaN()})
		for range 2 {
			p.index++
			p.event(event.RunFinished{Index: p.index, Total: p.total, ID: "id2", Cycle: p.index - 6, Status: "failed",
				LeftOut: true,
				Message: "left out: 1 runs of vllm in a row had failed", Metric: event.Metric{Value: math.NaN()}})
		}
		p.run(3, 1, "ok", "", event.Metric{Name: "throughput.output_tokens_per_s", Unit: "1/s", Value: 1530,
			Origin: "simulated"})
		p.start(3, 2)
		p.measure()
		return p
	}},
	{"2000", func(color bool) *playback {
		p := play(color, studyOf(2000, 30))
		for c := range 12 {
			p.run(1234, c+1, "ok", "", joules(0.05))
		}
		p.run(1235, 1, "ok", "", joules(0.06))
		p.start(1235, 2)
		return p
	}},
	{"rest", func(color bool) *playback {
		p := play(color, studyOf(2, 2))
		p.run(0, 1, "ok", "", joules(1.5))
		p.event(event.PhaseStarted{Phase: event.Rest,
			Detail: "until the machine is at rest; gpu0: 104 W, at rest 100 W"})
		p.now = p.now.Add(9 * time.Second)
		return p
	}},
}

// TestViewGolden: each scene in three widths. What is drawn never exceeds the terminal.
func TestViewGolden(t *testing.T) {
	for _, scene := range scenes {
		var b strings.Builder
		p := scene.play(false)
		for _, width := range []int{40, 80, 200} {
			fmt.Fprintf(&b, "%d columns\n%s\n", width, p.render(width, 24, p.now))
		}
		fmt.Fprintf(&b, "lasting lines\n%s\n", strings.Join(p.lines, "\n"))
		path := filepath.Join("testdata", "view-"+scene.name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scene.name, diff)
		}
	}
}

// TestFits: no line is wider than any terminal, the view leaves room on a low one, and
// its height does not change within a study.
func TestFits(t *testing.T) {
	for _, scene := range scenes {
		for _, color := range []bool{false, true} {
			p := scene.play(color)
			for width := 1; width <= 210; width += 1 + width/20 {
				for _, height := range []int{1, 2, 5, 9, 24, 60} {
					frame := p.render(width, height, p.now)
					lines := strings.Split(frame, "\n")
					if most := max(2, min(12, height-1)); len(lines) > most {
						t.Errorf("%s, %d x %d: %d lines, at most %d", scene.name, width, height, len(lines), most)
					}
					for _, line := range lines {
						if lipgloss.Width(line) > width {
							t.Errorf("%s, %d x %d: %d columns: %q", scene.name, width, height, lipgloss.Width(line),
								line)
						}
					}
				}
			}
		}
	}
}

// TestNoColor: without colour no escape sequence is made, not even one that the message
// of an engine holds; with colour the words are the same.
func TestNoColor(t *testing.T) {
	for _, scene := range scenes {
		without, with := scene.play(false), scene.play(true)
		text := func(p *playback) string { return p.render(80, 24, p.now) + strings.Join(p.lines, "\n") }
		if plain := text(without); strings.Contains(plain, "\x1b") {
			t.Errorf("%s: escape sequences in %q", scene.name, plain)
		}
		colored := text(with)
		if !strings.Contains(colored, "\x1b[32m") && !strings.Contains(colored, "\x1b[1") {
			t.Errorf("%s: no colour in %q", scene.name, colored)
		}
		if diff := cmp.Diff(text(without), stripped(colored)); diff != "" {
			t.Errorf("%s: colour changes words (-without +with):\n%s", scene.name, diff)
		}
	}
}

// stripped removes colours.
func stripped(s string) string {
	var b strings.Builder
	for piece := range strings.SplitSeq("m"+s, "\x1b[") {
		_, text, _ := strings.Cut(piece, "m")
		b.WriteString(text)
	}
	return b.String()
}

// TestSingleRun: one line, and nothing that lasts if the run works.
func TestSingleRun(t *testing.T) {
	for status, want := range map[string][]string{"ok": nil, "failed": {"    0:38 failed no memory"}} {
		p := play(false, studyOf(1, 1))
		if got := p.render(100, 24, p.now); got != "" {
			t.Errorf("before the run: %q", got)
		}
		p.start(0, 1)
		p.measure()
		if got, want := p.render(100, 24,
			p.now), "measure   █████░░░░░░░░░░░░░░░  0:10  558 W (gpu0+gpu1)  4 of 16 requests\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		message := map[string]string{"failed": "no memory"}[status]
		p.event(event.RunFinished{Index: 1, Total: 1, ID: "id0", Cycle: 1, Status: status, Message: message,
			Took: 38 * time.Second})
		if diff := cmp.Diff(want, p.lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
		if got := p.render(100, 24, p.now); got != "" {
			t.Errorf("after the run: %q", got)
		}
	}
}

// TestOldPowerIsGone with its phase; progress of an earlier phase changes nothing.
func TestOldPowerIsGone(t *testing.T) {
	p := play(false, studyOf(1, 1))
	p.start(0, 1)
	p.measure()
	p.event(event.PhaseStarted{Phase: event.Finish})
	p.event(event.Progress{Phase: event.Measure, Fraction: 1, Detail: "16 of 16 requests"})
	if got, want := p.render(100, 24, p.now), "finish    ░░░░░░░░░░░░░░░░░░░░  0:10\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBarStaysInBounds(t *testing.T) {
	v := newView(false, chart.Unicode)
	for fraction, want := range map[float64]string{-1: "░░░░", 0: "░░░░", 0.5: "██░░", 1: "████", 7: "████",
		math.NaN(): "░░░░", math.Inf(1): "████"} {
		v.progress.Fraction = fraction
		if got := v.bar(4); got != want {
			t.Errorf("fraction %v: %s, want %s", fraction, got, want)
		}
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		values []float64
		most   float64
		width  int
		want   string
	}{
		{nil, 0, 9, ""},
		{[]float64{0, 50, 100}, 100, 9, "▁▅█"},
		{[]float64{1, 2, 50, 100}, 100, 2, "▅█"},
		{[]float64{100, -1, 100}, 200, 9, "▅ ▅"},
		{[]float64{0}, 0, 9, "▁"},
		{[]float64{1, 2}, 2, 0, ""},
	} {
		v := newView(false, chart.Unicode)
		v.history, v.most = c.values, c.most
		if got := v.sparks(c.width); got != c.want {
			t.Errorf("%v of %v in %d: %q, want %q", c.values, c.most, c.width, got, c.want)
		}
	}
}

// TestBeforeTheFirstRun: until a run has shown it, the plan gives the time left.
func TestBeforeTheFirstRun(t *testing.T) {
	s := studyOf(2, 3)
	s.Expected = [2]time.Duration{10 * time.Minute, 30 * time.Minute}
	p := play(false, s)
	p.start(0, 1)
	p.now = p.now.Add(time.Minute)
	if got := p.render(100, 24, p.now); !strings.Contains(got, "9:00 to 29:00 left by the plan") {
		t.Error(got)
	}
	p.now = p.now.Add(-time.Minute)
	p.index--
	p.run(0, 1, statusOK, "", event.Metric{Name: "energy.per_output_token_j", Unit: "J", Value: 1})
	if got := p.render(100, 24, p.now); strings.Contains(got, "by the plan") ||
		!strings.Contains(got, "about 3:20 left") {
		t.Error(got)
	}
}

// TestPhasesAndLink: after the current run come the newest split by phase and the address of the study, which is not
// cut in a narrow terminal.
func TestPhasesAndLink(t *testing.T) {
	p := play(false, studyOf(2, 3))
	const link = "http://127.0.0.1:43210/study/one"
	p.start(0, 1)
	if got := p.render(120, 24, p.now); !strings.HasSuffix(got, "\nJ/token by phase: none yet\n") {
		t.Errorf("before the first run is finished:\n%s", got)
	}
	p.link = link
	p.event(event.RunFinished{Index: 1, Total: 6, ID: "id0", Cycle: 1, Status: statusOK, Took: time.Minute,
		Metric:  event.Metric{Name: "energy.per_output_token_j", Unit: "J", Value: 1.4, Origin: "simulated"},
		Prefill: event.Metric{Name: "p", Unit: "J", Value: 0.0312},
		Decode:  event.Metric{Name: "d", Unit: "J", Value: 1.12}})
	p.start(1, 1)
	want := "last run, J/token: prefill 31.2 mJ, decode 1.12 J (simulated) · watch: " + link + "\n"
	if got := p.render(120, 24, p.now); !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := p.render(50, 24, p.now); !strings.HasSuffix(got, "\nwatch: "+link+"\n") {
		t.Error(got)
	}
}

// TestPlannedRun: the line of a single run has the time that is left by the plan, until the plan is over.
func TestPlannedRun(t *testing.T) {
	p := play(false, event.StudyStarted{Name: "one", Runs: 1, Cycles: 1, Experiments: experiments(1),
		Expected: [2]time.Duration{time.Minute, 3 * time.Minute}})
	p.total = 1
	p.start(0, 1)
	p.event(event.PhaseStarted{Phase: event.Measure, Detail: "16 prompts × 3 repeats"})
	p.now = p.now.Add(20 * time.Second)
	const want = "measure   ░░░░░░░░░░░░░░░░░░░░  0:20  16 prompts × 3 repeats  0:40 to 2:40 left\n"
	if got := p.render(80, 24, p.now); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.now = p.now.Add(3 * time.Minute)
	if got := p.render(80, 24, p.now); strings.Contains(got, "left") {
		t.Error(got)
	}
}

// TestPlainCharacters: nothing but ASCII goes to a terminal whose locale is not UTF-8, lines and view.
func TestPlainCharacters(t *testing.T) {
	var out strings.Builder
	d := &Display{now: time.Now, view: newView(false, chart.ASCII)}
	line := &plain{out: &out, style: chart.ASCII, now: time.Now}
	s := studyOf(2, 3)
	s.Dir = "/results/größe"
	for _, e := range []event.Event{s, event.RunStarted{Index: 1, Total: 6, ID: "id0", Label: "größe ×", Cycle: 1},
		event.PhaseStarted{Phase: event.Measure}, event.Power{Device: "gpu0", Watts: 300},
		event.Progress{Phase: event.Measure, Fraction: 0.5, Detail: "4 of 48 (16 prompts × 3 repeats)"},
		event.Note{Message: "µ – “quoted”"}} {
		d.Observe(e)
		line.observe(e)
	}
	text := d.frame(80, 24) + strings.Join(d.tick(), "\n") + d.frame(80, 24) + out.String()
	for i, r := range text {
		if r > '~' {
			t.Fatalf("%q in %q", r, text[max(0, i-20):i+4])
		}
	}
	if !strings.Contains(text, "4 of 48 (16 prompts x 3 repeats)") {
		t.Error(text)
	}
}

func TestTimeOfDay(t *testing.T) {
	now := time.Date(2026, 1, 2, 23, 50, 0, 0, time.UTC)
	for after, want := range map[time.Duration]string{
		5 * time.Minute: "23:55", 15 * time.Minute: "Sat 00:05", 48 * time.Hour: "Sun 23:50",
		10 * 24 * time.Hour: "12 Jan 23:50", 365 * 24 * time.Hour: "2 Jan 23:50",
	} {
		if got := timeOfDay(now.Add(after), now); got != want {
			t.Errorf("in %v: %s, want %s", after, got, want)
		}
	}
}
