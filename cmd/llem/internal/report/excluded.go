package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// mark returns the mark of a run that is not compared.
func mark(r *result.Record) string {
	if r.Unequal() == "" {
		return ""
	}
	return ", " + view.NotCompared
}

// lineFlags returns the flags of a run for the line to paste, except the flag that excludes the run and
// the flag that repeats the provenance.
func lineFlags(r *result.Record) string {
	all := r.Marks()
	if r.Synthetic && !slices.Contains(all, codes.Synthetic) { // of a run without this doubt
		all = append(all, codes.Synthetic)
	}
	out := slices.DeleteFunc(all, func(c note.Code) bool {
		return c == r.Unequal() || c == codes.Simulated && r.Energy.Provenance == result.Simulated
	})
	return strings.Join(strings.Fields(view.FlagWords(out)), ", ")
}

// excludedWhy are the codes of a configuration's exclusions, with the number of runs.
func excludedWhy(e result.ExperimentSummary) string {
	var out []string
	for _, x := range e.Excluded {
		out = append(out, fmt.Sprintf("%s=%d", x.Code, x.Runs))
	}
	return strings.Join(out, " ")
}

// exclusion is why runs are not compared, as it is printed.
type exclusion struct{ head, text, next string }

// exclusions returns for each reason the number of excluded runs by configuration, and the next
// step.
func exclusions(s *result.StudyResult) []exclusion {
	named := view.NameConfigurations(s)
	type reason struct {
		result.Exclusion
		of []string
	}
	var all []reason
	for i, e := range s.Experiments {
		for _, x := range e.Excluded {
			k := slices.IndexFunc(all, func(r reason) bool { return r.Code == x.Code })
			if k < 0 {
				k = len(all)
				all = append(all, reason{Exclusion: x})
				all[k].Runs = 0
			}
			all[k].Runs += x.Runs
			all[k].of = append(all[k].of, fmt.Sprintf("%s (%s): %d of %d", named.Called(i), e.ID, x.Runs, e.OK))
		}
	}
	slices.SortFunc(all, func(a, b reason) int { return cmp.Compare(a.Code, b.Code) })
	var out []exclusion
	for _, r := range all {
		of := r.of
		more := ""
		if len(of) > exclusionsShown {
			more = fmt.Sprintf("; %d more: see excluded in --json", len(of)-exclusionsShown)
			of = of[:exclusionsShown]
		}
		out = append(out, exclusion{fmt.Sprintf("%s (%s), %s", view.NotCompared, r.Code, digits.Count(r.Runs, "run")),
			fmt.Sprintf("%s; left out of means, front and comparisons: %s%s", r.Message, strings.Join(of, "; "),
				more), r.Next})
	}
	return out
}

// exclusionsShown is how many configurations are named for each reason.
const exclusionsShown = 10

// exclusions prints them below a table.
func (t Terminal) exclusions(b *strings.Builder, s *result.StudyResult) {
	for i, x := range exclusions(s) {
		if i == 0 {
			b.WriteString("\n")
		}
		t.wrap(b, t.warn(x.head)+": ", "  ", x.text)
		t.wrap(b, "  next: ", "        ", x.next)
	}
}
