package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
)

// TestSharedCautions: a caution that configurations share in equal words is told once, with their names.
func TestSharedCautions(t *testing.T) {
	s := swept(t, "model: random:tiny-llama\nbackend: fake\nworkload: {prompts: 64}\nsweep: {fake.batch_size: [1, "+
		"2, 4, 8, 16]}\n")
	for i := range s.Experiments {
		if i != 1 {
			s.Experiments[i].Caveats.Warn(codes.OutputsDiffer, "alike")
		}
	}
	s.Experiments[1].Caveats.Warn(codes.OutputsDiffer, "its own")
	named := nameConfigurations(s)
	want := []string{named.label(0) + "; " + named.label(2) + "; " + named.label(3) + " and 1 more: alike",
		named.label(1) + ": its own"}
	if diff := cmp.Diff(want, shared(s.Experiments, named)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
