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

// Spread describes one number over the cycles of a configuration. It comes from repeating the run, not from
// the intervals of single runs.
type Spread struct {
	// N is the number of runs with a value.
	N int `json:"n"`
	// Mean is the mean in the unit of the metric, like all numbers here but N. If no run has a value but
	// Pooled has one, it is NaN; it and the following fields are then absent from JSON.
	Mean float64 `json:"mean"`
	// Median of the values.
	Median float64  `json:"median"`
	SD     *float64 `json:"sd"` // null for a single run
	// Min is the smallest value.
	Min float64 `json:"min"`
	// Max is the largest value.
	Max float64 `json:"max"`
	// P5, P50 and P95 are percentiles by linear interpolation between the runs.
	P5 float64 `json:"p5"`
	// P50 is the median.
	P50 float64 `json:"p50"`
	// P95 is the 95th percentile.
	P95 float64 `json:"p95"`
	// CI95 is the 95 % confidence interval of the mean; null for a single run.
	CI95 *[2]float64 `json:"ci95"`
	// Method is the method of CI95: student-t, or bca for 20 or more runs with a skewed distribution.
	Method string `json:"method,omitempty"`
	// Pooled, for a percentile over the requests, is the percentile over the requests of all runs.
	Pooled *Pooled `json:"pooled,omitempty"`
	// Caveats are reasons to interpret the numbers with care.
	Caveats note.List `json:"caveats,omitempty"`
}

// Pooled is a percentile over the values of several runs. The mean of the percentiles of the runs is not a
// percentile.
type Pooled struct {
	// Value is the percentile; null, with Reason, if there are too few values.
	Value *float64 `json:"value"`
	// CI95 is its 95 % confidence interval; null if there are too few runs or values.
	CI95 *[2]float64 `json:"ci95"`
	// Method is the method of CI95: woodruff, with the runs as clusters.
	Method string `json:"method,omitempty"`
	// Runs is the number of runs that the values come from.
	Runs int `json:"runs"`
	// Values is the number of requests, or of gaps between tokens.
	Values int `json:"values"`
	// Reason is why Value is null, or which runs are excluded.
	Reason string `json:"reason,omitempty"`
}

// single returns the spread of a single run.
func single(v float64) Spread {
	return Spread{N: 1, Mean: v, Median: v, Min: v, Max: v, P5: v, P50: v, P95: v}
}

// Figure returns the number that represents the configuration, with its 95 % confidence interval, if any, and
// its method: the pooled percentile, otherwise the mean. A pooled percentile without an interval has the
// interval of the mean of the runs' percentiles, if that contains it.
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

// known reports whether there is a number that represents the configuration.
func (s Spread) known() bool { return s.N > 0 || s.Pooled != nil && s.Pooled.Value != nil }

// point returns the spread in the form for comparisons.
func (s Spread) point() stats.Point {
	value, ci95, _ := s.Figure()
	p := stats.Point{Value: value, Low: math.NaN(), High: math.NaN()}
	if ci95 != nil {
		p.Low, p.High = ci95[0], ci95[1]
	}
	return p
}

// lone is the JSON of a single run's spread, which has no other information; a study may have 100,000 of
// them. The mean is omitted if only the pooled percentile is known.
type lone struct {
	N      int      `json:"n"`
	Mean   *float64 `json:"mean,omitempty"`
	Pooled *Pooled  `json:"pooled,omitempty"`
}

// MarshalJSON writes only n and mean for a single run.
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

// UnmarshalJSON reads the format of MarshalJSON. Earlier versions had a single method.
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

// Spreads are the spreads of a configuration's metrics. Configurations with a single run store one number for
// each.
type Spreads struct {
	one  Values
	many []placed
}

// placed is the spread of the metric with an index in [Metrics], without pointers: a large study has a
// million of them.
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

// spread returns the stored spread.
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

// Get returns the spread of a metric; false if the runs do not have it.
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

// find returns the position of a metric's spread, and whether it exists.
func (s Spreads) find(place int) (int, bool) {
	return slices.BinarySearchFunc(s.many, place, func(p placed, i int) int { return int(p.place) - i })
}

// Why returns why a metric has no value over several runs, if known.
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

// Equal reports whether the spreads are equal.
func (s Spreads) Equal(o Spreads) bool {
	x, errX := json.Marshal(s)
	y, errY := json.Marshal(o)
	return errX == nil && errY == nil && string(x) == string(y)
}

// MarshalJSON writes an object of spreads by metric, or null if there are none.
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

// UnmarshalJSON reads the format of MarshalJSON. It ignores metrics that this version does not know.
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

// SpreadsOf returns the spreads of the metrics of comparable runs, in the order of execution.
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

// add adds a spread. Equal caveats are stored once, because many numbers are equal in all runs.
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

// shrink frees the excess capacity: a large study has a thousand of these.
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
	// The runs are in the order of execution.
	if trend, ok := stats.DriftOfRuns(values); ok && trend.P < 1-stats.DefaultLevel {
		caveats.Warnf(codes.Drift, "it moved by %+.2g %% from the first run to the last (p = %.2g)", 100*trend.Change,
			trend.P)
	}
	out.Caveats = caveats
	return out, nil
}
