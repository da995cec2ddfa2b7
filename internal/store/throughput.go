package store

import (
	"path/filepath"

	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/throughput"
	"github.com/llenergymeasure/llem/result"
)

// Stamp sets what a worker adds to the lines of its journal: times by the clock of the file server.
func (d *Dir) Stamp(stamp func(*Entry)) { d.stamp = stamp }

// workersOf returns the use of the workers' time; nil for a study of fewer than two workers.
func workersOf(dir string, journal []Entry) *result.Workers {
	var runs []throughput.Run
	for _, e := range journal {
		get := func(name string) float64 { v, _ := e.Values.Get("timing." + name); return v }
		if e.Status == result.Interrupted || e.Made() {
			runs = append(runs, throughput.Run{Worker: e.Worker, End: e.At, TookS: e.TookS, Use: result.TimeUse{
				WindowS: get("window_s"), IdlePowerS: get("baseline_s"), LoadS: get("load_s"), RestS: get("gap_s"),
				WarmupS: get("warmup_s") + get("discarded_window_s"), ClaimS: e.ClaimS, WaitS: e.WaitS}})
		}
	}
	return throughput.Of(runs, filepath.Join(dir, nodes.WorkersDir), filepath.Join(dir, ClaimsDir))
}
