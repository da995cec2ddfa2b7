package result

import (
	"testing"
)

// TestMethodOfAnEarlierRecord: a record without a method has it by its source.
func TestMethodOfAnEarlierRecord(t *testing.T) {
	n := new(int64(1))
	for _, c := range []struct {
		m    Memory
		want MemoryMethod
	}{
		{Memory{}, ""},
		{Memory{PeakSource: "VmHWM"}, ""},
		{Memory{PeakBytes: n, PeakSource: "VmHWM"}, MemoryRSS},
		{Memory{PeakBytes: n, PeakSource: "torch.cuda.max_memory_allocated"}, MemoryAllocator},
		{Memory{PeakBytes: n, PeakSource: "a word of its own"}, MemoryOther},
		{Memory{PeakBytes: n, Method: MemoryProcess, PeakSource: "NVML, …"}, MemoryProcess},
	} {
		if got := c.m.By(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.m, got, c.want)
		}
	}
}
