package report

import (
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestRunsInOrder: runs are shown in the order of the configurations, which is that of the study.
func TestRunsInOrder(t *testing.T) {
	s := &result.StudyResult{Experiments: []result.ExperimentSummary{{ID: "a"}, {ID: "b"}, {ID: "c"}},
		Runs: []*result.Record{{ID: "c"}, {ID: "a"}, {ID: "b"}}}
	text := ""
	for _, r := range inOrder(s) {
		text += r.ID
	}
	if text != "abc" {
		t.Errorf("in the order %s", text)
	}
}
