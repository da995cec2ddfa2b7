package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/damage"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// TestDamagedBaselines: a remembered idle power is the one that was measured, or none.
func TestDamagedBaselines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baselines.json")
	device, now := power.Device{ID: "gpu0", UUID: "GPU-1"}, time.Now()
	idle := result.Idle{W: 76.90896531936436, Half95: 2.276240291352177, Source: "nvml.energy"}
	if err := (&Baselines{Path: path}).put(device, idle, now); err != nil {
		t.Fatal(err)
	}
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := damage.Format{Name: "remembered idle powers", Intact: intact, Read: func(text []byte) (string, error) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		idle, ok := (&Baselines{Path: path}).get(device, time.Hour, now)
		if !ok {
			return "", errors.New("none is remembered")
		}
		return fmt.Sprint(idle), nil
	}}
	damage.Table(t, []damage.Tally{f.Check(t, damage.Seed(t), damage.Number(1000, 200))})
}
