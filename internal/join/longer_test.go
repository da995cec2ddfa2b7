package join

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/result"
)

// TestLongerLoads: a window in which requests arrive becomes longer by what its kind of load has, not by repeats.
func TestLongerLoads(t *testing.T) {
	for kind, want := range map[string]string{"": "repeat it", load.Trace: "workload.load.span",
		load.Poisson: "workload.load.duration_s"} {
		j := &join{record: &result.Record{}}
		j.record.Config.Workload.Load.Kind = kind
		if got := j.longer("repeat it"); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", kind, got, want)
		}
	}
}
