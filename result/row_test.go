package result

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestValues: what is written is what is read, in the plain form and in any other.
func TestValues(t *testing.T) {
	all := make([]float64, len(metricInfos))
	fill(all)
	late := metricIndex("window.repeats")
	all[0], all[3], all[late], all[len(all)-1] = 1.25e-9, -3, 7, 1e300
	v := packed(all)
	for i, want := range map[int]float64{0: 1.25e-9, 3: -3, late: 7, len(all) - 1: 1e300} {
		if got, ok := v.Get(metricInfos[i].Name); !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", metricInfos[i].Name, got, ok, want)
		}
	}
	if _, ok := v.Get(metricInfos[1].Name); ok {
		t.Errorf("%s has a value", metricInfos[1].Name)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{string(text), strings.ReplaceAll(string(text), ":", " : "),
		strings.Replace(string(text), "{", `{"of.another.version":1,`, 1)} {
		var got Values
		if err := json.Unmarshal([]byte(form), &got); err != nil || !got.Equal(v) {
			t.Errorf("%s: %v, %v", form, got, err)
		}
	}
	for _, bad := range []string{`{"energy.total_j":x}`, `{"energy.total_j"}`, `[1]`, `{"a":1,}`} {
		var got Values
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was read as %v", bad, got)
		}
	}
	if err := (&Values{}).UnmarshalJSON([]byte("{")); err == nil {
		t.Error("half an object was read")
	}
}

// TestSpreadOfManyRuns: percentiles are there, and drift is found among more runs than
// all pairs can be looked at of.
func TestSpreadOfManyRuns(t *testing.T) {
	values := make([]float64, 1000)
	for i := range values {
		values[i] = 100 + float64(i)/100 + float64(i*7919%13)
	}
	s, err := spreadOf(values)
	if err != nil || !(s.P5 < s.P50 && s.P50 < s.P95 && s.P50 == s.Median) {
		t.Errorf("%+v, %v", s, err)
	}
	found := false
	for _, c := range s.Caveats {
		found = found || c.Code == "drift"
	}
	if !found {
		t.Errorf("caveats %+v, want drift", s.Caveats)
	}
}
