package sim

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestVisible: an engine works on the GPUs that CUDA_VISIBLE_DEVICES names; a list that names none of the simulation is
// about other GPUs, and takes no power away.
func TestVisible(t *testing.T) {
	gpus := []Sensors{DefaultSensors(), DefaultSensors(), DefaultSensors()}
	gpus[0].Faults.LostAfter = time.Nanosecond
	f, err := Create(filepath.Join(t.TempDir(), "gpu"), Options{GPUs: gpus, BareW: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for list, want := range map[string][]float64{
		"0": {0, 1, 0}, "1": {0, 0, 1}, "1,0": {0, 1, 1}, f.UUID(2): {0, 0, 1}, "0,-1,1": {0, 1, 0},
		"2": nil, "7": nil, "-1": nil, "GPU-of-this-machine": nil, "": nil, f.UUID(0): nil,
	} {
		if got := f.Visible(list); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
	all := NewEngine(f, EngineOptions{Scale: f.Visible("7")})
	if got := all.opts.Scale; !slices.Equal(got, []float64{0, 1, 1}) {
		t.Errorf("a list of other GPUs: %v", got)
	}
}
