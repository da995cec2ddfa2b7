package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestConditions: a GPU that is warmer in the last run than in the first, or has another clock in the same
// configuration, is a caution of the study.
func TestConditions(t *testing.T) {
	for name, q := range map[string]struct {
		degrees, clocks []float64 // by run, in the order in which they were made
		want            []note.Code
		says            string
	}{
		"steady": {[]float64{60, 62, 61, 63}, []float64{1980, 1700, 1975, 1690}, nil, ""},
		"warms": {[]float64{45, 55, 57, 56}, []float64{1980, 1980, 1980, 1980},
			[]note.Code{codes.TemperatureDrift}, "45 °C in the first run"},
		"cools": {[]float64{70, 50, 50, 50}, []float64{1980, 1980, 1980, 1980},
			[]note.Code{codes.TemperatureDrift}, "50 °C in the last"},
		"clocks fall": {[]float64{60, 60, 60, 60}, []float64{1980, 1800, 1900, 1700},
			[]note.Code{codes.ClocksMoved}, "-4.8 %"},
		"others between the ends": {[]float64{50, 62, 62, 51}, []float64{1980, 1500, 1980, 1500}, nil, ""},
		"not sampled":             {nil, nil, nil, ""},
	} {
		d, err := Create(t.TempDir(), "small", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s := &study.Study{Name: "small", Execution: study.Execution{Cycles: 2, Order: terms.Interleave}}
		for i := range 2 {
			e := study.DefaultExperiment(engines.Find(nil, "fake"))
			e.Model, e.Seed = "random:tiny-llama", uint64(i+1)
			s.Experiments = append(s.Experiments, e)
		}
		for i := range 4 {
			r := fullRecord(s.Experiments[i%2], i/2+1)
			if r.GPU = nil; q.degrees != nil {
				r.GPU = &result.GPUState{TemperatureC: &q.degrees[i], ClockMHz: &q.clocks[i]}
			}
			commit(t, d, r)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		res, err := Summarize(d.Path(), s, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Caveats.Codes(); !slices.Equal(got, q.want) ||
			len(got) > 0 && !strings.Contains(res.Caveats[0].Message, q.says) {
			t.Errorf("%s: %v, want %v with %q", name, res.Caveats, q.want, q.says)
		}
	}
}
