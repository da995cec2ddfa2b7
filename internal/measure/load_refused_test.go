package measure

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/study"
)

// TestTraceRefused: a trace that cannot be read fails before an engine is started.
func TestTraceRefused(t *testing.T) {
	for text, a := range map[string]study.Arrivals{"t.csv does not exist": {Kind: "trace", Trace: "t.csv"}} {
		x := study.Experiment{Workload: study.Workload{Dataset: "synthetic", Load: a}}
		d := &desk{Options: Options{Experiment: x}}
		if err := d.readPrompts(&input{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
