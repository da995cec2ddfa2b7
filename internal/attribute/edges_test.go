package attribute

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/linear"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/unit"
)

// TestEdgesOfTheirOwn: each limit of a window has the timing of its own reading.
func TestEdgesOfTheirOwn(t *testing.T) {
	const ms, watts = int64(time.Millisecond), 100.0
	w := Window{Start: 1000 * ms, End: 3000 * ms}
	exact := func(at int64) power.Reading {
		return power.Reading{BeforeNS: at, AfterNS: at + 2, SinceNS: at - 2, Snapped: true,
			Energy: unit.Energy(watts * float64(at) / 1000)}
	}
	late := func(at int64) power.Reading {
		r := exact(at)
		r.Snapped, r.SinceNS, r.AfterNS, r.Refresh = false, 0, at, 100*time.Millisecond
		return r
	}
	want := 0.95 * 0.1 / 2 * watts
	for name, q := range map[string]struct {
		readings []power.Reading
		want     float64
	}{
		"both exact":     {[]power.Reading{exact(w.Start), exact(w.End)}, 0},
		"a late begin":   {[]power.Reading{late(w.Start), exact(w.End)}, want},
		"a late end":     {[]power.Reading{exact(w.Start), late(w.End)}, want},
		"late both ways": {[]power.Reading{late(w.Start), late(w.End)}, twoEdges95(0.05, 0.05) * watts},
	} {
		e, err := Counter(q.readings, nil, w)
		if err != nil || math.Abs(e.Half95-q.want) > 1e-3 || math.Abs(e.Joules-200) > 1e-3 {
			t.Errorf("%s: %+v, %v, want 200 J ± %g", name, e, err, q.want)
		}
	}
}

// TestBeyond: the power around a window is the mean of the samples there, with the standard error of the
// mean; it is unknown if it scatters much.
func TestBeyond(t *testing.T) {
	const ms = int64(time.Millisecond)
	for name, q := range map[string]struct {
		swing float64
		ok    bool
	}{"steady": {0, true}, "scatters": {10, true}, "scatters much": {16, false}} {
		c := &Curve{spacing: 20 * time.Millisecond}
		for i := range int64(100) {
			c.times = append(c.times, i*20*ms)
			c.watts = append(c.watts, 100+q.swing*float64(1-i%2*2))
		}
		watts, sd, ok := c.beyond(true, 2000*ms)
		n := 0.0
		for _, at := range c.times {
			if at >= 2000*ms-reach && at <= 2000*ms-int64(2*settling) {
				n++
			}
		}
		if math.Abs(watts-100) > q.swing/n+1e-9 || math.Abs(sd-q.swing/math.Sqrt(n-1)) > 0.01*sd+1e-6 || ok != q.ok {
			t.Errorf("%s: %g W ± %g of %g samples, known: %v", name, watts, sd, n, ok)
		}
	}
}

// TestKinds: the work of a step; a step with prompts and a single token is mixed.
func TestKinds(t *testing.T) {
	for _, q := range []struct {
		prompt, output int
		want           kind
	}{{0, 0, idle}, {5, 0, prefill}, {0, 1, decode}, {0, 9, decode}, {5, 1, mixed}, {1, 9, mixed}} {
		if got := kindOf(backend.Step{PrefillTokens: q.prompt, DecodeTokens: q.output}); got != q.want {
			t.Errorf("%d prompt and %d output tokens: %v, want %v", q.prompt, q.output, got, q.want)
		}
	}
}

// TestSingular: linearly dependent columns have no inverse.
func TestSingular(t *testing.T) {
	for name, q := range map[string]struct {
		rows [][]float64
		ok   bool
	}{
		"apart":        {[][]float64{{1, 0}, {1, 1}, {1, 2}}, true},
		"the same":     {[][]float64{{1, 3}, {1, 3}, {1, 3}}, false},
		"nearly":       {[][]float64{{1, 3}, {2, 6}, {3, 9.0000001}}, false},
		"a multiple":   {[][]float64{{1, 7}, {2, 14}, {3, 21}}, false},
		"one is empty": {[][]float64{{1, 0}, {1, 0}}, false},
	} {
		m := linear.NewMatrix(2)
		for _, row := range q.rows {
			m.AddOuter(row, 1)
		}
		if inv, ok := m.Inverse(); ok != q.ok {
			t.Errorf("%s: %v, %v", name, inv, ok)
		}
	}
}

// TestSeesInto: a series resolves a period in which it has three samples.
func TestSeesInto(t *testing.T) {
	for spacing, want := range map[time.Duration]bool{20: true, 33: true, 34: false, 100: false} {
		c := &Curve{spacing: spacing * time.Millisecond}
		if got := c.Sees(power.Reading{Refresh: 100 * time.Millisecond}); got != want {
			t.Errorf("samples every %d ms: %v, want %v", spacing, got, want)
		}
	}
}

// TestIntegralOfTheUnknown: the small part of a window that the series does not cover gets its mean power.
func TestIntegralOfTheUnknown(t *testing.T) {
	const ms = int64(time.Millisecond)
	var samples []power.Sample
	for i := range int64(501) {
		samples = append(samples,
			power.Sample{MonoNS: i * 20 * ms, Source: "s", Power: 100, Window: 20 * time.Millisecond})
	}
	c, err := NewCurve(samples)
	if err != nil {
		t.Fatal(err)
	}
	for seconds, known := range map[float64]bool{9: true, 10.15: true, 10.3: false, 20: false} { // of 10
		e, err := c.Integral(Window{End: int64(seconds * 1e9)})
		if (err == nil) != known || known && math.Abs(e.Joules-100*seconds) > 0.01 {
			t.Errorf("%g s: %+v, %v, want %g J: %v", seconds, e, err, 100*seconds, known)
		}
	}
}

// TestLineOfFew: the confidence interval of a mean of few samples uses Student's t.
func TestLineOfFew(t *testing.T) {
	at := []float64{-0.5, -0.3, -0.1, 0.1, 0.3, 0.5}
	off := []float64{1, -1, -1, 1, 1, -1} // not explained by a line or by the previous value
	watts, sum := make([]float64, len(at)), 0.0
	for i := range at {
		watts[i] = 100 + off[i]
		sum += at[i] * off[i]
	}
	var m Mean
	m.line(at, watts)
	b := sum / 0.7 // the squares of the times
	u, e := make([][]float64, len(at)), make([]float64, len(at))
	for i := range at {
		e[i] = off[i] - b*at[i]
		u[i] = []float64{e[i] / 6, 0}
	}
	want := 2.776445 * math.Sqrt(linear.LongRun(u, bandwidth(e, 1)).At(0, 0)) // four degrees of freedom
	if math.Abs(m.Half95-want) > 1e-3 || math.Abs(m.Drift-b) > 1e-9 {
		t.Errorf("± %g W, drift %g, want ± %g and %g", m.Half95, m.Drift, want, b)
	}
}

// TestRise: a step between the series and the possible pace of the other steps is not a jump.
func TestRise(t *testing.T) {
	exact := func(at int64) power.Reading {
		return power.Reading{BeforeNS: at, AfterNS: at + 2, SinceNS: at - 2, Snapped: true}
	}
	first := power.Reading{BeforeNS: 1, AfterNS: 1} // which may have been late
	for name, q := range map[string]struct{ delta, want float64 }{
		"between":      {102, 0},
		"ahead of all": {109, 4},
		"behind all":   {97, -3},
	} {
		run := []step{{last: first, now: exact(1e9), delta: 105, seen: 100, high: 100},
			{last: exact(1e9), now: exact(2e9), delta: q.delta, seen: 100, high: 100}}
		if got := rise(run, 1); math.Abs(got-q.want) > 1e-3 {
			t.Errorf("%s: %g J, want %g", name, got, q.want)
		}
	}
}

// TestTimeline: the stretches cover the window from end to end; steps outside it or overlapping steps are
// errors.
func TestTimeline(t *testing.T) {
	step := func(from, to int64) backend.Step { return backend.Step{StartNS: from, EndNS: to, DecodeTokens: 1} }
	for name, q := range map[string]struct {
		steps []backend.Step
		want  string // kinds and ends
	}{
		"in the middle": {[]backend.Step{step(120, 150)}, "idle 120 decode 150 idle 200 "},
		"all of it":     {[]backend.Step{step(150, 200), step(100, 150)}, "decode 150 decode 200 "},
		"an empty one":  {[]backend.Step{step(100, 150), step(150, 150)}, "decode 150 idle 200 "},
		"too early":     {[]backend.Step{step(99, 150)}, ""},
		"too late":      {[]backend.Step{step(150, 201)}, ""},
		"overlapping":   {[]backend.Step{step(100, 150), step(149, 160)}, ""},
		"none":          {nil, ""},
	} {
		line, err := timeline(q.steps, nil, Window{100, 200})
		got, at := "", int64(100)
		for _, s := range line {
			if s.start != at {
				t.Errorf("%s: %+v does not begin at %d", name, s, at)
			}
			at = s.end
			got += fmt.Sprintf("%s %d ", map[kind]string{idle: "idle", decode: "decode"}[s.kind], s.end)
		}
		if got != q.want || (err == nil) != (q.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, q.want)
		}
	}
}
