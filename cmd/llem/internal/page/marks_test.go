package page

import (
	"slices"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestUnmeasured: a page does not call measured energy unmeasured because of another configuration.
func TestUnmeasured(t *testing.T) {
	of := func(kinds ...result.Provenance) (all []result.ExperimentSummary) {
		for _, k := range kinds {
			all = append(all, result.ExperimentSummary{Provenance: k})
		}
		return all
	}
	for _, q := range []struct {
		all  []result.ExperimentSummary
		want []string
	}{
		{of(result.Measured, result.Measured), nil},
		{of(result.Simulated, result.Simulated), []string{"Energy in this report is simulated, not measured."}},
		{of(result.None), []string{"Energy in this report is not measured."}},
		{of(result.Measured, result.None, result.None),
			[]string{"Energy of 2 of 3 configurations is not measured."}},
		{of(result.Modelled, result.Measured, result.None), []string{
			"Energy of 1 of 3 configurations is modelled, not measured.",
			"Energy of 1 of 3 configurations is not measured."}},
	} {
		if got := unmeasured(q.all); !slices.Equal(got, q.want) {
			t.Errorf("%q, want %q", got, q.want)
		}
	}
}
