package store

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/result"
)

// TestReseal: what is changed with its checksum renewed is accepted; what has no whole checksum gets none.
func TestReseal(t *testing.T) {
	e := Entry{Row: result.Row{ID: "0123456789ab", Cycle: 1, Worker: "alice"}, Run: result.RunPath("0123456789ab", 1)}
	line, err := e.Line()
	if err != nil {
		t.Fatal(err)
	}
	change := func(text string) string { return strings.ReplaceAll(text, "alice", "somebody") }
	got := ResealLine(string(line), change)
	var back Entry
	if err := json.Unmarshal([]byte(got), &back); err != nil || back.Worker != "somebody" {
		t.Errorf("%s: %v", got, err)
	}
	if err := checkLine([]byte(got), back); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "{\"worker\":\"alice\"}\n", string(line[:len(line)-10])} {
		if got := ResealLine(text, change); got != change(text) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	const sum = "2b4fd4a1c2f96f2e2f3dbd34d4b0d7a0c58e1b7a0c58e1b7a0c58e1b7a0c58e1"
	study := "# 12 experiments; SHA-256 of the lines below: " + sum + "\nname: alice\n"
	m := sealed.FindSubmatch(ResealStudy([]byte(study), change))
	if m == nil || string(m[1]) != "12" || string(m[2]) == sum {
		t.Errorf("%q", m)
	}
	if got := string(ResealStudy([]byte("name: alice\n"), change)); got != "name: somebody\n" {
		t.Errorf("%q", got)
	}
}
