package join

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestHostWork: processor time of other processes is reported from a twentieth of the machine, or from half a
// processor, and marks the run if the energy of the processors is counted.
func TestHostWork(t *testing.T) {
	cpu := []result.Device{{Device: "package-0", Kind: "cpu", Counted: true}}
	gpu := []result.Device{{Device: "gpu0", Kind: "gpu", Counted: true}, {Device: "package-0", Kind: "cpu"}}
	for name, q := range map[string]struct {
		seconds, others, busy float64
		cores                 int
		devices               []result.Device
		backend               string
		want                  note.Code
		says                  string
	}{
		"quiet":                {10, 0.3, 20, 2, cpu, "embedded", "", ""},
		"daemons":              {10, 1.0, 20, 16, gpu, "vllm", "", ""},
		"a busy loop":          {10, 9.0, 20, 2, cpu, "embedded", codes.HostShared, "0.9 of 2 processors"},
		"beside a GPU":         {10, 9.0, 20, 64, gpu, "vllm", codes.HostBusy, "45 % of the busy time"},
		"a twentieth":          {10, 2.5, 8, 4, cpu, "embedded", codes.HostShared, ""},
		"less of many":         {10, 4.9, 30, 128, gpu, "vllm", "", ""},
		"a short window":       {0.3, 0.1, 0.5, 2, cpu, "embedded", "", ""},
		"ticks that disagree":  {100, 15, 400, 4, cpu, "embedded", "", ""},
		"the simulated engine": {10, 9.0, 20, 2, gpu, "fake", "", ""},
		"no energy":            {10, 9.0, 20, 2, nil, "embedded", codes.HostBusy, "latencies may be longer"},
	} {
		rec := &result.Record{Backend: result.Backend{Name: q.backend}, Energy: result.Energy{Devices: q.devices},
			Harness: &result.Harness{HostCPUS: &q.busy, OtherCPUS: &q.others, HostCores: q.cores}}
		if len(q.devices) > 0 {
			rec.Energy.TotalJ = &result.Quantity{Value: 100}
		}
		j := &join{Material: &Material{Window: attribute.Window{End: int64(q.seconds * 1e9)}}, record: rec}
		j.hostWork()
		var got note.Note
		if len(rec.Warnings) > 0 {
			got = rec.Warnings[0]
		}
		if got.Code != q.want || !strings.Contains(got.Message, q.says) {
			t.Errorf("%s: %+v, want %q with %q", name, got, q.want, q.says)
		}
	}
	for _, h := range []*result.Harness{nil, {HostCPUS: new(5.0), HostCores: 2}, {OtherCPUS: new(5.0)}} {
		j := &join{Material: &Material{Window: attribute.Window{End: 1e9}}, record: &result.Record{Harness: h}}
		if j.hostWork(); len(j.record.Warnings) > 0 {
			t.Errorf("%+v: %v, want nothing if it is unknown", h, j.record.Warnings)
		}
	}
}
