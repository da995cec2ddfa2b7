package result

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// TestPercentilesOfFewValues: a percentile is null below its floor, with the reason, and has an
// interval above it; the median is always there.
func TestPercentilesOfFewValues(t *testing.T) {
	for n, want := range map[int]string{1: "", 5: "", 6: "50", 63: "50", 64: "50 90", 129: "50 90", 130: "50 90 95",
		661: "50 90 95", 662: "50 90 95 99"} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i * 7919 % n)
		}
		d := DistributionOf(values)
		var got []string
		if d.P50CI95 != nil {
			got = append(got, "50")
		}
		for i, p := range d.percentiles() {
			name := []string{"90", "95", "99"}[i]
			if (*p.value == nil) != (*p.ci95 == nil) {
				t.Errorf("p%s of %d values: value %v, interval %v", name, n, *p.value, *p.ci95)
			}
			if *p.value != nil {
				got = append(got, name)
				if ci := **p.ci95; !(ci[0] <= **p.value && **p.value <= ci[1]) {
					t.Errorf("p%s of %d values is %v, outside of %v", name, n, **p.value, ci)
				}
			}
			if told := strings.Contains(d.Reason, "p"+name+" needs"); told != (*p.value == nil) {
				t.Errorf("p%s of %d values: the reason is %q", name, n, d.Reason)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d values: %v, want %s", n, got, want)
		}
	}
	if DistributionOf(nil) != nil {
		t.Error("no values have a distribution")
	}
}

// TestEarlierPercentiles: percentiles of few values that an earlier version wrote are not read, be it in a
// record, a row or a summary.
func TestEarlierPercentiles(t *testing.T) {
	var d Distribution
	text := `{"n":16,"mean":1,"sd":1,"min":0,"p50":1,"p90":2,"p95":2,"p99":2,"max":3}`
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.P90 != nil || d.P99 != nil || d.P50 != 1 ||
		!strings.Contains(d.Reason, "p99 needs 662") {
		t.Errorf("%+v, %v", d, err)
	}
	if err := json.Unmarshal([]byte(strings.Replace(text, "16", "200", 1)), &d); err != nil || d.P95 == nil ||
		*d.P95 != 2 || d.P99 != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for _, form := range []string{`{"latency.ttft_ms.p50":1,"latency.ttft_ms.p99":2}`,
		`{"latency.ttft_ms.p50":1, "latency.ttft_ms.p99":2}`} {
		var v Values
		if err := json.Unmarshal([]byte(form), &v); err != nil {
			t.Fatal(err)
		}
		_, median := v.Get("latency.ttft_ms.p50")
		if _, high := v.Get("latency.ttft_ms.p99"); !median || high {
			t.Errorf("%s: median %v, p99 %v", form, median, high)
		}
	}
	for _, form := range []string{`{"latency.ttft_ms.p50":{"n":1,"mean":1},"latency.ttft_ms.p99":{"n":1,"mean":2}}`,
		`{"latency.ttft_ms.p50":{"n":2,"mean":1},"latency.ttft_ms.p99":{"n":2,"mean":2}}`} {
		var s Spreads
		if err := json.Unmarshal([]byte(form), &s); err != nil {
			t.Fatal(err)
		}
		_, median := s.Get("latency.ttft_ms.p50")
		if _, high := s.Get("latency.ttft_ms.p99"); !median || high {
			t.Errorf("%s: median %v, p99 %v", form, median, high)
		}
	}
}

// TestPool: the pooled percentile stands for the configuration, also where no run has one.
func TestPool(t *testing.T) {
	run := valuesWith(map[string]float64{"latency.ttft_ms.p50": 1, "tokens.requests_ok": 16})
	s, err := SpreadsOf([]Values{run, run})
	if err != nil {
		t.Fatal(err)
	}
	few := Spread{N: 3, Mean: 2, CI95: &[2]float64{1, 3}, Method: "student-t"}
	for value, want := range map[float64]string{2.5: "student-t", 4: ""} {
		few.Pooled = &Pooled{Value: &value}
		if v, ci, method := few.Figure(); v != value || method != want || (ci == nil) != (want == "") {
			t.Errorf("pooled %v without an interval: %v, %v, %s", value, v, ci, method)
		}
	}
	s.Pool("latency.ttft_ms.p50", &Pooled{Value: new(7.0), CI95: &[2]float64{6, 8}, Runs: 2, Values: 32})
	s.Pool("latency.ttft_ms.p90", &Pooled{Value: new(9.0), Runs: 2, Values: 64})
	s.Pool("latency.ttft_ms.p99", &Pooled{Runs: 2, Values: 32, Reason: "too few"})
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Spreads
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(s) {
		t.Errorf("%v: %s", err, text)
	}
	for _, s := range []Spreads{s, back} {
		p50, ok := s.Get("latency.ttft_ms.p50")
		if v, ci, _ := p50.Figure(); !ok || v != 7 || ci[1] != 8 || p50.Mean != 1 || p50.point().High != 8 {
			t.Errorf("p50 %+v, %v", p50, ok)
		}
		p90, ok := s.Get("latency.ttft_ms.p90")
		if v, ci, _ := p90.Figure(); !ok || v != 9 || ci != nil || p90.N != 0 || !math.IsNaN(p90.Mean) {
			t.Errorf("p90 %+v, %v", p90, ok)
		}
		if p99, ok := s.Get("latency.ttft_ms.p99"); ok || s.Why("latency.ttft_ms.p99") != "too few" {
			t.Errorf("p99 %+v, %v, %q", p99, ok, s.Why("latency.ttft_ms.p99"))
		}
	}
}
