package merge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/result"
)

// machine executed runs of a folder: the machine of a worker, or of one of the processes that worked alone.
type machine struct {
	from *source
	// worker is the worker in its folder; empty if a process worked alone.
	worker string
	// name is the worker in the new folder; empty if a machine is unknown.
	name string
	// node identifies the machine; empty if unknown.
	node     string
	snapshot *host.Snapshot
	// differs lists the differences from the first machine.
	differs []string
}

// identify finds the machines of all runs, and names them.
func (j *joined) identify() error {
	type key struct {
		from   *source
		worker string
		part   int
	}
	known := map[key]*machine{}
	names := map[string]string{}
	for _, r := range j.runs {
		k := key{r.from, r.row.Worker, 0}
		if k.worker == "" {
			k.part = r.from.partAt(r.at)
		}
		m := known[k]
		if m == nil {
			var err error
			if m, err = r.from.machine(k.worker, k.part); err != nil {
				return err
			}
			m.name = free(names, m.name, cmp.Or(m.node, fmt.Sprintf("%p", r.from)))
			known[k] = m
			j.machines = append(j.machines, m)
		}
		r.machine, r.row.Worker = m, m.name
	}
	return nil
}

// free returns a name that is not the name of another machine, and takes it.
func free(names map[string]string, name, node string) string {
	if name == "" {
		return ""
	}
	next := name
	for i := 2; names[next] != "" && names[next] != node; i++ {
		next = fmt.Sprintf("%s-%d", name, i)
	}
	names[next] = node
	return next
}

// partAt returns the part of a study that a process executed alone at a time, counted from 0.
func (s *source) partAt(at time.Time) int {
	part := 0
	for i, p := range s.parts {
		began, err := time.Parse(time.RFC3339, p.CollectedAt)
		if err == nil && !at.Before(began) {
			part = i
		}
	}
	return part
}

// machine describes the machine of a worker, or of a part.
func (s *source) machine(worker string, part int) (*machine, error) {
	if worker == "" {
		m := &machine{from: s, snapshot: s.parts[part], node: s.parts[part].Node}
		if m.node != "" {
			m.name = "n" + m.node[:min(8, len(m.node))]
		}
		return m, nil
	}
	w, err := nodes.ReadWorker(s.dir, worker)
	if err == nil && w.Machine == nil {
		err = errors.New("it has no machine")
	}
	if err != nil {
		return nil, &Refusal{Msg: fmt.Sprintf("cannot read the machine of the worker %s in %s: %v", worker, s.dir, err),
			Next: "restore it from a copy: without it, a different machine cannot be detected", Cause: err}
	}
	return &machine{from: s, worker: worker, name: worker, node: w.Node, snapshot: w.Machine,
		differs: w.Differences}, nil
}

// sameProgram returns an error if the folders are from different versions of llem.
func (j *joined) sameProgram() error {
	first := j.sources[0]
	for _, s := range j.sources {
		for _, p := range s.parts {
			if a, b := first.parts[0].Build.Name(), p.Build.Name(); a != b {
				return &Refusal{Msg: fmt.Sprintf("%s was measured with llem %s, and %s with llem %s: "+
					"versions may count "+
					"differently", first.dir, a, s.dir, b), Next: "measure all parts of a study with the same llem"}
			}
		}
	}
	return nil
}

// sameClass compares the machines and the versions of the engines with the first folder's. Workers of the first folder
// were compared when they joined.
func (j *joined) sameClass(allowMixed bool) error {
	first := nodes.ClassOf(j.sources[0].parts[0])
	var items []string
	for _, m := range j.machines {
		if m.from == j.sources[0] {
			continue
		}
		m.differs = nodes.ClassOf(m.snapshot).Differences(first)
		for _, d := range m.differs {
			if item := m.from.dir + ": " + d; !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
	}
	versions, seen := j.versions(), map[string]bool{}
	for _, r := range j.runs {
		if r.from == j.sources[0] {
			continue
		}
		if len(r.machine.differs) > 0 {
			r.mark("the worker's machine differs from the study's first one: " + strings.Join(r.machine.differs, "; "))
		}
		if was := versions[r.backend]; r.row.Status == result.OK && len(was) > 0 &&
			!slices.Contains(was, r.row.Version) {
			r.mark(fmt.Sprintf("%s is version %s on this worker, and %s on others", r.backend, r.row.Version,
				strings.Join(was, ", ")))
			item := fmt.Sprintf("%s: %s is version %s, the first folder has %s", r.from.dir, r.backend, r.row.Version,
				strings.Join(was, ", "))
			if !seen[item] {
				seen[item] = true
				items = append(items, item)
			}
		}
	}
	if len(items) > 0 && !allowMixed {
		return &Refusal{Msg: "the study was measured on machines that differ from the machine of " + j.sources[0].dir,
			Items: items, Next: "leave these folders out; or merge with --allow-mixed: their runs are kept and " +
				"marked, and " +
				"excluded from the means"}
	}
	return nil
}

// versions lists the versions of the engines in the first folder that has runs of them.
func (j *joined) versions() map[string][]string {
	out, of := map[string][]string{}, map[string]*source{}
	for _, r := range j.runs {
		if r.row.Status != result.OK || r.row.Version == "" {
			continue
		}
		if of[r.backend] == nil {
			of[r.backend] = r.from
		}
		if of[r.backend] == r.from && !slices.Contains(out[r.backend], r.row.Version) {
			out[r.backend] = append(out[r.backend], r.row.Version)
		}
	}
	return out
}

// mark excludes the run from means, unless it already is for its machine.
func (r *run) mark(why string) {
	if !slices.Contains(r.row.Warnings, codes.MachineMixed) {
		r.marks = append(r.marks, why)
	}
}
