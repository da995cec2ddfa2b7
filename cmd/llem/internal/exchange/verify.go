package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/foreign"
	"github.com/llenergymeasure/llem/internal/table"
)

// Verdict is what can be verified of numbers of others.
type Verdict struct {
	// State is imported: there is nothing to recompute.
	State string `json:"state"`
	// Dir is the folder.
	Dir string `json:"dir"`
	// Results counts the benchmarks.
	Results int `json:"results"`
	// Match reports that the files are as they were imported, and hold these numbers.
	Match bool `json:"match"`
	// Problem is what does not match.
	Problem string `json:"problem,omitempty"`
}

// Verify compares the numbers of a folder with the files that they were taken from.
func Verify(dir string) (*Verdict, error) {
	i, err := foreign.Open(dir)
	if err != nil {
		return nil, err
	}
	v := &Verdict{State: "imported", Dir: dir, Results: len(i.Results), Match: true}
	again, err := i.Again()
	if err != nil {
		v.Match, v.Problem = false, err.Error()
		return v, nil
	}
	a, errA := json.Marshal(i.Results)
	b, errB := json.Marshal(again)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		v.Match, v.Problem = false, foreign.ImportedFile+" does not follow from the files beside it"
	}
	return v, nil
}

// Text is the verdict for a terminal.
func (v *Verdict) Text(width int) string {
	text := wrapped("", "  ", fmt.Sprintf("OTHERS' NUMBERS: nothing to recompute: %s in %s, not measured by llem",
		digits.Count(v.Results, "result"), v.Dir), width)
	if v.Match {
		return text + wrapped("  ", "  ", "the files are as they were imported, and hold these numbers", width)
	}
	return text + wrapped("  ", "  ", "does not match: "+table.Clean(v.Problem), width)
}
