package merge

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/result"
)

// joined is what the new folder will have.
type joined struct {
	sources []*source
	// runs are the runs that count, each once.
	runs []*run
	// machines executed them.
	machines []*machine
	// of is the number of shards, if all folders have shards of one division.
	of    int
	notes []string
	// asides are the results that do not count.
	asides []aside
}

// join finds out whether the folders belong together, and which runs count.
func join(sources []*source, allowMixed bool) (*joined, error) {
	j := &joined{sources: sources, of: division(sources)}
	for _, s := range sources[1:] {
		if err := j.sameStudy(sources[0], s); err != nil {
			return nil, err
		}
	}
	if err := j.union(); err != nil {
		return nil, err
	}
	if err := errors.Join(j.sameProgram(), j.identify()); err != nil {
		return nil, err
	}
	if err := errors.Join(j.sameClass(allowMixed), j.setAside()); err != nil {
		return nil, err
	}
	return j, nil
}

// division returns the number of shards, or 0.
func division(sources []*source) int {
	of := 0
	for i, s := range sources {
		n := s.shard.Of
		if s.merged != nil {
			n = s.merged.Of
		}
		if i > 0 && n != of {
			return 0
		}
		of = n
	}
	return of
}

// sameStudy returns an error if two folders do not have the same study, with the same data sets.
func (j *joined) sameStudy(first, s *source) error {
	_, err := campaign.Frozen(first.dir, s.study)
	if other, ok := errors.AsType[*campaign.ResumeError](err); ok && len(other.Differences) > 0 {
		return &Mistake{Refusal{Msg: fmt.Sprintf("%s and %s have different studies", first.dir, s.dir),
			Items: other.Differences, Next: "give folders of one study; llem compare compares studies"}}
	}
	if err != nil {
		return err
	}
	datasets, models, err := campaign.OtherInputs(first.dir, s.dir)
	if err != nil {
		return err
	}
	if len(datasets) > 0 {
		return &Refusal{Msg: fmt.Sprintf("%s and %s were measured with different prompts under one name", first.dir,
			s.dir),
			Items: datasets, Next: "measure one of them again with the same file (its hash is in inputs.json)"}
	}
	for _, m := range models {
		j.notes = append(j.notes, fmt.Sprintf("the files of the model %s have other sizes or times in %s than in %s: "+
			"make sure that they are copies", m, s.dir, first.dir))
	}
	return nil
}

// union takes each run once. A run that was not finished gives way, and so does one that the other folder has repeated.
func (j *joined) union() error {
	taken := map[store.RunKey]*run{}
	var conflicts []string
	same, gave := 0, 0
	for _, s := range j.sources {
		for _, r := range s.runs {
			was := taken[r.key]
			switch {
			case was == nil:
				taken[r.key] = r
			case was.origin == r.origin:
				same++
			case was.row.Made() && !r.row.Made(), was.from.repeated(r):
				gave++
			case r.row.Made() && !was.row.Made(), s.repeated(was):
				gave++
				taken[r.key] = r
			case !r.row.Made():
				gave++
			default:
				conflicts = append(conflicts, was.folder()+" and "+r.folder())
			}
		}
	}
	if len(conflicts) > 0 {
		return &Refusal{Msg: fmt.Sprintf("%s twice with different results", digits.Count(len(conflicts), "run")),
			Items: conflicts, Next: "leave one of the folders out, or move one of the two runs away"}
	}
	if len(taken) == 0 {
		return &Refusal{Msg: "no folder has a run", Next: "execute the study: llem run --resume=DIR"}
	}
	for _, s := range j.sources {
		for _, r := range s.runs {
			if taken[r.key] == r {
				j.runs = append(j.runs, r)
			}
		}
	}
	if same > 0 {
		j.notes = append(j.notes, digits.Count(same, "run")+
			" found in more than one folder with the same bytes: kept once")
	}
	if gave > 0 {
		j.notes = append(j.notes, digits.Count(gave, "run")+
			" left out: another folder has finished or repeated the run")
	}
	return nil
}

// repeated reports whether a run is an earlier try of a run of this folder.
func (s *source) repeated(r *run) bool { return slices.Contains(s.tries[r.key], r.sum) }

// record returns what the new folder records of the merge.
func (j *joined) record(marked map[string]string) shard.Merged {
	m := shard.Merged{Of: j.of, Marked: marked}
	count := map[*source]int{}
	for _, r := range j.runs {
		count[r.from]++
	}
	for _, s := range j.sources {
		m.Folders = append(m.Folders, shard.Folder{Name: filepath.Base(s.dir), Shard: s.shard.Index, Runs: count[s]})
	}
	return m
}

// path is the name of a run's folder below the folder of its study.
func (r *run) path() string { return result.RunPath(r.key.ID, r.key.Cycle) }

// inOrder sorts runs by the times at which they finished.
func inOrder(runs []*run) {
	slices.SortStableFunc(runs, func(a, b *run) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.path(), b.path()))
	})
}
