package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/internal/extent"
	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// Load is what a load asks of an engine.
type Load struct {
	// Requests is the expected number of requests, of a search over rates the most; 0 if it depends on the engine.
	Requests float64 `json:"requests,omitempty"`
	// PromptTokens and OutputTokens are the tokens of these requests.
	PromptTokens float64 `json:"prompt_tokens,omitempty"`
	OutputTokens float64 `json:"output_tokens,omitempty"`
	// Seconds is how long requests arrive, of a search at most, without extended probes; LeastSeconds is the least.
	Seconds      float64 `json:"seconds,omitempty"`
	LeastSeconds float64 `json:"least_seconds,omitempty"`
	// Probes is how many probes a search takes at most without extensions, ProbeS how long each is, and Sustained how
	// many sustained runs follow; Over is what it varies.
	Probes    int     `json:"probes,omitempty"`
	ProbeS    float64 `json:"probe_s,omitempty"`
	Sustained int     `json:"sustained,omitempty"`
	Over      string  `json:"over,omitempty"`
	// Trace is what is taken from a trace: rows, requests, and what is left out or shortened; null for other loads and
	// for a sum.
	Trace *trace.Summary `json:"trace,omitempty"`
	// searches counts the searches of a sum, and unknown its loads whose requests are unknown.
	searches, unknown int
	// taken is what a sum takes from each trace, in words.
	taken []string
	// recorded reports that all requests are from traces, which are known.
	recorded bool
}

// loadOf returns what an experiment's load asks; nil without one.
func loadOf(e study.Experiment, files *extent.Files) *Load {
	x, ok := files.Of(e)
	if !ok {
		return nil
	}
	l := &Load{Requests: x.Requests, Seconds: x.Seconds, LeastSeconds: x.LeastS, Probes: x.Probes, ProbeS: x.ProbeS,
		Sustained: x.Sustained, Over: x.Over, PromptTokens: x.Prompt, OutputTokens: x.Output}
	if x.Part != nil {
		l.Trace = x.Part.Summary
	}
	if x.Probes > 0 {
		l.searches = 1
	}
	if x.Requests == 0 {
		l.unknown = 1
	}
	return l
}

// loads adds up the loads of all runs.
func (p *Plan) loads(o Options) {
	var sum Load
	found := false
	for i, e := range o.Study.Experiments {
		l := loadOf(e, o.Files)
		runs := o.Shard.Cycles(o.Study, i)
		if l == nil || runs == 0 {
			continue
		}
		sum.recorded = l.Trace != nil && (sum.recorded || !found)
		found = true
		if l.Trace != nil {
			text := naming.Trace(e.Workload.Load) + ": " + l.Trace.Text()
			if !slices.Contains(sum.taken, text) {
				sum.taken = append(sum.taken, text)
			}
		}
		n := float64(runs)
		sum.Requests += n * l.Requests
		sum.PromptTokens += n * l.PromptTokens
		sum.OutputTokens += n * l.OutputTokens
		sum.Seconds += n * l.Seconds
		sum.LeastSeconds += n * l.LeastSeconds
		sum.searches += runs * l.searches
		sum.unknown += runs * l.unknown
		if l.Probes > sum.Probes {
			sum.Probes, sum.ProbeS, sum.Sustained, sum.Over = l.Probes, l.ProbeS, l.Sustained, l.Over
		}
	}
	if found {
		p.Load = &sum
	}
}

// print prints how many requests arrive, and how long.
func (l *Load) print(b *strings.Builder) {
	if l == nil {
		return
	}
	most := l.most()
	if l.searches > 0 {
		fmt.Fprintf(b, "  a search over %s takes at most %s of %s and %s; a probe that does not tell is extended, "+
			"%d times at most\n", over(l.Over), digits.Count(l.Probes, "probe"), seconds(l.ProbeS),
			digits.Count(l.Sustained, "sustained run"), load.MaxExtensions)
	}
	if l.Seconds > 0 {
		fmt.Fprintf(b, "  requests arrive for %s%s in all", most, digits.Rough(digits.Duration(l.Seconds)))
	} else {
		fmt.Fprintf(b, "  requests arrive as recorded")
	}
	if l.Requests > 0 {
		about := cmp.Or(most, "about ")
		if l.recorded {
			about = ""
		}
		fmt.Fprintf(b, ": %s%s requests, %s tokens in and %s out", about,
			expected(l.Requests), expected(l.PromptTokens), expected(l.OutputTokens))
	}
	if l.unknown > 0 && l.Requests > 0 {
		fmt.Fprintf(b, ", and as many as the engine serves in %s", digits.Count(l.unknown, "more load"))
	}
	b.WriteString("\n")
	for i, text := range l.taken {
		if i == mostReasons {
			fmt.Fprintf(b, "  … and %s\n", digits.Count(len(l.taken)-i, "more trace"))
			break
		}
		fmt.Fprintf(b, "  %s\n", text)
	}
}

// most returns the words before a number that a search may not reach.
func (l *Load) most() string {
	if l != nil && l.searches > 0 {
		return "at most "
	}
	return ""
}

// over names what a search varies.
func over(what string) string {
	if what == load.OverConcurrency {
		return "requests in flight"
	}
	return "rates"
}

// seconds formats a duration.
func seconds(s float64) string { return digits.Rough(digits.Duration(s)) }

// expected formats an expected number: whole below a thousand.
func expected(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%.0f", n)
	}
	return strings.TrimSpace(digits.SI(n, ""))
}

// cells returns the requests of a point, and how long they arrive.
func (l *Load) cells() []string {
	if l == nil {
		return []string{"–", "–"}
	}
	requests, arrive := "?", "?"
	least := ""
	if l.Probes > 0 {
		least = "≤ "
	}
	if l.Requests > 0 {
		requests = least + expected(l.Requests)
	}
	if l.Seconds > 0 {
		arrive = least + seconds(l.Seconds)
	}
	return []string{requests, arrive}
}

// load adds what a load is modelled to do to the engine.
func (n *Need) load(w study.Workload, all []estimate.Served) {
	if w.Load.Kind == load.Trace || w.Load.Turns > 1 {
		n.Warnings = append(n.Warnings, "requests differ in length: the estimates are of requests of the mean length")
	}
	for _, q := range all {
		if n.InFlight == nil || q.InFlight > *n.InFlight {
			most := q.InFlight
			n.InFlight = &most
		}
		if q.Behind && (!n.Behind || q.Rate < n.CompletedPerS) {
			n.Behind, n.CompletedPerS = true, q.Rate
		}
	}
}

// schedules returns the loads of a study that are longer than its limits, and what is too short to tell what it is to
// tell.
func (o CheckOptions) schedules(s *study.Study, files *extent.Files) []Problem {
	var out []Problem
	limit := cmp.Or(o.Timeout, time.Duration(s.Execution.RunTimeout))
	for _, m := range files.Beyond(s, limit, func(i int) int { return o.Shard.Cycles(s, i) }) {
		out = append(out, Problem{Finding{Error: true, Short: "time", Note: m.Note()}, m.Concerns})
	}
	named := naming.By(naming.Varying(s.Experiments), s.Experiments)
	for _, n := range files.TooShort(s, named.Label) {
		out = append(out, Problem{Finding: Finding{Note: n}})
	}
	return out
}

// behind warns of the loads that the engine is modelled not to keep up with.
func (p *Plan) behind() {
	var over []Point
	for _, q := range p.Shown {
		if q.Need != nil && q.Need.Behind && q.Load != nil && q.Load.Probes == 0 {
			over = append(over, q)
		}
	}
	if len(over) == 0 {
		return
	}
	least := slices.MinFunc(over, func(a, b Point) int { return cmp.Compare(a.Load.Requests, b.Load.Requests) })
	p.Findings = append(p.Findings, Finding{Note: note.Note{Code: codes.Saturated,
		Message: fmt.Sprintf("%s: by the model, %s completes about %s requests/s, fewer than arrive in %s: the "+
			"backlog grows, and there are no latencies", digits.Count(len(over), "load"), least.Need.Device,
			digits.Significant(least.Need.CompletedPerS, 2), least.Label),
		Next: "leave it if the limit is to be seen; otherwise lower the rate"}})
}

// arrivals returns the stretches of an experiment's load; nil without one.
func (e *Estimator) arrivals(x study.Experiment) []estimate.Arrivals {
	var out []estimate.Arrivals
	if own, ok := e.files.Of(x); ok {
		for _, q := range own.Stretches {
			out = append(out, estimate.Arrivals(q))
		}
	}
	return out
}
