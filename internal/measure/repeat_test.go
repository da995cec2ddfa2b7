package measure

import (
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// TestSlowWarmUp: a warm-up that is slower than the window makes it too short at
// first. The window is then measured again, once, and is as long as wanted.
func TestSlowWarmUp(t *testing.T) {
	for name, q := range map[string]struct {
		warm    time.Duration // one batch takes 320 ms in the window
		want    float64
		windows int
	}{
		"as fast as the window":          {batchTime, 0.9, 1},
		"three times slower":             {3 * batchTime, 1.6, 2},
		"so slow that once looks enough": {10 * batchTime, 0.9, 2},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			l := newLab(t)
			x := &l.options.Experiment
			x.Warmup.Runs, x.Energy.MinWindow, x.Section = 1, q.want, batchOf(3)
			l.warm, l.batch = q.warm, 3
			l.options.Meters = []power.Meter{l.newMeter(gpu0)}
			r := l.withEnergy(t)
			if got := r.Window.DurationS; got < tolerated*q.want {
				t.Errorf("the window lasted %.3g s, want at least %.2g of %.3g s", got, tolerated, q.want)
			}
			if l.windows != q.windows {
				t.Errorf("%d windows, want %d", l.windows, q.windows)
			}
			text, again := warned(r, codes.WindowRepeated)
			if again != (q.windows > 1) || again != (r.Timing.DiscardedWindowS > 0) ||
				again && !strings.Contains(text, "discarded") {
				t.Errorf("text %q and %v s discarded after %d windows", text, r.Timing.DiscardedWindowS, l.windows)
			}
			if msg, short := warned(r, codes.MinWindow); short {
				t.Errorf("warning %q of a window of %.3g s", msg, r.Window.DurationS)
			}
			// Nothing of the window that was thrown away is in the result.
			if n := int64(r.Window.Repeats); r.Tokens.RequestsOK != 3*n || r.Tokens.Given != 3*n*promptLen {
				t.Errorf("tokens %+v of %d repeats of 3 requests", r.Tokens, n)
			}
			batches := float64(r.Window.Repeats)
			idle := r.Window.DurationS - batches*batchTime.Seconds()
			near(t, "total_j", r.Energy.TotalJ.Value, batches*(prefillJ+decodeJ)+idleW*idle, half(r.Energy.TotalJ)/0.8)
		}))
	}
}

// TestShortWindowWarns: whoever asked for a longer window learns that it is shorter,
// also where the workload ran once.
func TestShortWindowWarns(t *testing.T) {
	for name, q := range map[string]struct {
		repeats   int
		asked     float64 // by the study
		profile   float64 // by the self-test
		got       float64
		want      string // in the warning; none if empty
		unmetered bool
	}{
		"once":               {repeats: 1, asked: 0.9, got: 0.44, want: "energy.min_window"},
		"often":              {repeats: 7, asked: 12, got: 5.4, want: "energy.min_window"},
		"by a hair":          {repeats: 2, asked: 2, got: 1.98, want: "energy.min_window"},
		"of the self-test":   {repeats: 1, profile: 2, got: 1, want: "self-test"},
		"long enough":        {repeats: 2, asked: 1, got: 1.2},
		"nothing asked":      {repeats: 1, got: 0.01},
		"nothing to measure": {repeats: 1, asked: 2, got: 1, unmetered: true},
	} {
		d := &desk{Options: Options{Meters: []power.Meter{nil}}, record: &result.Record{}}
		d.Experiment.Energy.MinWindow = q.asked
		d.Profiles = map[string]*power.Profile{"gpu0": {MinWindowS: q.profile}}
		if q.unmetered {
			d.Meters = nil
		}
		l := d.leastLength(newWork(d.Experiment, make([]workload.Request, 3)), 1)
		l.repeats = q.repeats
		d.tooShort(l, lasting(q.got))
		msg, ok := warned(d.record, codes.MinWindow)
		if ok != (q.want != "") || !strings.Contains(msg, q.want) {
			t.Errorf("%s: warning %q, want one about %q", name, msg, q.want)
		}
	}
}

// lasting is a window of some seconds.
func lasting(seconds float64) attribute.Window {
	return attribute.Window{Start: 1, End: 1 + int64(seconds*1e9)}
}

// TestRequestsText: a window that repeats its prompts says so beside the number of its requests.
func TestRequestsText(t *testing.T) {
	if got, want := requestsText(4, 48, 3), "4 of 48 (16 prompts × 3 repeats)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := requestsText(4, 16, 1), "4 of 16 requests"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
