package join

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// library builds the fake driver, or skips.
func library(t *testing.T) string {
	t.Helper()
	path, err := sim.Build(t.Context(), t.TempDir())
	if errors.Is(err, sim.ErrUnavailable) {
		t.Skipf("SKIPPED: the fake driver library needs a C compiler and cgo: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// simulated measures a scenario and joins it without steps, because the phase split takes longer than
// everything else. A profile may be nil.
func simulated(t *testing.T, library string, s sim.Scenario, profile *power.Profile) (*result.Record, *sim.Outcome) {
	t.Helper()
	var out *sim.Outcome
	var err error
	synctest.Test(t, func(t *testing.T) { out, err = sim.Run(t.Context(), library, t.TempDir(), s) })
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	m := &Material{Engine: Engine{Tier: backend.TierExact, Device: "cuda"}, Requests: out.Log.Requests,
		Window: attribute.Window(out.Window), Bare: attribute.Window(out.Bare.Window),
		Resident: attribute.Window(out.Resident.Window)}
	m.SetTrace(Traces(Traces(out.Bare.Trace, out.Resident.Trace), out.Trace))
	m.SetDevices(out.Devices, nil, map[string]*power.Profile{"gpu0": profile})
	rec := &result.Record{Config: study.DefaultExperiment(engines.All()[0]),
		Energy: result.Energy{Provenance: result.None}}
	Compute(m, rec, nil)
	return rec, out
}

// pointOf returns the grid point with the sensor.
func pointOf(t *testing.T, sensor string) sim.GridPoint {
	t.Helper()
	for _, p := range sim.Grid(1) {
		if p.Sensor == sensor && p.Prefill >= 100*time.Millisecond {
			return p
		}
	}
	t.Fatalf("no sensor %q in the grid", sensor)
	return sim.GridPoint{}
}

// TestCounterJumps: a counter that jumps in the window is refused or flagged, with a series and without.
func TestCounterJumps(t *testing.T) {
	library := library(t)
	for _, sensor := range []string{"counter 100 ms alone", "ring, 20 ms window", "instant, 25 of 100 ms",
		"ring, counter 500 ms"} {
		for _, joules := range []float64{0, 500, 2000, 50_000} {
			s := pointOf(t, sensor).Scenario
			s.Inject = func(f *sim.File, elapsed time.Duration) {
				if joules > 0 {
					faults := &f.Sensors(0).Faults
					faults.JumpAfter, faults.JumpJoules = elapsed+3300*time.Millisecond, joules
				}
			}
			rec, out := simulated(t, library, s, nil)
			e := rec.Energy
			_, doubted := warned(rec, codes.UncheckedCounter)
			_, differ := warned(rec, codes.Agreement)
			alone := strings.HasSuffix(sensor, "alone")
			switch {
			case joules == 0 && (e.TotalJ == nil || differ || doubted != alone):
				t.Errorf("%s, no jump: total %v, reason %q, warnings %+v", sensor, e.TotalJ, e.Reason, rec.Warnings)
			case joules > 0 && e.TotalJ != nil && !doubted && !differ:
				t.Errorf("%s: a jump by %.0f J in %.0f J passed: %.0f J ± %.0f", sensor, joules, out.Truth.Total,
					e.TotalJ.Value, half(e.TotalJ))
			case joules == 50_000 && e.TotalJ != nil, !alone && joules > 0.15*out.Truth.Total && e.TotalJ != nil:
				t.Errorf("%s: a jump by %.0f J in %.0f J was not refused", sensor, joules, out.Truth.Total)
			case e.TotalJ == nil && e.Reason == "":
				t.Errorf("%s: refused without a reason", sensor)
			}
		}
	}
}

// TestSmallJumpInALongWindow: a jump in one step, smaller than the allowed difference of the totals.
func TestSmallJumpInALongWindow(t *testing.T) {
	library := library(t)
	s := pointOf(t, "ring, 20 ms window").Scenario
	for range 2 {
		s.Prompts = append(s.Prompts, s.Prompts...)
	}
	for _, share := range []float64{0, 0.02} {
		joules := 0.0
		s.Inject = func(f *sim.File, elapsed time.Duration) {
			if share > 0 {
				faults := &f.Sensors(0).Faults
				faults.JumpAfter, faults.JumpJoules = elapsed+13*time.Second, joules
			}
		}
		_, out := simulated(t, library, pointOf(t, "ring, 20 ms window").Scenario, nil)
		joules = share * 4 * out.Truth.Total
		rec, out := simulated(t, library, s, nil)
		if got := strings.Contains(rec.Energy.Reason, "it jumped"); got != (share > 0) {
			t.Errorf("a jump by %.0f J in %.0f J over %.0f s: %q", joules, out.Truth.Total, rec.Window.DurationS,
				rec.Energy.Reason)
		}
	}
}

// TestPartTimeCounter: the interval of a counter that measures a quarter of the time contains the truth, with
// and without a self-test.
func TestPartTimeCounter(t *testing.T) {
	library := library(t)
	full, seen := 4.0, 200.0
	for name, q := range map[string]struct {
		part    time.Duration
		profile *power.Profile
		widest  float64 // median half width
	}{
		"part time, tested":   {25 * time.Millisecond, &power.Profile{SwingPct: &seen}, 0.02},
		"part time, untested": {25 * time.Millisecond, nil, 0.02},
		"full time, tested":   {0, &power.Profile{SwingPct: &full}, 0.005},
		"full time, untested": {0, nil, 0.02},
	} {
		covered, n := 0, 0
		var widths, errors []float64
		for i, p := range sim.Grid(1) {
			if p.Batching != sim.Static || i%3 != 0 || testing.Short() && i%2 != 0 ||
				p.Sensor != "instant, 25 of 100 ms" && p.Sensor != "ring, 13 ms filter (H200)" {
				continue
			}
			p.GPUs[0].Counter.PartTime = q.part
			rec, out := simulated(t, library, p.Scenario, q.profile)
			e := rec.Energy.TotalJ
			if e == nil {
				t.Errorf("%s, %s: %s", name, p.Name, rec.Energy.Reason)
				continue
			}
			if compare(e.Value, e.CI95[0], e.CI95[1], e.Gain95, out.Truth.Total, p.GPUs[0].Counter.Gain).covered {
				covered++
			}
			if !slices.ContainsFunc(e.Budget,
				func(b result.BudgetTerm) bool { return b.Term == aliasing && b.Half95 > 0 }) {
				t.Errorf("%s, %s: no aliasing in %+v", name, p.Name, e.Budget)
			}
			n++
			widths, errors = append(widths, half(e)/e.Value), append(errors,
				math.Abs(e.Value/(1+p.GPUs[0].Counter.Gain)/out.Truth.Total-1))
		}
		t.Logf("%s: %d of %d covered, median half width %.2f %%, median error %.2f %%, worst %.2f %%", name, covered, n,
			100*quantile(widths, 0.5), 100*quantile(errors, 0.5), 100*quantile(errors, 1))
		least := 15
		if testing.Short() {
			least = 8
		}
		if float64(covered) < 0.9*float64(n) || n < least {
			t.Errorf("%s: the interval holds %d of %d, want 90 %%", name, covered, n)
		}
		if w := quantile(widths, 0.5); w > q.widest {
			t.Errorf("%s: the median half width is %.2f %%, want at most %.2f %%", name, 100*w, 100*q.widest)
		}
	}
}
