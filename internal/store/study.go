package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shard"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// maxRecords is the number of runs up to which a summary has full records. A larger study has a row for each
// run; [result.StudyResult.Records] reads the records one at a time.
const maxRecords = 200

// Summarize collects the finished runs of a folder. It does not set why the study ended, which only its end
// knows. With a [*DamageError], the result has the runs that can be read.
func Summarize(dir string, s *study.Study, finished time.Time) (*result.StudyResult, error) {
	part, err := shard.Read(dir)
	merged, mergedErr := shard.ReadMerged(dir)
	if err = errors.Join(err, mergedErr); err != nil {
		return nil, err
	}
	out := summary{&result.StudyResult{SchemaVersion: result.SchemaVersion, Name: part.Named(s.Name), Dir: dir,
		Finished: finished.UTC(), Planned: part.Runs(s), Caveats: note.List{}, Doubts: []result.Doubt{}}}
	if abs, err := filepath.Abs(dir); err == nil {
		out.Dir = abs
	}
	f, err := lookAt(dir)
	if err != nil {
		return nil, err
	}
	if len(f.runs) <= maxRecords {
		f.read()
	}
	out.Rows = f.rows()
	out.count()
	out.Nodes = nodes.Of(out.Dir, out.Rows)
	if err := out.summarize(s, configs(out.Dir, s)); err != nil {
		return nil, err
	}
	out.conditions()
	if len(out.Rows) > maxRecords {
		for i := range out.Rows {
			out.Rows[i] = out.Rows[i].Brief()
		}
	}
	if err := out.collectWarnings(); err != nil {
		return nil, err
	}
	out.left(s, part)
	if merged == nil { // the machines of a merged study did not work at the same time
		out.Workers = workersOf(dir, f.lines)
	}
	out.caveats(s.Execution, len(s.Experiments))
	out.records(f)
	part.Doubt(out.StudyResult, s, merged)
	return out.StudyResult, damaged(dir, f.problems)
}

// count counts the rows.
func (s summary) count() {
	for _, r := range s.Rows {
		s.ElapsedS += r.TookS
		switch {
		case r.Status == result.OK:
			s.OK++
		case r.Status == result.Interrupted:
			s.Interrupted++
		case r.Class == codes.ClassLeftOut:
			s.LeftOut++
		default:
			s.Failed++
		}
	}
	// More cycles than planned are run until a metric is precise enough.
	s.Planned = max(s.Planned, len(s.Rows))
}

// configs returns a function that finds the configuration of a run in the study, or in its record if the
// study lacks it.
func configs(dir string, s *study.Study) func(result.Row) (study.Experiment, error) {
	known := make(map[string]int, len(s.Experiments))
	for i, e := range s.Experiments {
		if e.Backend != "" {
			known[e.ID()] = i
		}
	}
	return func(r result.Row) (study.Experiment, error) {
		if i, ok := known[r.ID]; ok {
			return s.Experiments[i], nil
		}
		rec, err := result.ReadRun(dir, r.ID, r.Cycle)
		if err != nil {
			return study.Experiment{}, err
		}
		return rec.Config, nil
	}
}

// left counts the remaining runs.
func (s summary) left(of *study.Study, part shard.Shard) {
	x := of.Execution
	made, last := 0, map[string]int{}
	for _, r := range s.Rows {
		if r.Made() {
			last[r.ID] = max(last[r.ID], r.Cycle)
			if r.Cycle <= x.Cycles {
				made++
			}
		}
	}
	s.Left = max(0, part.Runs(of)-made)
	for _, e := range s.Experiments {
		if p := e.Precision; p != nil && !p.Met && last[e.ID] < x.Until.MaxCycles && measured(e, p.Metric) &&
			part.Complete(of) {
			s.Left++
		}
	}
	s.Complete = s.Left == 0
	s.Ended = result.EndKilled
	if s.Complete {
		s.Ended = result.EndComplete
	}
}

func measured(e result.ExperimentSummary, metric string) bool {
	_, ok := e.Metrics.Get(metric)
	return ok
}

// caveats adds the caveats of the study as a whole.
func (s summary) caveats(x study.Execution, n int) {
	if text := Unbalanced(x, n); text != "" {
		s.Caveats.Warn(codes.LatinSquareUnbalanced, text)
	}
	s.memoryCaveats()
	nodes.Doubts(s.StudyResult)
	if text := nodes.Changed(s.Dir); text != "" {
		s.Caveats.Warn(codes.MachinesDiffer, text)
	}
	for i := range s.Experiments {
		e := &s.Experiments[i]
		e.Flags = codes.FlagsOf(append(e.Flags, s.Caveats.Codes()...))
	}
}

// Unbalanced returns why the cycles do not fill a latin square of n experiments; empty if they do, or none is
// requested.
func Unbalanced(x study.Execution, n int) string {
	rows := n
	if n%2 == 1 && n > 1 {
		rows = 2 * n
	}
	if x.Order != terms.LatinSquare || n < 2 || x.Cycles%rows == 0 {
		return ""
	}
	return fmt.Sprintf("order latin_square: %d cycles of %d experiments are not balanced for position and for "+
		"what runs before; use a multiple of %d cycles", x.Cycles, n, rows)
}

// records adds the full records, unless there are too many.
func (s summary) records(f *found) {
	if len(s.Rows) > maxRecords {
		s.RunsReason = fmt.Sprintf("the study has more than %d runs: their records are in %s/ID-cCYCLE/%s",
			maxRecords, result.RunsDir, result.RecordFile)
		return
	}
	s.Runs = make([]*result.Record, 0, len(s.Rows))
	for _, r := range f.runs {
		s.Runs = append(s.Runs, r.rec)
	}
}
