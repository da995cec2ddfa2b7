package join

import (
	"math"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/unit"
)

// TestNode: a meter of the machine has its own scope, with and without a GPU's energy, and a frozen meter
// under a changing load is not used. The GPU draws 300 W, and later watts in the second half of the window of
// 100 s.
func TestNode(t *testing.T) {
	const second = int64(1e9)
	wall := power.Device{ID: "wall", Kind: power.Remote, Name: "watts", OverNetwork: true}
	other := wall
	other.ID = "rack"
	for name, q := range map[string]struct {
		meters  []power.Device
		later   float64 // of the GPU
		refresh int64   // of the meter, in seconds
		noGPU   bool
		reason  string
		flag    note.Code
	}{
		"beside a GPU":    {meters: []power.Device{wall}, later: 300, refresh: 1},
		"no other sensor": {meters: []power.Device{wall}, later: 300, refresh: 1, noGPU: true},
		"slow":            {meters: []power.Device{wall}, later: 300, refresh: 8, flag: codes.NodeShortWindow},
		"frozen": {meters: []power.Device{wall}, later: 600, refresh: 200, reason: "frozen",
			flag: codes.NodeFrozen},
		"steady, as the GPU":   {meters: []power.Device{wall}, later: 300, refresh: 200},
		"none":                 {},
		"which is the machine": {meters: []power.Device{wall, other}, later: 300, refresh: 1, reason: "2 meters"},
	} {
		m := &Material{Window: attribute.Window{Start: 10 * second, End: 110 * second}, Engine: Engine{Device: "cuda"}}
		if !q.noGPU {
			m.Devices = append(m.Devices, Device{Device: power.Device{ID: "gpu0", Kind: power.GPU}})
		}
		for _, d := range q.meters {
			m.Devices = append(m.Devices, Device{Device: d})
		}
		for s := int64(8); s <= 112; s++ {
			gpu := 300.0
			if s > 60 {
				gpu = q.later
			}
			at := power.Sample{MonoNS: s * second, Device: "gpu0", Source: "x", Window: 1e9, Power: unit.Watts(gpu)}
			if !q.noGPU {
				m.Samples = append(m.Samples, at)
			}
			for _, d := range q.meters {
				at.Device, at.Source = d.ID, "remote.wall"
				at.Power = unit.Watts(1000 + float64(s/q.refresh%2)) // changes with every refresh
				m.Samples = append(m.Samples, at)
			}
		}
		r := &result.Record{Tokens: &result.Tokens{}}
		Compute(m, r, nil)
		e := r.Energy
		if q.reason != "" || len(q.meters) == 0 {
			if e.NodeJ != nil || !strings.Contains(e.NodeReason, q.reason) {
				t.Errorf("%s: node %+v, reason %q, want none for %q", name, e.NodeJ, e.NodeReason, q.reason)
			}
		} else if e.NodeJ == nil || math.Abs(e.NodeJ.Value-100_050) > 100 || e.Scope != "gpu" {
			t.Errorf("%s: node %+v (%s), want 100 kJ", name, e.NodeJ, e.NodeReason)
		} else if o := e.NodeOverheadJ; (o == nil) != q.noGPU || o != nil && math.Abs(o.Value-70_050) > 100 {
			t.Errorf("%s: overhead %+v, want 70 kJ beside the GPU's 30", name, o)
		}
		if (e.TotalJ == nil) != q.noGPU {
			t.Errorf("%s: total %+v: it must not include the machine's meter", name, e.TotalJ)
		}
		for _, code := range []note.Code{codes.NodeFrozen, codes.NodeShortWindow} {
			if text, told := warned(r, code); told != (code == q.flag) {
				t.Errorf("%s: %s %q", name, code, text)
			}
		}
	}
}

// TestState: changes of temperature, and of clocks under load, are reported for the counted GPUs.
func TestState(t *testing.T) {
	at := func(s int64, degrees, clock, busy float64) power.Telemetry {
		return power.Telemetry{MonoNS: s, Device: "gpu0", TemperatureC: &degrees, SMClockMHz: &clock,
			UtilizationPct: &busy}
	}
	for name, q := range map[string]struct {
		telemetry []power.Telemetry
		counted   bool
		want      []note.Code
	}{
		"steady": {[]power.Telemetry{at(10, 50, 1980, 99), at(20, 60, 1950, 99)}, true, nil},
		"warmer": {[]power.Telemetry{at(10, 50, 1980, 99), at(20, 61, 1980, 99)}, true,
			[]note.Code{codes.TemperatureDrift}},
		"clocks": {[]power.Telemetry{at(10, 50, 1980, 99), at(20, 50, 1700, 99)}, true,
			[]note.Code{codes.ClocksMoved}},
		"idle clocks": {[]power.Telemetry{at(10, 50, 345, 0), at(20, 50, 1980, 99)}, true, nil},
		"before":      {[]power.Telemetry{at(9, 30, 1980, 99), at(20, 60, 1980, 99)}, true, nil},
		"not counted": {[]power.Telemetry{at(10, 30, 1980, 99), at(20, 60, 1500, 99)}, false, nil},
	} {
		j := &join{Material: &Material{Window: attribute.Window{Start: 10, End: 30}, Telemetry: q.telemetry},
			record: &result.Record{Energy: result.Energy{Devices: []result.Device{{Device: "gpu0", Kind: "gpu",
				Counted: q.counted}}}}}
		j.state()
		if got := j.record.Warnings.Codes(); len(got) != len(q.want) || len(got) > 0 && got[0] != q.want[0] {
			t.Errorf("%s: %v, want %v", name, got, q.want)
		}
	}
}
