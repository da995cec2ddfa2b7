package live

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/event"
)

// script plays a study of two runs, the second of which fails, with a clock that
// goes on by one second at each event.
func script(t *testing.T, o Options) string {
	t.Helper()
	var out bytes.Buffer
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Now = func() time.Time { return now }
	d := New(&out, o)
	for _, e := range []event.Event{
		event.StudyStarted{Name: "two", Runs: 2, Dir: "results/two"},
		event.Note{Code: "governor", Message: "the CPU governor is powersave"},
		event.RunStarted{Index: 1, Total: 2, ID: "a", Label: "tiny batch 1", Cycle: 1},
		event.PhaseStarted{Phase: event.Baseline, Detail: "5 s idle"},
		event.Power{Device: "gpu0", Watts: 71.2},
		event.Progress{Phase: event.Baseline, Fraction: 0.5},
		event.PhaseStarted{Phase: event.Warmup, Detail: "1 of 1"},
		event.Progress{Phase: event.Baseline, Fraction: 1}, // late
		event.PhaseStarted{Phase: event.Measure, Detail: "16 requests"},
		event.Power{Device: "package-0", Watts: 88},
		event.Power{Device: "gpu0", Watts: 612},
		event.Progress{Phase: event.Measure, Fraction: 0.25, Detail: "4 of 16 requests"},
		event.RunFinished{Index: 1, Total: 2, ID: "a", Status: "ok", Took: 83 * time.Second},
		event.RunStarted{Index: 2, Total: 2, ID: "b", Label: "tiny batch 8", Cycle: 1},
		event.PhaseStarted{Phase: event.Load},
		event.RunFinished{Index: 2, Total: 2, ID: "b", Status: "failed", Message: "no memory", Took: 3 * time.Second},
		event.StudyFinished{Dir: "results/two", OK: 1, Failed: 1},
	} {
		now = now.Add(time.Second)
		d.Observe(e)
		d.mu.Lock()
		d.draw()
		d.mu.Unlock()
	}
	d.Close()
	return out.String()
}

func TestPlain(t *testing.T) {
	const want = `2 runs, results in results/two
warning: the CPU governor is powersave
[1/2] tiny batch 1, cycle 1
    0:01 baseline 5 s idle
    0:04 warmup   1 of 1
    0:06 measure  16 requests
    1:23 ok
[2/2] tiny batch 8, cycle 1
    0:01 load
    0:03 failed no memory
`
	if diff := cmp.Diff(want, script(t, Options{})); diff != "" {
		t.Errorf("plain lines (-want +got):\n%s", diff)
	}
}

func TestColorIsOnlyColor(t *testing.T) {
	colored := script(t, Options{Color: true})
	for _, want := range []string{"\x1b[33mwarning\x1b[0m: the CPU", "\x1b[31mfailed\x1b[0m no memory"} {
		if !strings.Contains(colored, want) {
			t.Errorf("%q is missing in\n%s", want, colored)
		}
	}
	plain := strings.NewReplacer("\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(colored)
	if diff := cmp.Diff(script(t, Options{}), plain); diff != "" {
		t.Errorf("colour changes more than colour (-without +with):\n%s", diff)
	}
}

// screen plays what was written on a terminal that knows the few sequences of the
// status line. It returns the lines that last and every status line, once.
func screen(t *testing.T, s string) (lasting, status []string) {
	t.Helper()
	for piece := range strings.SplitSeq(s, erase) {
		line, wraps := strings.CutPrefix(piece, noWrap)
		if wraps {
			if !strings.HasSuffix(line, wrap) {
				t.Errorf("wrapping stays off after %q", line)
			}
			line = strings.TrimSuffix(line, wrap)
			if len(status) == 0 || status[len(status)-1] != line {
				status = append(status, line)
			}
			continue
		}
		if piece != "" {
			if !strings.HasSuffix(piece, "\n") {
				t.Errorf("%q stays on the screen without a line end", piece)
			}
			lasting = append(lasting, strings.Split(strings.TrimSuffix(piece, "\n"), "\n")...)
		}
	}
	for _, line := range append(lasting, status...) {
		if strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("control characters in %q", line)
		}
	}
	return lasting, status
}

func TestTerminal(t *testing.T) {
	out := script(t, Options{Terminal: true})
	lasting, status := screen(t, out)
	if diff := cmp.Diff([]string{
		"2 runs, results in results/two",
		"warning: the CPU governor is powersave",
		"[1/2] tiny batch 1, cycle 1",
		"    1:23 ok",
		"[2/2] tiny batch 8, cycle 1",
		"    0:03 failed no memory",
	}, lasting); diff != "" {
		t.Errorf("lasting lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"baseline  ░░░░░░░░░░░░░░░░░░░░  0:01  5 s idle",
		"baseline  ░░░░░░░░░░░░░░░░░░░░  0:02  71.2 W (gpu0)  5 s idle",
		"baseline  ██████████░░░░░░░░░░  0:03  71.2 W (gpu0)  5 s idle",
		"warmup    ░░░░░░░░░░░░░░░░░░░░  0:04  1 of 1", // the old power is gone
		"warmup    ░░░░░░░░░░░░░░░░░░░░  0:05  1 of 1", // late progress changes nothing
		"measure   ░░░░░░░░░░░░░░░░░░░░  0:06  16 requests",
		"measure   ░░░░░░░░░░░░░░░░░░░░  0:07  88.0 W (package-0)  16 requests",
		"measure   ░░░░░░░░░░░░░░░░░░░░  0:08  700 W (gpu0+package-0)  16 requests",
		"measure   █████░░░░░░░░░░░░░░░  0:09  700 W (gpu0+package-0)  4 of 16 requests",
		"measure   █████░░░░░░░░░░░░░░░  0:10  700 W (gpu0+package-0)  4 of 16 requests",
		"load      ░░░░░░░░░░░░░░░░░░░░  0:01",
		"load      ░░░░░░░░░░░░░░░░░░░░  0:02",
		"load      ░░░░░░░░░░░░░░░░░░░░  0:03",
	}, status); diff != "" {
		t.Errorf("status lines (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(out, erase) {
		t.Errorf("Close leaves %q on the screen", out[max(0, len(out)-40):])
	}
}

// TestSingleRun: on a terminal, one run that works leaves nothing behind; the
// report follows.
func TestSingleRun(t *testing.T) {
	play := func(o Options, status string) string {
		var out bytes.Buffer
		d := New(&out, o)
		d.Observe(event.StudyStarted{Runs: 1, Dir: "results/one"})
		d.Observe(event.RunStarted{Index: 1, Total: 1, Label: "tiny", Cycle: 1})
		d.Observe(event.RunFinished{Index: 1, Total: 1, Status: status, Took: 2 * time.Second})
		d.Close()
		return out.String()
	}
	for _, q := range []struct {
		terminal bool
		status   string
		want     string
	}{
		{true, "ok", ""},
		{true, "failed", "    0:02 failed\n"},
		{false, "ok", "[1/1] tiny, cycle 1\n    0:02 ok\n"},
	} {
		if got := play(Options{Terminal: q.terminal}, q.status); got != q.want {
			t.Errorf("terminal %v, %s: %q, want %q", q.terminal, q.status, got, q.want)
		}
	}
}

// TestTimeGoesOn: the status line is drawn again without events.
func TestTimeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := New(&out, Options{Terminal: true})
		d.Observe(event.RunStarted{Index: 1, Total: 1, Label: "tiny"})
		d.Observe(event.PhaseStarted{Phase: event.Measure, Detail: "16 requests"})
		time.Sleep(3*time.Second + refresh/2)
		d.Close()
		_, status := screen(t, out.String())
		const bar = "measure   ░░░░░░░░░░░░░░░░░░░░  "
		if diff := cmp.Diff([]string{bar + "0:00  16 requests", bar + "0:01  16 requests", bar + "0:02  16 requests", bar + "0:03  16 requests"}, status); diff != "" {
			t.Errorf("status lines (-want +got):\n%s", diff)
		}
	})
}

// TestConcurrentEvents: events come from several goroutines while the line is
// drawn; no line is torn.
func TestConcurrentEvents(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, Options{Terminal: true})
	d.Observe(event.RunStarted{Index: 1, Total: 2, Label: "tiny", Cycle: 1})
	d.Observe(event.PhaseStarted{Phase: event.Measure})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 50 {
				d.Observe(event.Power{Device: fmt.Sprint("gpu", i), Watts: float64(k)})
				d.Observe(event.Progress{Phase: event.Measure, Fraction: float64(k) / 50})
				d.Observe(event.Note{Code: "n", Message: fmt.Sprintf("note %d", i)})
			}
		})
	}
	wg.Wait()
	d.Close()
	lasting, _ := screen(t, out.String())
	if want := 1 + 8*50; len(lasting) != want {
		t.Errorf("%d lasting lines, want %d", len(lasting), want)
	}
	for _, line := range lasting[1:] {
		if !strings.HasPrefix(line, "warning: note ") {
			t.Errorf("torn line %q", line)
		}
	}
}

func TestClockText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 499 * time.Millisecond: "0:00", 500 * time.Millisecond: "0:01", 59600 * time.Millisecond: "1:00",
		7 * time.Second: "0:07", 723 * time.Second: "12:03", 3723 * time.Second: "1:02:03", 100 * time.Hour: "100:00:00",
	} {
		if got := clockText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestBarStaysInBounds whatever the fraction.
func TestBarStaysInBounds(t *testing.T) {
	for fraction, want := range map[float64]int{-1: 0, 0: 0, 0.5: 10, 1: 20, 7: 20} {
		var out bytes.Buffer
		d := New(&out, Options{})
		d.terminal = true // drawn by hand, without the goroutine
		d.Observe(event.PhaseStarted{Phase: event.Load})
		d.Observe(event.Progress{Phase: event.Load, Fraction: fraction})
		d.draw()
		if full, all := strings.Count(out.String(), "█"), strings.Count(out.String(), "█")+strings.Count(out.String(), "░"); full != want || all != barWidth {
			t.Errorf("fraction %v: %d of %d full, want %d of %d", fraction, full, all, want, barWidth)
		}
	}
}
