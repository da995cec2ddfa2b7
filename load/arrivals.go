package load

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kinds of arrivals.
const (
	Constant = "constant" // equal gaps
	Poisson  = "poisson"  // exponential gaps
	Gamma    = "gamma"    // gaps with a coefficient of variation
	Ramp     = "ramp"     // Poisson with a rate that changes steadily
	Rates    = "rates"    // Poisson with a rate that changes in steps
	Trace    = "trace"    // recorded requests: package trace
)

// Bounds of a schedule. They hold before memory is used.
const (
	MaxRequests = 10_000_000         // most requests of a schedule
	MaxDuration = 7 * 24 * time.Hour // longest schedule
	MaxRate     = 1e6                // highest rate, in requests per second
	MinRate     = 1e-5               // lowest rate, in requests per second
	MaxCV       = 20.0               // highest coefficient of variation
	MinCV       = 0.01               // lowest coefficient of variation
)

// Process describes arrivals. Requests or DurationS bounds it; if both are set, the first that is reached.
type Process struct {
	// Kind is Constant, Poisson, Gamma, Ramp or Rates.
	Kind string
	// Rate is the mean number of requests per second; of a ramp the first one.
	Rate float64
	// ToRate is the last rate of a ramp.
	ToRate float64
	// CV is the coefficient of variation of the gaps of Gamma.
	CV float64
	// Rates are pieces of constant rate, see [ParseRates].
	Rates []Piece
	// Seed of the choice. A constant process has none.
	Seed uint64
	// DurationS is how long requests arrive, in seconds; 0 has no bound.
	DurationS float64
	// Requests is the maximum number of requests; 0 has no bound.
	Requests int
	// Normalise scales the times of Poisson and Gamma so that the last of n requests is at n/Rate.
	Normalise bool
}

// Piece is a part of a schedule with a constant rate.
type Piece struct {
	// Seconds is how long it lasts.
	Seconds float64
	// Rate in requests per second; 0 is a pause.
	Rate float64
}

// Mistake is a value of a process, a limit or a search that has no meaning.
type Mistake struct {
	// Field is the name of the value, as in studies: rate, to_rate, cv, rates, duration_s, requests, …
	Field string
	// Message is what is wrong, and Next the next step.
	Message, Next string
}

// Error returns the message.
func (m *Mistake) Error() string { return m.Message }

// NextStep returns the next step for the user.
func (m *Mistake) NextStep() string { return m.Next }

func mistakef(field, next, format string, args ...any) *Mistake {
	return &Mistake{Field: field, Message: fmt.Sprintf(format, args...), Next: next}
}

// Burstiness returns what other programs call burstiness: the shape of the gamma distribution with this coefficient of
// variation. 1 is Poisson, below 1 is more bursty.
func Burstiness(cv float64) float64 { return 1 / (cv * cv) }

const wantRates = "write DURATION:RATE, such as 30s:2 1m:8.5 30s:0"

// ParseRates reads pieces of constant rate, as DURATION:RATE separated by spaces: "30s:2 1m:8.5 30s:0".
func ParseRates(text string) ([]Piece, error) {
	var out []Piece
	for word := range strings.FieldsSeq(text) {
		span, number, _ := strings.Cut(word, ":")
		d, err := time.ParseDuration(span)
		rate, wrong := strconv.ParseFloat(number, 64)
		if err != nil || wrong != nil || d <= 0 || !(rate >= 0) || rate > MaxRate {
			return nil, mistakef("rates", wantRates, "%q is not a duration and a rate from 0 to %g requests per second",
				word, float64(MaxRate))
		}
		out = append(out, Piece{d.Seconds(), rate})
	}
	if len(out) == 0 {
		return nil, mistakef("rates", wantRates, "no rates are given")
	}
	return out, nil
}

// Check returns the first mistake of the process, as a [Mistake].
func (p Process) Check() error {
	switch p.Kind {
	case Constant, Poisson, Gamma:
		if err := checkRate("rate", p.Rate); err != nil {
			return err
		}
		if p.Kind == Gamma && !(p.CV >= MinCV && p.CV <= MaxCV) {
			return mistakef("cv", "1 is Poisson, above 1 is bursty", "cv is %g, want a number from %g to %g", p.CV,
				MinCV, MaxCV)
		}
	case Ramp:
		if err := checkRate("rate", p.Rate); err != nil {
			return err
		}
		if err := checkRate("to_rate", p.ToRate); err != nil {
			return err
		}
	case Rates:
		if !slices.ContainsFunc(p.Rates, func(q Piece) bool { return q.Rate > 0 }) {
			return mistakef("rates", "give at least one rate above 0", "no requests arrive at these rates")
		}
		for _, q := range p.Rates {
			if !(q.Seconds > 0 && q.Seconds <= MaxDuration.Seconds() && q.Rate >= 0 && q.Rate <= MaxRate) {
				return mistakef("rates", "", "a rate of %g for %g s is outside of the limits", q.Rate, q.Seconds)
			}
		}
	default:
		return mistakef("kind", "use constant, poisson, gamma, ramp or rates", "%q is not a kind of arrivals", p.Kind)
	}
	return p.checkSize()
}

func checkRate(field string, rate float64) error {
	if rate >= MinRate && rate <= MaxRate {
		return nil
	}
	return mistakef(field, "give a rate in requests per second", "%s is %g, want more than 0 and at most %g requests "+
		"per second", field, rate, float64(MaxRate))
}

// checkSize refuses schedules without an end, and those beyond the bounds.
func (p Process) checkSize() error {
	long := MaxDuration.Seconds()
	switch {
	case p.Requests < 0 || !(p.DurationS >= 0):
		return mistakef("duration_s", "give a duration", "%d requests in %g s", p.Requests, p.DurationS)
	case p.Requests == 0 && p.DurationS == 0 && p.Kind != Rates:
		return mistakef("duration_s", "give a duration or a number of requests", "the load has no end")
	case p.Requests > MaxRequests:
		return mistakef("requests", "give fewer", "%d requests, of at most %d", p.Requests, MaxRequests)
	}
	n, seconds := p.Expected()
	switch {
	case seconds > long:
		return mistakef("duration_s", "raise the rate or shorten the load", "the load takes %.0f s, of at most %.0f s "+
			"(7 days)", seconds, long)
	case n > MaxRequests:
		return mistakef("duration_s", "lower the rate or shorten the load", "%.0f requests arrive in %.0f s, of at "+
			"most %d", n, seconds, MaxRequests)
	}
	return nil
}

// Expected returns the expected number of requests and the expected duration in seconds.
func (p Process) Expected() (requests, seconds float64) {
	s := p.slopes()
	seconds = s.end()
	if p.DurationS > 0 {
		seconds = min(seconds, p.DurationS)
	}
	requests = s.count(seconds)
	if n := float64(p.Requests); n > 0 && !(requests <= n) {
		requests, seconds = n, s.when(n)
	}
	return requests, seconds
}

// MeanRate returns the expected number of requests per second.
func (p Process) MeanRate() float64 {
	n, seconds := p.Expected()
	if seconds == 0 {
		return 0
	}
	return n / seconds
}

// Times returns when requests arrive, in nanoseconds from the start, in ascending order. It returns a [Mistake] if the
// process has no meaning or is beyond the bounds.
func Times(p Process) ([]int64, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	expected, _ := p.Expected()
	out := make([]int64, 0, int(expected)+int(4*math.Sqrt(expected))+1)
	for ns := range p.All() {
		if len(out) == MaxRequests {
			return nil, mistakef("duration_s", "lower the rate or shorten the load", "more than %d requests arrive",
				MaxRequests)
		}
		out = append(out, ns)
	}
	return out, nil
}

// All yields the arrivals of a process without mistakes one by one, as [Times] returns them. A process that is to be
// normalised is held in memory.
func (p Process) All() iter.Seq[int64] {
	if p.Normalise && (p.Kind == Poisson || p.Kind == Gamma) {
		return p.normalised()
	}
	units := p.units()
	s := p.slopes()
	last := math.Inf(1)
	if p.DurationS > 0 {
		last = p.DurationS
	}
	return func(yield func(int64) bool) {
		n := 0
		for u := range units {
			if p.Requests > 0 && n == p.Requests {
				return
			}
			t := s.when(u)
			if !(t < last) || !yield(int64(math.Round(t*1e9))) {
				return
			}
			n++
		}
	}
}

// normalised scales n = Requests, or Rate times DurationS, arrivals so that the last one is at n/Rate.
func (p Process) normalised() iter.Seq[int64] {
	n := p.Requests
	if byTime := int(math.Round(p.Rate * p.DurationS)); n == 0 || p.DurationS > 0 && byTime < n {
		n = max(1, byTime)
	}
	var at []float64
	for u := range p.units() {
		if at = append(at, u); len(at) == n {
			break
		}
	}
	return func(yield func(int64) bool) {
		for _, u := range at {
			if !yield(int64(math.Round(u / at[n-1] * float64(n) / p.Rate * 1e9))) {
				return
			}
		}
	}
}

// units yields arrivals with a mean rate of one, without end. The first gap of Gamma is the rest of a gap that began
// before the start, so that the expected number of requests is exactly rate times duration.
func (p Process) units() iter.Seq[float64] {
	if p.Kind == Constant {
		return func(yield func(float64) bool) {
			for i := 0; yield(float64(i)); i++ {
			}
		}
	}
	return func(yield func(float64) bool) {
		src := newSource(p.Seed)
		at := src.exponential()
		if p.Kind == Gamma {
			at = src.uniform() * src.gamma(Burstiness(p.CV)+1) / Burstiness(p.CV)
		}
		for yield(at) {
			if p.Kind == Gamma {
				at += src.gamma(Burstiness(p.CV)) / Burstiness(p.CV)
			} else {
				at += src.exponential()
			}
		}
	}
}
