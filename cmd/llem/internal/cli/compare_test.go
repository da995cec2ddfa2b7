package cli

import (
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestOtherMethods: peaks of memory are compared where both sides have one and the same
// method, other metrics always.
func TestOtherMethods(t *testing.T) {
	of := func(methods ...result.MemoryMethod) (runs []*result.Record) {
		for _, m := range methods {
			r := &result.Record{}
			if m != "" {
				r.Memory = result.Memory{PeakBytes: new(int64(1)), Method: m}
			}
			runs = append(runs, r)
		}
		return runs
	}
	for name, c := range map[string]struct {
		metric string
		a, b   []*result.Record
		want   string
	}{
		"the same": {"memory.peak_bytes", of("process", "process"), of("process"), ""},
		"different": {"memory.peak_bytes", of("allocator"), of("process"),
			"memory.peak_bytes is not compared: it is measured by allocator in A and by process in B (see Memory " +
				"in docs/metrics.md)"},
		"mixed inside": {"memory.peak_bytes", of("process", "device"), of("process", "device"),
			"memory.peak_bytes is not compared: it is measured by device, process in A and by device, process in " +
				"B (see Memory in docs/metrics.md)"},
		"one has none":   {"memory.peak_bytes", of(""), of("process"), ""},
		"another metric": {"energy.total_j", of("allocator"), of("process"), ""},
	} {
		m, err := result.Metric(c.metric)
		if err != nil {
			t.Fatal(err)
		}
		if got := otherMethods(m, c.a, c.b); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
