// Package campaign runs the experiments of a study in order and stores the results. Runs are independent: a
// failed run is recorded with its failure, and the next one starts.
package campaign

import (
	"context"
	"errors"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/measure"
	"github.com/llenergymeasure/llem/internal/running"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
)

// Run executes all runs that have not finished. The result has the finished runs, even with an error; the
// error is the cause of ctx or a write error.
func Run(ctx context.Context, o Options) (*result.StudyResult, error) {
	if o.Worker != nil {
		return runWorker(ctx, o)
	}
	if o.Resume != "" {
		if err := LiveWorkers(o.Resume); err != nil {
			return nil, err
		}
	}
	f, err := openFolder(&o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := LiveWorkers(f.path()); err != nil { // one that began at the same moment
		return nil, err
	}
	return execute(ctx, o, f)
}

// execute executes runs in an open folder.
func execute(ctx context.Context, o Options, f *folder) (*result.StudyResult, error) {
	watched := running.Start(o.watched(f.path()))
	defer watched.Close()
	emit := o.Emit
	o.Emit = func(e event.Event) {
		watched.Observe(e)
		if emit != nil {
			emit(e)
		}
	}
	s := newSchedule(&o, f)
	plan := Part(o.Study, o.Shard, Order(o.Study))
	s.total = len(plan)
	if o.Study.Execution.Restart != terms.RestartAlways {
		s.engines = &measure.Engines{Clock: o.Clock}
	}
	o.emit(s.opening(plan))
	for _, n := range f.dir.Repairs() {
		o.emit(event.Note(n))
	}
	s.warn()
	stop := s.follow(ctx)
	runErr := s.runAll(ctx, plan)
	stop()
	runErr = errors.Join(runErr, s.engines.Close())
	if errors.Is(runErr, errLeftOut) {
		runErr = nil
	}
	summary, err := f.summarize(ctx, runErr)
	if summary == nil {
		return nil, errors.Join(runErr, err)
	}
	o.emit(event.StudyFinished{Dir: f.path(), OK: summary.OK, Failed: summary.Failed})
	if errors.Is(runErr, errFailFast) {
		runErr = nil // the failed run itself has the message
	}
	return summary, errors.Join(runErr, err)
}

// watched returns what the state of the study for those who watch it is made of.
func (o *Options) watched(dir string) running.Options {
	experiments := make(map[string]*study.Experiment, len(o.Study.Experiments))
	for i := range o.Study.Experiments {
		experiments[o.Study.Experiments[i].ID()] = &o.Study.Experiments[i]
	}
	modelled := map[string]bool{}
	for _, m := range o.Meters {
		for _, d := range m.Devices() {
			modelled[d.ID] = d.Modelled
		}
	}
	worker := ""
	if o.Worker != nil {
		worker = o.Worker.Name
	}
	return running.Options{Dir: dir, Worker: worker, Clock: o.Clock,
		OutputTokens: func(id string) int { return experiments[id].Workload.OutputTokens },
		Origin: func(device, id string) string {
			source := result.Measured
			if modelled[device] {
				source = result.Modelled
			}
			if source = source.Of(experiments[id].Backend); source == result.Measured {
				return ""
			}
			return string(source)
		}}
}
