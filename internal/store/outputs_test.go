package store

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// TestOutputsDiffer: runs that generated other tokens are pointed out, and one whose tokens are not known is not.
func TestOutputsDiffer(t *testing.T) {
	for hashes, want := range map[string]string{"a a b": "equal in 2 of 3 runs", "- a b": "equal in 1 of 2 runs",
		"a a a": "", "a - a": "", "- - -": ""} {
		s := runsOf(t, [][]float64{{1, 1, 1}}, [][]float64{{1, 1, 1}})
		for i, h := range strings.Fields(hashes) {
			s.Runs[i].Tokens = &result.Tokens{OutputHash: strings.Trim(h, "-")}
		}
		if err := summarizeRuns(s, study.Until{}); err != nil {
			t.Fatal(err)
		}
		c := s.Experiments[0].Caveats
		if want == "" && len(c) > 0 || want != "" &&
			(len(c) != 1 || c[0].Code != codes.OutputsDiffer || !strings.Contains(c[0].Message, want)) {
			t.Errorf("%s: %+v", hashes, c)
		}
	}
}
