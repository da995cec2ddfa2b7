package announce

import (
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/study"
)

// Follower reads what the workers of a study have finished, for those who watch them.
type Follower struct {
	Study
	dir     string
	tail    *store.Tail
	made    map[store.RunKey]bool
	part    shard.Shard
	planned int
}

// Follow begins to follow the study of a folder, which a worker has begun.
func Follow(dir string) (*Follower, error) {
	s, _, err := store.ReadFrozen(dir)
	if err != nil {
		return nil, err
	}
	part, err := shard.Read(dir)
	return NewFollower(dir, s, part, nil), err
}

// NewFollower begins to follow a study. Known runs are left out.
func NewFollower(dir string, s *study.Study, part shard.Shard, known map[store.RunKey]bool) *Follower {
	if known == nil {
		known = map[store.RunKey]bool{}
	}
	return &Follower{New(s), dir, store.NewTail(dir), known, part, part.Runs(s)}
}

// Opening returns the event that opens the study, with the runs that are there.
func (f *Follower) Opening() (event.StudyStarted, error) {
	made, err := f.Next()
	out := f.Study.Opening(f.dir, f.part, f.planned)
	out.Made = made
	return out, err
}

// Next returns the runs that were finished since the last call, each once: a run that is repeated is left out.
func (f *Follower) Next() ([]event.RunFinished, error) {
	entries, err := f.tail.Next()
	var out []event.RunFinished
	for _, e := range entries {
		key := store.RunKey{ID: e.ID, Cycle: e.Cycle}
		if f.made[key] || !e.Made() && e.Class != codes.ClassLeftOut {
			continue
		}
		f.made[key] = true
		f.planned = max(f.planned, len(f.made)) // a goal of precision may ask for more cycles
		r := f.Finished(e.Row)
		r.Worker, r.Index, r.Total, r.Took = e.Worker, len(f.made), f.planned, digits.Duration(e.TookS)
		out = append(out, r)
	}
	return out, err
}
