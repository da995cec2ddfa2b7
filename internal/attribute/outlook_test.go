package attribute

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/sensor"
)

// outlookOf returns the outlook after a warm-up of one batch.
func outlookOf(w *world, s view) Outlook {
	return Outlook{Steps: w.steps, Requests: w.requests, Turn: w.window, Tier: backend.TierExact, Source: s.source,
		Spacing: s.spacing, Averaging: s.stated}
}

// TestTurnsAreEnough: a window of the returned number of turns can be split, for any sensor; one turn of such
// short work cannot.
func TestTurnsAreEnough(t *testing.T) {
	const draws = 12
	for _, q := range []struct {
		batch, output    int
		prefill, decode  time.Duration
		view             view
		turns, mostTurns int
	}{
		{16, 32, 150 * time.Millisecond, 8 * time.Millisecond, ring20, 2, 3},
		{16, 32, 150 * time.Millisecond, 8 * time.Millisecond, ringRC, 2, 4},
		{1, 32, 15 * time.Millisecond, 6 * time.Millisecond, ring20, 4, 30},
		{4, 16, 40 * time.Millisecond, 25 * time.Millisecond, ringRC, 2, 12},
		{8, 64, 300 * time.Millisecond, 20 * time.Millisecond, instant, 3, 20},
	} {
		name := fmt.Sprintf("batch %d, prefill %v, %s", q.batch, q.prefill, q.view.source)
		rng := rand.New(rand.NewPCG(1, 7))
		p := h200ish
		p.rippleSD = 0.05
		one := static(p, q.batch, 256, q.output, q.prefill, q.decode, 0.01, rng)
		need := outlookOf(one, q.view).Turns(200)
		if need.Turns < q.turns || need.Turns > q.mostTurns {
			t.Errorf("%s: %d turns, want %d to %d (%s)", name, need.Turns, q.turns, q.mostTurns, need.Why)
			continue
		}
		split := map[int]int{}
		for range draws {
			for _, turns := range []int{1, need.Turns} {
				seconds := (float64(turns) - 0.5) * one.window.Duration().Seconds()
				w := static(p, q.batch, 256, q.output, q.prefill, q.decode, seconds, rng)
				got, err := Phases(Options{Samples: w.see(q.view, rng), Steps: w.steps, Requests: w.requests,
					Window: w.window, Tier: backend.TierExact})
				if err == nil && got.Prefill.Refused == "" && got.Decode.Refused == "" {
					split[turns]++
				}
			}
		}
		if split[need.Turns] < draws-1 {
			t.Errorf("%s: %d turns are split in %d of %d windows", name, need.Turns, split[need.Turns], draws)
		}
		if split[1] > draws/2 {
			t.Errorf("%s: %d turns are required, and one is split in %d of %d windows", name, need.Turns, split[1],
				draws)
		}
	}
}

// TestNoTurnsAreEnough: reports at once if no length helps, and otherwise the required length.
func TestNoTurnsAreEnough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	one := static(h200ish, 1, 256, 32, 15*time.Millisecond, 6*time.Millisecond, 0.01, rng)
	o := outlookOf(one, ring20)
	if n := o.Turns(2); n.Turns != 0 || n.Longer < one.window.Duration()*2 ||
		!strings.Contains(n.Why, "energy.min_window") {
		t.Errorf("two turns: %+v, want the required length", n)
	}
	o.Tier = backend.TierClient
	if n := o.Turns(100); n.Turns != 0 || n.Longer != 0 || n.Why == "" {
		t.Errorf("client stamps: %+v, want no length", n)
	}
	o = outlookOf(one, average)
	o.Averaging, o.Source = 10*time.Second, sensor.SourceAverage
	if n := o.Turns(20); n.Turns != 0 {
		t.Errorf("a sensor that averages over 10 s: %+v, want none", n)
	}
}

// TestSeenBy: the spacing of the updates counts, not the spacing of the polls.
func TestSeenBy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	w := static(h200ish, 8, 256, 64, 300*time.Millisecond, 20*time.Millisecond, 2, rng)
	if o := (Outlook{}).SeenBy(w.see(instant, rng)); o.Spacing.Round(10*time.Millisecond) != 100*time.Millisecond ||
		o.Source != sensor.SourceInstant {
		t.Errorf("polled: every %v by %s", o.Spacing, o.Source)
	}
	if o := (Outlook{}).SeenBy(w.see(ring20, rng)); o.Spacing != 20*time.Millisecond || o.Averaging != o.Spacing {
		t.Errorf("ring: every %v, over %v", o.Spacing, o.Averaging)
	}
}
