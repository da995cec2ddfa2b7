package live

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/llenergymeasure/llem/event"
)

// buffer takes what is written from several goroutines.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// stuck is a terminal on which somebody has pressed Ctrl-S.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.release; return len(p), nil }

// TestObserveNeverBlocks: whoever measures does not wait for a terminal, and no event is
// lost to the counts.
func TestObserveNeverBlocks(t *testing.T) {
	out := stuck{make(chan struct{})}
	d := New(out, Options{Terminal: true})
	d.Observe(studyOf(1000, 3))
	time.Sleep(3 * refresh) // the goroutine that draws hangs in a write by now
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for i := range 3000 {
			d.Observe(event.RunStarted{Index: i + 1, Total: 3000, ID: fmt.Sprintf("id%d", i/3), Label: "tiny",
				Cycle: i%3 + 1})
			d.Observe(event.Power{Device: "gpu0", Watts: 300})
			d.Observe(event.RunFinished{Index: i + 1, Total: 3000, ID: fmt.Sprintf("id%d", i/3), Cycle: i%3 + 1,
				Status: "ok", Metric: joules(1)})
		}
	}()
	select {
	case <-seen:
	case <-time.After(time.Minute):
		close(out.release)
		t.Fatal("Observe waits for the terminal")
	}
	if n := d.view.grid.count[ok]; n != 3000 {
		t.Errorf("%d runs counted, want 3000", n)
	}
	close(out.release)
	d.Close()
}

// TestLinesLast: every lasting line is written once and in order, however events come,
// and the view takes nothing from the terminal that it does not give back.
func TestLinesLast(t *testing.T) {
	var out buffer
	d := New(&out, Options{Terminal: true})
	d.Observe(studyOf(30, 3))
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 30 {
				d.Observe(event.Note{Message: fmt.Sprintf("note %d of goroutine %d.", i, g)})
				d.Observe(event.Power{Device: "gpu0", Watts: float64(i)})
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	d.Close()
	text := out.String()
	for g := range 3 {
		at := 0
		for i := range 30 {
			note := fmt.Sprintf("caution: note %d of goroutine %d.", i, g)
			next := strings.Index(text[at:], note)
			if next < 0 || strings.Count(text, note) != 1 {
				t.Fatalf("%q stands %d times in the output, or out of order", note, strings.Count(text, note))
			}
			at += next
		}
	}
	for _, taken := range []string{"\x1b[?1049h", "\x1b[?2004h", "\x1b[?1000h", "\x1b[>", "\x1b[c", "\x1b[6n", " q"} {
		if strings.Contains(text, taken) {
			t.Errorf("the terminal is asked or set: %q", taken)
		}
	}
	if hidden, shown := strings.LastIndex(text, "\x1b[?25l"), strings.LastIndex(text, "\x1b[?25h"); hidden > shown {
		t.Error("the cursor stays hidden")
	}
	if found := regexp.MustCompile(`\x1b\[[0-9;]*[1-9][0-9;]*m`).FindString(text); found != "" {
		t.Errorf("colour without Color: %q", found)
	}
}

// TestTimeGoesOn: the view is drawn again without events, at most four times a second.
func TestTimeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		d := New(&out, Options{Terminal: true})
		d.Observe(studyOf(1, 1))
		d.Observe(event.RunStarted{Index: 1, Total: 1, ID: "id0", Label: "tiny", Cycle: 1})
		d.Observe(event.PhaseStarted{Phase: event.Measure, Detail: "16 requests"})
		time.Sleep(10*time.Second + refresh/2)
		before := len(out.String())
		d.Close()
		// The first frame comes at once or at the first refresh; from then on each second is drawn.
		for _, want := range []string{`measure .* 0:0[01]  16 requests`, `\[\d+C9 `, `\[\d+C10 `} {
			if !regexp.MustCompile(want).MatchString(out.String()) {
				t.Errorf("%q is missing in %q", want, out.String())
			}
		}
		// After the first frame only the digit of the second changes.
		if before < 100 || before > 2000 {
			t.Errorf("%d bytes for ten seconds", before)
		}
	})
}

// TestCloseAtOnce: a study that cannot start ends its display before it has drawn.
func TestCloseAtOnce(t *testing.T) {
	for range 20 {
		var out buffer
		d := New(&out, Options{Terminal: true})
		d.Observe(event.Note{Message: "the machine is busy"})
		d.Close()
		if !strings.Contains(out.String(), "caution: the machine is busy") {
			t.Errorf("the note is lost: %q", out.String())
		}
	}
}

// TestViewThatEnds: if the terminal cannot be drawn on, lines are what is left.
func TestViewThatEnds(t *testing.T) {
	var out buffer
	d := New(&out, Options{Terminal: true})
	d.Observe(studyOf(2, 2))
	d.screen.program.Send(tea.InterruptMsg{})
	<-d.screen.ended
	d.Observe(event.Note{Message: "the machine is busy"})
	d.Observe(event.RunFinished{Index: 1, Total: 4, ID: "id0", Cycle: 1, Status: "failed", Message: "no memory"})
	d.Close()
	for _, want := range []string{"its view cannot be drawn", "caution: the machine is busy\n",
		"failed  batch_size=1, cycle 1: no memory\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
}

// BenchmarkView shows a study of 1000 experiments for a second: events as they come from
// two GPUs while a run is measured, four frames. core% is the processor time of the whole
// process, of one core.
func BenchmarkView(b *testing.B) {
	d := New(&buffer{}, Options{Terminal: true, Color: true})
	defer d.Close()
	d.Observe(studyOf(1000, 5))
	for i := range 500 {
		d.Observe(event.RunStarted{Index: i + 1, Total: 5000, ID: fmt.Sprintf("id%d", i), Label: "tiny", Cycle: 1})
		d.Observe(event.RunFinished{Index: i + 1, Total: 5000, ID: fmt.Sprintf("id%d", i), Cycle: 1, Status: "ok",
			Metric: joules(1)})
	}
	d.Observe(event.RunStarted{Index: 501, Total: 5000, ID: "id500", Label: "tiny", Cycle: 1})
	d.Observe(event.PhaseStarted{Phase: event.Measure, Detail: "64 requests"})
	time.Sleep(2 * refresh) // the lines of finished runs are printed
	began, cpu, i := time.Now(), processorTime(b), 0
	for b.Loop() {
		for second := time.Now().Add(time.Second); time.Now().Before(second); time.Sleep(100 * time.Millisecond) {
			i++
			d.Observe(event.Power{Device: fmt.Sprintf("gpu%d", i%2), Watts: float64(300 + i*37%400)})
			d.Observe(event.Progress{Phase: event.Measure, Fraction: float64(i%640) / 640,
				Detail: fmt.Sprintf("%d of 64 requests", i/10%64)})
		}
	}
	b.ReportMetric(100*float64(processorTime(b)-cpu)/float64(time.Since(began)), "core%")
}

// processorTime is what the process has used so far.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFrame draws one frame of a study of 2000 experiments.
func BenchmarkFrame(b *testing.B) {
	p := scenes[2].play(true)
	for b.Loop() {
		p.render(100, 30, p.now)
	}
}

func BenchmarkObserve(b *testing.B) {
	p := play(true, studyOf(1000, 5))
	for b.Loop() {
		p.event(event.Power{Device: "gpu0", Watts: 300})
	}
}
