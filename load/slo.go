package load

import "math"

// Verdict is whether a load meets an objective.
type Verdict = string

// Verdicts.
const (
	Yes        Verdict = "yes"
	No         Verdict = "no"
	Unresolved Verdict = "unresolved" // too few requests to tell
)

// Normal quantiles of two-sided intervals.
const (
	Z95 = 1.959963984540054
	Z99 = 2.5758293035489004
)

// DefaultAttainment is the required fraction of good requests if an objective gives none.
const DefaultAttainment = 0.95

// Wilson returns the score interval of Wilson (1927) for a fraction, of which good of n were seen; z is the normal
// quantile, such as [Z95]. Unlike the usual interval it holds near 0 and 1, too. n need not be whole: it may be the
// number of independent requests that dependent ones are worth. Without any it is 0 to 1.
func Wilson(good, n, z float64) (low, high float64) {
	if !(n > 0) {
		return 0, 1
	}
	p := min(1, max(0, good/n))
	middle := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	all := 1 + z*z/n
	return max(0, (middle-half)/all), min(1, (middle+half)/all)
}

// Judge reports whether the fraction of good requests reaches an attainment: yes if the whole Wilson interval does, no
// if none of it does.
func Judge(good, n, attainment, z float64) Verdict {
	low, high := Wilson(good, n, z)
	return Judged(low, high, attainment)
}

// Judged reports whether a fraction with an interval reaches an attainment, see [Judge].
func Judged(low, high, attainment float64) Verdict {
	switch {
	case low >= attainment:
		return Yes
	case high < attainment:
		return No
	}
	return Unresolved
}

// LeastRequests returns how many requests are needed for the verdict yes if all of them are good. With fewer, no load
// can be said to reach the attainment.
func LeastRequests(attainment, z float64) int {
	// all good: the lower limit is n / (n + z²)
	n := math.Ceil(z * z * attainment / (1 - attainment))
	for Judge(n, n, attainment, z) != Yes && n < 1e12 { // rounding
		n++
	}
	return int(n)
}

// Limits are an objective: a request is good if it meets each limit that is set.
type Limits struct {
	// TTFTMS limits the time to the first token, TPOTMS the mean time per further token, and E2EMS the time to the last
	// token, in milliseconds; 0 sets none. In an open loop times count from the scheduled arrival.
	TTFTMS float64
	TPOTMS float64 // see TTFTMS
	E2EMS  float64 // see TTFTMS
	// Attainment is the required fraction of good requests.
	Attainment float64
}

// Good reports whether a complete request meets the limits. TPOT of a single token is 0.
func (l Limits) Good(ttftMS, tpotMS, e2eMS float64) bool {
	within := func(value, limit float64) bool { return limit == 0 || value <= limit }
	return within(ttftMS, l.TTFTMS) && within(tpotMS, l.TPOTMS) && within(e2eMS, l.E2EMS)
}

// Class is a latency class of MLPerf.
type Class struct {
	// Name of the class.
	Name string
	// Limits of the class.
	Limits Limits
}

// classAttainment: the classes limit the 99th percentiles.
const classAttainment = 0.99

// Classes returns the latency classes of MLPerf Inference: TTFT and TPOT of the server and the interactive scenario,
// each at the 99th percentile (the rules of https://github.com/mlcommons/endpoints).
func Classes() []Class {
	class := func(name string, ttft, tpot float64) Class {
		return Class{name, Limits{TTFTMS: ttft, TPOTMS: tpot, Attainment: classAttainment}}
	}
	return []Class{
		class("llama-3.1-8b-server", 2000, 100),
		class("llama-3.1-8b-interactive", 500, 30),
		class("llama-2-70b-server", 2000, 200),
		class("llama-2-70b-interactive", 450, 40),
		class("llama-3.1-405b-server", 6000, 175),
		class("llama-3.1-405b-interactive", 4500, 80),
		class("mixtral-8x7b-server", 2000, 200),
	}
}
