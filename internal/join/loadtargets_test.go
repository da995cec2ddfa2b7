package join

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/load"
)

// loadTarget is an accuracy target for points of loads, as target is for runs.
type loadTarget struct {
	what, want string
	judge      func([]point) verdict
	missed     bool
}

var loadTargets = []loadTarget{
	{what: "total, net, J per output and per good token: 95 % intervals that hold the truth", want: "at least 92 %",
		judge: loadCovers(0.92, any1, "total_j", "net_j", "net_resident_j", "per_output_token_j", "per_good_token_j")},
	{what: "total: median error", want: "at most 0.5 %", judge: loadError(0.5, 0.005, "total_j")},
	{what: "wasted energy: 95 % intervals that hold the truth", want: "at least 92 %",
		judge: loadCovers(0.92, any1, "wasted_j")},
	{what: "energy of ramp and drain: 95 % intervals that hold the truth", want: "at least 92 %",
		judge: loadCovers(0.92, not500, "ramp_j", "drain_j")},
	{what: "the same with a counter of 500 ms", want: "at least 92 %", missed: true,
		judge: loadCovers(0.92, func(p point) bool { return !not500(p) }, "ramp_j", "drain_j")},
	{what: "energy of the time without a request: 95 % intervals that hold the truth", want: "at least 92 %",
		judge: loadCovers(0.92, any1, "idle_j")},
	{what: "output tokens of the window: error of 95 % of the points", want: "at most 0.1 %",
		judge: loadError(0.95, 0.001, "output tokens")},
	{what: "prefill and decode in a window of a load: 95 % intervals that hold the truth", want: "92 to 98 %",
		judge: loadCovers(0.92, any1, "prefill", "decode")},
	{what: "prefill and decode: median error", want: "at most 1 %", judge: loadError(0.5, 0.01, "prefill", "decode")},
	{what: "backlog slope: 95 % intervals that hold the truth", want: "at least 92 %",
		judge: loadCovers(0.92, any1, "backlog_slope, steady", "backlog_slope, closed")},
	{what: "backlog slope beyond the capacity: 95 % intervals that hold the growth of the window",
		want:  "at least 92 %",
		judge: loadCovers(0.92, any1, "backlog_slope, overloaded")},
	{what: "steady, but called saturated", want: "at most 2 %", judge: loadShare(0, 0.02, steadyOpen, saturated)},
	{what: "1.4 times the capacity, called saturated", want: "at least 90 %", missed: true,
		judge: loadShare(0.9, 1, func(p point) bool { return beyond(p) && p.use > 1.3 }, saturated)},
	{what: "steady, but its halves are called unlike", want: "at most 5 %",
		judge: loadShare(0, 0.05, point.steady, unlike)},
	{what: "attainment, Poisson and constant, to 0.8 of the capacity: 95 % intervals that hold the value of a long run",
		want: "at least 90 %", judge: loadCovers(0.9, calm, "attainment")},
	{what: "median, p90, p95 of TTFT, E2E and TPOT, the same loads", want: "at least 90 %",
		judge: loadCovers(0.9, calm, percentilesOf...)},
	{what: "attainment and percentiles, at 0.9 of the capacity, bursts or a cap", want: "at least 90 %",
		judge: loadCovers(0.9, func(p point) bool { return p.kind != load.Closed && !calm(p) },
			append([]string{"attainment"}, percentilesOf...)...), missed: true},
	{what: "attainment and percentiles of closed loops", want: "at least 90 %", missed: true,
		judge: loadCovers(0.9, func(p point) bool { return p.kind == load.Closed },
			append([]string{"attainment"}, percentilesOf...)...)},
	{what: "objective not reached in the long run, but the verdict is yes", want: "at most 5 %",
		judge: loadShare(0, 0.05, point.steady,
			func(p point) bool { return p.rec.Load.SLOMet == "yes" && p.truth.attained < p.slo.Attainment })},
	{what: "objective reached in the long run, but the verdict is no", want: "at most 5 %",
		judge: loadShare(0, 0.05, point.steady,
			func(p point) bool { return p.rec.Load.SLOMet == "no" && p.truth.attained >= p.slo.Attainment })},
	{what: "J per output token in the long run: 95 % intervals that hold the value of a long run",
		want: "at least 92 %", judge: loadCovers(0.92, any1, "long_run_output_token_j")},
	{what: "the same per output token of a good request", want: "at least 92 %", missed: true,
		judge: loadCovers(0.92, any1, "long_run_good_token_j")},
}

var percentilesOf = []string{"response_ttft p50", "response_ttft p90", "response_ttft p95", "response_e2e p50",
	"response_e2e p90", "response_e2e p95", "tpot p50", "tpot p90", "tpot p95"}

func any1(point) bool         { return true }
func not500(p point) bool     { return !strings.Contains(p.server.Sensor, "500 ms") }
func saturated(p point) bool  { return p.rec.Load.Saturated }
func unlike(p point) bool     { return !p.rec.Load.Halves.Stationary }
func beyond(p point) bool     { return p.open() && p.truth.overloaded() }
func steadyOpen(p point) bool { return p.open() && p.steady() }

// open reports whether requests arrive by themselves, at one rate.
func (p point) open() bool { return p.kind != load.Closed && p.kind != load.Ramp }

// calm reports whether a window has many independent requests.
func calm(p point) bool {
	return p.use <= 0.8 && p.trouble != capped && (p.kind == load.Poisson || p.kind == load.Constant)
}

// named returns the figures with these names of some points.
func named(all []point, want func(point) bool, names ...string) (out []figure) {
	for _, p := range all {
		if !want(p) {
			continue
		}
		for _, f := range p.figures {
			if slices.Contains(names, f.name) {
				out = append(out, f)
			}
		}
	}
	return out
}

// summary is what figures have in common.
type summary struct {
	errors              []float64
	refused, hold, have int // have an interval, and it holds the truth
}

func summaryOf(all []figure) (s summary) {
	for _, f := range all {
		if f.refused != "" {
			s.refused++
			continue
		}
		s.errors = append(s.errors, math.Abs(f.error()))
		if !math.IsNaN(f.low) {
			if s.have++; f.covered() {
				s.hold++
			}
		}
	}
	return s
}

func loadCovers(low float64, want func(point) bool, names ...string) func([]point) verdict {
	return func(all []point) verdict {
		s := summaryOf(named(all, want, names...))
		return verdict{fmt.Sprintf("%s of %d", share(s.hold, s.have), s.have),
			float64(s.hold) >= low*float64(s.have), atMost(s.hold, s.have, low) < chance, s.have}
	}
}

func loadError(q, limit float64, names ...string) func([]point) verdict {
	return func(all []point) verdict {
		s := summaryOf(named(all, any1, names...))
		e := quantile(s.errors, q)
		return verdict{fmt.Sprintf("%s of %d", pct(e), len(s.errors)), e <= limit, e > 2*limit, len(s.errors)}
	}
}

// loadShare bounds the share of the points with a property among some.
func loadShare(low, high float64, among, is func(point) bool) func([]point) verdict {
	return func(all []point) verdict {
		k, n := 0, 0
		for _, p := range all {
			if among(p) {
				if n++; is(p) {
					k++
				}
			}
		}
		of := float64(k) / float64(max(1, n))
		return verdict{fmt.Sprintf("%s (%d of %d)", share(k, n), k, n), low <= of && of <= high,
			n > 0 && (low > 0 && atMost(k, n, low) < chance || high < 1 && atLeast(k, n, high) < chance), n}
	}
}

// checkLoads fails if a target is missed by more than chance explains.
func checkLoads(t *testing.T, all []point) {
	t.Helper()
	for _, q := range loadTargets {
		if v := q.judge(all); !q.missed && v.broken {
			t.Errorf("%s: %s, want %s", q.what, v.result, q.want)
		}
	}
}

// loadTable returns the tables of the loads in Markdown.
func loadTable(all []point) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d simulated points of loads.\n\n| target | wanted | result | met? |\n|---|---|---|---|\n",
		len(all))
	for _, q := range loadTargets {
		v := q.judge(all)
		met := map[bool]string{true: "yes", false: "**no**"}[v.met]
		if v.values == 0 {
			v.result, met = "–", "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", q.what, q.want, v.result, met)
	}
	b.WriteString("\nBy quantity:\n\n| | points | median error | 95 % of points | intervals that hold the truth " +
		"| refused |\n|---|---|---|---|---|---|\n")
	var names []string
	for _, p := range all {
		for _, f := range p.figures {
			if !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	for _, name := range names {
		s := summaryOf(named(all, any1, name))
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %d |\n", name, len(s.errors)+s.refused,
			pct(quantile(s.errors, 0.5)), pct(quantile(s.errors, 0.95)), share(s.hold, s.have), s.refused)
	}
	b.WriteString("\nIntervals that hold the truth, by sensor:\n\n| | total_j | net_j | ramp_j | drain_j | idle_j " +
		"|\n|---|---|---|---|---|---|\n")
	for _, k := range sim.SensorKinds {
		fmt.Fprintf(&b, "| %s |", k.Name)
		for _, name := range []string{"total_j", "net_j", "ramp_j", "drain_j", "idle_j"} {
			s := summaryOf(named(all, func(p point) bool { return p.server.Sensor == k.Name }, name))
			fmt.Fprintf(&b, " %s of %d |", share(s.hold, s.have), s.have)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nBy rate, relative to the capacity (open loops of one rate):\n\n| | points | called saturated | " +
		"attainment held | percentiles held | verdict yes | no | unresolved |\n|---|---|---|---|---|---|---|---|\n")
	for _, use := range offerUses {
		b.WriteString(rateRow(all, use))
	}
	return b.String()
}

func rateRow(all []point, use float64) string {
	here := func(p point) bool { return p.open() && p.use == use }
	count := func(is func(point) bool) string {
		k, n := 0, 0
		for _, p := range all {
			if here(p) {
				if n++; is(p) {
					k++
				}
			}
		}
		return share(k, n)
	}
	met := func(word string) string {
		return count(func(p point) bool { return p.rec.Load.SLOMet == word })
	}
	held := func(names ...string) string {
		s := summaryOf(named(all, here, names...))
		return share(s.hold, s.have)
	}
	n := 0
	for _, p := range all {
		if here(p) {
			n++
		}
	}
	return fmt.Sprintf("| %g | %d | %s | %s | %s | %s | %s | %s |\n", use, n, count(saturated), held("attainment"),
		held(percentilesOf...), met("yes"), met("no"), met("unresolved"))
}
