package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/host"
)

// TestTraced: time and energy of a trace are estimated from its own requests, also of conversations from all turns, and
// what exceeds the context of the model is an error of its point.
func TestTraced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.jsonl")
	text := `{"llem_trace": 1}` + "\n"
	for i := range 100 {
		text += fmt.Sprintf(`{"at_s": %d, "input": %d, "output": 100}`+"\n", i, 500+10*i)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const study = "model: random:tiny-llama\nbackend: vllm\nworkload: {dataset: synthetic, input_tokens: 16, " +
		"output_tokens: 8, %s}\n"
	e, err := NewEstimator("h200", nil, &host.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		load                   string
		prompts, input, output int
		tooLong                bool
	}{
		{"load: {kind: trace, trace: " + path + "}", 100, 995, 100, false},
		{"load: {kind: trace, trace: " + path + ", max_input: 509}", 1, 0, 0, false},
		{"load: {kind: trace, trace: " + path + ", max_input: 600, max_output: 50, longer: clip}", 100, 595, 50, false},
		{"prompts: 10, concurrency: 2, load: {turns: 3}", 30, 40, 8, false},
		{"prompts: 10, concurrency: 2, load: {turns: 90}", 900, 1084, 8, true},
	} {
		s := parse(t, fmt.Sprintf(study, q.load))
		x := s.Experiments[0]
		if q.input == 0 { // one request is not a trace
			if p := e.files.Part(x); p.Err == nil {
				t.Errorf("%s: %+v", q.load, p)
			}
			continue
		}
		if w := e.work(x); w.Prompts != q.prompts || w.Input != q.input || w.Output != q.output {
			t.Errorf("%s: %+v", q.load, w)
		}
		need, reason := e.Need(x)
		if need == nil || need.Joules <= 0 || !slices.ContainsFunc(need.Warnings, func(w string) bool {
			return strings.Contains(w, "mean length")
		}) {
			t.Errorf("%s: %+v %s", q.load, need, reason)
		}
		all := contexts(s, e)
		if len(all) > 0 != q.tooLong || q.tooLong && (!all[0].Error || all[0].Short != "context" ||
			!all[0].Concerns(x)) {
			t.Errorf("%s: %+v", q.load, all)
		}
	}
}
