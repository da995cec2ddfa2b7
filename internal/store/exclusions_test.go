package store

import (
	"testing"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// TestExclusions: only runs that are ok can be left out of a mean.
func TestExclusions(t *testing.T) {
	row := func(s result.Status, warnings ...note.Code) result.Row {
		return result.Row{Status: s, Warnings: warnings}
	}
	got := Exclusions([]result.Row{row(result.OK), row(result.OK, codes.UnequalWork), row(result.OK, codes.UnequalWork),
		row(result.Failed, codes.UnequalWork),
		row(result.Failed), row(result.OK, codes.RequestsFailed), row(result.Interrupted, codes.RequestsFailed)})
	if len(got) != 2 || got[0].Code != codes.UnequalWork || got[0].Runs != 2 || got[1].Code != codes.RequestsFailed ||
		got[1].Runs != 1 {
		t.Errorf("left out: %+v, want two of unequal work and one with requests that failed", got)
	}
}
