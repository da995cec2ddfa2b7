package measure

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/study"
)

// TestContextOfDownloaded: of a model whose context is known only after its download, recorded requests and
// conversations beyond it fail the run before the engine starts.
func TestContextOfDownloaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.jsonl")
	const text = `{"llem_trace": 1}
{"at_s": 0, "input": 9, "output": 4}
{"at_s": 1, "input": 90, "output": 4}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	recorded := study.Workload{Load: study.Arrivals{Kind: load.Trace, Trace: path}}
	talk := study.Workload{InputTokens: 10, OutputTokens: 5, Load: study.Arrivals{Turns: 6}}
	for _, q := range []struct {
		w         study.Workload
		limit     int
		simulated bool
		want      string
	}{
		{recorded, 94, false, ""},
		{recorded, 93, false, "own.jsonl:3:1: 90 prompt tokens and 4 output tokens"},
		{recorded, 93, true, ""},
		{recorded, 0, false, ""},
		{talk, 90, false, ""},
		{talk, 89, false, "a conversation of 6 turns grows to 90 tokens"},
		{study.Workload{InputTokens: 100, OutputTokens: 5}, 89, false, ""}, // its prompts may be shorter
	} {
		in := input{experiment: study.Experiment{Model: "m", Workload: q.w}}
		in.model.Config.Context, in.engine.Simulated = q.limit, q.simulated
		if q.w.Load.Kind == load.Trace {
			var err error
			if in.trace, err = workload.Replayed(q.w.Load, 0); err != nil {
				t.Fatal(err)
			}
		}
		err := in.checkContext()
		if e, ok := errors.AsType[*note.Failure](err); q.want == "" && err != nil || q.want != "" && (err == nil ||
			!strings.Contains(err.Error(), q.want) || !ok || e.Next == "") {
			t.Errorf("%+v in %d: %v, want %q", q.w, q.limit, err, q.want)
		}
	}
}
