package report

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestOutputs: it is told in how many runs the tokens were the same, also where all are.
func TestOutputs(t *testing.T) {
	for name, q := range map[string]struct{ first, second, want string }{
		"equal":          {"a a a", "", "outputs equal in all 3 runs\n"},
		"other":          {"a a b", "", "outputs equal in 2 of 3 runs\n"},
		"one not known":  {"a - a", "", "outputs equal in all 2 runs\n"},
		"one run":        {"a", "", ""},
		"two alike":      {"a a", "b b", "outputs equal in all 2 runs of each configuration\n"},
		"two, one other": {"a a", "b c", "outputs equal in 1 of 2 runs of 1 of 2 configurations\n"},
	} {
		s := &result.StudyResult{}
		for id, hashes := range []string{q.first, q.second} {
			for h := range strings.FieldsSeq(hashes) {
				r := &result.Record{ID: string(rune('a' + id)), Status: result.OK,
					Tokens: &result.Tokens{OutputHash: strings.Trim(h, "-")}}
				s.Runs = append(s.Runs, r)
			}
			if hashes != "" {
				s.Experiments = append(s.Experiments, result.ExperimentSummary{ID: string(rune('a' + id))})
			}
		}
		large := &result.StudyResult{Experiments: s.Experiments}
		for _, r := range s.Runs {
			large.Rows = append(large.Rows, result.Row{ID: r.ID, Status: r.Status, OutputHash: r.Tokens.OutputHash})
		}
		for _, s := range []*result.StudyResult{s, large} {
			var b strings.Builder
			Terminal{}.outputs(&b, s)
			if got := b.String(); q.want == "" && got != "" || !strings.HasSuffix(got, q.want) {
				t.Errorf("%s: %q, want %q", name, got, q.want)
			}
		}
	}
}
