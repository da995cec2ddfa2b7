// Package foreign knows the result files of other benchmarks: aiperf, vllm bench serve, guidellm, optimum-benchmark and
// MLPerf Endpoints. It writes a run of llem in their format, with each number computed from the stored requests by
// their definition, and reads their files for comparison.
//
// The one table of their numbers, with llem's name of each and how the definitions differ, is [Definitions];
// docs/metrics.md shows it. What was not measured is left out, or null where their format wants the key.
package foreign

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/result/series"
)

// Format is the result file of another benchmark, by its name for --format.
type Format string

// The formats.
const (
	AIPerf    Format = "aiperf"
	VLLMBench Format = "vllm-bench"
	GuideLLM  Format = "guidellm"
	Optimum   Format = "optimum-benchmark"
	Endpoints Format = "mlperf-endpoints"
)

// Formats lists the formats.
func Formats() []Format { return []Format{AIPerf, VLLMBench, GuideLLM, Optimum, Endpoints} }

// about is what is known of a format.
var about = map[Format]struct {
	tool, file string
	together   bool              // all runs are in one file
	energy     bool              // the format has energy
	stats      map[string]string // their words for statistics, by llem's
	noEnergy   string
}{
	AIPerf: {energy: true, tool: "AIPerf", file: "profile_export_aiperf.json",
		stats:    map[string]string{"mean": "avg", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"},
		noEnergy: "AIPerf had no telemetry of a GPU"},
	VLLMBench: {tool: "vllm bench serve", file: "vllm-bench.json",
		stats:    map[string]string{"mean": "mean", "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"},
		noEnergy: "vllm bench serve does not measure energy"},
	GuideLLM: {tool: "GuideLLM", file: "benchmarks.json", together: true,
		stats: map[string]string{"mean": "mean", "p50": "percentiles.p50", "p90": "percentiles.p90",
			"p95": "percentiles.p95", "p99": "percentiles.p99"},
		noEnergy: "GuideLLM does not measure energy"},
	Optimum: {energy: true, tool: "optimum-benchmark", file: "benchmark.json",
		stats:    map[string]string{"mean": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"},
		noEnergy: "optimum-benchmark ran without scenario.energy"},
	Endpoints: {energy: true, tool: "MLPerf Endpoints", file: "result_summary.json",
		stats:    map[string]string{"mean": "mean", "p50": "50", "p90": "90", "p95": "95", "p99": "99"},
		noEnergy: "MLPerf Endpoints does not measure energy"},
}

// Tool is the name of the program that writes the format.
func (f Format) Tool() string { return about[f].tool }

// File is the name under which the program writes its file.
func (f Format) File() string { return about[f].file }

// Together reports whether all runs of a study are in one file.
func (f Format) Together() bool { return about[f].together }

// HasEnergy reports whether the format has energy.
func (f Format) HasEnergy() bool { return about[f].energy }

// Run is a run of llem with its requests.
type Run struct {
	// Study is the name of the study.
	Study string
	// Label names the configuration within it; empty if there is one.
	Label string
	// Record is the run.
	Record *result.Record
	// Requests are the rows of its requests.parquet.
	Requests []series.Request
}

// object is a JSON object; its keys are written in alphabetical order.
type object = map[string]any

// Write returns runs as one document of a format: all of them if its runs are together, otherwise the first.
func Write(f Format, runs []Run) ([]byte, error) {
	var document object
	switch f {
	case VLLMBench:
		document = vllmBench(runs[0])
	case AIPerf:
		document = aiperf(runs[0])
	case Optimum:
		document = optimum(runs[0])
	case Endpoints:
		document = endpoints(runs[0])
	case GuideLLM:
		document = guidellm(runs)
	}
	text, err := json.MarshalIndent(document, "", "  ")
	return append(text, '\n'), err
}

// Times of a request, in seconds.
type request struct {
	series.Request
	// sent is when a client would have sent it, in nanoseconds of CLOCK_MONOTONIC: it could have been served. A request
	// that arrives by itself was sent when it was, and due at its schedule.
	sent, due int64
}

// requests returns the requests of a run, in the order of their ids.
func (r Run) requests() []request {
	out := make([]request, 0, len(r.Requests))
	for _, q := range r.Requests {
		if !r.own(q.Point) {
			continue
		}
		n := request{Request: q, sent: q.SubmittedNS, due: q.SubmittedNS}
		if q.ArrivedNS != nil {
			n.due = *q.ArrivedNS
			if !r.open() || q.SubmittedNS == 0 {
				n.sent = n.due
			}
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b request) int { return int(a.ID - b.ID) })
	return out
}

// finished are the requests that were completed.
func finished(all []request) []request {
	return slices.DeleteFunc(slices.Clone(all), func(q request) bool { return !q.OK })
}

// ttft is the time from sending to the first token, in seconds.
func (q request) ttft() float64 { return seconds(q.FirstTokenNS - q.sent) }

// latency is the time from sending to the last token, in seconds.
func (q request) latency() float64 { return seconds(q.EndNS - q.sent) }

// gaps are the times between neighbouring tokens, in seconds.
func (q request) gaps() []float64 {
	out := []float64{}
	for i := 1; i < len(q.TokenNS); i++ {
		out = append(out, seconds(q.TokenNS[i]-q.TokenNS[i-1]))
	}
	return out
}

// perToken is the mean time per token after the first, in seconds; false for a single token.
func (q request) perToken() (float64, bool) {
	if q.OutputTokens < 2 {
		return 0, false
	}
	return (q.latency() - q.ttft()) / float64(q.OutputTokens-1), true
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// each returns a value of each request that has it.
func each(all []request, of func(request) (float64, bool)) (out []float64) {
	for _, q := range all {
		if v, ok := of(q); ok {
			out = append(out, v)
		}
	}
	return out
}

// always makes a value that every request has.
func always(of func(request) float64) func(request) (float64, bool) {
	return func(q request) (float64, bool) { return of(q), true }
}

// sum adds the values of all requests.
func sum(all []request, of func(request) int64) (n int64) {
	for _, q := range all {
		n += of(q)
	}
	return n
}

func promptTokens(q request) int64 { return q.PromptTokens }
func outputTokens(q request) int64 { return q.OutputTokens }

// span is the time from the first request that was sent to the last token, in nanoseconds of CLOCK_MONOTONIC.
func span(all []request) (start, end int64) {
	for i, q := range all {
		if i == 0 || q.sent < start {
			start = q.sent
		}
		end = max(end, q.EndNS)
	}
	return start, end
}

// spread is the standard deviation as NumPy computes it by default: divided by n, not by n-1.
func spread(values []float64) float64 {
	mean, squares := stats.Mean(values), 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares / float64(len(values)))
}

// milliseconds returns times in seconds as milliseconds.
func milliseconds(times []float64) []float64 {
	out := make([]float64, len(times))
	for i, t := range times {
		out[i] = 1e3 * t
	}
	return out
}

// wall is the wall clock at a stamp of the run, in nanoseconds since 1970.
func (r Run) wall(monoNS int64) int64 {
	return r.Record.Window.Start.UnixNano() + monoNS - r.Record.Window.StartMonoNS
}

// energyJ is the measured energy of the window in joules; nil if it was not measured: a modelled or simulated one has
// no place in the file of a program that measures.
func (r Run) energyJ() *float64 {
	e := r.Record.Energy
	if e.Provenance != result.Measured || e.TotalJ == nil {
		return nil
	}
	return &e.TotalJ.Value
}

// origin are the keys that mark a file of another program as written by llem.
func (r Run) origin() map[string]string {
	out := map[string]string{"measured_by": "llem", "llem_version": r.Record.Program, "llem_study": r.Study,
		"llem_run": runName(r.Record), "llem_energy": string(r.Record.Energy.Provenance.Of(r.Record.Backend.Name))}
	if out["llem_energy"] == "" {
		out["llem_energy"] = "none"
	}
	if r.Label != "" {
		out["llem_configuration"] = r.Label
	}
	if r.Record.Synthetic {
		out["llem_weights"] = "random"
	}
	return out
}

// Writable reports why a run cannot be written; empty if it can.
func Writable(r *result.Record) string {
	switch {
	case r.Status != result.OK:
		return "it is " + string(r.Status)
	case r.Window == nil || r.Tokens == nil:
		return "it has no numbers"
	case r.Files["requests"] == "":
		return "its requests were not stored"
	}
	return ""
}

// runName names a run, as its folder does.
func runName(r *result.Record) string { return fmt.Sprintf("%s-c%d", r.ID, r.Cycle) }
