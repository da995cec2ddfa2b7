package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// points describes the points and adds them up.
func (p *Plan) points(o Options, axes []naming.Key) {
	sum := newSum(o, len(o.Study.Experiments))
	unhindered, judged, fit := 0, 0, 0 // number of points: without a problem, estimated of these, and fitting
	for i, e := range o.Study.Experiments {
		runs := o.Shard.Cycles(o.Study, i)
		if runs == 0 {
			continue // in another shard
		}
		problems, short := o.problemsOf(e)
		var need *Need
		reason := "only a sample of the points is estimated"
		if o.Estimate == nil {
			reason = "not estimated"
		} else if sum.wants(i) {
			need, reason = o.Estimate(e)
			sum.add(need, reason, runs)
			if need != nil && !need.Fits {
				p.Unfit++
			}
		}
		if len(problems) == 0 {
			unhindered++
			if sum.wants(i) {
				judged++
				if need == nil || need.Fits {
					fit++
				}
			}
		}
		if o.Limit > 0 && len(p.Shown) >= o.Limit {
			continue
		}
		point := Point{Label: p.naming.Label(e), Values: map[string]string{}, Problems: problems, short: short,
			names: p.naming.Values(e)}
		for _, f := range axes {
			point.Values[f.Name] = f.Text(e)
		}
		if o.Only != "" && !strings.Contains(e.Label(), o.Only) && !point.matches(o.Only) {
			continue
		}
		if need == nil && o.Estimate != nil && len(p.Shown) < mostEstimates {
			need, reason = o.Estimate(e)
		}
		point.Load = loadOf(e, o.Files)
		point.ID, point.Need, point.Reason, point.model = e.ID(), need, reason, e.Model
		point.unknown = need == nil && o.Estimate != nil && !o.Study.Engine(e.Backend).Simulated ||
			need != nil && need.Unknown
		p.Shown = append(p.Shown, point)
	}
	p.Runnable = unhindered
	if judged > 0 {
		// rounded up, so that one runnable point is not reported as none
		p.Runnable = (unhindered*fit + judged - 1) / judged
	}
	if p.Totals, p.Missing = sum.totals(p.Runs, o.Price); p.Totals != nil && p.Totals.Cost != nil {
		p.Totals.Currency = o.Currency
	}
}

// problemsOf returns all errors that concern an experiment, in full and in a word each.
func (o Options) problemsOf(e study.Experiment) (full, short []string) {
	full = []string{}
	for _, q := range o.Problems {
		if !q.Error || q.Concerns == nil || !q.Concerns(e) {
			continue
		}
		full = append(full, q.Message)
		word := q.Short
		if word == "" {
			word = "see below"
		}
		if !slices.Contains(short, word) {
			short = append(short, word)
		}
	}
	return full, short
}

// sum adds up the needs of all points, or of a sample of them.
type sum struct {
	points, sample int
	counted        int // points
	runs           int // of the counted points
	missing        string
	t              Totals
	// from are the different bases with their devices, in order of appearance.
	from []string
}

func newSum(o Options, points int) *sum {
	s := &sum{points: points, sample: points}
	if o.Sample > 0 && o.Sample < points {
		s.sample = o.Sample
	}
	return s
}

// wants reports whether the point with this index is in the evenly spread sample.
func (s *sum) wants(i int) bool {
	return s.sample == s.points || i*s.sample/s.points != (i-1)*s.sample/s.points || i == 0
}

// add counts the runs of a point; nil is a point that could not be estimated.
func (s *sum) add(n *Need, reason string, runs int) {
	if n == nil {
		if s.missing == "" {
			s.missing = reason
		}
		return
	}
	s.counted++
	s.runs += runs
	each := float64(runs)
	s.t.Seconds += each * n.Seconds
	s.t.starting += each * n.StartSeconds
	s.t.KWh += each * n.Joules / joulesPerKWh
	for i := range 2 {
		s.t.SecondsRange[i] += each * n.SecondsRange[i]
		s.t.KWhRange[i] += each * n.JoulesRange[i] / joulesPerKWh
	}
	if from := n.Basis + ", for " + n.Device; !slices.Contains(s.from, from) {
		s.from = append(s.from, from)
	}
}

const joulesPerKWh = 3.6e6

// mostBases bounds the bases of a total that are named.
const mostBases = 4

// totals scales the sum to all runs. The totals are unknown if one point is.
func (s *sum) totals(runs int, price float64) (*Totals, string) {
	if s.missing != "" || s.runs == 0 {
		return nil, s.missing
	}
	t := s.t
	scale := float64(runs) / float64(s.runs)
	t.Seconds, t.KWh, t.starting = t.Seconds*scale, t.KWh*scale, t.starting*scale
	for i := range 2 {
		t.SecondsRange[i] *= scale
		t.KWhRange[i] *= scale
	}
	if price > 0 {
		cost := t.KWh * price
		t.Cost = &cost
	}
	from := s.from
	if n := len(from) - mostBases; n > 0 {
		from = append(slices.Clone(from[:mostBases]), fmt.Sprintf("and %d more", n))
	}
	t.Basis = strings.Join(from, "; ")
	if s.sample < s.points {
		t.Sample = s.counted
	}
	return &t, ""
}
