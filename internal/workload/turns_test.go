package workload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shareGPT is a file in the form of ShareGPT's, written for this test: conversations of three, one, no and two turns of
// the user.
const shareGPT = `[
{"id": "a_0", "conversations": [{"from": "human", "value": "one"}, {"from": "gpt", "value": "answer"},
  {"from": "human", "value": "two"}, {"from": "gpt", "value": "answer"}, {"from": "human", "value": "three"}]},
{"id": "b_0", "conversations": [{"from": "human", "value": "alone"}, {"from": "gpt", "value": "answer"}]},
{"id": "c_0", "conversations": [{"from": "gpt", "value": "answer"}]},
{"id": "d_0", "conversations": [{"from": "system", "value": "be brief"}, {"from": "human", "value": "four"},
  {"from": "gpt", "value": "answer"}, {"from": "human", "value": " "}, {"from": "human", "value": "five"}]}
]
`

func share(t *testing.T, text string, turns int) *Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "share.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadFor(path, turns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTake: a conversation takes the turns of the user from one record, in order and without the answers; other
// sets give each turn a prompt of its own.
func TestTake(t *testing.T) {
	for _, q := range []struct {
		text     string
		n, turns int
		want     string // texts, or a part of the error
		room     int
	}{
		{shareGPT, 3, 1, "one alone four", 3},
		{shareGPT, 2, 2, "one two four five", 2},
		{shareGPT, 1, 3, "one two three", 1},
		{shareGPT, 3, 2, "has 2 conversations with at least 2 turns of the user, 3 asked for", 2},
		{shareGPT, 1, 4, "has 0 conversations with at least 4 turns of the user, 1 asked for", 0},
		{`[{"prompt": "x"}, {"prompt": "y"}, {"prompt": "z"}]`, 1, 2, "x y", 1},
		{`[{"prompt": "x"}, {"prompt": "y"}, {"prompt": "z"}]`, 2, 2, "has 3 prompts, 4 asked for", 1},
	} {
		s := share(t, q.text, q.turns)
		if room := s.Room(q.turns); room != q.room {
			t.Errorf("%d turns: room for %d, want %d", q.turns, room, q.room)
		}
		all, err := s.Take(q.n, q.turns, 1)
		if err != nil {
			if !strings.Contains(err.Error(), q.want) {
				t.Errorf("%d of %d turns: %v, want %q", q.n, q.turns, err, q.want)
			}
			continue
		}
		var texts []string
		for _, p := range all {
			texts = append(texts, p.Text)
		}
		if got := strings.Join(texts, " "); got != q.want {
			t.Errorf("%d of %d turns: %q, want %q", q.n, q.turns, got, q.want)
		}
	}
}

// TestTakenOrigins: a turn is named by its record, its place and its number, and the note tells what became of the
// record.
func TestTakenOrigins(t *testing.T) {
	s := share(t, shareGPT, 2)
	all, err := s.Take(2, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if q := all[3]; q.ID != "d_0/2" || !strings.HasSuffix(q.Origin, "share.json:6, turn 2") || q.Turns != nil {
		t.Errorf("%+v", q)
	}
	var told []string
	for _, n := range s.Notes() {
		told = append(told, n.Message)
	}
	text := strings.Join(told, "\n")
	if !strings.Contains(text, "the turns of the user, each a request; left out: the recorded answers") ||
		strings.Contains(text, "later turns") {
		t.Errorf("notes: %s", text)
	}
	if one := share(t, shareGPT, 1); one.Prompts[0].Turns != nil {
		t.Error("a set of prompts keeps all turns")
	}
}

// TestFewer: the next step never asks for 0 prompts, and names turns where they are the reason.
func TestFewer(t *testing.T) {
	for _, q := range []struct {
		have, turns int
		want        string
	}{
		{3, 1, "lower -n or workload.prompts to 3, give a larger file, or use dataset: synthetic"},
		{3, 2, "lower -n or workload.prompts to 3, lower workload.load.turns, give a larger file, or use dataset: " +
			"synthetic"},
		{0, 2, "lower workload.load.turns, give a larger file, or use dataset: synthetic"},
	} {
		if got := Fewer(q.have, q.turns); got != q.want {
			t.Errorf("%d of %d turns: %q, want %q", q.have, q.turns, got, q.want)
		}
	}
}
