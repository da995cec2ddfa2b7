package store

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/result"
)

// Exclusions counts the runs that are not comparable, by reason.
func Exclusions(runs []result.Row) []result.Exclusion {
	var out []result.Exclusion
	for _, u := range codes.Excluding() {
		n := 0
		for _, r := range runs {
			if r.Status == result.OK && r.Unequal() == u.Code {
				n++
			}
		}
		if n > 0 {
			out = append(out, result.Exclusion{Note: u, Runs: n})
		}
	}
	return out
}

// noMetrics returns why a configuration has no numbers.
func (e experiment) noMetrics() string {
	if len(e.Excluded) == 0 {
		return "no run succeeded"
	}
	var codes []string
	for _, x := range e.Excluded {
		codes = append(codes, string(x.Code))
	}
	return fmt.Sprintf("none of its %d successful runs can be compared (%s)", e.OK, strings.Join(codes, ", "))
}
