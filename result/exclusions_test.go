package result

import (
	"testing"

	"github.com/llenergymeasure/llem/note"
)

// TestExclusions: only runs that are ok can be left out of a mean.
func TestExclusions(t *testing.T) {
	row := func(s Status, codes ...note.Code) Row { return Row{Status: s, Warnings: codes} }
	got := Exclusions([]Row{row(OK), row(OK, note.UnequalWork), row(OK, note.UnequalWork),
		row(Failed, note.UnequalWork),
		row(Failed), row(OK, note.RequestsFailed), row(Interrupted, note.RequestsFailed)})
	if len(got) != 2 || got[0].Code != note.UnequalWork || got[0].Runs != 2 || got[1].Code != note.RequestsFailed ||
		got[1].Runs != 1 {
		t.Errorf("left out: %+v, want two of unequal work and one with requests that failed", got)
	}
}
