package nvml

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

// TestMemoryLooks: the memory of processes is polled twice a second beside a ring, and repeated values are
// not stored.
func TestMemoryLooks(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		lib := newFakeLib(2, 400, now)
		began := now()
		looks := 0
		lib.gpus[0].held = func(ns int64) []power.GPUProcess {
			looks++
			list := []power.GPUProcess{{PID: 7, UsedBytes: new(int64(5 << 30))}}
			if s := time.Duration(ns - began); s > 4*time.Second && s < 4700*time.Millisecond {
				list = append(list, power.GPUProcess{PID: 8, UsedBytes: new(int64(1 << 30))})
			}
			return list
		}
		m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		s := power.NewSampler(m)
		s.Now = now
		s.Start(t.Context())
		time.Sleep(10 * time.Second)
		trace := s.Stop(t.Context())
		if looks < 20 || looks > 24 {
			t.Errorf("%d polls in 10 s, want two a second", looks)
		}
		var got []int
		for _, l := range trace.Memory {
			if l.Device == "gpu0" {
				got = append(got, len(l.Processes))
			}
		}
		if diff := cmp.Diff([]int{1, 2, 1}, got); diff != "" || len(trace.Memory) != 4 {
			t.Errorf("processes at each change (-want +got):\n%s%d records kept, want 3 and one of the other GPU",
				diff, len(trace.Memory))
		}
		if l := trace.Memory[0]; l.UsedBytes == nil || *l.UsedBytes != 1<<30 {
			t.Errorf("%+v, want the memory in use on the whole GPU", l)
		}
	})
}
