package trace

import (
	"strings"
	"testing"
)

// TestHistory: a turn continues the one before it if its prompt is longer than that with its answer.
func TestHistory(t *testing.T) {
	tr := read(t, "bailian.jsonl", Options{})
	if n := tr.History(2); n != 70 || tr.History(0) != 0 || tr.Summary().Continued != 1 {
		t.Errorf("%d tokens of history, want 70: %+v", n, tr.Summary())
	}
	own, err := Read(strings.NewReader(`{"llem_trace": 1}
{"at_s": 0, "input": 10, "output": 5, "session": "a"}
{"at_s": 1, "input": 10, "output": 5, "session": "b"}
{"at_s": 2, "input": 20, "output": 5, "session": "a"}
{"at_s": 3, "input": 15, "output": 5, "session": "b"}
`), "own.jsonl", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if q := own.Requests; q[2].Parent != 0 || q[3].Parent != 1 || own.History(2) != 15 || own.History(3) != 0 ||
		q[3].Line != 5 || own.Longest() != 2 {
		t.Errorf("%+v", q)
	}
}
