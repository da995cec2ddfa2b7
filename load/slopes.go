package load

import "math"

// slope is a part of a schedule in which the rate changes in a straight line.
type slope struct{ seconds, from, to float64 }

// slopes is the rate over time. It maps a process with a mean rate of one onto time: an arrival is where the integral
// of the rate reaches it.
type slopes []slope

func (p Process) slopes() slopes {
	switch p.Kind {
	case Ramp:
		if p.DurationS > 0 {
			return slopes{{p.DurationS, p.Rate, p.ToRate}}
		}
		// the last requests may come later than expected
		return slopes{{2 * float64(p.Requests) / (p.Rate + p.ToRate), p.Rate, p.ToRate},
			{math.Inf(1), p.ToRate, p.ToRate}}
	case Rates:
		var out slopes
		for _, q := range p.Rates {
			out = append(out, slope{q.Seconds, q.Rate, q.Rate})
		}
		return out
	}
	return slopes{{math.Inf(1), p.Rate, p.Rate}}
}

// end returns when the schedule ends.
func (s slopes) end() (seconds float64) {
	for _, q := range s {
		seconds += q.seconds
	}
	return seconds
}

// count returns the integral of the rate up to a time.
func (s slopes) count(seconds float64) (n float64) {
	for _, q := range s {
		t := min(q.seconds, seconds)
		if t <= 0 {
			break
		}
		n += t * q.from
		if q.from != q.to {
			n += t * t / (2 * q.seconds) * (q.to - q.from)
		}
		seconds -= t
	}
	return n
}

// when returns when the integral of the rate reaches n; infinite if it never does.
func (s slopes) when(n float64) (seconds float64) {
	for _, q := range s {
		all := slopes{q}.count(q.seconds)
		if n > all || n == all && q.to == 0 {
			n -= all
			seconds += q.seconds
			continue
		}
		if q.from == q.to {
			return seconds + n/q.from
		}
		// n = from t + a t²/2, in the form that does not cancel
		a := (q.to - q.from) / q.seconds
		return seconds + 2*n/(q.from+math.Sqrt(max(0, q.from*q.from+2*a*n)))
	}
	return math.Inf(1)
}
