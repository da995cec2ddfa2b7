package llem_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/load/trace"
	"github.com/llenergymeasure/llem/result"
)

// planned is what a test reads of a dry run.
type planned struct {
	Shown []struct {
		ID   string
		Load struct {
			Requests float64
			Prompt   float64 `json:"prompt_tokens"`
			Output   float64 `json:"output_tokens"`
			Seconds  float64
			Trace    *trace.Summary
		}
	}
}

// TestExampleTrace: the dry run of the example of a trace counts its requests at both speeds.
func TestExampleTrace(t *testing.T) {
	s, err := llem.LoadFile("examples/trace.yaml")
	if err != nil {
		t.Fatal(err)
	}
	preview, err := llem.DryRun(t.Context(), s, llem.DryRunOptions{Results: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := preview.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var plan planned
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	if !preview.CanRun() || len(plan.Shown) != 2 {
		t.Fatalf("%s", text)
	}
	for _, p := range plan.Shown {
		if l := p.Load; l.Requests != 76 || l.Trace == nil || l.Trace.Dropped != 3 || l.Trace.Continued < 10 {
			t.Errorf("%+v %+v", l, l.Trace)
		}
	}
	if one, two := plan.Shown[0].Load.Seconds, plan.Shown[1].Load.Seconds; one < 50 || one != 2*two {
		t.Errorf("requests arrive for %g and %g s", one, two)
	}
}

// TestPlannedIsRun: the dry run of a trace and of conversations counts the requests, tokens and rows that the run
// counts, because both read the trace with one function.
func TestPlannedIsRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "study.yaml")
	for name, text := range map[string]string{
		"own.jsonl": `{"llem_trace": 1}
{"at_s": 0, "input": 10, "output": 4}
{"at_s": 0.1, "input": 30, "output": 5, "session": "a"}
{"at_s": 0.2, "input": 60, "output": 3, "session": "a"}
{"at_s": 0.3, "input": 20, "output": 0}
{"at_s": 0.4, "input": 500, "output": 4}
{"at_s": 0.5, "input": 20, "output": 40}
{"at_s": 9, "input": 20, "output": 4}
`,
		"study.yaml": `
model: random:tiny-llama
backend: fake
fake: {batching: continuous, batch_size: 8}
workload: {dataset: synthetic, prompts: 4, input_tokens: 16, output_tokens: 8}
baseline: {seconds: 0.1, resident_seconds: 0.1}
experiments:
  - workload.load: {kind: trace, trace: own.jsonl, span: ..5s, max_input: 100, max_output: 20, speed: 0.5}
  - workload.load: {kind: trace, trace: own.jsonl, span: ..5s, max_input: 100, max_output: 20, longer: clip}
  - workload.load: {kind: constant, rate: 5, duration_s: 1, turns: 3}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	s, err := llem.LoadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	preview, err := llem.DryRun(t.Context(), s, llem.DryRunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := preview.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var plan planned
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	r, err := llem.Run(t.Context(), s, llem.Options{Results: filepath.Join(dir, "results"), NoGaps: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := llem.Open(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Shown) != 3 || len(all.Runs) != 3 {
		t.Fatalf("%d points and %d runs, want 3", len(plan.Shown), len(all.Runs))
	}
	for _, p := range plan.Shown {
		var ran *result.Record
		for i := range all.Runs {
			if all.Runs[i].ID == p.ID {
				ran = all.Runs[i]
			}
		}
		if ran == nil || ran.Load == nil {
			t.Fatalf("%s was not run: %+v", p.ID, ran)
		}
		if given := float64(ran.Tokens.Given); given != p.Load.Prompt {
			t.Errorf("%s: %g prompt tokens, %g planned", ran.Config.Label(), given, p.Load.Prompt)
		}
		if asked := float64(ran.Tokens.Asked); asked != p.Load.Output {
			t.Errorf("%s: %g output tokens, %g planned", ran.Config.Label(), asked, p.Load.Output)
		}
		switch taken := ran.Load.Trace; {
		case (taken == nil) != (p.Load.Trace == nil):
			t.Errorf("%s: trace %v, planned %v", ran.Config.Label(), taken, p.Load.Trace)
		case taken != nil && (*taken != *p.Load.Trace || float64(taken.Requests) != p.Load.Requests ||
			taken.ReplayedS != p.Load.Seconds):
			t.Errorf("%s: %+v, planned %+v", ran.Config.Label(), taken, p.Load)
		}
	}
}
