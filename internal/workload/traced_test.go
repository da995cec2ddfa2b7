package workload

import (
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
)

const recorded = `{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 250, "input_length": 700, "output_length": 9, "hash_ids": [0, 2]}
`

func TestLoadTrace(t *testing.T) {
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "t.jsonl"), filepath.Join(dir, "t.jsonl.gz")
	if err := os.WriteFile(plain, []byte(recorded), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(recorded)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, packed} {
		tr, err := LoadTrace(path, trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		reqs := Recorded(tr, Vocab{Size: 50, Special: []int32{0, 1}}, 3)
		if len(reqs) != 2 || len(reqs[0].Tokens) != 600 || len(reqs[1].Tokens) != 700 ||
			!slices.Equal(reqs[0].Tokens[:512], reqs[1].Tokens[:512]) ||
			slices.Equal(reqs[0].Tokens[512:], reqs[1].Tokens[512:600]) || slices.Min(reqs[0].Tokens) < 2 {
			t.Errorf("%s: %d requests do not repeat as recorded", path, len(reqs))
		}
	}
	if _, err := LoadTrace(filepath.Join(dir, "none.csv"), trace.Options{}); err == nil ||
		!strings.Contains(err.Error(), "none.csv") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestShare(t *testing.T) {
	reqs := []Request{{ID: 0, Tokens: []int32{1, 2, 3, 4}}, {ID: 1, Tokens: []int32{5, 6, 7}},
		{ID: 2, Tokens: []int32{8}}}
	got := Share(reqs, 2, 0)
	if !slices.Equal(got[1].Tokens, []int32{1, 2, 7}) || !slices.Equal(got[2].Tokens, []int32{1}) ||
		!slices.Equal(reqs[1].Tokens, []int32{5, 6, 7}) {
		t.Errorf("shared: %v, from %v", got, reqs)
	}
}

// TestReplayOfOneMoment: requests at one time have no rate; one request is such a trace.
func TestReplayOfOneMoment(t *testing.T) {
	for text, good := range map[string]bool{
		recorded: true,
		`{"timestamp": 250, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}`: false,
		strings.ReplaceAll(recorded, "250", "0"):                                          false,
	} {
		path := filepath.Join(t.TempDir(), "t.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Replayed(load.Arrivals{Kind: load.Trace, Trace: path}, 1)
		if m, refused := errors.AsType[*load.Mistake](err); (err == nil) != good || refused == good {
			t.Errorf("%q: %v", text, err)
		} else if refused && !strings.Contains(m.Message, "no rate") {
			t.Errorf("%q: %s", text, m.Message)
		}
	}
}

// TestRecordedGaps: with follow: gap, a turn waits for the answer before it and then for the recorded pause; a trace
// whose conversations all begin at once has no rate.
func TestRecordedGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.jsonl")
	write := func(more string) {
		text := `{"llem_trace": 1}
{"at_s": 0, "input": 10, "output": 5, "session": "a"}
{"at_s": 2, "input": 20, "output": 5, "session": "a"}
` + more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := load.Arrivals{Kind: load.Trace, Trace: path, Follow: load.ByGap}
	write("")
	if _, err := Replayed(a, 1); err == nil || !strings.Contains(err.Error(), "conversations that begin at one time") {
		t.Errorf("one conversation: %v", err)
	}
	write(`{"at_s": 3, "input": 10, "output": 5}` + "\n")
	for follow, want := range map[string][2]int64{load.ByGap: {0, 2e9}, "": {2e9, 0}} {
		a.Follow = follow
		tr, err := Replayed(a, 1)
		if err != nil {
			t.Fatal(err)
		}
		reqs := Recorded(tr, Vocab{Size: 50}, 3)
		if q := reqs[1]; q.After == nil || *q.After != 0 || q.DueNS != want[0] || q.WaitNS != want[1] ||
			reqs[2].DueNS != 3e9 {
			t.Errorf("%q: %+v", follow, reqs)
		}
	}
}
