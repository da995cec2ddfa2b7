package picture

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// latency draws the distribution of a latency over the requests of all runs of each configuration.
func (s study) latency(o Options) (*Picture, error) {
	which := strings.ToLower(cmp.Or(o.X, "ttft"))
	of, label := latencies(which)
	if of == nil {
		return nil, &Error{fmt.Sprintf("there is no distribution %q to draw", o.X),
			"use ttft, itl, tpot, e2e or energy with --x"}
	}
	chart := figure.Distribution{Title: s.title(), X: figure.Axis{Label: label, Unit: "s"}}
	column := which + "_s"
	if which == requestEnergy {
		chart.X.Unit, column = "J", "energy_j"
		if kind := s.source(); kind != "" {
			chart.X.Label += ", " + kind
		}
	}
	data := [][]string{{"id", "configuration", "cycle", "request", column}}
	var all []float64
	for i, e := range s.Experiments {
		if len(o.Only) > 0 && !slices.Contains(o.Only, e.ID) {
			continue
		}
		records, folders, err := s.runs(e.ID)
		if err != nil {
			return nil, err
		}
		values := figure.Values{Label: s.labels[i]}
		for k, r := range records {
			if r.Files["requests"] == "" {
				continue
			}
			rows, err := series.ReadFile[series.Request](filepath.Join(folders[k], r.Files["requests"]))
			if errors.Is(err, fs.ErrNotExist) {
				continue // series are left out to save space
			}
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				if !row.OK || row.FirstUse {
					continue
				}
				for _, v := range of(row) {
					values.Values = append(values.Values, v)
					data = append(data,
						[]string{e.ID, s.names[i], strconv.Itoa(r.Cycle), strconv.FormatInt(row.ID, 10),
							number(v)})
				}
			}
		}
		if len(values.Values) > 0 {
			values.Percentiles = s.percentiles(i, which)
			chart.Series, all = append(chart.Series, values), append(all, values.Values...)
		}
	}
	if len(all) == 0 {
		return nil, s.nothing("times of requests")
	}
	chart.X.Log = figure.AutoLog(all)
	return &Picture{Chart: chart, Data: data}, nil
}

// requestEnergy is the distribution of joules over requests.
const requestEnergy = "energy"

// percentiles returns the percentiles of a latency that the results hold: too few values have none.
func (s study) percentiles(i int, which string) (out []figure.Percentile) {
	for _, p := range []int{50, 90, 99} {
		if f, ok := view.FigureOf(&s.Experiments[i], fmt.Sprintf("latency.%s_ms.p%d", which, p)); ok {
			out = append(out, figure.Percentile{Share: float64(p) / 100, Value: f.Value / 1e3})
		}
	}
	return out
}

// latencies returns the values of a latency in seconds of one request, or its joules, and what they are called.
func latencies(which string) (func(series.Request) []float64, string) {
	started := func(r series.Request) int64 {
		if r.StartedNS != nil {
			return *r.StartedNS
		}
		return r.SubmittedNS
	}
	switch which {
	case "ttft":
		return func(r series.Request) []float64 { return []float64{float64(r.FirstTokenNS-started(r)) / 1e9} },
			"time to first token (service)"
	case "e2e":
		return func(r series.Request) []float64 { return []float64{float64(r.EndNS-started(r)) / 1e9} },
			"end to end (service)"
	case requestEnergy:
		return func(r series.Request) []float64 {
			if r.PrefillJ == nil || r.DecodeJ == nil {
				return nil
			}
			return []float64{*r.PrefillJ + *r.DecodeJ}
		}, "energy of a request, prefill and decode"
	case "tpot":
		return func(r series.Request) []float64 {
			if r.OutputTokens < 2 {
				return nil
			}
			return []float64{float64(r.EndNS-r.FirstTokenNS) / 1e9 / float64(r.OutputTokens-1)}
		}, "time per output token"
	case "itl":
		return func(r series.Request) []float64 {
			var out []float64
			for i := 1; i < len(r.TokenNS); i++ {
				out = append(out, float64(r.TokenNS[i]-r.TokenNS[i-1])/1e9)
			}
			return out
		}, "time between tokens"
	}
	return nil, ""
}

// power draws the power of one run over its window.
func (s study) power(o Options) (*Picture, error) {
	r, folder, err := s.run(o.Run)
	if err != nil {
		return nil, err
	}
	counted := slices.ContainsFunc(r.Energy.Devices, func(d result.Device) bool { return d.Counted && d.Series != nil })
	if r.Files["power"] == "" || r.Window == nil || !counted {
		why := cmp.Or(r.Energy.Reason, "no series was recorded")
		return nil, &Error{fmt.Sprintf("%s-c%d has no power series: %s", r.ID, r.Cycle, why),
			"choose another run with --run"}
	}
	raw, err := series.Read(folder, r.Files)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{fmt.Sprintf("%s-c%d has no power series: its .parquet files are not there", r.ID, r.Cycle),
			"copy the folder of the run with these files, or choose another run with --run"}
	}
	if err != nil {
		return nil, err
	}
	return s.powerOf(r, raw)
}

// run finds a run by ID-cCYCLE, or by the first digits of an id; the first that is ok without a name.
func (s study) run(name string) (*result.Record, string, error) {
	id, cycle := name, 0
	if i := strings.LastIndex(name, "-c"); i >= 0 {
		if n, err := strconv.Atoi(name[i+2:]); err == nil {
			id, cycle = name[:i], n
		}
	}
	for _, row := range s.Rows {
		if row.Status != result.OK || !strings.HasPrefix(row.ID, id) || cycle > 0 && row.Cycle != cycle {
			continue
		}
		r, err := result.ReadRun(s.Dir, row.ID, row.Cycle)
		return r, filepath.Join(s.Dir, result.RunPath(row.ID, row.Cycle)), err
	}
	return nil, "", &Error{fmt.Sprintf("no run %q was finished in %s", name, s.Dir),
		"`llem report " + shell.Path(s.Dir) + " --format csv` lists the ids"}
}

// margin is how much of the time before and after the window is shown, as a share of it.
const margin = 0.04

// powerOf sums the devices whose energy is counted, at each reading of one of them.
func (s study) powerOf(r *result.Record, raw series.All) (*Picture, error) {
	start := r.Window.StartMonoNS
	seconds := func(ns int64) float64 { return float64(ns-start) / 1e9 }
	length := seconds(r.Window.EndMonoNS)
	counted := map[string]string{} // source of each device
	for _, d := range r.Energy.Devices {
		if d.Series != nil && d.Counted {
			counted[d.Device] = d.Series.Source
		}
	}
	rows := slices.DeleteFunc(raw.Power, func(p series.Power) bool {
		t := seconds(p.MonoNS)
		return counted[p.Device] != p.Source || t < -margin*length || t > (1+margin)*length
	})
	if len(rows) == 0 {
		return nil, &Error{fmt.Sprintf("%s-c%d has no readings of power in its window", r.ID, r.Cycle),
			"choose another run with --run"}
	}
	slices.SortStableFunc(rows, func(a, b series.Power) int { return int(a.MonoNS - b.MonoNS) })
	label := "power"
	mark := ""
	if kind := r.Energy.Provenance; kind != result.Measured {
		label, mark = label+", "+string(kind), markOf(string(kind))
	}
	chart := figure.Power{Title: s.title(), Y: label, From: 0, To: length, Parts: []string{"prefill", "decode", "both"}}
	data := [][]string{{"seconds", "watts", "devices"}}
	latest := map[string]float64{}
	for _, p := range rows {
		latest[p.Device] = p.PowerW
		if len(latest) < len(counted) {
			continue
		}
		sum := 0.0
		for _, w := range latest {
			sum += w
		}
		chart.T, chart.W = append(chart.T, seconds(p.MonoNS)), append(chart.W, sum)
		data = append(data, []string{number(seconds(p.MonoNS)), number(sum), strconv.Itoa(len(latest))})
	}
	for _, st := range raw.Steps {
		phase := 2
		switch {
		case st.DecodeTokens == 0:
			phase = 0
		case st.PrefillTokens == 0:
			phase = 1
		}
		chart.Spans = append(chart.Spans, figure.Span{From: max(0, seconds(st.StartNS)),
			To: min(length, seconds(st.EndNS)), Phase: phase})
	}
	chart.Spans = slices.DeleteFunc(chart.Spans, func(x figure.Span) bool { return x.To <= x.From || math.IsNaN(x.To) })
	if !slices.ContainsFunc(chart.Spans, func(x figure.Span) bool { return x.Phase == 2 }) {
		chart.Parts = chart.Parts[:2]
	}
	l := timeline{start: start, length: length, counted: counted}
	chart.Doubts, chart.Tracks = l.doubts(r, raw), l.tracks(raw.Telemetry)
	for _, t := range chart.Tracks {
		data[0] = append(data[0], fmt.Sprintf("%s (%s)", t.Label, t.Unit))
		for i := range chart.T {
			data[i+1] = append(data[i+1], heldAt(t, chart.T[i]))
		}
	}
	return &Picture{Chart: chart, Data: data, Mark: mark}, nil
}

// heldAt prints the value of a track at a time: the last one before it.
func heldAt(t figure.Track, at float64) string {
	i, exact := slices.BinarySearch(t.T, at)
	if !exact {
		i--
	}
	if i < 0 {
		return ""
	}
	return number(t.V[i])
}
