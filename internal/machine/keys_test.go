package machine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// shown is a meter that only lists its devices.
type shown struct {
	name    string
	devices []power.Device
}

func (s shown) Name() string                                    { return s.name }
func (s shown) Devices() []power.Device                         { return s.devices }
func (shown) Interval() time.Duration                           { return time.Second }
func (shown) Poll(context.Context, *power.Trace) error          { return nil }
func (shown) Counters(context.Context) ([]power.Reading, error) { return nil, nil }
func (shown) Close() error                                      { return nil }

// TestSensorKeys: a self-test is kept for every sensor of this machine, whoever made
// it, and for nothing else.
func TestSensorKeys(t *testing.T) {
	uuid, version := "GPU-1", "580.1"
	keys := Keys([]power.Meter{
		shown{"nvml", []power.Device{{ID: "gpu0", Kind: power.GPU, UUID: uuid},
			{ID: "gpu0-module", Kind: power.Module, Name: "GH200", UUID: uuid}}},
		shown{"hwmon", []power.Device{{ID: "amd0", Kind: power.GPU, UUID: "0000:01:00.0"},
			{ID: "intel0", Kind: power.GPU, UUID: "0000:02:00.0"}}},
		shown{"rapl", []power.Device{{ID: "package-0", Kind: power.CPU, Name: "Xeon"},
			{ID: "dram-0", Kind: power.DRAM, Name: "Xeon"}}},
		shown{"model", []power.Device{{ID: "model", Kind: power.CPU, Modelled: true}}},
		shown{"remote.dcgm", []power.Device{{ID: "dcgm-gpu0", Kind: power.Remote, OverNetwork: true}}},
	}, map[string]sensor.GPUFacts{"gpu0": {UUID: &uuid, DriverVersion: &version}})
	seen := map[string]string{}
	for id, holds := range map[string]string{"gpu0": "GPU-1-580.1", "gpu0-module": "580.1", "amd0": "0000:01:00.0",
		"intel0": "0000:02:00.0", "package-0": "Xeon", "dram-0": "Xeon"} {
		k := keys[id]
		if !strings.Contains(k, holds) || seen[k] != "" {
			t.Errorf("key of %s is %q, want one of its own that holds %q", id, k, holds)
		}
		seen[k] = id
	}
	if len(keys) != len(seen) {
		t.Errorf("keys %v: a model or a page has one", keys)
	}
}
