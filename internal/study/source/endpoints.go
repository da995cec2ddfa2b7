package source

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/llenergymeasure/llem/internal/study/keys"
	"github.com/llenergymeasure/llem/internal/study/terms"
)

// The points of MLPerf Endpoints (rules 1.0): fixed numbers of requests in flight, at least seven of them and one up to
// 32, each for at least 600 s up to 32 in flight and 1,200 s above.
const (
	leastPoints            = 7
	lowConcurrency         = 32
	lowSeconds, usualPoint = 600, 1200
	// turnsOfPoint is how many prompts the workload has for each request in flight, as far as the study leaves it open.
	turnsOfPoint = 4
)

// endpointLevels are the requests in flight of the profile endpoints, as far as the study leaves them open.
var endpointLevels = []int{1, 4, 16, 32, 64, 128, 256, 512}

// Endpoints adds the points of the profile endpoints: an axis of the requests in flight, each with the length of its
// window and a number of prompts, at least usual, of the data set named. What the study gives takes precedence.
func (b *Source) Endpoints(usual int, dataset string) {
	p, ok := b.Execution["execution.profile"]
	if !ok || p.V.Text != terms.Endpoints {
		return
	}
	level, _ := b.Lookup("workload.concurrency")
	if b.arrives() {
		b.Fail(p.At, "remove "+terms.LoadKey+"kind and search, or choose another execution.profile",
			"the profile endpoints has fixed numbers of requests in flight, and the study gives other arrivals")
		return
	}
	if len(b.Points) > 0 {
		window, _ := b.Lookup("energy.min_window")
		if !slices.ContainsFunc(b.Points, func(p *Point) bool {
			return p.Names(level) == nil || p.Names(window) == nil
		}) {
			return // as in the study.yaml of results
		}
		b.Fail(p.At, "remove experiments:, or give workload.concurrency and energy.min_window in each of them",
			"the profile endpoints makes its own points")
		return
	}
	levels := b.levels(level)
	if len(levels) == 0 {
		return
	}
	low := slices.ContainsFunc(levels, func(n int) bool { return n > 0 && n <= lowConcurrency })
	if len(levels) < leastPoints || !low {
		hint := fmt.Sprintf("sweep workload.concurrency over %d values or more, one of them up to %d, or leave it out",
			leastPoints, lowConcurrency)
		b.Fail(p.At, hint, "the profile endpoints needs %d numbers of requests in flight, and one up to %d",
			leastPoints, lowConcurrency)
		return
	}
	axis := &Axis{Form: ZipAxis, Name: level.Key, At: p.At, Choices: make([][]Assign, len(levels))}
	add := func(key string, text func(level int) string) {
		f, known := b.Lookup(key)
		if !known || f != level && b.gives(f) {
			return
		}
		axis.Keys = append(axis.Keys, AxisKey{F: f, At: p.At})
		for i, n := range levels {
			v, err := f.Kind.Parse(text(n))
			if err != nil { // the text of a number is one
				continue
			}
			axis.Choices[i] = append(axis.Choices[i], Assign{F: f, V: v})
		}
	}
	add(level.Key, strconv.Itoa)
	add("energy.min_window", func(n int) string {
		if n <= lowConcurrency {
			return strconv.Itoa(lowSeconds)
		}
		return strconv.Itoa(usualPoint)
	})
	add("workload.prompts", func(n int) string { return strconv.Itoa(max(usual, turnsOfPoint*n)) })
	add("workload.dataset", func(int) string { return dataset }) // others may have fewer prompts
	b.Axes = append(b.Axes, axis)
}

// levels takes the requests in flight out of the study, and returns them, or the ones of the profile without any.
func (b *Source) levels(f *keys.Field) []int {
	at := slices.IndexFunc(b.Axes, func(a *Axis) bool { return a.Has(f) })
	if at < 0 {
		if i := slices.IndexFunc(b.Fixed, func(p Placed) bool { return p.F == f }); i >= 0 {
			return []int{int(b.Fixed[i].V.Whole)}
		}
		return endpointLevels
	}
	a := b.Axes[at]
	if a.Form != PlainAxis { // changes together with other keys
		b.Fail(cmp.Or(a.At, b.Nowhere()), "sweep workload.concurrency alone",
			"the profile endpoints sets the length of each workload.concurrency")
		return nil
	}
	var out []int
	for _, c := range a.Choices {
		out = append(out, int(c[0].V.Whole))
	}
	b.Axes = slices.Delete(b.Axes, at, at+1)
	return out
}

// arrives reports whether the study gives arrivals, or a search for the highest load, instead of a closed loop.
func (b *Source) arrives() bool {
	kind, _ := b.Lookup(terms.LoadKey + "kind")
	search, _ := b.Lookup(terms.LoadKey + "search")
	closed := slices.ContainsFunc(b.Fixed, func(p Placed) bool { return p.F == kind && p.V.Text == closedLoop })
	return b.gives(kind) && !closed || b.gives(search)
}

// closedLoop is the kind of load with a fixed number of requests in flight.
const closedLoop = "closed"

// gives reports whether the study gives a key.
func (b *Source) gives(f *keys.Field) bool {
	return slices.ContainsFunc(b.Fixed, func(p Placed) bool { return p.F == f }) ||
		slices.ContainsFunc(b.Axes, func(a *Axis) bool { return a.Has(f) }) ||
		slices.ContainsFunc(b.Links, func(l Link) bool { return l.F == f })
}
