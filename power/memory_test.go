package power

import (
	"testing"
)

func TestSameLook(t *testing.T) {
	p := func(pid int, used *int64) []GPUProcess { return []GPUProcess{{PID: pid, UsedBytes: used}} }
	base := MemoryLook{Device: "gpu0", UsedBytes: new(int64(3)), Processes: p(1, new(int64(2)))}
	for name, c := range map[string]struct {
		next MemoryLook
		want int
	}{
		"the same": {MemoryLook{MonoNS: 9, Device: "gpu0", UsedBytes: new(int64(3)),
			Processes: p(1, new(int64(2)))}, 1},
		"another device": {MemoryLook{Device: "gpu1", UsedBytes: new(int64(3)), Processes: p(1, new(int64(2)))}, 2},
		"more in use":    {MemoryLook{Device: "gpu0", UsedBytes: new(int64(4)), Processes: p(1, new(int64(2)))}, 2},
		"not known":      {MemoryLook{Device: "gpu0", Processes: p(1, new(int64(2)))}, 2},
		"another":        {MemoryLook{Device: "gpu0", UsedBytes: new(int64(3)), Processes: p(2, new(int64(2)))}, 2},
		"hidden":         {MemoryLook{Device: "gpu0", UsedBytes: new(int64(3)), Processes: p(1, nil)}, 2},
		"gone":           {MemoryLook{Device: "gpu0", UsedBytes: new(int64(3))}, 2},
	} {
		var trace Trace
		trace.Looked(base)
		trace.Looked(c.next)
		if len(trace.Memory) != c.want {
			t.Errorf("%s: %d records kept, want %d", name, len(trace.Memory), c.want)
		}
	}
}
