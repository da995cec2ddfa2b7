package nodes

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/host"
)

// TestDifferences names the facts that differ; what one machine does not tell is none.
func TestDifferences(t *testing.T) {
	machine := func(change func(*host.GPU)) *host.Snapshot {
		g := host.GPU{Name: new("NVIDIA H100"), DriverVersion: new("570.1"), VBIOS: new("96.00"),
			ECCMode: new("enabled"),
			MIGMode: new("disabled"), VRAMTotalBytes: new(int64(80 << 30)), PowerLimitW: new(700.0),
			SMClockMaxMHz: new(1980), MemClockMaxMHz: new(2619), SMClockApplicationsMHz: new(1980)}
		change(&g)
		return &host.Snapshot{CPU: host.CPU{Model: new("EPYC"), CoresLogical: new(64)}, GPUs: []host.GPU{g, g}}
	}
	first := ClassOf(machine(func(*host.GPU) {}))
	for want, change := range map[string]func(*host.GPU){
		"":                      func(*host.GPU) {},
		" ":                     func(g *host.GPU) { g.VBIOS = nil },
		"GPU name":              func(g *host.GPU) { g.Name = new("NVIDIA H200") },
		"GPU driver":            func(g *host.GPU) { g.DriverVersion = new("580.1") },
		"GPU VBIOS":             func(g *host.GPU) { g.VBIOS = new("97.00") },
		"GPU ECC":               func(g *host.GPU) { g.ECCMode = new("disabled") },
		"GPU MIG":               func(g *host.GPU) { g.MIGMode = new("enabled") },
		"GPU memory":            func(g *host.GPU) { g.VRAMTotalBytes = new(int64(40 << 30)) },
		"GPU power limit":       func(g *host.GPU) { g.PowerLimitW = new(500.0) },
		"GPU highest clock":     func(g *host.GPU) { g.SMClockMaxMHz = new(1755) },
		"GPU application clock": func(g *host.GPU) { g.SMClockApplicationsMHz = new(1500) },
	} {
		got := ClassOf(machine(change)).Differences(first)
		if text := strings.Join(got, "; "); len(got) > 1 || !strings.HasPrefix(text, strings.TrimSpace(want)) ||
			(text == "") != (strings.TrimSpace(want) == "") {
			t.Errorf("%q: %q", want, text)
		}
	}
	one := machine(func(*host.GPU) {})
	one.GPUs, one.CPU.Model = one.GPUs[:1], new("Xeon")
	if got := strings.Join(ClassOf(one).Differences(first), "; "); got !=
		"CPU: Xeon, the first machine has EPYC; GPUs: 1, the first machine has 2" {
		t.Error(got)
	}
}
