package plan

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/power"
)

// TestOccupied: others on a GPU are named, and memory that nobody seems to hold.
func TestOccupied(t *testing.T) {
	much, little := int64(30<<30), int64(600<<20)
	got := occupied(nil, map[string]power.GPUFacts{
		"gpu0": {Processes: []power.GPUProcess{{PID: 42}, {PID: 43}}, MemoryUsedBytes: &much},
		"gpu1": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &much},
		"gpu2": {Processes: []power.GPUProcess{}, MemoryUsedBytes: &little},
		"gpu3": {},
	})
	want := []string{"gpu0 is used by other processes (42, 43, 30.0 GiB of its memory in use)",
		"gpu1 may be used by others, whose processes are not visible, 30.0 GiB"}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, q := range got {
		if q.Error || !strings.HasPrefix(q.Message, want[i]) {
			t.Errorf("%q, want %q", q.Message, want[i])
		}
	}
}
