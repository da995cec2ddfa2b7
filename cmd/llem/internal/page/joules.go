package page

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metric"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
)

// maxJoules is the number of configurations in the table of joules.
const maxJoules = 100

// joules is the table that divides the energy of each configuration.
type joules struct {
	Heads   []head
	Rows    []joulesOf
	Notes   notes
	Gain    string
	LeftOut string
}

// joulesOf are the lines of one configuration.
type joulesOf struct {
	ID, Label, Source string
	Lines             []joulesLine
}

// joulesLine is the energy of a run, or of a token or a request.
type joulesLine struct {
	Of    string
	Cells []amount
}

// amount is a value with its interval, and its bounds if they are wider. Note is the number of the reason of a null.
type amount struct {
	Value, Interval, Bounds string
	Note                    int
}

// notes are the reasons of nulls, by the numbers in the cells.
type notes []string

// number returns the number of a reason; reasons that differ only in numbers share one.
func (n *notes) number(reason string) int {
	at := slices.IndexFunc(*n, func(other string) bool { return digits.Alike(other, reason) })
	if at < 0 {
		at, *n = len(*n), append(*n, reason)
	}
	return at + 1
}

// exactly returns the number of a reason whose numbers matter.
func (n *notes) exactly(reason string) int {
	at := slices.Index(*n, reason)
	if at < 0 {
		at, *n = len(*n), append(*n, reason)
	}
	return at + 1
}

// part is a column of the table.
type part struct {
	metric string
	// low and high are metrics of the bounds.
	low, high string
	// token and request are the metrics of the same energy per output token and per request; empty where it is scaled.
	token, request string
}

const (
	totalMetric  = "energy.total_j"
	sharedMetric = "energy.phases.shared_j"
	hostColumn   = "energy.node_overhead_j"
)

// parts are the columns of the table.
func parts() []part {
	phase := func(name string) part {
		name = "energy.phases." + name
		return part{metric: name + ".energy_j", low: name + ".low_j", high: name + ".high_j"}
	}
	return []part{phase("prefill"), phase("decode"), phase("other"), {metric: "energy.unattributed_j"},
		{metric: totalMetric, token: energyMetric, request: "energy.per_request_j"},
		{metric: "energy.net_j", token: "energy.net_per_output_token_j", request: "energy.net_per_request_j"},
		{metric: "energy.net_resident_j", token: "energy.net_resident_per_output_token_j"}, {metric: hostColumn}}
}

// joulesHeads are the heads of the columns, most of them as elsewhere.
func joulesHeads() (out []head) {
	for _, p := range parts() {
		m, err := result.Metric(p.metric)
		if err != nil {
			continue
		}
		h := head{metric.Head(p.metric), m.Meaning}
		switch p.metric {
		case totalMetric:
			h.Label = "total, gross"
		case "energy.phases.other.energy_j":
			h.Label = "other, between steps"
		case "energy.unattributed_j":
			h.Label = "not attributed"
		case hostColumn:
			h = head{"host", "Energy beside the total: the rest of the machine by its own meter, or else its " +
				"processors and memory."}
		}
		for _, idle := range view.Idles() {
			if idle.Metric == p.metric {
				h.Label = "net of " + idle.Short
			}
		}
		out = append(out, h)
	}
	return out
}

// runsOf returns the records of the comparable runs of a configuration that are on disk.
func (b *builder) runsOf(i int) (records []*result.Record, err error) {
	for _, at := range b.rows[b.Experiments[i].ID] {
		row := b.Rows[at]
		if !row.Comparable() {
			continue
		}
		r, err := result.ReadRun(b.Dir, row.ID, row.Cycle)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// divide fills the table of joules.
func (b *builder) divide() error {
	t := joules{Heads: joulesHeads()}
	for i := range b.Experiments {
		if _, _, ok := b.value(i, totalMetric); !ok {
			continue
		}
		if len(t.Rows) == maxJoules {
			t.LeftOut = fmt.Sprintf("The first %d configurations; `llem report %s --format csv` has all %d.",
				maxJoules, shell.Quote(b.Dir), len(b.Experiments))
			break
		}
		records, err := b.runsOf(i)
		if err != nil {
			return err
		}
		t.Rows = append(t.Rows, b.joulesOf(i, records, &t))
	}
	if len(t.Rows) > 0 {
		b.model.Joules = &t
	}
	return nil
}

// joulesOf divides the energy of one configuration.
func (b *builder) joulesOf(i int, records []*result.Record, t *joules) joulesOf {
	e := b.Experiments[i]
	out := joulesOf{ID: e.ID, Label: b.labels[i], Source: source(e, records)}
	total, _, _ := b.value(i, totalMetric)
	for _, per := range []struct{ of, metric string }{{"one run", totalMetric}, {"output token", energyMetric},
		{"request", "energy.per_request_j"}} {
		v, _, ok := b.value(i, per.metric)
		if !ok {
			continue
		}
		line := joulesLine{Of: per.of}
		for _, p := range parts() {
			line.Cells = append(line.Cells, b.amount(i, p, per.of, v/total, records, t))
		}
		out.Lines = append(out.Lines, line)
	}
	if len(records) > 0 && t.Gain == "" {
		if q := records[0].Energy.TotalJ; q != nil && q.Value > 0 && q.Gain95 > 0 {
			t.Gain = fmt.Sprintf("The gain of the sensor adds ±%s %% (95 %%) to every number; it cancels in ratios of "+
				"configurations on one device.", digits.Significant(100*q.Gain95/q.Value, 2))
		}
	}
	return out
}

// amount is one cell: the energy of a part, of a run or scaled to a token or a request.
func (b *builder) amount(i int, p part, of string, factor float64, records []*result.Record, t *joules) amount {
	name, scale := p.metric, factor
	own := map[string]string{"output token": p.token, "request": p.request}[of]
	if _, _, ok := b.value(i, own); own != "" && ok {
		name, scale = own, 1
	}
	v, ci, ok := b.value(i, name)
	if !ok && p.metric == hostColumn {
		v, ci, ok = uncounted(records)
	}
	if !ok {
		return b.nothing(i, p, records, t)
	}
	if ci == nil && len(records) == 1 {
		ci = intervalOf(records[0], p.metric)
		if name != p.metric {
			scale, v = factor, v/factor
		}
	}
	out := amount{Value: view.Value(v*scale, "J"), Interval: spread(v, ci, scale)}
	if shared, _, has := b.value(i, sharedMetric); has && shared > 0 && p.low != "" {
		low, _, okLow := b.value(i, p.low)
		high, _, okHigh := b.value(i, p.high)
		if okLow && okHigh {
			out.Bounds = view.Value(low*scale, "J") + " to " + view.Value(high*scale, "J")
		}
	}
	return out
}

// spread prints an interval around a value.
func spread(v float64, ci *[2]float64, scale float64) string {
	if ci == nil {
		return ""
	}
	half := (ci[1] - ci[0]) / 2
	if math.Abs((ci[0]+ci[1])/2-v) < 0.02*half {
		return "± " + digits.SI(half*scale, "J")
	}
	return view.Value(ci[0]*scale, "J") + " to " + view.Value(ci[1]*scale, "J")
}

// intervalOf returns the interval of a part in a single run, from timing and quantisation of the sensor.
func intervalOf(r *result.Record, name string) *[2]float64 {
	quantity := func(q *result.Quantity) *[2]float64 {
		if q == nil {
			return nil
		}
		return &q.CI95
	}
	e := r.Energy
	switch name {
	case totalMetric:
		return quantity(e.TotalJ)
	case "energy.net_j":
		return quantity(e.NetJ)
	case "energy.net_resident_j":
		return quantity(e.NetResidentJ)
	case "energy.unattributed_j":
		return quantity(e.UnattributedJ)
	case hostColumn:
		return quantity(e.NodeOverheadJ)
	}
	if e.Phases == nil {
		return nil
	}
	for phase, p := range map[string]*result.Phase{"prefill": e.Phases.Prefill, "decode": e.Phases.Decode,
		"other": e.Phases.Other} {
		if p != nil && name == "energy.phases."+phase+".energy_j" {
			return p.CI95
		}
	}
	return nil
}

// uncounted returns the energy of processors and memory that are metered and not part of the total.
func uncounted(records []*result.Record) (v float64, ci *[2]float64, ok bool) {
	var sums []float64
	for _, r := range records {
		sum, has := 0.0, false
		for _, d := range r.Energy.Devices {
			if !d.Counted && d.EnergyJ != nil && (d.Kind == "cpu" || d.Kind == "dram") {
				sum, has = sum+d.EnergyJ.Value, true
			}
		}
		if has {
			sums = append(sums, sum)
		}
	}
	if len(sums) == 0 {
		return 0, nil, false
	}
	mean, err := stats.MeanInterval(sums, 0)
	if err != nil {
		return 0, nil, false
	}
	if mean.HasInterval() {
		ci = &[2]float64{mean.Low, mean.High}
	}
	return mean.Value, ci, true
}

// nothing is the cell of a part without a value, with the number of the reason.
func (b *builder) nothing(i int, p part, records []*result.Record, t *joules) amount {
	out := amount{Value: "–"}
	phases := strings.HasPrefix(p.metric, "energy.phases.") || p.metric == "energy.unattributed_j"
	if phases {
		out.Value = "not separable"
	}
	reason := b.whyNot(i, p.metric, records)
	if reason == "" && phases {
		reason = b.whyNot(i, "energy.phases.prefill.energy_j", records)
	}
	if reason == "" {
		return out
	}
	out.Note = t.Notes.number(reason)
	return out
}

// whyNot returns why a part has no value.
func (b *builder) whyNot(i int, name string, records []*result.Record) string {
	for _, why := range b.Experiments[i].Missing {
		if why.Holds(name) {
			return why.Reason
		}
	}
	for _, idle := range view.Idles() {
		if idle.Metric == name {
			return idle.Why(records)
		}
	}
	if name != hostColumn {
		return ""
	}
	for _, r := range records {
		if w, ok := r.Warnings.Find(codes.SensorMissing); ok {
			return w.Message
		}
		if all := r.Energy.Missing; len(all) > 0 {
			return "no meter of the machine or its processors: " + all[0].Source + ": " + all[0].Message
		}
	}
	return "no meter of the machine or its processors was read"
}

// source names what the energy of a configuration is, and the calls that it comes from.
func source(e result.ExperimentSummary, records []*result.Record) string {
	out := string(e.Provenance)
	var calls []string
	add := func(what, call string) {
		if call != "" {
			calls = append(calls, what+" by "+call)
		}
	}
	for _, r := range records {
		if r.Energy.TotalJ == nil {
			continue
		}
		add("total", r.Energy.TotalJ.Source)
		if p := r.Energy.Phases; p != nil && p.Decode != nil {
			add("phases", p.Decode.Source)
		}
		break
	}
	if len(calls) > 0 {
		out += ": " + strings.Join(calls, ", ")
	}
	return out
}
