package result

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/note"
)

// Spread describes one number over the cycles of a configuration. Nothing of it is
// known from the runs' own intervals: it is what repeating shows.
type Spread struct {
	// N is the number of runs with a value.
	N int `json:"n"`
	// Mean of the values, in the unit of the metric, like all numbers here but N; NaN, and
	// absent from JSON like what follows, where no run has a value and Pooled has one.
	Mean float64 `json:"mean"`
	// Median of the values.
	Median float64  `json:"median"`
	SD     *float64 `json:"sd"` // null for one run
	// Min is the smallest value.
	Min float64 `json:"min"`
	// Max is the largest value.
	Max float64 `json:"max"`
	// Percentiles by linear interpolation between the runs.
	P5 float64 `json:"p5"`
	// P50 is the median.
	P50 float64 `json:"p50"`
	// P95 is the 95th percentile.
	P95 float64 `json:"p95"`
	// CI95 is the 95 % interval of the mean; null for one run.
	CI95 *[2]float64 `json:"ci95"`
	// Method is how CI95 was found: student-t, or bca for 20 runs or more that are skewed.
	Method string `json:"method,omitempty"`
	// Pooled is, for a percentile over the requests, that of the requests of all runs
	// together.
	Pooled *Pooled `json:"pooled,omitempty"`
	// Caveats are reasons to read the numbers with care.
	Caveats note.List `json:"caveats,omitempty"`
}

// Pooled is a percentile of what several runs saw, taken together: the mean of the
// percentiles of the runs is not one.
type Pooled struct {
	// Value is the percentile; null where there are too few values, and Reason says so.
	Value *float64 `json:"value"`
	// CI95 is its 95 % interval; null where runs and values are too few for one.
	CI95 *[2]float64 `json:"ci95"`
	// Method is how CI95 was found: woodruff, with the runs as clusters.
	Method string `json:"method,omitempty"`
	// Runs is how many runs the values come from, Values how many values there are.
	Runs int `json:"runs"`
	// Values is a number of requests, or of gaps between tokens.
	Values int `json:"values"`
	// Reason is why Value is null, or which runs are not in it.
	Reason string `json:"reason,omitempty"`
}

// single is the spread of one run: none.
func single(v float64) Spread {
	return Spread{N: 1, Mean: v, Median: v, Min: v, Max: v, P5: v, P50: v, P95: v}
}

// Figure is the number that stands for the configuration, with its 95 % interval, if there is one,
// and how that was found: the pooled percentile, or else the mean. A pooled percentile without an
// interval of its own has that of the mean of the runs' percentiles, if it lies in it.
func (s Spread) Figure() (value float64, ci95 *[2]float64, method string) {
	if s.Pooled == nil || s.Pooled.Value == nil {
		return s.Mean, s.CI95, s.Method
	}
	value = *s.Pooled.Value
	if s.Pooled.CI95 == nil && s.CI95 != nil && s.CI95[0] <= value && value <= s.CI95[1] {
		return value, s.CI95, s.Method
	}
	return value, s.Pooled.CI95, s.Pooled.Method
}

// known reports whether there is a number that stands for the configuration.
func (s Spread) known() bool { return s.N > 0 || s.Pooled != nil && s.Pooled.Value != nil }

// point is the spread as the comparisons take it.
func (s Spread) point() stats.Point {
	value, ci95, _ := s.Figure()
	p := stats.Point{Value: value, Low: math.NaN(), High: math.NaN()}
	if ci95 != nil {
		p.Low, p.High = ci95[0], ci95[1]
	}
	return p
}

// lone is how the spread of one run is written: there is nothing else to say, and a
// study may have 100 000 of them. Of a percentile that no run has by itself the mean is left
// out, too.
type lone struct {
	N      int      `json:"n"`
	Mean   *float64 `json:"mean,omitempty"`
	Pooled *Pooled  `json:"pooled,omitempty"`
}

// MarshalJSON writes n and mean alone for one run.
func (s Spread) MarshalJSON() ([]byte, error) {
	switch s.N {
	case 0:
		return json.Marshal(lone{Pooled: s.Pooled})
	case 1:
		return json.Marshal(lone{1, &s.Mean, s.Pooled})
	}
	type plain Spread
	return json.Marshal(plain(s))
}

// UnmarshalJSON reads what MarshalJSON writes. Earlier versions knew one method.
func (s *Spread) UnmarshalJSON(text []byte) error {
	type plain Spread
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	*s = Spread(p)
	switch {
	case s.N == 0:
		*s = single(math.NaN())
		s.N, s.Pooled = 0, p.Pooled
	case s.N == 1:
		*s = single(p.Mean)
		s.Pooled = p.Pooled
	case s.CI95 != nil && s.Method == "":
		s.Method = string(stats.MethodStudent)
	}
	return nil
}

// Spreads are the spreads of a configuration's metrics. Configurations with one run
// keep one number for each.
type Spreads struct {
	one  Values
	many []placed
}

// placed is the spread of the metric at a place of [Metrics], without the pointers: a large
// study has a million of them.
type placed struct {
	place, n                                       int32
	mean, median, sd, min, max, p5, p95, low, high float64
	method                                         string
	pooled                                         *Pooled
	caveats                                        *note.List
}

func place(i int, s Spread) placed {
	p := placed{int32(i), int32(s.N), s.Mean, s.Median, math.NaN(), s.Min, s.Max, s.P5, s.P95, math.NaN(),
		math.NaN(), s.Method, s.Pooled, nil}
	if s.SD != nil {
		p.sd = *s.SD
	}
	if s.CI95 != nil {
		p.low, p.high = s.CI95[0], s.CI95[1]
	}
	if len(s.Caveats) > 0 {
		p.caveats = new(slices.Clone(s.Caveats))
	}
	return p
}

// spread is what was placed.
func (p *placed) spread() Spread {
	s := Spread{N: int(p.n), Mean: p.mean, Median: p.median, Min: p.min, Max: p.max, P5: p.p5, P50: p.median,
		P95: p.p95, Method: p.method, Pooled: p.pooled}
	if !math.IsNaN(p.sd) {
		s.SD = &p.sd
	}
	if !math.IsNaN(p.low) {
		s.CI95 = &[2]float64{p.low, p.high}
	}
	if p.caveats != nil {
		s.Caveats = *p.caveats
	}
	return s
}

// Get is the spread of a metric; false where the runs do not have it.
func (s Spreads) Get(metric string) (Spread, bool) {
	i := metricIndex(metric)
	if i < 0 {
		return Spread{}, false
	}
	if s.many != nil {
		at, ok := s.find(i)
		if !ok {
			return Spread{}, false
		}
		found := s.many[at].spread()
		return found, found.known()
	}
	v, ok := s.one.at(i)
	return single(v), ok
}

// find is where the spread of the metric at a place stands, or would.
func (s Spreads) find(place int) (int, bool) {
	return slices.BinarySearchFunc(s.many, place, func(p placed, i int) int { return int(p.place) - i })
}

// Why is the reason why a metric has no value over several runs, where it is known.
func (s Spreads) Why(metric string) string {
	if i := metricIndex(metric); i >= 0 {
		if at, ok := s.find(i); ok && s.many[at].n == 0 && s.many[at].pooled != nil {
			return s.many[at].pooled.Reason
		}
	}
	return ""
}

// Pool adds the pooled percentile of a metric over several runs.
func (s *Spreads) Pool(metric string, p *Pooled) {
	i := metricIndex(metric)
	if i < 0 || s.many == nil {
		return
	}
	at, ok := s.find(i)
	if !ok {
		none := single(math.NaN())
		none.N = 0
		s.many = slices.Insert(s.many, at, place(i, none))
	}
	s.many[at].pooled = p
}

// Equal compares spreads.
func (s Spreads) Equal(o Spreads) bool {
	x, errX := json.Marshal(s)
	y, errY := json.Marshal(o)
	return errX == nil && errY == nil && string(x) == string(y)
}

// MarshalJSON writes an object of spreads by metric, or null where there is none.
func (s Spreads) MarshalJSON() ([]byte, error) {
	if len(s.many)+len(s.one.of) == 0 {
		return []byte("null"), nil
	}
	out := []byte{'{'}
	add := func(place int, value Spread) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		text, err := json.Marshal(value)
		out = append(fmt.Appendf(out, "%q:", metricInfos[place].Name), text...)
		return err
	}
	for i := range s.many {
		if err := add(int(s.many[i].place), s.many[i].spread()); err != nil {
			return nil, err
		}
	}
	for i, v := range s.one.all() {
		if err := add(i, single(v)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes. Metrics that this version does not know
// are left out.
func (s *Spreads) UnmarshalJSON(text []byte) error {
	var room [mostMetrics]float64
	all := room[:len(metricInfos)]
	fill(all)
	if *s = (Spreads{}); readPlain(all, text, loneHead) {
		dropUncounted(all)
		s.one = packed(all)
		return nil
	}
	var named map[string]Spread
	if err := json.Unmarshal(text, &named); err != nil || named == nil {
		return err
	}
	fill(all)
	lone := true
	_, counted := named[countedBy]
	for i, m := range metricInfos {
		if !counted && m.floored() {
			continue
		}
		if spread, ok := named[m.Name]; ok {
			s.add(place(i, spread))
			all[i], lone = spread.Mean, lone && spread.N == 1 && spread.Pooled == nil
		}
	}
	s.shrink()
	if lone {
		*s = Spreads{one: packed(all)}
	}
	return nil
}

// SpreadsOf describes the metrics of runs that are comparable, in the order in which they were
// made.
func SpreadsOf(runs []Values) (Spreads, error) {
	if len(runs) == 0 {
		return Spreads{}, nil
	}
	if len(runs) == 1 {
		return Spreads{one: runs[0]}, nil
	}
	var out Spreads
	values := make([]float64, 0, len(runs))
	for i, m := range metricInfos {
		values = values[:0]
		for _, v := range runs {
			if x, ok := v.at(i); ok {
				values = append(values, x)
			}
		}
		if len(values) == 0 {
			continue
		}
		s, err := spreadOf(values)
		if err != nil {
			return out, fmt.Errorf("%s: %w", m.Name, err)
		}
		out.add(place(i, s))
	}
	out.shrink()
	return out, nil
}

// add adds a spread. Caveats that are the same are kept once: many numbers are the same in all runs.
func (s *Spreads) add(p placed) {
	if p.caveats != nil {
		same := slices.IndexFunc(s.many, func(o placed) bool {
			return o.caveats != nil && slices.Equal(*o.caveats, *p.caveats)
		})
		if same >= 0 {
			p.caveats = s.many[same].caveats
		}
	}
	s.many = append(s.many, p)
}

// shrink gives back the room that adding took beyond need: a large study has a thousand of these.
func (s *Spreads) shrink() { s.many = append(make([]placed, 0, len(s.many)), s.many...) }

func spreadOf(values []float64) (Spread, error) {
	if len(values) == 1 {
		return single(values[0]), nil
	}
	sum, _ := stats.Summarize(values)
	out := Spread{N: sum.N, Mean: sum.Mean, Median: sum.Median, Min: sum.Min, Max: sum.Max, SD: &sum.SD,
		P5: sum.Percentile(5), P50: sum.Median, P95: sum.Percentile(95)}
	e, err := stats.MeanByShape(values)
	if err != nil {
		return out, err
	}
	if e.HasInterval() {
		out.CI95, out.Method = &[2]float64{e.Low, e.High}, string(e.Method)
	}
	caveats := e.Caveats
	if flags, err := stats.Outliers(values); err == nil {
		if n := len(slices.DeleteFunc(flags, func(far bool) bool { return !far })); n > 0 {
			caveats.Warnf(codes.Outliers, "%d of %d runs lie far from the others", n, len(values))
		}
	}
	// The runs stand in the order in which they were made.
	if trend, ok := stats.DriftOfRuns(values); ok && trend.P < 1-stats.DefaultLevel {
		caveats.Warnf(codes.Drift, "it moved by %+.2g %% from the first run to the last (p = %.2g)", 100*trend.Change,
			trend.P)
	}
	out.Caveats = caveats
	return out, nil
}
