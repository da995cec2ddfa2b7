package power

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMemoryLooks: what processes hold is looked at twice a second beside a ring, and a
// look that finds what the last one did takes no room.
func TestMemoryLooks(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		began := now()
		looks := 0
		lib.gpus[0].held = func(ns int64) []GPUProcess {
			looks++
			list := []GPUProcess{{PID: 7, UsedBytes: new(int64(5 << 30))}}
			if s := time.Duration(ns - began); s > 4*time.Second && s < 4700*time.Millisecond {
				list = append(list, GPUProcess{PID: 8, UsedBytes: new(int64(1 << 30))})
			}
			return list
		}
		m, err := openNVML(t.Context(), lib, NVMLOptions{}, simulated(now))
		if err != nil {
			t.Fatal(err)
		}
		s := NewSampler(m)
		s.Now = now
		s.Start(t.Context())
		time.Sleep(10 * time.Second)
		trace := s.Stop(t.Context())
		if looks < 20 || looks > 24 {
			t.Errorf("%d looks in 10 s, want two a second", looks)
		}
		var got []int
		for _, l := range trace.Memory {
			if l.Device == "gpu0" {
				got = append(got, len(l.Processes))
			}
		}
		if diff := cmp.Diff([]int{1, 2, 1}, got); diff != "" || len(trace.Memory) != 4 {
			t.Errorf("processes at each change (-want +got):\n%s%d looks kept, want 3 and that of the other GPU",
				diff, len(trace.Memory))
		}
		if l := trace.Memory[0]; l.UsedBytes == nil || *l.UsedBytes != 1<<30 {
			t.Errorf("%+v, want what is in use on the whole GPU", l)
		}
	})
}

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
			t.Errorf("%s: %d looks kept, want %d", name, len(trace.Memory), c.want)
		}
	}
}
