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

// TestGaps: with gaps, a turn is due with its conversation, and waits as long as was recorded: wait_s, or the time
// since the turn before it began. Speed divides both. Other requests keep their times.
func TestGaps(t *testing.T) {
	const text = `{"llem_trace": 1}
{"at_s": 0, "input": 10, "output": 5, "session": "a"}
{"at_s": 1, "input": 10, "output": 5, "session": "b"}
{"at_s": 2, "input": 20, "output": 5, "session": "a"}
{"at_s": 5, "input": 40, "output": 5, "session": "a", "wait_s": 0.5}
{"at_s": 6, "input": 15, "output": 5, "session": "b"}
{"at_s": 8, "input": 60, "output": 5, "session": "a", "wait_s": 0}
`
	for _, q := range []struct {
		o             Options
		due, pause    []int64 // in milliseconds; of requests that wait for no other, a pause of 0
		last, remains int64
	}{
		{Options{}, []int64{0, 1000, 2000, 5000, 6000, 8000}, nil, 8000, 0},
		{Options{Gaps: true}, []int64{0, 1000, 0, 0, 6000, 0}, []int64{0, 0, 2000, 500, 0, 0}, 6000, 2000},
		{Options{Gaps: true, Speed: 2}, []int64{0, 500, 0, 0, 3000, 0}, []int64{0, 0, 1000, 250, 0, 0}, 3000, 1000},
		{Options{Gaps: true, To: 6 * 1e9}, []int64{0, 1000, 0, 0}, []int64{0, 0, 2000, 500}, 1000, 4000},
	} {
		tr, err := Read(strings.NewReader(text), "own.jsonl", q.o)
		if err != nil {
			t.Fatal(err)
		}
		if len(tr.Requests) != len(q.due) {
			t.Fatalf("%+v: %d requests", q.o, len(tr.Requests))
		}
		for i, due := range q.due {
			if got := tr.Due(i); got != due*1e6 {
				t.Errorf("%+v: request %d is due at %d ms, want %d", q.o, i, got/1e6, due)
			}
			if q.pause != nil && tr.History(i) > 0 && tr.Pause(i) != q.pause[i]*1e6 {
				t.Errorf("%+v: request %d waits for %d ms, want %d", q.o, i, tr.Pause(i)/1e6, q.pause[i])
			}
		}
		if last, remains := tr.Lasts(); last != q.last*1e6 || remains != q.remains*1e6 ||
			tr.Summary().ReplayedS != float64(q.last)/1e3 {
			t.Errorf("%+v: lasts %d and %d ms, %g s", q.o, last/1e6, remains/1e6, tr.Summary().ReplayedS)
		}
	}
	for line, want := range map[string]string{
		`{"at_s": 1, "input": 1, "output": 1, "wait_s": 1}`:                   "name its session",
		`{"at_s": 1, "input": 1, "output": 1, "wait_s": -1, "session": "a"}`:  "wait_s: the time -1 is not from 0",
		`{"at_s": 1, "input": 1, "output": 1, "wait_s": "x", "session": "a"}`: "wait_s is string",
	} {
		_, err := Read(strings.NewReader("{\"llem_trace\": 1}\n"+line), "own.jsonl", Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
