package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/grammar"
)

// TestManyMistakes: the list of mistakes is bounded, and ends with the number of unlisted ones.
func TestManyMistakes(t *testing.T) {
	b := New(nil)
	at := &grammar.Error{Source: "s.yaml", Line: 1}
	for i := range mostListed {
		b.Fail(at, "", "mistake %d", i)
	}
	if list := b.Mistakes(); len(list) != mostListed {
		t.Fatalf("%d mistakes, want %d", len(list), mostListed)
	}
	for range 7 {
		b.Fail(at, "", "one more")
	}
	list := b.Mistakes()
	if last := list[len(list)-1]; len(list) != mostListed+1 || last.Message != "7 more mistakes are not listed" {
		t.Errorf("%d mistakes, the last is %v", len(list), last)
	}
	if n := b.mistakes(); n != mostListed+7 {
		t.Errorf("%d mistakes are counted, want %d", n, mostListed+7)
	}
}

// TestLongTexts: long quotations in a mistake are shortened, in its text and in its line.
func TestLongTexts(t *testing.T) {
	b := New(nil)
	line := strings.Repeat("ä", 5_000) + "bad" + strings.Repeat("ö", 1_000_000)
	b.Fail(&grammar.Error{Source: "s.yaml", Line: 1, Col: 5_001, Width: 3, Excerpt: line}, line, "about %q", line)
	text := b.Mistakes().Error()
	if len(text) > 16<<10 {
		t.Errorf("the mistake has %d bytes", len(text))
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 3 || !strings.Contains(lines[2], "^") {
		t.Fatalf("no caret: %.3000q", text)
	}
	above, carets := []rune(lines[1]), []rune(lines[2])
	from := strings.Index(string(carets), "^")
	if got := string(above[from : from+3]); got != "bad" {
		t.Errorf("the carets mark %q", got)
	}
}

// TestLongLine: the time for a line of many values grows linearly. Computing each position from the whole line
// would take a minute here.
func TestLongLine(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	r := &reader{Source: New(nil)}
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%d, ", i)
	}
	root := r.parse("s.yaml", []byte("a: ["+text.String()+"]"))
	if root == nil {
		t.Fatal(r.Errs)
	}
	items := root.Content[1].Content
	if len(items) != n {
		t.Fatalf("%d values", len(items))
	}
	for i, item := range items {
		if at := r.at(item); at.Line != 1 || at.Width != len(fmt.Sprint(i)) {
			t.Fatalf("value %d is at %+v", i, *at)
		}
	}
}
