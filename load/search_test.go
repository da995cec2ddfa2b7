package load

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// system is a simulated server: the fraction of good requests falls with the load, and is the attainment at capacity.
type system struct {
	capacity, steepness, attainment float64
	// n is the number of requests of a probe.
	n   int
	rng *rand.Rand
}

func (y system) good(load float64) float64 {
	odds := math.Log(y.attainment/(1-y.attainment)) - y.steepness*math.Log(load/y.capacity)
	return 1 / (1 + math.Exp(-odds))
}

func (y system) run(load float64) Outcome {
	o, p := Outcome{Scheduled: int64(y.n)}, y.good(load)
	for range y.n {
		if y.rng.Float64() < p {
			o.Good++
		}
	}
	return o
}

func find(t *testing.T, s *Search, run func(load float64) Outcome) Found {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	runs := 0
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		if again, _ := s.Next(); again != p {
			t.Fatalf("Next changed from %+v to %+v without a report", p, again)
		}
		if !(p.Load >= s.From*SustainedPart-1 && p.Load <= s.To) || s.Whole && p.Load != math.Trunc(p.Load) {
			t.Fatalf("a probe at %g", p.Load)
		}
		s.Report(run(p.Load))
		if runs++; runs > 200 {
			t.Fatal("the search does not end")
		}
	}
	return s.Found()
}

// TestCoverage: over 1,000 random capacities the bracket contains the capacity in at least 95 %, and in a steep
// system most searches are resolved.
func TestCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, q := range []struct {
		steepness  float64
		n          int
		attainment float64
		resolved   float64
	}{{40, 400, 0.95, 0.9}, {15, 400, 0.95, 0.1}, {4, 200, 0.95, 0}, {40, 2000, 0.99, 0.9}, {30, 300, 0.8, 0.9}} {
		covered, resolved, probes := 0, 0, 0
		const systems = 1000
		for range systems {
			y := system{capacity: math.Exp(rng.Float64()*math.Log(50)) * 1.2, steepness: q.steepness,
				attainment: q.attainment, n: q.n, rng: rng}
			s := &Search{From: 1, To: 64, Attainment: q.attainment}
			f := find(t, s, y.run)
			if (f.Lower == 0 || f.Lower <= y.capacity) && (f.Upper == 0 || y.capacity <= f.Upper) {
				covered++
			}
			if f.Resolved {
				resolved++
				if f.Upper > f.Lower*1.0500001 || f.Reason != "" {
					t.Fatalf("resolved %+v", f)
				}
			} else if f.Reason == "" {
				t.Fatalf("unresolved without a reason: %+v", f)
			}
			probes += len(s.Tried())
		}
		t.Logf("steepness %g, %d requests: covered %.3f, resolved %.3f, %.1f probes", q.steepness, q.n,
			float64(covered)/systems, float64(resolved)/systems, float64(probes)/systems)
		if covered < 0.95*systems || float64(resolved) < q.resolved*systems {
			t.Errorf("%+v: covered %d, resolved %d of %d", q, covered, resolved, systems)
		}
	}
}

// exact is a system whose probes leave no doubt.
func exact(capacity float64) func(float64) Outcome {
	return func(load float64) Outcome {
		if load <= capacity {
			return Outcome{Scheduled: 10000, Good: 10000}
		}
		return Outcome{Scheduled: 10000, Saturated: true}
	}
}

// TestProbes: without doubt, a search takes no more probes than it says, and its bracket is always right.
func TestProbes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		from := math.Exp(rng.Float64()*6 - 3)
		s := &Search{From: from, To: from * math.Exp(0.01+rng.Float64()*7), Tolerance: 0.01 + rng.Float64()*0.3}
		if rng.IntN(2) == 0 {
			s.Whole, s.From, s.To = true, math.Ceil(s.From), math.Ceil(s.From)+math.Ceil(s.To)
		}
		capacity := s.From * math.Pow(s.To/s.From, rng.Float64()*1.4-0.2)
		f := find(t, s, exact(capacity))
		least, most := s.Probes()
		if n := len(s.Tried()); n < least || n > most {
			t.Errorf("%+v: %d probes, want %d to %d", s, n, least, most)
		}
		inside := capacity >= s.From && capacity < s.To
		if f.Resolved != inside || f.Lower > capacity || f.Upper != 0 && f.Upper <= capacity {
			t.Errorf("capacity %g in %g..%g: %+v", capacity, s.From, s.To, f)
		}
	}
}

func loads(s *Search) (out []float64) {
	for _, t := range s.Tried() {
		out = append(out, t.Load)
	}
	return out
}

func TestSteps(t *testing.T) {
	s := &Search{From: 1, To: 100, Whole: true, Tolerance: 0.05, Sustained: true}
	f := find(t, s, exact(13))
	if want := []float64{1, 2, 4, 8, 16, 11, 13, 14, 13, 11}; !slices.Equal(loads(s), want) {
		t.Errorf("loads %v, want %v", loads(s), want)
	}
	if want := (Found{Lower: 13, Upper: 14, Resolved: true, Monotonic: true}); f != want {
		t.Errorf("found %+v, want %+v", f, want)
	}
	tried := s.Tried()
	if tried[8].Role != RoleSustained || tried[9].Role != RoleSustained || tried[7].Role != RoleProbe {
		t.Errorf("roles: %+v", tried)
	}
}

// TestExtensions: a probe that is not resolved is extended twice, and its counts add up.
func TestExtensions(t *testing.T) {
	s := &Search{From: 1, To: 4}
	for i := range 3 {
		p, ok := s.Next()
		if !ok || p.Load != 1 || p.Extension != i {
			t.Fatalf("run %d: %+v, %t", i, p, ok)
		}
		s.Report(Outcome{Scheduled: 100, Good: 95, Effective: 50})
	}
	want := Tried{Probe{RoleProbe, 1, 2}, Outcome{Scheduled: 300, Good: 285, Effective: 150}, Unresolved, true}
	if got := s.Tried()[0]; got != want {
		t.Errorf("tried %+v", got)
	}
	if p, ok := s.Next(); !ok || p.Load != 2 || p.Extension != 0 {
		t.Errorf("next %+v, want 2", p)
	}
	// The first resolved sum ends a probe.
	s.Report(Outcome{Scheduled: 100, Good: 95})
	s.Report(Outcome{Scheduled: 1000, Good: 1000})
	if got := s.Tried()[1]; got.Scheduled != 1100 || got.Verdict != Yes {
		t.Errorf("tried %+v", got)
	}
}

// TestSaturated: a growing backlog is never a yes, and a single one never a no.
func TestSaturated(t *testing.T) {
	s := &Search{From: 1, To: 4}
	s.Next()
	s.Report(Outcome{Scheduled: 1000, Good: 1000, Saturated: true})
	s.Report(Outcome{Scheduled: 1000, Good: 1000})
	if got := s.Tried()[0]; got.Verdict != Yes {
		t.Errorf("one growing backlog: %+v", got)
	}
	s.Next()
	for range 3 {
		s.Report(Outcome{Scheduled: 1000, Good: 1000, Saturated: true})
	}
	if got := s.Tried()[1]; got.Verdict != No {
		t.Errorf("three growing backlogs: %+v", got)
	}
}

func TestReasons(t *testing.T) {
	all, none := Outcome{Scheduled: 1000, Good: 1000}, Outcome{Scheduled: 1000}
	for _, q := range []struct {
		name string
		run  func(float64) Outcome
		want string
	}{
		{"all loads meet it", func(float64) Outcome { return all }, "the objective is met at the highest load, 8"},
		{"no load meets it", func(float64) Outcome { return none }, "the objective is not met at the lowest load, 1"},
		{"doubt everywhere", func(float64) Outcome { return Outcome{Scheduled: 100, Good: 95} },
			"at 1 the objective is neither met nor missed for certain: longer probes would tell"},
		{"a higher load does better", func(x float64) Outcome {
			if x < 1.5 {
				return Outcome{Scheduled: 400, Good: 380}
			}
			return all
		}, "a higher load did better: attainment at most 0.964 at 1, at least 0.993 at 2"},
		{"nothing is scheduled", func(float64) Outcome { return Outcome{} },
			"at 1 the objective is neither met nor missed for certain: longer probes would tell"},
	} {
		f := find(t, &Search{From: 1, To: 8}, q.run)
		if f.Resolved || f.Reason != q.want {
			t.Errorf("%s: %+v, want %q", q.name, f, q.want)
		}
	}
	s := &Search{From: 1, To: 8, Sustained: true}
	f := find(t, s, func(x float64) Outcome {
		if n := len(s.tried); s.tried[n-1].Role == RoleSustained || x > 3 {
			return none
		}
		return all
	})
	if f.Resolved || f.Reason == "" {
		t.Errorf("a sustained run that fails: %+v", f)
	}
}

// TestAbort: a probe that was cut off does not limit the bracket.
func TestAbort(t *testing.T) {
	s := &Search{From: 1, To: 8}
	s.Next()
	s.Report(Outcome{Scheduled: 1000, Good: 1000})
	s.Next()
	s.Abort("the engine has stopped")
	if _, ok := s.Next(); ok {
		t.Error("the search continues")
	}
	if f := s.Found(); f.Lower != 1 || f.Upper != 0 || f.Resolved || f.Reason != "the engine has stopped" {
		t.Errorf("found %+v", f)
	}
	s.Report(Outcome{Scheduled: 1}) // without a probe it has no effect
	if len(s.Tried()) != 1 {
		t.Errorf("tried %+v", s.Tried())
	}
}

func TestSearchMistakes(t *testing.T) {
	for _, q := range []struct {
		s     Search
		field string
	}{
		{Search{}, "search_from"}, {Search{From: 1}, "search_to"}, {Search{From: 2, To: 2}, "search_to"},
		{Search{From: -1, To: 2}, "search_from"}, {Search{From: 1, To: math.Inf(1)}, "search_to"},
		{Search{From: math.NaN(), To: 2}, "search_from"}, {Search{From: 1.5, To: 2, Whole: true}, "search_from"},
		{Search{From: 1, To: 2, Tolerance: 1e-9}, "tolerance"}, {Search{From: 1, To: 2, Attainment: 1}, "attainment"},
	} {
		if m, ok := errors.AsType[*Mistake](q.s.Check()); !ok || m.Field != q.field {
			t.Errorf("%+v: %v, want a mistake of %s", q.s, m, q.field)
		}
	}
}

// TestSustainedUnresolved: a search whose sustained run at the lower limit does not tell is not resolved.
func TestSustainedUnresolved(t *testing.T) {
	for _, q := range []struct {
		good     int64 // of the 100 requests of the sustained run at the lower limit
		resolved bool
		reason   string
	}{{100, true, ""}, {96, false, "does not tell"}, {90, false, "did not meet"}} {
		s := &Search{From: 1, To: 8, Sustained: true}
		f := find(t, s, func(x float64) Outcome {
			o := Outcome{Scheduled: 100, Good: 100}
			switch {
			case s.tried[len(s.tried)-1].Role == RoleSustained:
				o.Good = q.good
			case x > 3:
				o.Good = 0
			}
			return o
		})
		if f.Resolved != q.resolved || !strings.Contains(f.Reason, q.reason) || (f.Reason == "") != q.resolved {
			t.Errorf("%d good: %+v", q.good, f)
		}
	}
}
