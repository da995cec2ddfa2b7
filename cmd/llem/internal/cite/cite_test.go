package cite

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

var update = flag.Bool("update", false, "write the golden files")

const repository = "../../../.."

// TestStudy: the sentences about stored results: of one run on an H200, and of configurations with two simulated runs.
func TestStudy(t *testing.T) {
	simulated, err := result.ReadStudy(filepath.Join(repository, "testdata/stored/simulated"))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*result.StudyResult{
		"h200": {Runs: []*result.Record{stored(t)}}, "simulated": simulated,
	} {
		var got strings.Builder
		if err := Study(&got, s); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-golden +got):\n%s", name, diff)
		}
	}
}

// stored reads a run on an H200.
func stored(t *testing.T) *result.Record {
	t.Helper()
	r, err := result.ReadRecord(filepath.Join(repository, "bench/results/2026-11-29-h200/pytorch-batch8/result.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMissing: what is missing, not measured or not comparable is stated, never left out.
func TestMissing(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *result.Record)
		want   string
	}{
		{"no energy", func(r *result.Record) {
			r.Energy.PerOutputTokenJ, r.Energy.Reason = nil, "gpu0: lost in the window"
		}, "Its energy is not reported: gpu0: lost in the window."},
		{"no phases", func(r *result.Record) { r.Energy.Phases, r.Energy.PhasesReason = nil, "no steps" },
			"It is not divided into prefill and decode: no steps."},
		{"one phase refused", func(r *result.Record) {
			r.Energy.Phases.Prefill.JPerToken, r.Energy.Phases.Prefill.Reason = nil, "too short"
		}, "It is not divided into prefill and decode: too short."},
		{"modelled", func(r *result.Record) { r.Energy.Provenance = result.Modelled },
			"The energy is modelled (nvml.energy), not measured: no sensor was read."},
		{"simulated", func(r *result.Record) { r.Energy.Provenance = result.Simulated }, "THE ENERGY IS SIMULATED"},
		{"negative net", func(r *result.Record) {
			r.Energy.NetPerOutputTokenJ.Value, r.Energy.NetPerOutputTokenJ.CI95 = -0.02, [2]float64{-0.03, -0.01}
		}, "(95 % interval −30.0 to −10.0 mJ) net of the idle power"},
		{"two GPUs", func(r *result.Record) { r.Energy.Devices = append(r.Energy.Devices, r.Energy.Devices[0]) },
			"on 2 × NVIDIA H200:"},
		{"other tokens", func(r *result.Record) { r.Warn(codes.GPUForeignWork, "another process") },
			"no run can be reported (gpu_foreign_work)."},
		{"failed", func(r *result.Record) { r.Status = result.Failed }, "no run can be reported (failed)."},
	} {
		r := stored(t)
		test.change(r)
		var got strings.Builder
		if err := Study(&got, &result.StudyResult{Runs: []*result.Record{r}}); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(strings.Fields(got.String()), " "); !strings.Contains(text, test.want) {
			t.Errorf("%s: %q is not in\n%s", test.name, test.want, text)
		}
	}
}

// TestWithin: a value and its interval are in one unit, as a reader compares them, and end at 0.
func TestWithin(t *testing.T) {
	for want, q := range map[string][3]float64{
		"0.870 J (95 % interval 0.669 to 1.07 J)":  {0.870, 0.669, 1.07},
		"280 mJ (95 % interval 277 to 283 mJ)":     {0.280, 0.277, 0.283},
		"1.00 J (95 % interval 0 to 2.50 J)":       {1, -0.5, 2.5},
		"−0.100 J (95 % interval −1.20 to 1.00 J)": {-0.1, -1.2, 1},
	} {
		if got := within(q[0], [2]float64{q[1], q[2]}); got != want {
			t.Errorf("%v: %q, not %q", q, got, want)
		}
	}
}
