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

// Values are the metrics of a run. A study may have 100,000 of them, so only existing metrics are stored.
type Values struct {
	// has is the set of the metrics by their indices in [Metrics].
	has [mostMetrics / 64]uint64
	// of has their values, in the same order; nil if it is not even known which metrics exist.
	of []float64
}

// mostMetrics bounds the table of metrics.
const mostMetrics = 256

// ValuesOf returns the metrics of a record.
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

// packed converts a value for each metric, NaN if missing, to Values.
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

// Known reports whether it is known which metrics exist: lines of earlier versions have no values.
func (v Values) Known() bool { return v.of != nil }

// Get returns the value of a metric; false if there is none.
func (v Values) Get(metric string) (float64, bool) {
	i := metricIndex(metric)
	if i < 0 {
		return 0, false
	}
	return v.at(i)
}

// at returns the value of the metric with an index in [Metrics].
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

// all returns an iterator over the indices in [Metrics] of existing metrics and their values.
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

// Within reports whether o has all values of v. Values of an earlier version lack newer metrics, and may have
// response times as service times.
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

// WithoutEnergy returns the values without the ones that depend on energy.
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

// only returns the metrics with these indices, in order.
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

// MarshalJSON writes an object of the existing metrics by name.
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

// UnmarshalJSON reads the format of MarshalJSON. It ignores metrics that this version does not know.
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

// countedBy is a metric that earlier versions lack. They wrote high percentiles for any number of values,
// without the number.
const countedBy = "tokens.requests_ok"

// dropUncounted removes percentiles whose number of values is unknown.
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

// fill sets all values to missing.
func fill(all []float64) {
	for i := range all {
		all[i] = math.NaN()
	}
}

// loneHead, with its closing brace, surrounds the mean in the spread of a single run.
const loneHead = `{"n":1,"mean":`

// readPlain reads the plain format, without blanks or escapes, in one pass: the journal of 100,000 runs has
// ten million numbers. head precedes each number, and a brace follows it if there is a head. It reports
// whether the text had that format.
func readPlain(all []float64, text []byte, head string) bool {
	if len(text) < 2 || text[0] != '{' {
		return false
	}
	next := 0 // metrics are usually in the order of the table
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
