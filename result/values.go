package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Values are the metrics that a run has. A study may have 100,000 of them, so that there is
// room for the ones alone that are there.
type Values struct {
	// has is the set of the metrics by their places in [Metrics].
	has [mostMetrics / 64]uint64
	// of are their values, in the same order; nil where nothing is known, not even that there
	// is no value.
	of []float64
}

// mostMetrics bounds the table of metrics.
const mostMetrics = 256

// ValuesOf are the metrics of a record.
func ValuesOf(r *Record) Values {
	all := make([]float64, len(metricInfos))
	for i, m := range metricInfos {
		v, ok := m.Value(r)
		if !ok {
			v = math.NaN()
		}
		all[i] = v
	}
	return packed(all)
}

// packed keeps of a value for each metric, NaN where there is none, those that are there.
func packed(all []float64) Values {
	n := 0
	for _, x := range all {
		if !math.IsNaN(x) {
			n++
		}
	}
	v := Values{of: make([]float64, 0, n)}
	for i, x := range all {
		if !math.IsNaN(x) {
			v.has[i/64] |= 1 << (i % 64)
			v.of = append(v.of, x)
		}
	}
	return v
}

// Known reports whether it is known which metrics there are: lines of earlier versions have no
// values.
func (v Values) Known() bool { return v.of != nil }

// Get is the value of a metric; false where there is none.
func (v Values) Get(metric string) (float64, bool) {
	i := metricIndex(metric)
	if i < 0 {
		return 0, false
	}
	return v.at(i)
}

// at is the value of the metric at a place of [Metrics].
func (v Values) at(i int) (float64, bool) {
	word, bit := i/64, uint64(1)<<(i%64)
	if v.has[word]&bit == 0 {
		return 0, false
	}
	n := bits.OnesCount64(v.has[word] & (bit - 1))
	for _, w := range v.has[:word] {
		n += bits.OnesCount64(w)
	}
	return v.of[n], true
}

// all yields the places in [Metrics] of the metrics that are there, and their values.
func (v Values) all() iter.Seq2[int, float64] {
	return func(yield func(int, float64) bool) {
		n := 0
		for word, w := range v.has {
			for ; w != 0; w &= w - 1 {
				if !yield(64*word+bits.TrailingZeros64(w), v.of[n]) {
					return
				}
				n++
			}
		}
	}
}

// Equal reports whether the same metrics have the same values.
func (v Values) Equal(o Values) bool { return v.has == o.has && slices.Equal(v.of, o.of) }

// Within reports whether another set of values has all of these. That of an earlier version
// lacks the metrics that there were not, and may have response times as service times.
func (v Values) Within(o Values) bool {
	earlier := v.Earlier()
	for i, x := range v.all() {
		y, ok := o.at(i)
		if !ok && earlier {
			y, ok = o.Get(responseName(metricInfos[i].Name))
		}
		if !ok || x != y {
			return false
		}
	}
	return true
}

// WithoutEnergy are the values without the ones that energy is part of.
func (v Values) WithoutEnergy() Values {
	var places []int
	for i := range v.all() {
		if name := metricInfos[i].Name; !strings.HasPrefix(name, "energy.") && name != "compute.flops_per_j" &&
			name != "harness.energy_j" {
			places = append(places, i)
		}
	}
	return v.only(places)
}

// only keeps the metrics of these places, in order.
func (v Values) only(places []int) Values {
	out := Values{of: []float64{}}
	for _, i := range places {
		if x, ok := v.at(i); ok {
			out.has[i/64] |= 1 << (i % 64)
			out.of = append(out.of, x)
		}
	}
	return out
}

// MarshalJSON writes an object of those that are there, by their names.
func (v Values) MarshalJSON() ([]byte, error) {
	if v.of == nil {
		return []byte("null"), nil
	}
	out := append(make([]byte, 0, 48*len(v.of)+2), '{')
	for i, x := range v.all() {
		if math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s is infinite", metricInfos[i].Name)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), metricInfos[i].Name...), '"', ':')
		out = strconv.AppendFloat(out, x, 'g', -1, 64)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes. Metrics that this version does not know
// are left out.
func (v *Values) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*v = Values{}
		return nil
	}
	var room [mostMetrics]float64
	all := room[:len(metricInfos)]
	fill(all)
	if !readPlain(all, text, "") {
		var named map[string]*float64
		if err := json.Unmarshal(text, &named); err != nil {
			return err
		}
		fill(all)
		for name, x := range named {
			if i := metricIndex(name); i >= 0 && x != nil {
				all[i] = *x
			}
		}
	}
	dropUncounted(all)
	*v = packed(all)
	return nil
}

// countedBy is a metric that earlier versions do not have. Those wrote high percentiles of any
// number of values, and did not say of how many.
const countedBy = "tokens.requests_ok"

// dropUncounted leaves percentiles out of which nobody knows whether there were enough values.
func dropUncounted(all []float64) {
	if !math.IsNaN(all[metricIndex(countedBy)]) {
		return
	}
	for i, m := range metricInfos {
		if m.floored() {
			all[i] = math.NaN()
		}
	}
}

// fill makes all values missing.
func fill(all []float64) {
	for i := range all {
		all[i] = math.NaN()
	}
}

// loneHead and its brace stand around the mean in the spread of one run.
const loneHead = `{"n":1,"mean":`

// readPlain takes the plain form, without blanks or escapes, in one pass: the journal of
// 100,000 runs has ten million numbers. Before each number stands head, and a brace after it
// if there is a head. It reports whether the text was of that form.
func readPlain(all []float64, text []byte, head string) bool {
	if len(text) < 2 || text[0] != '{' {
		return false
	}
	next := 0 // metrics mostly stand in the order of the table
	for rest := text[1:]; ; {
		if rest[0] == '}' {
			return len(rest) == 1
		}
		if rest[0] != '"' {
			return false
		}
		end := bytes.Index(rest, []byte(`":`))
		if end < 0 || !bytes.HasPrefix(rest[end+2:], []byte(head)) {
			return false
		}
		name, number := rest[1:end], rest[end+2+len(head):]
		end = bytes.IndexAny(number, ",}")
		if end < 0 {
			return false
		}
		x, err := strconv.ParseFloat(string(number[:end]), 64)
		if err != nil {
			return false
		}
		i := next
		if i >= len(all) || metricInfos[i].Name != string(name) {
			i = metricIndex(string(name))
		}
		if i >= 0 {
			all[i], next = x, i+1
		}
		if rest = number[end:]; head != "" {
			if rest[0] != '}' {
				return false
			}
			if rest = rest[1:]; len(rest) == 0 {
				return false
			}
		}
		if rest[0] == ',' {
			if rest = rest[1:]; len(rest) == 0 {
				return false
			}
		}
	}
}
