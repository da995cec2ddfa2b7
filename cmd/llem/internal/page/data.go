package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/internal/figure"
	"github.com/llenergymeasure/llem/result"
)

// data is what the script of the page reads.
type data struct {
	Metrics []metricData `json:"metrics"`
	Configs []configData `json:"configs"`
	Series  []string     `json:"series"`
	X       string       `json:"x"`
	Y       string       `json:"y"`
	Facets  []facetData  `json:"facets"`
	Runs    []runData    `json:"runs"`
	// Mark qualifies all numbers, such as simulated.
	Mark string `json:"mark"`
}

// facetData is a key that varies, with its values and how many configurations have each.
type facetData struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	N      []int    `json:"n"`
}

type metricData struct {
	Name   string `json:"name"`
	Label  string `json:"label"`
	Unit   string `json:"unit"`
	Higher bool   `json:"higher"`
}

type configData struct {
	ID     string `json:"id"`
	Label  string `json:"label"`
	Series int    `json:"series"`
	// Values are the mean of each metric and the ends of its interval, null where there is none.
	Values map[string][3]*float64 `json:"v"`
	// Facets are the places of the values of the keys that vary.
	Facets []int `json:"f"`
}

// runData is the power of a run.
type runData struct {
	Label string  `json:"label"`
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	// Data is base64 of gzip of int32, little-endian: differences of times in µs, then of powers in mW.
	Data string `json:"data"`
	// Spans are begin, end and phase, one after the other.
	Spans []float64 `json:"spans"`
	// Doubts have begin, end, code and what happened.
	Doubts [][4]any    `json:"doubts"`
	Tracks []trackData `json:"tracks"`
	// Others are codes and messages of what happened in the window at no recorded time.
	Others [][2]string `json:"others"`
	// Mark qualifies the power.
	Mark string `json:"mark"`
}

// trackData is the temperature or the clock over time.
type trackData struct {
	Label string    `json:"label"`
	Unit  string    `json:"unit"`
	T     []float64 `json:"t"`
	V     []float64 `json:"v"`
}

// data collects the numbers of the configurations.
func (b *builder) data() data {
	d := data{X: "throughput.output_tokens_per_s", Y: energyMetric, Metrics: []metricData{}, Configs: []configData{},
		Series: []string{}, Facets: []facetData{}, Runs: []runData{}, Mark: b.charts.Mark()}
	for _, m := range b.metrics {
		d.Metrics = append(d.Metrics, metricData{m.Name, picture.Label(m), m.Unit, m.HigherIsBetter})
	}
	if !slices.ContainsFunc(b.metrics, func(m result.MetricInfo) bool { return m.Name == energyMetric }) &&
		len(b.metrics) > 1 {
		d.Y = b.metrics[0].Name
	}
	groups, of := b.charts.Groups()
	d.Series = append(d.Series, groups...)
	for i, e := range b.Experiments {
		if i == maxPoints {
			break
		}
		c := configData{ID: e.ID, Label: b.labels[i], Series: of[i], Values: map[string][3]*float64{}}
		for _, m := range b.metrics {
			v, ci, ok := b.value(i, m.Name)
			if !ok || math.IsInf(v, 0) {
				c.Values[m.Name] = [3]*float64{}
				continue
			}
			values := [3]*float64{rounded(v)}
			if ci != nil {
				values[1], values[2] = rounded(ci[0]), rounded(ci[1])
			}
			c.Values[m.Name] = values
		}
		d.Configs = append(d.Configs, c)
	}
	return d
}

// rounded keeps five digits, which is more than can be seen.
func rounded(v float64) *float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	if err != nil || math.IsInf(r, 0) || math.IsNaN(r) {
		return nil
	}
	return &r
}

// Bounds of the power in a page.
const (
	maxRuns     = 12      // runs whose power is in the page
	maxReadings = 100_000 // of a run; more are decimated to the least and greatest of equal stretches
)

// power puts the power of the first run of each configuration into the page, as far as there is room.
func (b *builder) power(d *data) error {
	left := 0
	for i, e := range b.Experiments {
		if len(d.Runs) == maxRuns {
			left = len(b.Experiments) - i
			break
		}
		if len(b.rows[e.ID]) == 0 {
			continue
		}
		at := b.rows[e.ID][0]
		name := fmt.Sprintf("%s-c%d", e.ID, b.Rows[at].Cycle)
		p, err := b.charts.New(picture.PowerChart, picture.Options{Run: name})
		if _, cannot := errors.AsType[*picture.Error](err); cannot {
			continue
		}
		if err != nil {
			return err
		}
		chart, ok := p.Chart.(figure.Power)
		if !ok {
			continue
		}
		if b.model.Power == "" {
			if b.model.Power, err = inline(p, 178, 90); err != nil {
				return err
			}
			b.model.PowerCaption = fmt.Sprintf(
				"%s, cycle %d. Below: prefill and decode. Dashed: the edges of the window.",
				b.labels[i], b.Rows[at].Cycle)
		}
		run, err := packed(chart, fmt.Sprintf("%s, cycle %d", b.labels[i], b.Rows[at].Cycle))
		if err != nil {
			return err
		}
		run.Mark = p.Mark
		if run.Others, err = b.untimed(b.Rows[at], chart.Doubts); err != nil {
			return err
		}
		if len(d.Runs) == 0 {
			b.powerMarks(run)
		}
		d.Runs = append(d.Runs, run)
	}
	b.model.PowerNote = "Drag to move, turn the wheel to zoom. The band below shows prefill (blue) and " +
		"decode (yellow). Shaded: what limits the numbers, with its code. The full series are power.parquet and " +
		"telemetry.parquet in the folder of each run."
	if left > 0 {
		b.model.PowerNote += fmt.Sprintf(
			" The page holds the first run of %d configurations; %d more are in the folder.",
			len(d.Runs), left)
	}
	return nil
}

// untimed returns the warnings of a run that are marked nowhere in its window.
func (b *builder) untimed(row result.Row, marked []figure.Doubt) ([][2]string, error) {
	r, err := result.ReadRun(b.Dir, row.ID, row.Cycle)
	if err != nil {
		return nil, err
	}
	out := [][2]string{}
	for _, w := range r.Warnings {
		if !slices.ContainsFunc(marked, func(d figure.Doubt) bool { return d.Code == string(w.Code) }) {
			out = append(out, [2]string{string(w.Code), w.Message})
		}
	}
	return out, nil
}

// powerMarks lists the doubts of the run that is drawn without the script.
func (b *builder) powerMarks(run runData) {
	seen := map[any]int{}
	for _, d := range run.Doubts {
		if seen[d[2]]++; seen[d[2]] > 5 {
			continue // the chart has it
		}
		b.model.PowerMarks = append(b.model.PowerMarks, fmt.Sprintf("%v, %.3g s to %.3g s: %v", d[2], d[0], d[1], d[3]))
	}
	for _, o := range run.Others {
		b.model.PowerOthers = append(b.model.PowerOthers, o[0]+": "+o[1])
	}
}

// packed encodes the power of a run.
func packed(p figure.Power, label string) (runData, error) {
	t, w := decimated(p.T, p.W, maxReadings)
	ints := make([]int32, 0, 2*len(t))
	for _, s := range []struct {
		values []float64
		factor float64
	}{{t, 1e6}, {w, 1e3}} {
		last := int64(0)
		for _, v := range s.values {
			now := int64(math.Round(v * s.factor))
			ints = append(ints, int32(max(math.MinInt32, min(math.MaxInt32, now-last)))) //nolint:gosec // bounded
			last = now
		}
	}
	var raw bytes.Buffer
	z := gzip.NewWriter(&raw)
	if err := binary.Write(z, binary.LittleEndian, ints); err != nil {
		return runData{}, err
	}
	if err := z.Close(); err != nil {
		return runData{}, err
	}
	out := runData{Label: label, From: p.From, To: p.To, Data: base64.StdEncoding.EncodeToString(raw.Bytes()),
		Spans: spans(p.Spans), Doubts: [][4]any{}, Tracks: []trackData{}, Others: [][2]string{}}
	for _, d := range p.Doubts {
		out.Doubts = append(out.Doubts, [4]any{round4(d.From), round4(d.To), d.Code, d.Label})
	}
	for _, t := range p.Tracks {
		times, values := decimated(t.T, t.V, maxTrack)
		track := trackData{Label: t.Label, Unit: t.Unit, T: []float64{}, V: values}
		for _, at := range times {
			track.T = append(track.T, round4(at))
		}
		out.Tracks = append(out.Tracks, track)
	}
	return out, nil
}

// maxTrack is the number of values of a temperature or a clock in the page.
const maxTrack = 4000

// maxSpans is the number of stretches of a phase in the page; more are joined.
const maxSpans = 5000

// spans joins neighbours of one phase, and prints them flat to a tenth of a millisecond.
func spans(all []figure.Span) []float64 {
	out := []float64{}
	gap := 0.0005
	for {
		out = out[:0]
		for _, s := range all {
			n := len(out)
			if n > 0 && out[n-1] == float64(s.Phase) && s.From-out[n-2] <= gap {
				out[n-2] = round4(s.To)
				continue
			}
			out = append(out, round4(s.From), round4(s.To), float64(s.Phase))
		}
		if len(out) <= 3*maxSpans {
			return out
		}
		gap *= 4
		if gap > 1e6 {
			return out[:3*maxSpans]
		}
	}
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// decimated keeps the least and the greatest of equal stretches of readings, in their order.
func decimated(t, w []float64, most int) (times, watts []float64) {
	if len(t) <= most {
		return t, w
	}
	stretch := (2*len(t) + most - 1) / most
	for i := 0; i < len(t); i += stretch {
		end := min(i+stretch, len(t))
		low, high := i, i
		for k := i; k < end; k++ {
			if w[k] < w[low] {
				low = k
			}
			if w[k] > w[high] {
				high = k
			}
		}
		for _, k := range []int{min(low, high), max(low, high)} {
			times, watts = append(times, t[k]), append(watts, w[k])
		}
	}
	return times, watts
}
