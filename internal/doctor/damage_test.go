package doctor_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/damage"
	"github.com/llenergymeasure/llem/internal/doctor"
)

// TestDamagedReport: what a self-test found out about a sensor is used as it was found, or not at all.
func TestDamagedReport(t *testing.T) {
	dir := t.TempDir()
	r := &doctor.Report{SchemaVersion: 1, When: time.Now().Add(-time.Hour), Loads: []string{"cpu"},
		Devices: []*doctor.Device{{Device: "gpu0", UUID: "GPU-1", Name: "NVIDIA H100",
			Sensor: &doctor.SensorKernel{}}}}
	if err := r.Save(dir, func(string) string { return "GPU-1-580.1" }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "doctor", "GPU-1-580.1.json")
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := damage.Format{Name: "kept self-test", Intact: intact, Read: func(text []byte) (string, error) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got := doctor.Cached(dir, "GPU-1-580.1", time.Now())
		if got == nil {
			return "", errors.New("none is kept")
		}
		var b bytes.Buffer
		err := got.JSON(&b)
		return b.String(), err
	}}
	damage.Table(t, []damage.Tally{f.Check(t, damage.Seed(t), damage.Number(1000, 200))})
}
