package named

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llenergymeasure/llem/cmd/llem/internal/view"
	"github.com/llenergymeasure/llem/internal/near"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// OneRun is a run that is named by its folder or as DIR:ID.
type OneRun struct {
	// Dir is the folder of the run.
	Dir string
	// Others mentions the other runs of the configuration, if there are any.
	Others string
	// Record is the run.
	Record *result.Record
}

// Study returns the run as a study of one run.
func (r *OneRun) Study() *result.StudyResult {
	s := &result.StudyResult{Dir: r.Dir, Planned: 1, Runs: []*result.Record{r.Record}}
	if x := store.Exclusions([]result.Row{store.RowOf(r.Record)}); len(x) > 0 {
		s.Experiments = []result.ExperimentSummary{{ID: r.Record.ID, Config: r.Record.Config, OK: 1, Excluded: x}}
	}
	return s
}

// Run finds the run that an argument names. It returns nil without an error if the argument names a study.
func Run(arg string, tell func(string)) (*OneRun, error) {
	if _, err := os.Stat(arg); err != nil {
		i := strings.LastIndexByte(arg, ':')
		if i <= 0 {
			return nil, nil
		}
		return runOf(arg[:i], arg[i+1:], tell)
	}
	file := filepath.Join(arg, result.RecordFile)
	if _, err := os.Stat(file); err != nil {
		return nil, nil
	}
	rec, err := result.ReadRecord(file)
	if err != nil {
		return nil, err
	}
	return &OneRun{Dir: arg, Record: rec}, nil
}

// runName is an id, or its first digits, and the cycle.
var runName = regexp.MustCompile(`^([0-9a-f]+)(?:-c([0-9]+))?$`)

// runOf finds a run of a study. Without a cycle it is the first successful run of the
// configuration.
func runOf(dir, name string, tell func(string)) (*OneRun, error) {
	s, err := Study(dir, tell)
	if s == nil {
		return nil, err
	}
	m := runName.FindStringSubmatch(name)
	if m == nil {
		return nil, unknownRun(dir, name, s)
	}
	cycle, _ := strconv.Atoi(m[2])
	var ids, cycles []string
	var found *result.Row
	for i := range s.Rows {
		r := &s.Rows[i]
		if !strings.HasPrefix(r.ID, m[1]) {
			continue
		}
		if !slices.Contains(ids, r.ID) {
			ids = append(ids, r.ID)
		}
		cycles = append(cycles, nameOf(r.ID, r.Cycle))
		if (cycle == 0 || r.Cycle == cycle) && (found == nil || found.Status != result.OK && r.Status == result.OK) {
			found = r
		}
	}
	if len(ids) != 1 || found == nil {
		return nil, unknownRun(dir, name, s)
	}
	out := &OneRun{Dir: filepath.Join(s.Dir, filepath.FromSlash(result.RunPath(found.ID, found.Cycle)))}
	if n := len(cycles); n > 1 {
		out.Others = fmt.Sprintf("cycle %d of %d; %s shows another", found.Cycle, n,
			shell.Quote(dir+":"+cycles[(slices.Index(cycles, nameOf(found.ID, found.Cycle))+1)%n]))
	}
	out.Record, err = result.ReadRun(s.Dir, found.ID, found.Cycle)
	return out, err
}

func nameOf(id string, cycle int) string { return fmt.Sprintf("%s-c%d", id, cycle) }

// nearRuns is how many configurations are suggested.
const nearRuns = 5

// unknownRun returns the error for a name that does not name exactly one run, with similar names.
func unknownRun(dir, name string, s *result.StudyResult) error {
	id, _, _ := strings.Cut(name, "-c")
	naming := view.Naming(s)
	all := slices.Clone(s.Experiments)
	slices.SortStableFunc(all, func(a, b result.ExperimentSummary) int {
		apart := func(e result.ExperimentSummary) int { return near.Distance(id, e.ID[:min(len(id), len(e.ID))]) }
		return cmp.Compare(apart(a), apart(b))
	})
	var names []string
	for _, e := range all[:min(nearRuns, len(all))] {
		text := e.ID
		if label := naming.Label(e.Config); label != "" {
			text += " (" + label + ")"
		}
		names = append(names, text)
	}
	return &Mistake{fmt.Sprintf("%s: %q does not name exactly one run", dir, name),
		"name one as " + shell.Quote(dir+":ID") + " or " + shell.Quote(dir+":ID-c2") + ", of " +
			strings.Join(names, ", ")}
}
