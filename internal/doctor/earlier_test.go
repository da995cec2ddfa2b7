package doctor_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
)

// TestReadsEarlierReports: a report that an earlier version kept has its sentences and next steps
// under other keys.
func TestReadsEarlierReports(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "h200.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r doctor.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	const rapl = "this is a virtual machine, and its host does not pass RAPL on; through perf: the kernel has no " +
		"energy events"
	want := power.Unavailable{Source: "rapl", Note: note.Note{Code: codes.SensorMissing, Message: rapl,
		Next: "measure on the host; --estimate models the CPU instead"}}
	if len(r.Missing) != 1 || r.Missing[0] != want {
		t.Errorf("missing %+v, want %+v", r.Missing, want)
	}
	steps := 0
	for _, f := range r.Verdict {
		if f.Message == "" || f.Level == "" || f.Device == "" {
			t.Errorf("finding %+v lacks something", f)
		}
		if f.Next == "randomise arrivals and measure for 30 s or more" {
			steps++
		}
	}
	if len(r.Verdict) == 0 || steps != 1 {
		t.Errorf("%d findings, %d with the next step of a counter that swings", len(r.Verdict), steps)
	}
	var s doctor.Skipped
	if err := json.Unmarshal([]byte(`{"test": "pulses", "reason": "--quick", "fix": "leave it out"}`),
		&s); err != nil ||
		s != (doctor.Skipped{Test: "pulses", Note: note.Note{Message: "--quick", Next: "leave it out"}}) {
		t.Errorf("skipped %+v, %v", s, err)
	}
}
