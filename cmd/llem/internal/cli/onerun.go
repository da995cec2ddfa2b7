package cli

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

// oneRun is a run that is named by its folder or as DIR:ID; dir is its folder, and others mentions
// the other runs of the configuration.
type oneRun struct {
	dir, others string
	rec         *result.Record
}

// findRun finds the run that an argument names. It returns nil without an error if the argument names a study.
func (env *Env) findRun(arg string) (*oneRun, error) {
	if _, err := os.Stat(arg); err != nil {
		i := strings.LastIndexByte(arg, ':')
		if i <= 0 {
			return nil, nil
		}
		return env.runOf(arg[:i], arg[i+1:])
	}
	file := filepath.Join(arg, result.RecordFile)
	if _, err := os.Stat(file); err != nil {
		return nil, nil
	}
	rec, err := result.ReadRecord(file)
	if err != nil {
		return nil, err
	}
	return &oneRun{dir: arg, rec: rec}, nil
}

// runName is an id, or its first digits, and the cycle.
var runName = regexp.MustCompile(`^([0-9a-f]+)(?:-c([0-9]+))?$`)

// runOf finds a run of a study. Without a cycle it is the first successful run of the
// configuration.
func (env *Env) runOf(dir, name string) (*oneRun, error) {
	s, err := env.open(dir)
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
		cycles = append(cycles, fmt.Sprintf("%s-c%d", r.ID, r.Cycle))
		if (cycle == 0 || r.Cycle == cycle) && (found == nil || found.Status != result.OK && r.Status == result.OK) {
			found = r
		}
	}
	if len(ids) != 1 || found == nil {
		return nil, unknownRun(dir, name, s)
	}
	out := &oneRun{dir: filepath.Join(s.Dir, filepath.FromSlash(result.RunPath(found.ID, found.Cycle)))}
	if n := len(cycles); n > 1 {
		out.others = fmt.Sprintf("cycle %d of %d; %s shows another", found.Cycle, n,
			shell.Quote(dir+":"+cycles[(slices.Index(cycles, nameOf(found.ID, found.Cycle))+1)%n]))
	}
	out.rec, err = result.ReadRun(s.Dir, found.ID, found.Cycle)
	return out, err
}

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
	return &usageError{fmt.Sprintf("%s: %q does not name exactly one run", dir, name),
		"name one as " + shell.Quote(dir+":ID") + " or " + shell.Quote(dir+":ID-c2") + ", of " +
			strings.Join(names, ", ")}
}

// printRun prints one run as `llem run` does, from disk.
func (env *Env) printRun(r *oneRun, f reportFlags) error {
	switch {
	case f.format != "text" || f.sort != "" || f.best != "" || f.html != "" || len(f.pareto) > 0:
		return &usageError{"--format, --sort, --pareto, --best and --html are about a study, not about one run",
			"give the folder of the study, or leave them out"}
	case f.json:
		return env.printJSON(r.rec)
	}
	if r.others != "" {
		fmt.Fprintf(env.text(env.Stderr), "llem: %s\n", r.others)
	}
	s := &result.StudyResult{Dir: r.dir, Planned: 1, Runs: []*result.Record{r.rec}}
	if x := store.Exclusions([]result.Row{store.RowOf(r.rec)}); len(x) > 0 {
		s.Experiments = []result.ExperimentSummary{{ID: r.rec.ID, Config: r.rec.Config, OK: 1, Excluded: x}}
	}
	return env.show(s, env.terminal(), f.how())
}
