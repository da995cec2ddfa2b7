package backend

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/printed"
)

// TestOutputBounded: a program that prints without end is ended.
func TestOutputBounded(t *testing.T) {
	began := time.Now()
	out, _, err := Command{Path: "sh"}.Output(t.Context(), "-c", "while :; do echo version version version; done")
	if !errors.Is(err, printed.ErrTooMuch) || len(out) != printed.MostAnswer {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// TestLogBounded: an engine that prints without end leaves a log of bounded length, with its beginning and its
// end.
func TestLogBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.log")
	c, err := StartChild(Command{Path: "sh", Args: []string{"-c",
		"echo first words; head -c 60000000 /dev/zero | tr '\\0' x; echo; echo last words; exit 3"}}, path)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Exited()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > printed.Head+printed.Tail+1000 || !bytes.HasPrefix(text, []byte("first words\n")) ||
		!bytes.HasSuffix(text, []byte("last words\n")) || !bytes.Contains(text, []byte("are left out here")) {
		t.Errorf("%d bytes: %.40q … %q", len(text), text, text[max(0, len(text)-40):])
	}
	if tail := c.LogTail(); tail != "last words" {
		t.Errorf("the tail is %.100q", tail)
	}
}

// TestOutputEnds: a program that does not answer is ended with ctx, and so is everything it started.
func TestOutputEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	mark := kin.NewMark()
	if _, _, err := (Command{Path: "sh", Env: []string{mark}}).Output(ctx, "-c", "sleep 300 & sleep 300"); err == nil {
		t.Error("an answer")
	}
	for range 100 {
		if len((kin.Engine{Mark: mark}).Find().Living()) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("left behind: %v", kin.Engine{Mark: mark}.Find())
}
