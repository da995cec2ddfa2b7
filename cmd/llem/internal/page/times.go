package page

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llenergymeasure/llem/cmd/llem/internal/picture"
	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/shell"
)

// times is the table of percentiles of the latencies.
type times struct {
	Groups  []string // each has the Shares as columns
	Shares  []string
	Rows    []timesOf
	Notes   notes
	LeftOut string
}

// timesOf are the latencies of one configuration.
type timesOf struct {
	ID, Label string
	Cells     []amount
}

// latency is a latency of the page.
type latency struct{ head, metric, kind, caption string }

// latencies of the page, in its order.
func latencies() []latency {
	return []latency{
		{"TTFT", "latency.ttft_ms", "ttft", "Time to the first token of each request (service time)."},
		{"TPOT", "latency.tpot_ms", "tpot", "Mean time per output token after the first, of each request."},
		{"ITL", "latency.itl_ms", "itl", "Time between two tokens, over all tokens of all requests."},
	}
}

// maxLines is the number of configurations in a distribution: more lines cannot be told apart.
const maxLines = 6

// told returns the configurations of a distribution: the front first, then the least energy.
func (b *builder) told() []string {
	var all []int
	for i := range b.Experiments {
		all = append(all, i)
	}
	rank := func(i int) float64 {
		v, _, ok := b.value(i, energyMetric)
		if !ok {
			return 2e300
		}
		if s := b.Experiments[i].Standing; s != nil && s.Status == "front" {
			return v
		}
		return 1e300 + v*1e200
	}
	slices.SortStableFunc(all, func(x, y int) int { return cmp.Compare(rank(x), rank(y)) })
	var ids []string
	for _, i := range all[:min(maxLines, len(all))] {
		ids = append(ids, b.Experiments[i].ID)
	}
	return ids
}

// distributions draws the latencies and the energy of the requests, and lists the percentiles.
func (b *builder) distributions() error {
	only := b.told()
	some := ""
	if len(b.Experiments) > maxLines {
		some = fmt.Sprintf(" %d of %d configurations: the Pareto front, then the least energy; "+
			"`llem plot` draws all.", maxLines, len(b.Experiments))
	}
	all := append(latencies(),
		latency{kind: "energy", caption: "Energy of each request: its share of prefill and decode."})
	for _, l := range all {
		var d drawn
		if err := b.draw("latency", picture.Options{X: l.kind, Only: only}, 105, 65, &d.SVG); err != nil {
			return err
		}
		if d.SVG != "" {
			d.Caption = l.caption + " Open marks: p50, p90 and p99, as far as there are enough values." + some
			if l.kind == "energy" {
				d.Caption = l.caption + some
			}
			b.model.Latencies = append(b.model.Latencies, d)
		}
	}
	b.percentiles()
	return nil
}

// percentiles fills the table of percentiles.
func (b *builder) percentiles() {
	t := times{Shares: []string{"p50", "p90", "p99"}}
	for _, l := range latencies() {
		t.Groups = append(t.Groups, l.head)
	}
	for i, e := range b.Experiments {
		if len(t.Rows) == maxJoules {
			t.LeftOut = fmt.Sprintf("The first %d configurations; `llem report %s --format csv` has all %d.",
				maxJoules, shell.Quote(b.Dir), len(b.Experiments))
			break
		}
		row, some := timesOf{ID: e.ID, Label: b.labels[i]}, false
		for _, l := range latencies() {
			for _, share := range t.Shares {
				cell, ok := b.percentile(i, l.metric+"."+share, &t)
				row.Cells, some = append(row.Cells, cell), some || ok
			}
		}
		if some {
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) > 0 {
		b.model.Times = &t
	}
}

// percentile is a cell of the table of percentiles. Too few values have none, with the reason.
func (b *builder) percentile(i int, name string, t *times) (amount, bool) {
	v, ci, ok := b.value(i, name)
	if ok {
		out := amount{Value: view.Value(v, "ms")}
		if ci != nil {
			out.Interval = view.Value(ci[0], "ms") + " to " + view.Value(ci[1], "ms")
		}
		return out, true
	}
	out := amount{Value: "–"}
	if spread, has := b.Experiments[i].Metrics.Get(name); has && spread.Pooled != nil && spread.Pooled.Reason != "" {
		out.Note = t.Notes.exactly(spread.Pooled.Reason)
		return out, false
	}
	for _, why := range b.Experiments[i].Missing {
		if why.Holds(name) {
			out.Note = t.Notes.exactly(why.Reason)
			break
		}
	}
	return out, false
}

// facet is a key that varies, with its values.
type facet struct {
	Key    string
	Values []facetValue
	// More is the number of values that the page lists only with its script.
	More int
}

type facetValue struct {
	Value string
	N     int
}

// maxValues is the number of values of a key that the page lists without its script.
const maxValues = 12

// maxChoices is the number of values of a key that can be chosen; of more, words of the filter choose.
const maxChoices = 1000

// facets lists the keys that vary, and notes the value of each configuration by its place.
func (b *builder) facets(d *data) {
	heads := b.naming.Heads()
	lists := make([][]facetValue, len(heads))
	places := make([]map[string]int, len(heads))
	for k := range heads {
		places[k] = map[string]int{}
	}
	for i, e := range b.Experiments {
		var of []int
		for k, v := range b.naming.Values(e.Config) {
			at, ok := places[k][v]
			if !ok {
				at = len(lists[k])
				places[k][v], lists[k] = at, append(lists[k], facetValue{Value: v})
			}
			lists[k][at].N++
			of = append(of, at)
		}
		if i < len(d.Configs) {
			d.Configs[i].Facets = of
		}
	}
	for k, head := range heads {
		f := facet{Key: head, Values: lists[k]}
		df := facetData{Key: head, Values: []string{}, N: []int{}}
		for _, v := range lists[k] {
			if len(lists[k]) > maxChoices {
				break
			}
			df.Values, df.N = append(df.Values, v.Value), append(df.N, v.N)
		}
		d.Facets = append(d.Facets, df)
		if f.More = len(f.Values) - maxValues; f.More > 0 {
			f.Values = f.Values[:maxValues]
		}
		b.model.Facets = append(b.model.Facets, f)
	}
}
