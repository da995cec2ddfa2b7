package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/claim"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/nodes"
	"github.com/llenergymeasure/llem/internal/shell"
	"github.com/llenergymeasure/llem/internal/store"
	"github.com/llenergymeasure/llem/internal/study/terms"
	"github.com/llenergymeasure/llem/internal/throughput"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/result"
)

// Worker makes this process one of several that execute a study in one folder.
type Worker struct {
	// Dir is the folder of the study, on a disk that all workers see. The first worker creates it.
	Dir string
	// Name of the worker, unique in the folder.
	Name string
	// AllowMixed lets the worker join although its machine differs from the study's first one: its runs are kept and
	// excluded from the means.
	AllowMixed bool
	// Beat and Term are the times of [claim.Options]; 0 means the default.
	Beat, Term time.Duration
}

// MixedError is the error if a worker differs from the study's first machine.
type MixedError struct {
	Msg         string
	Differences []string
	Next        string
}

// Error names the differences.
func (e *MixedError) Error() string {
	return strings.Join(append([]string{e.Msg}, e.Differences...), "\n  - ")
}

// NextStep returns the next step for the user.
func (e *MixedError) NextStep() string { return e.Next }

// WorkersError is the error if workers execute a study that another process wants to execute alone.
type WorkersError struct {
	Dir   string
	Names []string
}

// Error names the workers.
func (e *WorkersError) Error() string {
	return fmt.Sprintf("workers are executing the study in %s: %s", e.Dir, strings.Join(e.Names, ", "))
}

// NextStep returns the next step for the user.
func (e *WorkersError) NextStep() string {
	return "join them: llem run --worker --resume " + shell.Quote(e.Dir) + "; or wait until they have finished"
}

// names of the claims that are not runs.
const (
	studyClaim = "study" // on the folder: joining it, and its summary
	pollEvery  = time.Second
)

// runWorker executes runs of a study that other workers execute too, until none is left.
func runWorker(ctx context.Context, o Options) (_ *result.StudyResult, err error) {
	w, err := claim.Join(filepath.Join(o.Worker.Dir, store.ClaimsDir), claim.Options{Name: o.Worker.Name,
		Node: o.node(), Beat: o.Worker.Beat, Term: o.Worker.Term})
	if held, ok := errors.AsType[*claim.HeldError](err); ok {
		return nil, &ResumeError{Msg: fmt.Sprintf("a worker named %s is executing the study in %s", held.By.Worker,
			o.Worker.Dir), Next: fmt.Sprintf("give this one another name, or leave the name out; if the other one was "+
			"killed, wait %v", held.Left.Round(time.Second))}
	}
	if err != nil {
		return nil, err
	}
	o.Snapshot.Node = o.node()
	f := &folder{study: o.Study, snapshot: o.Snapshot, clock: o.Clock, part: 1,
		worker: &working{Worker: w, options: &o}}
	defer func() { err = errors.Join(err, f.worker.Leave()) }()
	if err = f.takeGPUs(&o); err != nil {
		return nil, err
	}
	if err = f.join(ctx, &o); err != nil {
		return nil, err
	}
	defer f.close()
	defer func() { err = f.explain(err) }()
	if err = errors.Join(f.enter(), f.neighbours(&o)); err != nil {
		return nil, err
	}
	return execute(ctx, o, f)
}

// enter records that the worker is present, and gives its journal the clock of the file server.
func (f *folder) enter() error {
	server, err := f.worker.Now()
	if err != nil {
		return fmt.Errorf("read the clock of the file server: %w", err)
	}
	w := f.worker
	joined := f.clock.Time()
	f.counted, w.free = joined, joined
	w.time = func() time.Time { return server.Add(f.clock.Time().Sub(joined)).UTC() }
	f.dir.Stamp(func(e *store.Entry) {
		e.At, e.ClaimS, e.WaitS = w.time(), w.claimTook.Seconds(), w.waitTook.Seconds()
	})
	return throughput.Come(filepath.Join(f.path(), nodes.WorkersDir), w.Name(), server)
}

// working is the state of a folder of several workers.
type working struct {
	*claim.Worker
	options *Options
	tail    *store.Tail
	// time is the clock of the file server.
	time func() time.Time
	// free is the end of the last run, and waited how long the worker has waited since.
	free   time.Time
	waited time.Duration
	// claimTook and waitTook are how long it took to claim the current run, and to wait for it.
	claimTook, waitTook time.Duration
	// run is the claim on the current run.
	run *claim.Claim
	// gpus are the claims on its GPUs, and beside the doubts about GPUs that it shares.
	gpus   []*claim.Claim
	beside note.List
	// mixed lists the differences from the first machine, if they are allowed.
	mixed []string
	// failed are the failed runs to repeat, with the checksums of their results.
	failed map[store.RunKey]string
	// versions are the versions of the engines, and nodes the machines of the workers.
	versions, nodes map[string]string
	// backends are the engines of the experiments.
	backends map[string]string
	// discarded reports whether a result of this worker does not count.
	discarded bool
	// canaryDone reports whether this worker has executed its canary, and rejoined whether a worker of its name was on
	// this machine before.
	canaryDone, rejoined bool
}

// hold takes the claim on the folder; others hold it for moments.
func (f *folder) hold(ctx context.Context) (*claim.Claim, error) {
	for {
		c, err := f.worker.Take(studyClaim)
		if _, held := errors.AsType[*claim.HeldError](err); !held {
			return c, err
		}
		if err := f.clock.Sleep(ctx, pollEvery/5); err != nil {
			return nil, err
		}
	}
}

// found creates the folder of the study, unless another worker has.
func (f *folder) found(ctx context.Context, o *Options) (err error) {
	if IsStudy(o.Worker.Dir) {
		return nil
	}
	c, err := f.hold(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Release()) }()
	if IsStudy(o.Worker.Dir) {
		return nil
	}
	if f.dir, err = store.Found(o.Worker.Dir); err != nil {
		return err
	}
	return errors.Join(f.begin(o), f.dir.Close())
}

// join opens the folder, and creates it if this is the first worker.
func (f *folder) join(ctx context.Context, o *Options) error {
	if err := f.found(ctx, o); err != nil {
		return err
	}
	dir := o.Worker.Dir
	if err := store.VerifyStudy(dir, false); err != nil {
		return refusal(err)
	}
	if err := o.sameShard(dir); err != nil {
		return err
	}
	frozen, err := Frozen(dir, o.Study)
	if err != nil {
		return err
	}
	o.Study, f.study = frozen, frozen
	if err := errors.Join(sameInputs(dir), f.sameClass(dir)); err != nil {
		return err
	}
	if f.dir, f.made, err = store.Join(dir, o.Worker.Name); err != nil {
		return refusal(err)
	}
	err = f.sameExperiments()
	if err == nil {
		err = f.joined(o.RetryFailed)
	}
	if err != nil {
		return errors.Join(err, f.dir.Close())
	}
	return nil
}

// joined begins the work in an open folder.
func (f *folder) joined(retryFailed bool) error {
	w := f.worker
	w.rejoined = nodes.NodeOf(f.path(), w.Name()) == w.options.node()
	w.tail, w.versions, w.nodes = store.NewTail(f.path()), map[string]string{}, map[string]string{}
	w.failed, w.backends = map[store.RunKey]string{}, map[string]string{}
	for _, e := range f.study.Experiments {
		w.backends[e.ID()] = e.Backend
	}
	for key, e := range f.made {
		if retryFailed && e.Status == result.Failed {
			w.failed[key] = e.Manifest
		}
	}
	for _, e := range f.made {
		f.learn(e)
	}
	for _, p := range Part(f.study, w.options.Shard, Order(f.study)) {
		if !f.wasMade(keyOfRun(p), retryFailed) {
			return errors.Join(f.dir.RemoveSummary(), f.describeWorker())
		}
	}
	return f.describeWorker()
}

// describeWorker writes the snapshot of this worker's machine.
func (f *folder) describeWorker() error {
	return nodes.Worker{Worker: f.worker.Name(), Node: f.worker.options.node(), Differences: f.worker.mixed,
		Machine: f.snapshot}.Write(f.path())
}

// refusal makes damage the reason of a refusal.
func refusal(err error) error {
	if damage, ok := errors.AsType[*store.DamageError](err); ok {
		return &ResumeError{Msg: damage.Error(), Next: damage.NextStep()}
	}
	return err
}

// sameClass compares this machine with the study's first one.
func (f *folder) sameClass(dir string) error {
	first, err := nodes.First(dir)
	if err != nil {
		return &ChangedError{fmt.Sprintf("cannot read the description of the study's first machine: %v", err),
			"restore it from a copy: without it, a different machine cannot be detected"}
	}
	if a, b := first.Build.Name(), f.snapshot.Build.Name(); a != b {
		return &MixedError{Msg: fmt.Sprintf("this is llem %s, and the study was started with llem %s: versions may "+
			"count differently", b, a), Next: "use the same llem on all nodes"}
	}
	d := nodes.ClassOf(f.snapshot).Differences(nodes.ClassOf(first))
	if len(d) == 0 {
		return nil
	}
	if !f.worker.options.Worker.AllowMixed {
		return &MixedError{"this machine differs from the machine on which the study began", d,
			"use nodes of one kind; or join with --allow-mixed: the runs of this worker are kept and marked, and " +
				"excluded from the means"}
	}
	f.worker.mixed = d
	return nil
}

// refresh reads what other workers have finished.
func (f *folder) refresh() ([]store.Entry, error) {
	added, err := f.worker.tail.Next()
	if err != nil {
		return nil, err
	}
	for _, e := range added {
		key := store.RunKey{ID: e.ID, Cycle: e.Cycle}
		if was, ok := f.made[key]; ok && was.Status == result.OK && e.Status != result.OK {
			continue // the order of journals is not the order of tries
		}
		f.made[key] = e
		f.learn(e)
	}
	return added, nil
}

// learn keeps what runs tell of their workers.
func (f *folder) learn(e store.Entry) {
	if e.Status == result.OK && e.Version != "" {
		f.worker.versions[f.worker.backends[e.ID]] = e.Version
	}
	if _, known := f.worker.nodes[e.Worker]; !known && e.Worker != "" {
		f.worker.nodes[e.Worker] = nodes.NodeOf(f.path(), e.Worker)
	}
}

// prepare looks at a run that was just claimed: another worker may have finished it, or left a try that does not
// count, which is renamed. It reports whether the run is to be executed.
func (f *folder) prepare(key store.RunKey, retryFailed bool) (bool, error) {
	e, err := f.dir.Executed(key)
	if e == nil || err != nil {
		return err == nil, err
	}
	f.made[key] = *e
	if f.wasMade(key, retryFailed) {
		return false, nil
	}
	return true, f.dir.Retry(key, e.Manifest)
}

// errLost is the outcome of a run whose claim was gone: it does not count.
var errLost = errors.New("the claim on the run was lost")

// publish commits a run of a worker, unless another one has it now.
func (f *folder) publish(run *store.Run, rec *result.Record, commit, discard func() error) error {
	w := f.worker
	if len(w.mixed) > 0 {
		rec.Warn(codes.MachineMixed,
			"the worker's machine differs from the study's first one: "+strings.Join(w.mixed, "; "))
	}
	for _, n := range w.beside {
		rec.Warn(n.Code, n.Message)
	}
	if was := w.versions[rec.Config.Backend]; rec.Status == result.OK && was != "" && rec.Backend.Version != was {
		if !w.options.Worker.AllowMixed {
			return errors.Join(&MixedError{Msg: fmt.Sprintf("%s is version %s here, and other workers have %s",
				rec.Config.Backend, rec.Backend.Version, was),
				Next: "install the same version on all nodes, or join with --allow-mixed"}, run.Abort())
		}
		rec.Warn(codes.MachineMixed,
			fmt.Sprintf("%s is version %s on this worker, and %s on others", rec.Config.Backend,
				rec.Backend.Version, was))
	}
	err := w.run.Check()
	if errors.Is(err, claim.ErrLost) {
		if gone := f.vanished(); gone != nil {
			return gone
		}
		w.discarded = true
		return errors.Join(errLost, discard())
	}
	if err = errors.Join(err, commit()); errors.Is(err, store.ErrTwice) {
		w.discarded = true
		return errors.Join(errLost, err)
	}
	return err
}

// workAll executes the runs of the plan that nobody has executed, and then further cycles.
func (s *schedule) workAll(ctx context.Context, plan []Planned) error {
	if err := s.workOn(ctx, plan); err != nil {
		return err
	}
	x := s.Study.Execution
	for cycle := x.Cycles + 1; cycle <= s.mostCycles(); cycle++ {
		open := sideBySide(s.Study, s.imprecise())
		if len(open) == 0 {
			return nil
		}
		var more []Planned
		for _, i := range cycleOrder(x, len(open), cycle-1) {
			more = append(more, Planned{open[i], cycle})
		}
		s.total += len(more)
		if err := s.workOn(ctx, more); err != nil {
			return err
		}
	}
	return nil
}

// task is a planned run with its key, which is a hash.
type task struct {
	Planned
	key store.RunKey
}

// workOn executes runs until none of the plan is left. It waits for runs of other workers, because one may die.
func (s *schedule) workOn(ctx context.Context, plan []Planned) error {
	wait := pollEvery
	tasks := make([]task, len(plan))
	for i, p := range plan {
		tasks[i] = task{p, keyOfRun(p)}
	}
	for {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		var open []task
		for _, p := range tasks {
			if !s.folder.wasMade(p.key, s.RetryFailed) {
				open = append(open, p)
			}
		}
		if len(open) == 0 {
			return nil
		}
		began := s.Clock.Time()
		if err := s.canary(ctx); err != nil {
			return err
		}
		s.folder.worker.free = s.folder.worker.free.Add(s.Clock.Time().Sub(began)) // the canary is not claiming
		s.index = len(s.folder.made) + 1
		claimed, err := s.claimOne(ctx, open)
		if err != nil {
			return err
		}
		if claimed {
			wait = pollEvery
			continue
		}
		if err := s.stuck(open); err != nil {
			return err
		}
		asleep := s.Clock.Time()
		if err := errors.Join(s.engines.Close(), s.Clock.Sleep(ctx, wait)); err != nil {
			return err
		}
		s.folder.worker.waited += s.Clock.Time().Sub(asleep)
		wait = min(2*wait, 10*pollEvery)
	}
}

// keyOfRun returns the key of a planned run.
func keyOfRun(p Planned) store.RunKey { return store.RunKey{ID: p.Experiment.ID(), Cycle: p.Cycle} }

// catchUp learns what others have finished, and joins again if this worker was taken for dead.
func (s *schedule) catchUp(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	added, err := s.folder.refresh()
	if err != nil {
		return err
	}
	for _, e := range added {
		s.noteValue(e.Row)
	}
	return errors.Join(s.folder.worker.Rejoin(), s.folder.keepGPUs(s.Options))
}

// claimOne executes the first run in the worker's order that nobody else has. It reports whether there was one.
func (s *schedule) claimOne(ctx context.Context, open []task) (bool, error) {
	for _, p := range s.preferred(open) {
		if s.tripped(p.Experiment) {
			continue
		}
		key := p.key
		c, err := s.folder.worker.Take(fmt.Sprintf("%s-c%d", key.ID, key.Cycle))
		if _, held := errors.AsType[*claim.HeldError](err); held {
			continue
		}
		if err != nil {
			return false, err
		}
		s.folder.worker.run = c
		todo, err := s.folder.prepare(key, s.RetryFailed)
		if err == nil && todo {
			err = s.runClaimed(ctx, p.Planned, c)
		}
		return true, errors.Join(err, c.Release())
	}
	return false, nil
}

// runClaimed executes a run, and ends it when its claim is lost.
func (s *schedule) runClaimed(ctx context.Context, p Planned, c *claim.Claim) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-c.Lost():
			cancel(errLost)
		case <-stop:
		}
	}()
	w := s.folder.worker
	w.claimTook, w.waitTook = s.Clock.Time().Sub(w.free)-w.waited, w.waited
	err := s.runLimited(own, p)
	w.free, w.waited = s.Clock.Time(), 0
	if gone := s.folder.vanished(); errors.Is(err, errLost) && gone != nil {
		return gone
	}
	if errors.Is(err, errLost) && ctx.Err() == nil {
		s.emit(event.Note{Code: codes.RunTwice,
			Message: fmt.Sprintf("the result of %s-c%d does not count: this worker was "+
				"paused or cut off for longer than its term, and another one has the run now", p.Experiment.ID(),
				p.Cycle)})
		return nil
	}
	return err
}

// stuck reports whether the open runs are such that this worker gives them up: so many of them failed here that the
// rest is left to others, or, if there are none, left out.
func (s *schedule) stuck(open []task) error {
	for _, p := range open {
		if !s.tripped(p.Experiment) {
			return nil
		}
	}
	others, err := s.folder.worker.Members()
	if err != nil {
		return err
	}
	if n := len(others) - 1; n > 0 {
		p := open[0].Experiment
		if f := s.absent(p); f != nil {
			return fmt.Errorf("%s: %s; this worker leaves %s to %s", p.Backend, f.Error(),
				digits.Count(len(open), "run"), digits.Count(n, "other worker"))
		}
		return fmt.Errorf("%d consecutive runs of %s with %s failed on this worker, the last with: %s; it "+
			"leaves %d runs "+
			"to %d other workers", s.failures[keyOf(p)], p.Model, p.Backend, s.reasons[keyOf(p)], len(open), n)
	}
	for _, p := range open {
		c, err := s.folder.worker.Take(fmt.Sprintf("%s-c%d", p.key.ID, p.key.Cycle))
		if err != nil {
			return err
		}
		s.folder.worker.run = c
		if todo, err := s.folder.prepare(p.key, s.RetryFailed); err != nil || !todo {
			return errors.Join(err, c.Release())
		}
		if err := errors.Join(s.leaveOut(p.Planned), c.Release()); err != nil {
			return err
		}
	}
	return errLeftOut
}

// errLeftOut ends a study whose remaining runs were left out.
var errLeftOut = errors.New("the remaining runs were left out")

// preferred sorts open runs: spread over the machines, or with all cycles of an experiment on one; then the ones that
// the loaded engine serves, where the study's order leaves a choice; then by the study's order.
func (s *schedule) preferred(open []task) []task {
	own, elsewhere := map[string]int{}, map[string]bool{}
	here := s.node()
	for key, e := range s.folder.made {
		if s.folder.worker.nodes[e.Worker] == here {
			own[key.ID]++
		} else {
			elsewhere[key.ID] = true
		}
	}
	together := s.Study.Execution.Placement == terms.PlaceSame
	free := s.Study.Execution.Order == terms.Balanced || s.Study.Execution.Order == terms.Sequential
	ranks := make(map[store.RunKey][2]int, len(open))
	for _, p := range open {
		id, rank := p.key.ID, [2]int{}
		switch {
		case !together:
			rank[0] = own[id]
		case own[id] == 0 && elsewhere[id]:
			rank[0] = 2
		case own[id] == 0:
			rank[0] = 1
		}
		if free && !s.engines.Serves(s.Study.Engine(p.Experiment.Backend), p.Experiment, len(s.Meters) > 0) {
			rank[1] = 1
		}
		ranks[p.key] = rank
	}
	out := slices.Clone(open)
	slices.SortStableFunc(out, func(a, b task) int {
		x, y := ranks[a.key], ranks[b.key]
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	})
	return out
}

// LiveWorkers returns a [*WorkersError] if workers are executing the study in a folder.
func LiveWorkers(dir string) error {
	live, err := claim.Members(filepath.Join(dir, store.ClaimsDir))
	if err != nil || len(live) == 0 {
		return err
	}
	e := &WorkersError{Dir: dir}
	for _, w := range live {
		e.Names = append(e.Names, w.Worker)
	}
	return e
}

// conclude writes the summary of a study of several workers, unless others continue it.
func (f *folder) conclude(ctx context.Context, runErr error, interrupted bool) (_ *result.StudyResult, err error) {
	if interrupted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
	}
	// Without a word, its last run tells how long it was there.
	_ = throughput.Go(filepath.Join(f.path(), nodes.WorkersDir), f.worker.Name(), f.worker.time())
	err = f.describeWorker()
	c, holdErr := f.hold(ctx)
	if holdErr != nil {
		return nil, errors.Join(err, holdErr)
	}
	defer func() { err = errors.Join(err, c.Release()) }()
	others, membersErr := f.worker.Members()
	if err = errors.Join(err, membersErr); err != nil {
		return nil, err
	}
	if runErr == nil && !f.worker.discarded {
		if s, err := result.ReadStudy(f.path()); err == nil && s.Complete {
			return s, nil // another worker was faster
		}
	}
	summary, err := store.Summarize(f.path(), f.study, f.clock.Time())
	if summary == nil {
		return nil, errors.Join(f.dir.Check(), fmt.Errorf("rebuild the summary: %w", err))
	}
	if damage := f.dir.Check(); damage != nil {
		err = damage
	}
	summary.Ended = ended(summary, errors.Join(runErr, err), interrupted)
	if len(others) > 1 && !summary.Complete {
		return summary, err
	}
	live := func(name string) bool {
		return slices.ContainsFunc(others, func(o claim.Identity) bool { return o.Worker == name })
	}
	return summary, errors.Join(err, f.dir.WriteSummary(summary), f.dir.Sweep(live), f.worker.Sweep())
}
