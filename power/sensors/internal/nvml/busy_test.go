package nvml

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
)

// TestBusy: working processes with a compute context are seen at once, others (graphics) if they still work
// at the next poll; none is seen if the driver hides processes.
func TestBusy(t *testing.T) {
	listed := func(pids ...int) func(int64) []power.GPUProcess {
		return func(int64) (out []power.GPUProcess) {
			for _, pid := range pids {
				out = append(out, power.GPUProcess{PID: pid})
			}
			return out
		}
	}
	for name, q := range map[string]struct {
		list   func(int64) []power.GPUProcess
		first  map[int]float64 // that worked until the first poll
		second map[int]float64
		no     error
		want   map[int]float64 // the share of the processes that were seen; negative if unknown
		works  []int
	}{
		"works": {list: listed(7, 8), first: map[int]float64{7: 97}, want: map[int]float64{7: 97, 8: 0},
			works: []int{7}},
		"a little":     {list: listed(7), first: map[int]float64{7: 4}, want: map[int]float64{7: 4}},
		"does not say": {list: listed(7), no: errors.New("not supported"), want: map[int]float64{7: -1}},
		"graphics": {list: listed(7), first: map[int]float64{9: 40}, second: map[int]float64{9: 30},
			want: map[int]float64{7: 0, 9: 30}, works: []int{9}},
		"has ended": {list: listed(7), first: map[int]float64{9: 40}, want: map[int]float64{7: 0}},
		"hidden": {list: listed(), first: map[int]float64{9: 40}, second: map[int]float64{9: 40},
			want: map[int]float64{}},
	} {
		now := int64(100 * time.Second)
		lib := newFakeLib(1, 300, func() int64 { return now })
		m := openFake(t, lib, func() int64 { return now })
		g := lib.gpus[0]
		g.held, g.noBusy = q.list, q.no
		var trace power.Trace
		for _, busy := range []map[int]float64{q.first, q.second} {
			g.busyNow = maps.Clone(busy)
			now += int64(time.Second)
			if err := m.Poll(t.Context(), &trace); err != nil {
				t.Fatal(err)
			}
		}
		got, works := map[int]float64{}, 0
		for _, p := range trace.Processes {
			if got[p.PID] = -1; p.BusyPct != nil {
				got[p.PID] = *p.BusyPct
			}
			if p.BusyNS != 0 {
				works++
			}
		}
		if len(got) != len(q.want) || works != len(q.works) {
			t.Errorf("%s: %+v, want %v", name, trace.Processes, q.want)
		}
		for pid, pct := range q.want {
			if got[pid] != pct {
				t.Errorf("%s: process %d %v, want %v", name, pid, got[pid], pct)
			}
		}
	}
}
