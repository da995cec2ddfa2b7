package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// Row is a run in brief: what a summary is made of. It stands in the run's line of the
// journal, so that a summary does not have to read every result.json.
type Row struct {
	// ID of the experiment.
	ID string `json:"id"`
	// Cycle counts the runs of the experiment, from 1.
	Cycle int `json:"cycle"`
	// Status is the outcome.
	Status Status `json:"status"`
	// Class and Message are those of the failure.
	Class note.Class `json:"class,omitempty"`
	// Message is one sentence.
	Message string `json:"message,omitempty"`
	// Values are the run's metrics.
	Values Values `json:"values"`
	// Provenance of the energy, and the reason why a run that was ok has none.
	Provenance Provenance `json:"provenance,omitempty"`
	// Reason is why a run that was ok has no energy.
	Reason string `json:"reason,omitempty"`
	// MemoryMethod is what memory.peak_bytes counts, ProcessMethod what
	// memory.process_peak_bytes does.
	MemoryMethod MemoryMethod `json:"memory_method,omitempty"`
	// ProcessMethod is empty where memory was not measured, like MemoryMethod.
	ProcessMethod MemoryMethod `json:"process_method,omitempty"`
	// DType is what the engine used.
	DType string `json:"dtype,omitempty"`
	// WorkloadHash is equal for runs that computed the same token ids.
	WorkloadHash string `json:"workload_hash,omitempty"`
	// Warnings are the codes of the run's warnings, each once.
	Warnings []note.Code `json:"warnings,omitempty"`
	// TookS is how long the run took with everything around it, in seconds.
	TookS float64 `json:"took_s,omitempty"`
}

// Simulated reports whether the run was made on a device that does not exist.
func (r Row) Simulated() bool {
	return r.Provenance == Simulated || slices.Contains(r.Warnings, codes.Simulated)
}

// Made says that the run has been made, well or badly.
func (r Row) Made() bool {
	return r.Status == OK || r.Status == Failed && r.Class != codes.ClassLeftOut
}

// Values are the metrics of a run in the order of [Metrics]; NaN where there is none.
type Values []float64

func noValues() Values {
	v := make(Values, len(metricInfos))
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}

// Get is the value of a metric; false where there is none.
func (v Values) Get(metric string) (float64, bool) {
	i := metricIndex(metric)
	if i < 0 || i >= len(v) || math.IsNaN(v[i]) {
		return 0, false
	}
	return v[i], true
}

// Equal compares values; what is missing on both sides is equal.
func (v Values) Equal(o Values) bool {
	return slices.EqualFunc(v, o, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
}

// only keeps the metrics of these places.
func (v Values) only(places []int) Values {
	out := noValues()
	for _, i := range places {
		if i < len(v) {
			out[i] = v[i]
		}
	}
	return out
}

// MarshalJSON writes an object of those that are there, by their names.
func (v Values) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	out := []byte{'{'}
	for i, x := range v {
		if math.IsNaN(x) {
			continue
		}
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
		*v = nil
		return nil
	}
	out := noValues()
	if !out.read(text) {
		var all map[string]*float64
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
		for name, x := range all {
			if i := metricIndex(name); i >= 0 && x != nil {
				out[i] = *x
			}
		}
	}
	*v = out
	return nil
}

// read takes the plain form, without blanks or escapes, in one pass: a summary of
// 100 000 runs reads two million numbers. It says whether the text was of that form.
func (v Values) read(text []byte) bool {
	if len(text) < 2 || text[0] != '{' {
		return false
	}
	for rest := text[1:]; ; {
		if rest[0] == '}' {
			return len(rest) == 1
		}
		if rest[0] != '"' {
			return false
		}
		end := bytes.Index(rest, []byte(`":`))
		if end < 0 {
			return false
		}
		name, number := rest[1:end], rest[end+2:]
		end = bytes.IndexAny(number, ",}")
		if end < 0 {
			return false
		}
		x, err := strconv.ParseFloat(string(number[:end]), 64)
		if err != nil {
			return false
		}
		if i := metricIndex(string(name)); i >= 0 {
			v[i] = x
		}
		if rest = number[end:]; rest[0] == ',' {
			if rest = rest[1:]; len(rest) == 0 {
				return false
			}
		}
	}
}
