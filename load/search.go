package load

import (
	"fmt"
	"math"
	"slices"
)

// Search finds the highest load that meets an objective:
//
//	s := &load.Search{From: 1, To: 64, Tolerance: 0.05, Attainment: 0.95}
//	for p, ok := s.Next(); ok; p, ok = s.Next() {
//		… run the load p.Load …
//		s.Report(load.Outcome{Scheduled: n, Good: k})
//	}
//	found := s.Found()
//
// It doubles the load until one does not meet the objective, and then halves the bracket, on a logarithmic scale,
// until its limits are within the tolerance. Each decision is by the Wilson interval at 95 %; a probe that it does not
// resolve is extended, twice at most. What then stays unresolved does not limit the bracket: the search continues on
// both sides of it. Two sustained runs follow, at the lower limit and at 0.9 of it.
type Search struct {
	// From and To bound the loads, in requests per second or in flight.
	From float64
	To   float64 // see From
	// Tolerance is the relative distance of the limits at which the search ends; 0 is [DefaultTolerance].
	Tolerance float64
	// Attainment is the required fraction of good requests; 0 is [DefaultAttainment].
	Attainment float64
	// Whole reports that loads are whole numbers.
	Whole bool
	// Sustained adds the two sustained runs.
	Sustained bool

	tried   []Tried
	aborted string
}

// RampShare is the part of an open loop that its beginning, with the engine not yet in its steady state, is expected to
// take at most.
const RampShare = 0.25

// Constants of a search.
const (
	DefaultTolerance = 0.05
	MaxExtensions    = 2   // of one probe
	SustainedPart    = 0.9 // load of the second sustained run, relative to the lower limit
)

// Roles of probes.
const (
	RoleProbe     = "probe"
	RoleSustained = "sustained"
)

// Probe is a load to run.
type Probe struct {
	// Role is [RoleProbe] or [RoleSustained].
	Role string
	// Load in requests per second or in flight.
	Load float64
	// Extension counts the extensions of this probe: above 0 the outcome is added to the outcome before.
	Extension int
}

// Outcome is the result of a run of a probe.
type Outcome struct {
	// Scheduled is the number of requests, and Good how many met the limits.
	Scheduled int64
	Good      int64 // see Scheduled
	// Effective is the number of independent requests that these are worth; 0 takes Scheduled.
	Effective float64
	// Saturated reports that the backlog grew.
	Saturated bool
}

// Tried is a probe with the sum of its outcomes.
type Tried struct {
	Probe
	Outcome
	// Verdict is whether the load met the objective.
	Verdict Verdict
	done    bool
}

// Found is the outcome of a search.
type Found struct {
	// Lower is the highest load that met the objective, and Upper the lowest one that did not; 0 if there is none.
	Lower float64
	Upper float64 // see Lower
	// Resolved reports that the limits are within the tolerance, and Reason is why they are not.
	Resolved bool
	Reason   string // see Resolved
	// Monotonic reports that no higher load did clearly better than a lower one.
	Monotonic bool
}

// Check returns the first value that has no meaning, as a [Mistake].
func (s *Search) Check() error {
	switch {
	case !(s.From > 0) || math.IsInf(s.From, 0):
		return mistakef("search_from", "give the lowest load to try", "search_from is %g, want more than 0", s.From)
	case !(s.To > s.From) || math.IsInf(s.To, 0):
		return mistakef("search_to", "give the highest load to try", "search_to is %g, want more than search_from, %g",
			s.To, s.From)
	case s.Whole && (s.From != math.Trunc(s.From) || s.To != math.Trunc(s.To)):
		return mistakef("search_from", "give whole numbers", "%g to %g requests in flight", s.From, s.To)
	case s.Tolerance != 0 && !(s.Tolerance >= 0.001 && s.Tolerance <= 1):
		return mistakef("tolerance", "0.05 is 5 %", "tolerance is %g, want a number from 0.001 to 1", s.Tolerance)
	case s.Attainment != 0 && !(s.Attainment >= 0.01 && s.Attainment <= 0.9999):
		return mistakef("attainment", "0.95 is usual", "attainment is %g, want a number from 0.01 to 0.9999",
			s.Attainment)
	}
	return nil
}

func (s *Search) tolerance() float64 {
	if s.Tolerance > 0 {
		return s.Tolerance
	}
	return DefaultTolerance
}

func (s *Search) attainment() float64 {
	if s.Attainment > 0 {
		return s.Attainment
	}
	return DefaultAttainment
}

// Probes returns the least and the most probes that are expected, without extensions, unresolved probes and the
// sustained runs: the doublings from From, and the halvings of a factor of two to the tolerance,
// log2(ln 2 / ln(1 + tolerance)).
func (s *Search) Probes() (least, most int) {
	ratio := s.To / s.From
	doublings := int(math.Ceil(math.Log2(ratio)-1e-9)) + 1
	halvings := func(ratio float64) int {
		return max(0, int(math.Ceil(math.Log2(math.Log(ratio)/math.Log1p(s.tolerance()))-1e-9)))
	}
	if doublings <= 2 { // less than one doubling
		return 1, 2 + halvings(ratio)
	}
	return 1, doublings + halvings(2)
}

// bounds returns the limits of the bracket, 0 if there is none, and the unresolved loads between them.
func (s *Search) bounds() (lower, upper float64, open []float64) {
	for _, t := range s.tried {
		switch {
		case !t.done || t.Role != RoleProbe:
		case t.Verdict == Yes:
			lower = max(lower, t.Load)
		case t.Verdict == No && (upper == 0 || t.Load < upper):
			upper = t.Load
		}
	}
	for _, t := range s.tried {
		between := t.Load > lower && (upper == 0 || t.Load < upper)
		if t.done && t.Role == RoleProbe && t.Verdict == Unresolved && between {
			open = append(open, t.Load)
		}
	}
	slices.Sort(open)
	return lower, upper, open
}

// Next returns the next load to run, and whether there is one. It returns the same until [Search.Report] is called.
func (s *Search) Next() (Probe, bool) {
	if s.aborted != "" {
		return Probe{}, false
	}
	if n := len(s.tried); n > 0 && !s.tried[n-1].done {
		return s.tried[n-1].Probe, true
	}
	load, ok := s.next()
	role := RoleProbe
	if !ok {
		if load, ok = s.nextSustained(); !ok {
			return Probe{}, false
		}
		role = RoleSustained
	}
	s.tried = append(s.tried, Tried{Probe: Probe{Role: role, Load: load}})
	return s.tried[len(s.tried)-1].Probe, true
}

// next returns the next load of the search itself.
func (s *Search) next() (float64, bool) {
	lower, upper, open := s.bounds()
	if len(s.tried) == 0 {
		return s.From, true
	}
	if upper == 0 { // double
		top := lower
		for _, x := range open {
			top = max(top, x)
		}
		return s.whole(min(s.To, 2*top)), top < s.To
	}
	if lower == 0 && len(open) == 0 { // the lowest load fails
		return 0, false
	}
	if s.close(lower, upper, s.tolerance()) {
		return 0, false
	}
	if len(open) == 0 {
		return s.between(lower, upper)
	}
	// Around unresolved loads, both limits come closer, the farther one first.
	below, above := 0.0, upper/open[len(open)-1]
	if lower > 0 {
		below = open[0] / lower
	}
	half := s.tolerance() / 2
	for range 2 {
		switch {
		case below >= above && below > 1+half:
			if x, ok := s.between(lower, open[0]); ok {
				return x, true
			}
			below = 0
		case above > 1+half:
			if x, ok := s.between(open[len(open)-1], upper); ok {
				return x, true
			}
			above = 0
		}
	}
	return 0, false
}

// close reports whether two limits are within a relative distance, or whole numbers without another between them.
func (s *Search) close(lower, upper, tolerance float64) bool {
	return lower > 0 && upper > 0 && (upper <= lower*(1+tolerance) || s.Whole && upper-lower <= 1)
}

// between returns the geometric mean of two loads, and whether it differs from both.
func (s *Search) between(a, b float64) (float64, bool) {
	x := s.whole(math.Sqrt(a * b))
	if s.Whole && x <= a {
		x = a + 1
	}
	return x, x > a && x < b
}

func (s *Search) whole(x float64) float64 {
	if s.Whole {
		return math.Round(x)
	}
	return x
}

// nextSustained returns the load of the next sustained run.
func (s *Search) nextSustained() (float64, bool) {
	lower, _, _ := s.bounds()
	if !s.Sustained || lower == 0 {
		return 0, false
	}
	done := 0
	for _, t := range s.tried {
		if t.Role == RoleSustained {
			done++
		}
	}
	switch done {
	case 0:
		return lower, true
	case 1:
		x := lower * SustainedPart
		if s.Whole {
			x = max(1, math.Floor(x))
		}
		return x, x < lower
	}
	return 0, false
}

// Report takes the outcome of the probe that [Search.Next] returned.
func (s *Search) Report(o Outcome) {
	if len(s.tried) == 0 || s.tried[len(s.tried)-1].done {
		return
	}
	t := &s.tried[len(s.tried)-1]
	if o.Effective <= 0 || o.Effective > float64(o.Scheduled) {
		o.Effective = float64(o.Scheduled)
	}
	t.Scheduled += o.Scheduled
	t.Good += o.Good
	t.Effective += o.Effective
	t.Saturated = o.Saturated // the latest is the longest view of the queue
	t.Verdict = s.judge(t.Outcome)
	if t.Role == RoleSustained || t.Verdict != Unresolved {
		t.done = true
		return
	}
	if t.Extension == MaxExtensions {
		t.done = true
		if t.Saturated { // again and again
			t.Verdict = No
		}
		return
	}
	t.Extension++
}

// judge reports whether the objective was met. A growing backlog contradicts yes.
func (s *Search) judge(o Outcome) Verdict {
	if o.Scheduled == 0 {
		return Unresolved
	}
	good := float64(o.Good) / float64(o.Scheduled) * o.Effective
	v := Judge(good, o.Effective, s.attainment(), Z95)
	if v == Yes && o.Saturated {
		return Unresolved
	}
	return v
}

// Abort ends the search without an outcome of the present probe, which becomes no limit.
func (s *Search) Abort(reason string) {
	s.aborted = reason
	if n := len(s.tried); n > 0 && !s.tried[n-1].done {
		s.tried = s.tried[:n-1]
	}
}

// Tried returns the probes so far, in order, each with the sum of its outcomes.
func (s *Search) Tried() []Tried { return slices.Clone(s.tried) }

// Found returns what is known so far.
func (s *Search) Found() Found {
	lower, upper, open := s.bounds()
	f := Found{Lower: lower, Upper: upper, Monotonic: true}
	f.Monotonic, f.Reason = s.monotonic()
	switch {
	case s.aborted != "":
		f.Reason = s.aborted
	case f.Reason != "":
	case s.sustained(lower, No):
		f.Reason = fmt.Sprintf("the sustained run at %.4g did not meet the objective", lower)
	case s.sustained(lower, Unresolved):
		f.Reason = fmt.Sprintf("the sustained run at %.4g does not tell whether the objective is met: a longer one "+
			"would", lower)
	case s.close(lower, upper, s.tolerance()):
		f.Resolved = true
	case len(open) > 0:
		f.Reason = fmt.Sprintf("at %.4g the objective is neither met nor missed for certain: longer probes would tell",
			open[0])
	case upper == 0 && lower == s.To:
		f.Reason = fmt.Sprintf("the objective is met at the highest load, %.4g", s.To)
	case lower == 0 && upper > 0:
		f.Reason = fmt.Sprintf("the objective is not met at the lowest load, %.4g", upper)
	default:
		f.Reason = "the search has not ended"
	}
	return f
}

// sustained reports whether a sustained run at the lower limit, or below it, had a verdict; unresolved counts only at
// the limit itself.
func (s *Search) sustained(lower float64, v Verdict) bool {
	return slices.ContainsFunc(s.tried, func(t Tried) bool {
		return t.Role == RoleSustained && t.done && t.Verdict == v && (t.Load == lower || v == No && t.Load < lower)
	})
}

// monotonic compares the attainments of each two loads: their 99 % intervals must not be apart in the wrong order.
func (s *Search) monotonic() (bool, string) {
	type at struct{ load, low, high float64 }
	var all []at
	for _, t := range s.tried {
		if t.Scheduled > 0 {
			low, high := Wilson(float64(t.Good)/float64(t.Scheduled)*t.Effective, t.Effective, Z99)
			all = append(all, at{t.Load, low, high})
		}
	}
	for _, a := range all {
		for _, b := range all {
			if a.load < b.load && a.high < b.low {
				return false, fmt.Sprintf("a higher load did better: attainment at most %.3f at %.4g, at least %.3f "+
					"at %.4g", a.high, a.load, b.low, b.load)
			}
		}
	}
	return true, ""
}
