package nvml

import (
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
)

// newHopperModule is a GH200: its plain counter covers the module.
func newHopperModule(now func() int64) *fakeLib {
	lib := newFakeLib(1, 400, now)
	lib.gpus[0].id.Name = "NVIDIA GH200 480GB"
	lib.gpus[0].module = newFakeLib(1, 700, now).gpus[0]
	return lib
}

func energyOver(t *testing.T, m *Meter, d time.Duration) map[string]float64 {
	t.Helper()
	joules := make(map[string]float64)
	for _, sign := range []float64{-1, 1} {
		readings, err := m.Counters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range readings {
			joules[r.Device] += sign * r.Energy.Joules()
		}
		if sign < 0 {
			time.Sleep(d)
		}
	}
	return joules
}

// TestModuleIsBesideItsGPU: GPU and module have separate counters and series; facts and telemetry belong to
// the GPU.
func TestModuleIsBesideItsGPU(t *testing.T) {
	bubble(t, func(t *testing.T, now func() int64) {
		m, err := openNVML(t.Context(), newHopperModule(now), Options{}, powertest.Clocks(now))
		if err != nil {
			t.Fatal(err)
		}
		d := m.Devices()
		if len(d) != 2 || d[0].ID != "gpu0" || d[0].Kind != power.GPU || d[0].Scope != "gpu" ||
			d[1].ID != "gpu0-module" || d[1].Kind != power.Module || d[1].Scope != "module" || d[1].UUID != "" {
			t.Fatalf("devices %+v", d)
		}
		joules := energyOver(t, m, time.Second)
		if joules["gpu0"] != 400 || joules["gpu0-module"] != 700 {
			t.Errorf("energy %v, want 400 and 700 J", joules)
		}
		time.Sleep(time.Second)
		trace := mustPoll(t, m)
		seen := map[string]float64{}
		for _, s := range trace.Samples {
			seen[s.Device] = float64(s.Power)
		}
		if seen["gpu0"] != 400 || seen["gpu0-module"] != 700 {
			t.Errorf("power %v", seen)
		}
		if len(m.Facts()) != 1 || len(trace.Telemetry) != 1 {
			t.Errorf("%d facts, %d rows of telemetry", len(m.Facts()), len(trace.Telemetry))
		}
	})
}

func TestModuleScopes(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(g *fakeGPU)
		devices string
		counter map[string]float64 // over a second
		warning string
	}{
		"ordinary GPU": {func(g *fakeGPU) { g.id.Name, g.module = "NVIDIA H200", nil }, "gpu0",
			map[string]float64{"gpu0": 400}, ""},
		"GPU scope only, as on GB10": {func(g *fakeGPU) { g.id.Name, g.module = "NVIDIA GB10", nil }, "gpu0",
			map[string]float64{"gpu0": 400}, ""},
		"scope ignored": {func(g *fakeGPU) { g.ignoresScope = true }, "gpu0", map[string]float64{"gpu0": 400}, ""},
		"old driver": {func(g *fakeGPU) { g.noScopes = notSupported("field") }, "gpu0", nil,
			"may cover the whole module"},
		"no energy per GPU": {func(g *fakeGPU) { g.noEnergy = notSupported("e") }, "gpu0 gpu0-module",
			map[string]float64{"gpu0-module": 700}, "may cover the whole module"},
		"only the module": {func(g *fakeGPU) {
			g.noRing, g.noInstant, g.noAverage, g.noEnergy = notSupported("a"), notSupported("b"), notSupported("c"),
				notSupported("d")
		}, "gpu0-module", map[string]float64{"gpu0-module": 700}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, now func() int64) {
				lib := newHopperModule(now)
				c.change(lib.gpus[0])
				m, err := openNVML(t.Context(), lib, Options{}, powertest.Clocks(now))
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, d := range m.Devices() {
					ids = append(ids, d.ID)
				}
				if got := strings.Join(ids, " "); got != c.devices {
					t.Errorf("devices %s, want %s", got, c.devices)
				}
				got := energyOver(t, m, time.Second)
				if len(got) != len(c.counter) {
					t.Errorf("energy %v, want %v", got, c.counter)
				}
				for id, want := range c.counter {
					if got[id] != want {
						t.Errorf("%s: %v J, want %v", id, got[id], want)
					}
				}
				if w := strings.Join(m.Warnings().Messages(), "; "); !strings.Contains(w, c.warning) ||
					(c.warning == "") != (w == "") {
					t.Errorf("warnings %q, want %q", w, c.warning)
				}
			})
		})
	}
}
