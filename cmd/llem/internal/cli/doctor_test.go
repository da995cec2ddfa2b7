package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/sim"
)

// kept is doctor.json beside a study, as either of its forms.
type kept struct {
	Skipped json.RawMessage
	Next    string
	Devices []struct {
		Device string
		Idle   *struct {
			CounterW *float64 `json:"counter_w"`
		}
		Sensor *struct{ Source string }
	}
}

// TestDoctorBesideResults: what a self-test found lies beside every study, a run uses
// it, and without a self-test the file says what to do.
func TestDoctorBesideResults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("seconds of simulated work in real time")
	}
	library, cache := imitatedNVML(t), t.TempDir()
	path, err := exec.LookPath("llem")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &simulation{}
	if s.file, err = sim.Create(filepath.Join(dir, "gpu"), sim.Options{BareW: 78, Serial: serial()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.file.Close() })
	measure := func(name string) (kept, string) {
		t.Helper()
		s.results = filepath.Join(dir, name)
		if out, err := s.llem(path, library, cache, "-n", "8", "--input-tokens", "16", "--output-tokens",
			"8").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		text, err := os.ReadFile(filepath.Join(s.studyDir(t), "doctor.json"))
		if err != nil {
			t.Fatal(err)
		}
		var k kept
		if err := json.Unmarshal(text, &k); err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
		runs, _ := filepath.Glob(filepath.Join(s.studyDir(t), "runs", "*", "result.json"))
		if len(runs) != 1 {
			t.Fatalf("runs %v", runs)
		}
		record, err := os.ReadFile(runs[0])
		if err != nil {
			t.Fatal(err)
		}
		return k, string(record)
	}

	before, _ := measure("before")
	if before.Next != "llem doctor" || !strings.Contains(string(before.Skipped), "no self-test") ||
		len(before.Devices) != 0 {
		t.Errorf("without a self-test: %s, next %q", before.Skipped, before.Next)
	}

	test := s.llem(path, library, cache)
	test.Args = []string{path, "doctor", "--quick", "--json"}
	out, err := test.Output()
	if err != nil {
		t.Fatalf("doctor: %v\n%s", err, out)
	}
	quick, record := measure("quick")
	if len(quick.Devices) != 1 || quick.Devices[0].Idle == nil || *quick.Devices[0].Idle.CounterW < 70 ||
		strings.Contains(record, `"filter_ms": 13.25`) {
		t.Errorf("after doctor --quick: %+v", quick)
	}

	// A full test needs a load, which the program has for real GPUs only.
	var r doctor.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	r.When = time.Now()
	r.Devices[0].Sensor = &doctor.SensorKernel{Source: "nvml.samples", WindowMS: 20, WindowSDMS: 1, FilterMS: 13.25,
		FilterSDMS: 1, LagMS: 1, LagSDMS: 1}
	if err := r.Save(cache, func(string) string { return s.file.UUID(0) + "-simulated" }); err != nil {
		t.Fatal(err)
	}
	full, record := measure("full")
	if len(full.Devices) != 1 || full.Devices[0].Sensor == nil || !strings.Contains(record, `"filter_ms": 13.25`) {
		t.Errorf("after a full test: %+v; its profile in result.json: %v", full,
			strings.Contains(record, `"filter_ms": 13.25`))
	}
}
