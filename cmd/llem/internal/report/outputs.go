package report

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/result"
)

// repeats counts the runs of one configuration whose tokens are known, and the runs among them whose
// tokens equal the first run's.
type repeats struct {
	first       string
	same, known int
}

// outputs prints in how many runs of a configuration the tokens were equal, even if in all of
// them. Configurations with the same counts share a line; one with fewer than two such runs has none.
func (t Terminal) outputs(b *strings.Builder, s *result.StudyResult) {
	of := map[string]*repeats{}
	count := func(id, hash string) {
		r := of[id]
		if r == nil {
			r = &repeats{first: hash}
			of[id] = r
		}
		if r.known++; hash == r.first {
			r.same++
		}
	}
	for _, r := range s.Runs {
		if r.Status == result.OK && r.Tokens != nil && r.Tokens.OutputHash != "" {
			count(r.ID, r.Tokens.OutputHash)
		}
	}
	if s.Runs == nil {
		for _, r := range s.Rows {
			if r.Status == result.OK && r.OutputHash != "" {
				count(r.ID, r.OutputHash)
			}
		}
	}
	var lines []string
	configurations := map[string]int{}
	for _, e := range s.Experiments {
		r := of[e.ID]
		if r == nil || r.known < 2 {
			continue
		}
		line := fmt.Sprintf("outputs equal in %d of %d runs", r.same, r.known)
		if r.same == r.known {
			line = fmt.Sprintf("outputs equal in all %d runs", r.known)
		}
		if configurations[line]++; configurations[line] == 1 {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if len(s.Experiments) > 1 {
			line += ofConfigurations(configurations[line], len(s.Experiments))
		}
		t.wrap(b, "  ", "  ", line)
	}
}

// ofConfigurations returns how many of all configurations a line is about.
func ofConfigurations(n, all int) string {
	if n == all {
		return " of each configuration"
	}
	return fmt.Sprintf(" of %d of %s", n, digits.Count(all, "configuration"))
}
