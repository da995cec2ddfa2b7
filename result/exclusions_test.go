package result

import (
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
)

// TestExclusions: only runs that are ok can be left out of a mean.
func TestExclusions(t *testing.T) {
	row := func(s Status, warnings ...note.Code) Row { return Row{Status: s, Warnings: warnings} }
	got := Exclusions([]Row{row(OK), row(OK, codes.UnequalWork), row(OK, codes.UnequalWork),
		row(Failed, codes.UnequalWork),
		row(Failed), row(OK, codes.RequestsFailed), row(Interrupted, codes.RequestsFailed)})
	if len(got) != 2 || got[0].Code != codes.UnequalWork || got[0].Runs != 2 || got[1].Code != codes.RequestsFailed ||
		got[1].Runs != 1 {
		t.Errorf("left out: %+v, want two of unequal work and one with requests that failed", got)
	}
}
