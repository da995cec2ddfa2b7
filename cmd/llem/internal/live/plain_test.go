package live

import (
	"bytes"
	"strings"
	"testing"
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
	}
	d.Close()
	return out.String()
}

func TestPlain(t *testing.T) {
	const want = `2 runs, results in results/two
caution: the CPU governor is powersave
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

// TestInterruptedOnce: what the status of a run says is not repeated.
func TestInterruptedOnce(t *testing.T) {
	for _, o := range []Options{{}, {Terminal: true}} {
		var out bytes.Buffer
		o.Now = time.Now
		d := New(&out, o)
		d.Observe(event.RunStarted{Index: 1, Total: 1, ID: "a", Label: "tiny", Cycle: 1})
		d.Observe(event.RunFinished{Index: 1, Total: 1, ID: "a", Status: "interrupted", Message: "interrupted"})
		d.Close()
		if n := strings.Count(out.String(), "interrupted"); n != 1 {
			t.Errorf("%d times: %s", n, out.String())
		}
	}
}

// TestPlainBeforeRuns: the time of what precedes the first run counts from the start of the study.
func TestPlainBeforeRuns(t *testing.T) {
	var b strings.Builder
	now := time.Unix(1e9, 0)
	p := &plain{out: &b, now: func() time.Time { return now }}
	p.observe(event.StudyStarted{Runs: 1})
	now = now.Add(3 * time.Second)
	p.observe(event.PhaseStarted{Phase: event.Rest, Detail: "measure the machine at rest"})
	if got, want := b.String(), "    0:03 rest     measure the machine at rest\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestColorIsOnlyColor(t *testing.T) {
	colored := script(t, Options{Color: true})
	for _, want := range []string{"\x1b[33mcaution\x1b[0m: the CPU", "\x1b[31mfailed\x1b[0m no memory"} {
		if !strings.Contains(colored, want) {
			t.Errorf("%q is missing in\n%s", want, colored)
		}
	}
	plain := strings.NewReplacer("\x1b[33m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(colored)
	if diff := cmp.Diff(script(t, Options{}), plain); diff != "" {
		t.Errorf("colour changes more than colour (-without +with):\n%s", diff)
	}
}

func TestClockText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 499 * time.Millisecond: "0:00", 500 * time.Millisecond: "0:01", 59600 * time.Millisecond: "1:00",
		7 * time.Second: "0:07", 723 * time.Second: "12:03", 3723 * time.Second: "1:02:03",
		100 * time.Hour: "100:00:00",
	} {
		if got := clockText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
