package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/scratch"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/power"
)

// simulation is a simulated GPU: its shared file and its meters.
type simulation struct {
	path    string
	meters  []power.Meter
	missing []power.Unavailable
}

// simulate creates a GPU for the fake backend. Tests of the real sensor code provide theirs in LLEM_SIM, with
// a library to read it in LLEM_NVML_LIBRARY. The caller closes the meters, then calls end.
func simulate(ctx context.Context) (s simulation, end func(), err error) {
	if path := os.Getenv(sim.Env); path != "" && os.Getenv(nvmlLibrary) != "" {
		s.path = path
		s.meters, s.missing = Meters(ctx, false)
		return s, func() {}, nil
	}
	dir, err := scratch.Dir("simulation")
	if err != nil {
		return s, nil, fmt.Errorf("make a folder for the simulated GPU: %w", err)
	}
	end = func() { os.RemoveAll(dir) }
	s.path = filepath.Join(dir, "gpu")
	f, err := sim.CreateCard(s.path)
	if err != nil {
		end()
		return s, nil, err
	}
	s.meters = []power.Meter{sim.NewMeter(f)}
	return s, end, nil
}
