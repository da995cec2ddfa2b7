package join

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// TestForeignWork: which evidence invalidates the energy of a GPU, which only the net energy, and which
// nothing. The baseline is from 1 to 6 s, the loaded engine is idle from 12 to 15 s, the window is from 20 to
// 30 s.
func TestForeignWork(t *testing.T) {
	const second = int64(1e9)
	works, idle := new(97.0), new(0.0)
	there := func(from, to float64, busy, at *float64) result.Tenant {
		return result.Tenant{PID: 7, FromS: from, ToS: to, BusyPct: busy, BusyS: at}
	}
	for name, q := range map[string]struct {
		others         []result.Tenant
		hidden         bool
		before, loaded float64 // utilisation while idle, in percent; negative: not sampled
		bare           float64 // idle power; no idle card draws more than 237 W
		want           string  // why the energy is not the run's
		net            string  // why the net energy is unknown
	}{
		"alone":     {before: 0, loaded: 0},
		"a desktop": {before: 6, loaded: 6},
		"works in the window": {others: []result.Tenant{there(2, 8, works, new(5.0))},
			want: "process 7 ran kernels"},
		"holds memory":             {others: []result.Tenant{there(-19, 10, idle, nil)}},
		"worked before and stayed": {others: []result.Tenant{there(-19, 10, works, new(-14.0))}},
		"worked before and went": {others: []result.Tenant{there(-19, -14, works, new(-14.0))}, before: 97,
			net: "97 %"},
		"busy before, hidden":       {hidden: true, before: 97, want: "97 %"},
		"busy while loaded, hidden": {hidden: true, loaded: 50, want: "50 % of the time while the loaded engine"},
		"an engine that spins":      {loaded: 50},
		"no idle card":              {bare: 690, net: "it drew 690 W, while an idle NVIDIA H200 draws less than 237 W"},
		"no idle card, hidden":      {hidden: true, bare: 690, want: "it drew 690 W"},
		"hidden and quiet":          {hidden: true},
		// The driver does not report who works: the idle interval with the process decides.
		"unknown, idle before": {others: []result.Tenant{there(-19, 10, nil, nil)}, hidden: true},
		"unknown, busy before": {others: []result.Tenant{there(-19, 10, nil, nil)}, hidden: true, before: 40,
			want: "process 7 was on the GPU"},
		"unknown, idle loaded": {others: []result.Tenant{there(-9, 10, nil, nil)}, hidden: true},
		"unknown, busy loaded": {others: []result.Tenant{there(-9, 10, nil, nil)}, hidden: true, loaded: 40,
			want: "40 %"},
		"unknown, came late": {others: []result.Tenant{there(3, 10, nil, nil)}, hidden: true, want: "may have worked"},
		"unknown, no telemetry": {others: []result.Tenant{there(-19, 10, nil, nil)}, hidden: true, before: -1,
			loaded: -1,
			want:   "may have worked"},
		"after the window": {others: []result.Tenant{there(11, 11, nil, nil)}, hidden: true},
	} {
		dev := Device{Device: power.Device{ID: "gpu0", Kind: power.GPU, Name: "NVIDIA H200"}, IdleLimitW: 237,
			Others: q.others, WorkHidden: q.hidden}
		m := &Material{Window: attribute.Window{Start: 20 * second, End: 30 * second},
			Bare: attribute.Window{Start: second, End: 6 * second}, Resident: attribute.Window{Start: 12 * second,
				End: 15 * second}}
		for s := int64(1); s <= 30; s++ {
			u := 100.0
			switch {
			case s <= 6:
				u = q.before
			case s <= 15:
				u = q.loaded
			}
			if u >= 0 {
				m.Telemetry = append(m.Telemetry,
					power.Telemetry{MonoNS: s * second, Device: "gpu0", UtilizationPct: &u})
			}
		}
		j := &join{Material: m, record: &result.Record{}}
		d := &deviceEnergy{device: dev, bare: result.Idle{W: max(q.bare, 79)}}
		why := j.foreignWork([]*deviceEnergy{d})
		if q.want == "" && why != "" || !strings.Contains(why, q.want) {
			t.Errorf("%s: the energy is not the run's for %q, want %q", name, why, q.want)
		}
		if q.net == "" && d.bare.Reason != "" || !strings.Contains(d.bare.Reason, q.net) {
			t.Errorf("%s: no net energy for %q, want %q", name, d.bare.Reason, q.net)
		}
		if _, told := warned(j.record, codes.GPUShared); told != (q.net != "") {
			t.Errorf("%s: warnings %+v", name, j.record.Warnings)
		}
	}
}

// TestForeignWorkElsewhere: work on a processor is not examined here.
func TestForeignWorkElsewhere(t *testing.T) {
	j := &join{Material: &Material{Window: attribute.Window{Start: 1, End: 2}}, record: &result.Record{}}
	d := &deviceEnergy{device: Device{Device: power.Device{ID: "package-0", Kind: power.CPU}, WorkHidden: true}}
	if why := j.foreignWork([]*deviceEnergy{d}); why != "" {
		t.Error(why)
	}
}
