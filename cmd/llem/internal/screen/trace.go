package screen

import (
	"math"
	"path/filepath"
	"slices"

	"github.com/llenergymeasure/llem/cmd/llem/internal/chart"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// trace is the power of the devices whose energy is counted, by device, in seconds from the start of the window.
type trace map[string][]chart.Sample

// readTrace reads the power series of a run from its folder, or from the folder of its study.
func readTrace(dir string, r *result.Record) (trace, error) {
	name := r.Files["power"]
	if name == "" || r.Window == nil {
		return nil, nil
	}
	rows, err := series.ReadFile[series.Power](filepath.Join(dir, filepath.FromSlash(result.RunPath(r.ID, r.Cycle)),
		name))
	if err != nil {
		if rows, err = series.ReadFile[series.Power](filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	sources := map[string]string{}
	for _, d := range r.Energy.Devices {
		if d.Counted {
			sources[d.Device] = ""
			if d.Series != nil {
				sources[d.Device] = d.Series.Source
			}
		}
	}
	out := trace{}
	for _, row := range rows {
		source, counted := sources[row.Device]
		if !counted || math.IsNaN(row.PowerW) {
			continue
		}
		if source == "" {
			source = row.Source
			sources[row.Device] = source
		}
		if row.Source == source {
			at := digits.Seconds(row.MonoNS-r.Window.StartMonoNS) - row.WindowMS/2e3
			out[row.Device] = append(out[row.Device], chart.Sample{At: at, Value: row.PowerW})
		}
	}
	for _, samples := range out {
		slices.SortStableFunc(samples, func(a, b chart.Sample) int {
			switch {
			case a.At < b.At:
				return -1
			case a.At > b.At:
				return 1
			}
			return 0
		})
	}
	return out, nil
}

// holdS is how long the last sample before a cell stands for it, in seconds.
const holdS = 1.5

// bins is the summed power in n equal spans between two instants; one in which a device has no sample is not a number.
func (t trace) bins(from, to float64, n int) []float64 {
	sum := make([]float64, n)
	if len(t) == 0 {
		for i := range sum {
			sum[i] = math.NaN()
		}
	}
	for _, samples := range t {
		for i, v := range chart.Bins(samples, from, to, n, holdS) {
			sum[i] += v
		}
	}
	return sum
}
