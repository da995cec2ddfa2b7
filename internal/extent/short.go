package extent

import (
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

const (
	// steadyShare is the share of a load that is taken to be steady before it is run.
	steadyShare = 1 - load.RampShare
	// usualWindow is the length of a window in seconds that most sensors need for an energy within ±1 %. What the
	// sensors of a machine need is known after their self-test.
	usualWindow = 10.0
)

// lack counts the loads that lack something. The last one needs the most time.
type lack struct {
	loads   int
	has     float64 // of the load that has the least
	seconds float64 // that the load needs which needs the most
	part    float64 // of what it needs, of the load that has the least
	at      string
	ways    ways
}

// add adds a load which has this part of the time that it needs, in seconds.
func (l *lack) add(has, seconds float64, x Extent, e study.Experiment, at string) {
	if l.loads++; l.loads == 1 || has < l.has {
		l.has, l.at = has, at
	}
	l.seconds = max(l.seconds, seconds)
	if part := x.Seconds / seconds; l.loads == 1 || part < l.part {
		l.part = part
	}
	l.ways.add(e.Workload.Load)
}

// TooShort returns warnings of the loads of a study that are too short for what they are to tell. name names an
// experiment.
func (f *Files) TooShort(s *study.Study, name func(study.Experiment) string) []note.Note {
	var verdict, percentile, energy lack
	all, floor, attainment, needed := 0, stats.PercentileFloor(99), 0.0, 0
	for _, e := range s.Experiments {
		x, ok := f.Of(e)
		if !ok || x.Probes > 0 || x.Requests == 0 {
			continue // a search extends its probes
		}
		all++
		n, rate := steadyShare*x.Requests, x.Requests/x.Seconds
		lasts := func(requests int) float64 { return float64(requests) / rate / steadyShare }
		if slo := e.Workload.SLO; slo.Limited() {
			attainment = slo.Limits().Attainment
			if least := load.LeastRequests(attainment, load.Z95); n < float64(least) {
				needed = max(needed, least)
				verdict.add(n, lasts(least), x, e, name(e))
			}
		}
		if n < float64(floor) {
			percentile.add(n, lasts(floor), x, e, name(e))
		}
		window := usualWindow
		if e.Energy.MinWindow > 0 {
			window = e.Energy.MinWindow
		}
		if e.Energy.Sources != "none" && steadyShare*x.Seconds < window {
			energy.add(steadyShare*x.Seconds, window/steadyShare, x, e, name(e))
		}
	}
	of := func(n int) string { return fmt.Sprintf("%d of %s", n, digits.Count(all, "load")) }
	var out []note.Note
	if verdict.loads > 0 {
		out = append(out, note.Note{Code: codes.LoadTooShort,
			Message: fmt.Sprintf("%s will hardly tell whether the objective is met: %d good requests are the least "+
				"for an attainment of %g, and about %.0f are expected in the steady part of %s", of(verdict.loads),
				needed, attainment, verdict.has, verdict.at), Next: verdict.ways.more(verdict.seconds)})
	}
	if percentile.loads > 0 {
		out = append(out, note.Note{Code: codes.LoadTooShort,
			Message: fmt.Sprintf("%s will have no p99, which needs %d requests (p95 %d, p90 %d): about %.0f are "+
				"expected in the steady part of %s", of(percentile.loads), floor, stats.PercentileFloor(95),
				stats.PercentileFloor(90), percentile.has, percentile.at),
			Next: percentile.ways.more(percentile.seconds) + " for all of them, if p99 matters"})
	}
	if energy.loads > 0 {
		out = append(out, note.Note{Code: codes.LoadTooShort,
			Message: fmt.Sprintf("%s may be too short for an energy: about %s s are expected in the steady part of %s",
				of(energy.loads), digits.Significant(energy.has, 2), energy.at),
			Next: energy.ways.longer(energy.seconds, energy.part)})
	}
	return out
}

// roundUp rounds seconds up to two digits.
func roundUp(seconds float64) int {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(max(1, seconds)))-1))
	return int(math.Ceil(seconds/unit) * unit)
}
