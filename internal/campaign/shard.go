package campaign

import (
	"fmt"

	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/study"
)

// Part returns the runs of a shard in their order. The runs are all planned runs of the study, or the first of them.
func Part(s *study.Study, part shard.Shard, runs []Planned) []Planned {
	if part.Whole() {
		return runs
	}
	place := make(map[study.Experiment]int, len(s.Experiments))
	for i, e := range s.Experiments {
		place[e] = i
	}
	var own []Planned
	for _, r := range runs {
		if part.Has(s, place[r.Experiment], r.Cycle) {
			own = append(own, r)
		}
	}
	return own
}

// sameShard takes the shard of a folder as this process's shard, which must not be another one.
func (o *Options) sameShard(dir string) error {
	has, err := shard.Read(dir)
	if err != nil {
		return &ResumeError{Msg: err.Error(), Next: "restore the file from a copy of the folder"}
	}
	if !o.Shard.Whole() && o.Shard != has {
		return &ResumeError{Msg: fmt.Sprintf("%s is the folder of %s, not of %s", dir, has, o.Shard),
			Next: "leave --shard out to continue it, or start the shard in a folder of its own, without --resume"}
	}
	o.Shard = has
	return nil
}

// ShardOf returns the shard of a folder as i/n, empty for the whole study. Asking for another one is a
// [*ResumeError].
func ShardOf(dir, asked string) (string, error) {
	part, err := shard.Parse(asked)
	if err != nil {
		return "", err
	}
	o := Options{Shard: part}
	if err := o.sameShard(dir); err != nil || o.Shard.Whole() {
		return "", err
	}
	return fmt.Sprintf("%d/%d", o.Shard.Index, o.Shard.Of), nil
}

// beginShard records in the folder which shard it has.
func (f *folder) beginShard(part shard.Shard) error {
	text, err := f.study.YAML()
	if err != nil {
		return err
	}
	return f.dir.WriteJSON(shard.File, shard.Record{Shard: part, Study: disk.Sum([]byte(text))})
}

// mostCycles is the number up to which cycles are added until a precision is reached. A shard with some cycles of a
// configuration cannot know its precision: the study that is merged from all shards adds them when it is resumed.
func (s *schedule) mostCycles() int {
	if !s.Shard.Complete(s.Study) {
		return 0
	}
	return s.Study.Execution.Until.MaxCycles
}
