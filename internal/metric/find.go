package metric

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/near"
)

// titles name metrics where there is room for more than a head: at the axes of figures.
var titles = map[string]string{
	"energy.per_output_token_j":         "energy per output token",
	"energy.per_request_j":              "energy per request",
	"energy.phases.prefill.j_per_token": "energy per prompt token, prefill",
	"energy.phases.decode.j_per_token":  "energy per token, decode",
	"energy.mean_w":                     "mean power",
	"throughput.output_tokens_per_s":    "output tokens per second",
	"throughput.total_tokens_per_s":     "tokens per second",
	"throughput.requests_per_s":         "requests per second",
	"latency.ttft_ms.p50":               "TTFT, median",
	"latency.ttft_ms.p99":               "TTFT, 99th percentile",
	"latency.itl_ms.p50":                "ITL, median",
	"latency.tpot_ms.p50":               "TPOT, median",
	"latency.e2e_ms.p50":                "end to end, median",
	"load.per_good_token_j":             "energy per good token",
	"load.attainment":                   "fraction of requests within the objective",
	"load.goodput_rps":                  "good requests per second",
	"load.completed_rps_per_gpu":        "completed requests per second and GPU",
	"load.output_tokens_per_s_per_gpu":  "output tokens per second and GPU",
	"load.output_tokens_per_s_per_user": "output tokens per second and user",
}

// others are further names that results use for a metric.
var others = []struct{ other, name string }{
	{"W", "energy.mean_w"},
	{"J/output token", "energy.per_output_token_j"},
	{"J/prompt token", "energy.phases.prefill.j_per_token"},
	{"J/decoded token", "energy.phases.decode.j_per_token"},
	{"Wh/1000 requests", "energy.wh_per_1000_requests"},
	{"tokens/s", "throughput.output_tokens_per_s"},
	{"requests/s", "throughput.requests_per_s"},
	{"end to end", "latency.e2e_ms.p50"},
	{"response", "latency.response_ttft_ms.p50"},
}

// places are the indices of the metrics by name, and called by all that a user may call them, folded.
var (
	places = byName()
	called = byCall()
)

func byName() map[string]int {
	out := make(map[string]int, len(table))
	for i, m := range table {
		out[m.Name] = i
	}
	return out
}

func byCall() map[string]int {
	out := make(map[string]int, 2*len(table))
	for i, m := range table {
		for _, call := range m.calls() {
			out[fold(call)] = i
		}
	}
	for _, o := range others {
		out[fold(o.other)] = places[o.name]
	}
	return out
}

// calls returns the names of a metric: in result.json, at the head of a column, and at an axis. The median, which
// heads leave out, may be named.
func (m Info) calls() []string {
	out := []string{m.Name, m.Head}
	if title := titles[m.Name]; title != "" {
		out = append(out, title)
	}
	if strings.HasSuffix(m.Name, ".p50") {
		out = append(out, m.Head+" p50")
	}
	return out
}

// fold brings names that differ in case or blanks only to one form.
func fold(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }

// Index returns the index of a metric in [All] by its name in result.json; −1 if the name is unknown.
func Index(name string) int {
	if i, ok := places[name]; ok {
		return i
	}
	return -1
}

// Head returns the heading of a column of a metric by its name in result.json.
func Head(name string) string { return table[places[name]].Head }

// Title returns the name of a metric at an axis by its name in result.json.
func Title(name string) string { return cmp.Or(titles[name], Head(name)) }

// Find returns the index in [All] of the metric that a user names: by its name in result.json or the end of that
// ("ttft_ms.p99"), by the head of its column ("TTFT p99"), or by its title, in any case. The error is an
// [*UnknownError].
func Find(asked string) (int, error) {
	want := fold(asked)
	if i, ok := called[want]; ok {
		return i, nil
	}
	var ends []int
	for i, m := range table {
		if want != "" && strings.HasSuffix(m.Name, "."+want) {
			ends = append(ends, i)
		}
	}
	switch len(ends) {
	case 1:
		return ends[0], nil
	case 0:
		return -1, &UnknownError{Asked: asked, Near: nearest(want)}
	}
	return -1, &UnknownError{Asked: asked, Near: ends, Several: true}
}

// UnknownError reports a name that is not the name of one metric.
type UnknownError struct {
	// Asked is the name.
	Asked string
	// Near are the indices of metrics that may be meant, the nearest first.
	Near []int
	// Several reports that the name is the end of the names of several metrics: of Near.
	Several bool
}

// Error names what is not a metric.
func (e *UnknownError) Error() string {
	if e.Several {
		return fmt.Sprintf("%q is the end of the names of %d metrics", e.Asked, len(e.Near))
	}
	return fmt.Sprintf("there is no metric %q", e.Asked)
}

// ListCommand prints all metrics.
const ListCommand = "llem report --metrics"

// mostNear is how many metrics are suggested.
const mostNear = 4

// NextStep names the metrics that may be meant.
func (e *UnknownError) NextStep() string {
	const all = "`" + ListCommand + "` lists all metrics"
	if len(e.Near) == 0 {
		return all
	}
	var names []string
	for _, i := range e.Near[:min(mostNear, len(e.Near))] {
		names = append(names, fmt.Sprintf("%q (%s)", table[i].Head, table[i].Name))
	}
	return "use one of " + strings.Join(names, ", ") + "; " + all
}

// IsUsage marks a mistake of the command line.
func (e *UnknownError) IsUsage() {}

// nearest returns the metrics with a name that contains a text, the shortest names first, or else is spelled like it.
func nearest(want string) []int {
	type candidate struct{ at, rank int }
	var found []candidate
	for i, m := range table {
		best := -1
		for _, call := range m.calls() {
			call = fold(call)
			rank := -1
			switch far := near.Distance(want, call); {
			case far <= max(1, len(want)/4):
				rank = far
			case len(want) > 1 && strings.Contains(call, want):
				rank = 100 + len(call)
			case far <= max(1, len(want)/3):
				rank = 1000 + far
			}
			if rank >= 0 && (best < 0 || rank < best) {
				best = rank
			}
		}
		if best >= 0 {
			found = append(found, candidate{i, best})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	out := make([]int, len(found))
	for i, c := range found {
		out[i] = c.at
	}
	return out
}
