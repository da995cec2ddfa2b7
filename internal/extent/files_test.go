package extent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/study"
)

// recorded are six requests of five seconds, with one without an answer.
const recorded = `{"llem_trace": 1}
{"at_s": 0, "input": 30, "output": 4}
{"at_s": 1, "input": 300, "output": 40}
{"at_s": 2, "input": 2000, "output": 400}
{"at_s": 3, "input": 20, "output": 0}
{"at_s": 4, "input": 2000, "output": 48}
{"at_s": 5, "input": 2000, "output": 49}
`

func traced(t *testing.T, more, rest string) *study.Study {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.jsonl")
	if err := os.WriteFile(path, []byte(recorded), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(t, fmt.Sprintf("load: {kind: trace, trace: %q%s}", path, more), rest)
}

// TestOfTraces: the extent of a trace is what a run takes from it: its span, limits, speed and rate.
func TestOfTraces(t *testing.T) {
	for _, q := range []struct {
		load                                 string
		requests, prompt, output, s          float64
		rows, dropped, clipped, outside, not int64
	}{
		{"", 5, 6330, 541, 5, 6, 0, 0, 0, 1},
		{", speed: 2", 5, 6330, 541, 2.5, 6, 0, 0, 0, 1},
		{", rate: 10", 5, 6330, 541, .5, 6, 0, 0, 0, 1},
		{", span: 1s..4500ms", 3, 4300, 488, 3, 6, 0, 0, 2, 1},
		{", max_input: 1000", 2, 330, 44, 1, 6, 3, 0, 0, 1},
		{", max_input: 1000, max_output: 45, longer: clip", 5, 3330, 179, 5, 6, 0, 3, 0, 1},
	} {
		x, ok := new(Files).Of(traced(t, q.load, "").Experiments[0])
		if !ok || x.Part == nil || x.Requests != q.requests || x.Prompt != q.prompt || x.Output != q.output ||
			x.Seconds != q.s || x.LeastS != q.s {
			t.Fatalf("%q: %v %+v", q.load, ok, x)
		}
		if p := x.Part; p.Rows != q.rows || p.Dropped != q.dropped || p.Clipped != q.clipped ||
			p.Outside != q.outside || p.Empty != q.not {
			t.Errorf("%q: %+v", q.load, p.Summary)
		}
		arrive := 0.0
		for _, piece := range x.Stretches {
			arrive += piece.Rate * piece.Seconds
		}
		if arrive < q.requests-1e-9 || arrive > q.requests+1e-9 {
			t.Errorf("%q: %g requests in the stretches", q.load, arrive)
		}
	}
}

// TestFilesReadOnce: a part of a file is read once, even if the file is gone, and a file that cannot be read has no
// extent.
func TestFilesReadOnce(t *testing.T) {
	s := traced(t, "", "sweep: {seed: [1, 2]}")
	var f Files
	if p := f.Part(s.Experiments[0]); p.Err != nil {
		t.Fatal(p.Err)
	}
	if err := os.Remove(s.Experiments[0].Workload.Load.Trace); err != nil {
		t.Fatal(err)
	}
	if p := f.Part(s.Experiments[1]); p.Err != nil {
		t.Error(p.Err)
	}
	x, ok := new(Files).Of(s.Experiments[0])
	if !ok || x.Requests != 0 || x.Part != nil {
		t.Errorf("of a file that is gone: %v %+v", ok, x)
	}
}

// TestTurns: a conversation has all of its turns, and each prompt the turns before it.
func TestTurns(t *testing.T) {
	for _, q := range []struct {
		load             string
		requests, prompt float64
	}{
		{"load: {kind: constant, rate: 4, turns: 3}", 48, 48 * (2*32 + 8)},
		{"load: {kind: constant, rate: 4, turns: 1}", 16, 16 * 32},
		{"load: {kind: rates, rates: 10s:2 5s:0, turns: 2}", 40, 40 * (1.5*32 + 4)},
	} {
		x, _ := new(Files).Of(parse(t, q.load, "").Experiments[0])
		if x.Requests != q.requests || x.Prompt != q.prompt || x.Output != q.requests*8 {
			t.Errorf("%s: %+v", q.load, x)
		}
	}
}

// TestContexts: recorded requests and conversations beyond the context of the model are mistakes, unless the study
// leaves them out or shortens them.
func TestContexts(t *testing.T) {
	const context = 2048
	for _, q := range []struct {
		s             *study.Study
		limit         int
		message, next string
	}{
		{s: traced(t, "", ""), limit: 2400},
		{s: traced(t, "", ""), limit: 0},
		{traced(t, "", ""), context, "own.jsonl:4:1: 2000 prompt tokens and 400 output tokens, but the context of " +
			"model random:tiny-llama is 2048, which 2 of 5 requests exceed", "set workload.load.max_input: 1648 and " +
			"max_output: 400, with longer: drop to leave longer requests out, or longer: clip"},
		{traced(t, "", ""), 500, "which 3 of 5 requests exceed", "max_input: 250 and max_output: 250"},
		{s: traced(t, ", max_input: 1648, max_output: 400", ""), limit: context},
		{s: traced(t, ", max_input: 1648, max_output: 400, longer: clip", ""), limit: context},
		{s: parse(t, "load: {kind: constant, rate: 4, turns: 51}", ""), limit: context},
		{parse(t, "load: {kind: constant, rate: 4, turns: 52}", ""), context, "workload.load.turns: a conversation " +
			"of 52 turns grows to 2080 tokens", "turns to at most 51"},
		{parse(t, "concurrency: 2, load: {turns: 2}", ""), 50, "grows to 80 tokens", "lower workload.input_tokens"},
	} {
		all := new(Files).Contexts(q.s.Experiments, func(study.Experiment) int { return q.limit })
		err := Err(all)
		switch {
		case q.message == "" && err == nil:
		case q.message == "" || err == nil || !strings.Contains(err.Error(), q.message):
			t.Errorf("%v in %d: %v, want %q", q.s.Experiments[0].Workload.Load, q.limit, err, q.message)
		case len(all) != 1 || !strings.Contains(all[0].Next, q.next) || all[0].Note().Code != codes.ContextExceeded ||
			!all[0].Concerns(q.s.Experiments[0]):
			t.Errorf("%+v, want %q", all, q.next)
		}
	}
}

// TestHintsOfTraces: what is too short or too long names the keys that its kind of load has.
func TestHintsOfTraces(t *testing.T) {
	name := func(study.Experiment) string { return "it" }
	short := func(s *study.Study) (out string) {
		for _, n := range new(Files).TooShort(s, name) {
			out += n.Next + "\n"
		}
		return out
	}
	long := func(s *study.Study) string {
		all := new(Files).Beyond(s, 1e9, func(int) int { return 1 })
		if len(all) != 2 {
			t.Fatalf("%+v", all)
		}
		return all[0].Next + "\n" + all[1].Next + "\n"
	}
	for _, q := range []struct {
		s         *study.Study
		short     bool
		want, not []string
	}{
		{traced(t, ", span: 0s..1h", ""), true, []string{"take a longer part of the trace (workload.load.span) for all",
			"lower workload.load.speed to 0.38 times its value, or take a longer part"}, []string{"duration_s"}},
		{traced(t, ", rate: 10", ""), true, []string{"take a longer trace (all of this one is replayed)",
			"lower workload.load.rate to 0.037 times"}, []string{"duration_s", "speed"}},
		{parse(t, "load: {kind: rates, rates: 1s:4}", ""), true, []string{"lengthen the pieces of " +
			"workload.load.rates to 14 s in all"}, []string{"duration_s", "span"}},
		{parse(t, "load: {kind: poisson, rate: 4, duration_s: 2}", ""), true,
			[]string{"raise workload.load.duration_s"}, []string{"span", "pieces"}},
		{traced(t, "", "execution: {study_timeout: 1s}"), false, []string{"or take a shorter part of the trace " +
			"(workload.load.span), or raise workload.load.speed"}, []string{"shorten workload.load"}},
		{traced(t, ", rate: 0.1", "execution: {study_timeout: 1s}"), false, []string{"or raise workload.load.rate"},
			[]string{"speed"}},
	} {
		got := ""
		if q.short {
			got = short(q.s)
		} else {
			got = long(q.s)
		}
		for _, want := range q.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %q, want %q", q.s.Experiments[0].Workload.Load, got, want)
			}
		}
		for _, not := range q.not {
			if strings.Contains(got, not) {
				t.Errorf("%v: %q names %q", q.s.Experiments[0].Workload.Load, got, not)
			}
		}
	}
}
