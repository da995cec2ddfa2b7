package metering

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// load is a power that is idle until the window's work begins: 80 W, and 400 W for a time.
const idleW, busyW = 80.0, 400.0

// lab is a meter on a fake GPU in virtual time.
type lab struct {
	*Meter
	clock tick.Clock
	fake  *powerfake.Fake
}

// newLab returns a lab whose GPU has a given power.
func newLab(t *testing.T, baseline float64, watts func(time.Duration) unit.Watts) lab {
	t.Helper()
	clock := tick.Virtual()
	fake := powerfake.NewFake(powerfake.FakeOptions{Power: watts, Now: clock.Mono})
	return lab{New(Options{Name: "work", BaselineS: baseline, Sensors: machine.Sensors{}}, []power.Meter{fake}, clock),
		clock, fake}
}

// window measures a window of a length, with marks made by steps.
func (l lab) window(t *testing.T, length time.Duration, steps ...Step) (*result.Record, error) {
	t.Helper()
	w, err := l.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	marks := Marks{StartNS: l.clock.Mono()}
	if err := l.clock.Sleep(t.Context(), length); err != nil {
		t.Fatal(err)
	}
	marks.EndNS = w.Ended()
	for _, s := range steps {
		s.StartNS, s.EndNS = s.StartNS+marks.StartNS, s.EndNS+marks.StartNS
		marks.Steps = append(marks.Steps, s)
	}
	return w.End(t.Context(), marks)
}

// square is a busy power from a time on for a length, and idle otherwise and while the time is 0.
func square(from *atomic.Int64, length time.Duration) func(time.Duration) unit.Watts {
	return func(at time.Duration) unit.Watts {
		if since := at - time.Duration(from.Load()); from.Load() > 0 && since >= 0 && since < length {
			return busyW
		}
		return idleW
	}
}

// TestTruth: the energy of a window is the true one, gross and net of idle, within its interval; a window that is too
// short for the sensor is refused, with the reason and the length that it needs.
func TestTruth(t *testing.T) {
	for name, q := range map[string]struct {
		length  time.Duration
		refused bool
	}{
		"30 s": {30 * time.Second, false}, "5 s": {5 * time.Second, false}, "1 s": {time.Second, false},
		"a millisecond": {time.Millisecond, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var from atomic.Int64
			l := newLab(t, 5, square(&from, q.length))
			if err := l.Idle(t.Context()); err != nil {
				t.Fatal(err)
			}
			w, err := l.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			marks := Marks{StartNS: l.clock.Mono()}
			from.Store(int64(l.fake.Elapsed()))
			if err := l.clock.Sleep(t.Context(), q.length); err != nil {
				t.Fatal(err)
			}
			marks.EndNS = w.Ended()
			rec, err := w.End(t.Context(), marks)
			if err != nil {
				t.Fatal(err)
			}
			e := rec.Energy
			if q.refused {
				if e.TotalJ != nil || e.NetJ != nil || !strings.Contains(e.Reason, "too short for this sensor") {
					t.Fatalf("%s: %+v, %q", name, e.TotalJ, e.Reason)
				}
				return
			}
			if e.TotalJ == nil || e.NetJ == nil {
				t.Fatalf("%s: no energy: %q", name, e.Reason)
			}
			seconds := q.length.Seconds()
			for what, c := range map[string]struct {
				got  *result.Quantity
				want float64
			}{"gross": {e.TotalJ, busyW * seconds}, "net": {e.NetJ, (busyW - idleW) * seconds}} {
				if c.got.CI95[0] > c.want || c.got.CI95[1] < c.want || math.Abs(c.got.Value/c.want-1) > 0.02/seconds {
					t.Errorf("%s, %s: %.2f J in %.2f, the truth is %.2f", name, what, c.got.Value, c.got.CI95, c.want)
				}
			}
			if e.TotalJ.Source == "" || e.TotalJ.Gain95 <= 0 || rec.Throughput != nil || rec.Latency.Reason == "" {
				t.Errorf("%s: source %q, gain %g, throughput %v", name, e.TotalJ.Source, e.TotalJ.Gain95,
					rec.Throughput)
			}
		})
	}
}

// TestPhases: marked steps split the energy and give energy per token.
func TestPhases(t *testing.T) {
	const prefillW, decodeW = 600.0, 300.0
	const turns, prefillMS, decodeMS = 40, 120, 180
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		l := newLab(t, 0, func(at time.Duration) unit.Watts {
			from := time.Duration(begun.Load())
			switch ms := (at - from).Milliseconds(); {
			case from == 0 || at < from || ms >= turns*(prefillMS+decodeMS):
				return idleW
			case ms%(prefillMS+decodeMS) < prefillMS:
				return prefillW
			}
			return decodeW
		})
		w, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		marks := Marks{StartNS: l.clock.Mono()}
		begun.Store(int64(l.fake.Elapsed()))
		at := marks.StartNS
		for range turns {
			mid, end := at+prefillMS*1e6, at+(prefillMS+decodeMS)*1e6
			marks.Steps = append(marks.Steps, Step{"prefill", at, mid, 8}, Step{"decode", mid, end, 4})
			at = end
		}
		_ = l.clock.Sleep(t.Context(), time.Duration(at-marks.StartNS))
		marks.EndNS = w.Ended()
		rec, err := w.End(t.Context(), marks)
		if err != nil {
			t.Fatal(err)
		}
		p := rec.Energy.Phases
		if p == nil || p.Prefill.EnergyJ == nil || p.Decode.EnergyJ == nil {
			t.Fatalf("no phases: %q %+v", rec.Energy.PhasesReason, p)
		}
		for what, c := range map[string][2]float64{
			"prefill": {*p.Prefill.EnergyJ, turns * prefillMS / 1e3 * prefillW},
			"decode":  {*p.Decode.EnergyJ, turns * decodeMS / 1e3 * decodeW},
		} {
			if math.Abs(c[0]/c[1]-1) > 0.02 {
				t.Errorf("%s: %.1f J, the truth is %.1f J", what, c[0], c[1])
			}
		}
		if rec.Tokens.Output != turns*4 || rec.Tokens.Prompt != turns*8 || rec.Energy.PerOutputTokenJ == nil ||
			rec.Throughput == nil ||
			!slices.Equal(rec.Warnings.Codes(), []note.Code{codes.Simulated, codes.NoBaseline}) {
			t.Errorf("tokens %+v, throughput %v, warnings %v", rec.Tokens, rec.Throughput, rec.Warnings)
		}
	})
}

// TestWithoutBaseline: without idle time there is no net energy.
func TestWithoutBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 0, nil)
		if err := l.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec, err := l.window(t, 2*time.Second)
		if err != nil || rec.Energy.TotalJ == nil || rec.Energy.NetJ != nil {
			t.Errorf("%+v, %v", rec.Energy, err)
		}
	})
}

// TestWindowsShareTheBaseline: the idle power before the first window counts in the others, with its age.
func TestWindowsShareTheBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 5, nil)
		if err := l.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			rec, err := l.window(t, 2*time.Second)
			if err != nil || rec.Energy.NetJ == nil {
				t.Fatalf("window %d: %q, %v", i, rec.Energy.Reason, err)
			}
			if age := rec.Energy.Devices[0].Bare.AgeS; (age > 0) != (i > 0) {
				t.Errorf("window %d: the idle power is %g s old", i, age)
			}
		}
	})
}

// TestMarks: marks that cannot be right are refused, with the next step.
func TestMarks(t *testing.T) {
	const begun, now = 100, 900
	good := Marks{StartNS: 200, EndNS: 800, Steps: []Step{{"decode", 400, 500, 1}, {"prefill", 200, 300, 1},
		{"other", 500, 800, 0}}}
	if err := good.check(begun, now); err != nil {
		t.Errorf("good marks: %v", err)
	}
	if n := len(good.steps()); n != 2 {
		t.Errorf("%d steps, want 2: other work is time without steps", n)
	}
	for want, m := range map[string]Marks{
		"ends":                    {StartNS: 800, EndNS: 200},
		"outside the time":        {StartNS: 50, EndNS: 800},
		"lie outside":             {StartNS: 200, EndNS: 1000},
		`named "train"`:           {StartNS: 200, EndNS: 800, Steps: []Step{{"train", 200, 300, 1}}},
		"has 0 tokens":            {StartNS: 200, EndNS: 800, Steps: []Step{{"decode", 200, 300, 0}}},
		"has -1 tokens":           {StartNS: 200, EndNS: 800, Steps: []Step{{"other", 200, 300, -1}}},
		"ends before it begins":   {StartNS: 200, EndNS: 800, Steps: []Step{{"decode", 300, 200, 1}}},
		"lies outside its window": {StartNS: 200, EndNS: 800, Steps: []Step{{"decode", 700, 801, 1}}},
		"overlaps the step before": {StartNS: 200, EndNS: 800,
			Steps: []Step{{"decode", 200, 301, 1}, {"decode", 300, 400, 1}}},
		"step 1 (decode) lies outs": {StartNS: 200, EndNS: 800, Steps: []Step{{"decode", 199, 301, 1}}},
	} {
		err := m.check(begun, now)
		mark, ok := errors.AsType[*MarkError](err)
		if !ok || !strings.Contains(mark.Error(), want) || mark.NextStep() == "" {
			t.Errorf("%v, want %q and a next step", err, want)
		}
	}
}
