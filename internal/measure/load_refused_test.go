package measure

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/study"
)

// TestLoadsRefused: loads that this version cannot run fail before an engine is started.
func TestLoadsRefused(t *testing.T) {
	for text, a := range map[string]study.Arrivals{"t.csv cannot be read": {Kind: "trace", Trace: "t.csv"},
		"conversations": {Kind: "poisson", Rate: 1, Turns: 3}} {
		x := study.Experiment{Workload: study.Workload{Dataset: "synthetic", Load: a}}
		d := &desk{Options: Options{Experiment: x}}
		if err := d.readPrompts(&input{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
