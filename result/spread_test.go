package result

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSpreadIsReadBack: what is written of a spread is read back whole, of one run and of several.
func TestSpreadIsReadBack(t *testing.T) {
	sd := 0.5
	for name, want := range map[string]Spread{
		"one run": {N: 1, Mean: 5, Median: 5, Min: 5, Max: 5, P5: 5, P50: 5, P95: 5},
		"two runs": {N: 2, Mean: 5, Median: 4, SD: &sd, Min: 1, Max: 9, P5: 2, P50: 3, P95: 8,
			CI95: &[2]float64{0, 10}, Method: "bca"},
		"a percentile of all together": {N: 1, Mean: 5, Median: 5, Min: 5, Max: 5, P5: 5, P50: 5, P95: 5,
			Pooled: &Pooled{Value: &sd, CI95: &[2]float64{0, 1}, Method: "woodruff", Runs: 2, Values: 99}},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Spread
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	one := Spread{N: 1, Mean: 5, Median: 5, Min: 5, Max: 5, P5: 5, P50: 5, P95: 5}
	if diff := cmp.Diff(one, single(5)); diff != "" {
		t.Errorf("single (-want +got):\n%s", diff)
	}
}
