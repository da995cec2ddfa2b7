package running

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/kin"
	"github.com/llenergymeasure/llem/internal/pace"
	"github.com/llenergymeasure/llem/internal/tick"
)

const (
	// between is the least time between two writes.
	between = 500 * time.Millisecond
	// every is the time between two values of a history, and kept how many are kept.
	every = time.Second
	kept  = 120
	// apart is the longest time between two displayed values of power whose energy is added up: they come five times a
	// second while a device is read.
	apart = 2 * time.Second
)

// Options are the inputs of a recorder.
type Options struct {
	// Dir is the folder of the study.
	Dir string
	// Worker is the name of this process if it is one of several that execute the study.
	Worker string
	// OutputTokens returns the number of output tokens of each request of an experiment; 0 if unknown.
	OutputTokens func(id string) int
	// Origin returns "modelled" or "simulated" for a device whose power in a run of an experiment is not from a sensor.
	Origin func(device, id string) string
	// Clock is the time of the study.
	Clock tick.Clock
}

// Recorder writes the state of a study as its events tell.
type Recorder struct {
	o          Options
	path, temp string
	stop       chan struct{}
	stopped    sync.WaitGroup

	writing sync.Mutex // one write at a time

	mu      sync.Mutex
	state   State
	changed bool
	pace    *pace.Pace
	mark    time.Time // the end of the newest finished run, or the beginning
	window  time.Time // the beginning of the window; zero outside
	devices map[string]*device
	sampled time.Time   // of the newest values of histories
	crew    []pace.Work // what the other workers have in work, at the time looked
	looked  time.Time
}

// device is the power of a device as it is displayed.
type device struct {
	Device
	at      time.Time // of the newest value; zero before the first one of a phase
	exact   float64   // the newest value
	windowJ float64
}

// Start begins to write the state of a study into its folder. Close ends it.
func Start(o Options) *Recorder {
	own, _ := kin.Read(os.Getpid())
	host, _ := os.Hostname() // for people
	p := Process{Host: host, System: kin.System(), PID: os.Getpid(), Start: own.Start}
	now := o.Clock.Time()
	r := &Recorder{o: o, path: filepath.Join(o.Dir, p.file()), temp: filepath.Join(o.Dir, "."+p.file()),
		stop: make(chan struct{}), devices: map[string]*device{}, mark: now,
		state: State{SchemaVersion: schemaVersion, Process: p, Worker: o.Worker, Began: now, Since: now,
			EveryS: every.Seconds(), Phase: event.Prepare}}
	r.pace = pace.New(0)
	sweep(o.Dir)
	r.stopped.Go(r.loop)
	return r
}

// workerJournal begins the name of the journal of one of several workers (see package store).
const workerJournal = "journal-"

// sweep removes the files of dead processes. In the folder of a study without several workers, which this process has
// locked, all other files are leftovers, also of another machine or container.
func sweep(dir string) {
	list, _ := os.ReadDir(dir) // nothing else depends on it
	several := slices.ContainsFunc(list, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), workerJournal) })
	for _, e := range list {
		name := e.Name()
		switch hidden := strings.TrimPrefix(name, "."); {
		case !names.MatchString(hidden):
			continue
		case several && hidden != name: // being written
			continue
		case several:
			if s, err := readFile(os.DirFS(dir), name); err != nil || s.Standing() != Died {
				continue
			}
		}
		_ = os.Remove(filepath.Join(dir, name))
	}
}

// Close removes the file.
func (r *Recorder) Close() {
	close(r.stop)
	r.stopped.Wait()
	_, _ = os.Remove(r.temp), os.Remove(r.path)
}

// loop writes what has changed.
func (r *Recorder) loop() {
	t := time.NewTicker(between)
	defer t.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-t.C:
			r.write()
		}
	}
}

// write writes the state if it has changed. A state that cannot be written is not shown, which disturbs nobody: the
// study fails by its own files if the disk is full.
func (r *Recorder) write() {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.look()
	s, changed := r.snapshot()
	if !changed {
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil || os.WriteFile(r.temp, b.Bytes(), 0o644) != nil {
		return
	}
	_ = os.Rename(r.temp, r.path)
}

// lookEvery is the time between two looks at the other workers.
const lookEvery = 5 * time.Second

// look finds out what the other workers have in work.
func (r *Recorder) look() {
	now := r.o.Clock.Time()
	if r.o.Worker == "" || now.Sub(r.looked) < lookEvery {
		return
	}
	all, _ := Read(os.DirFS(r.o.Dir)) // nothing else depends on it
	crew := Work(slices.DeleteFunc(all, func(s State) bool { return s.Worker == r.o.Worker }))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crew, r.looked = crew, now
}

// snapshot returns the state to write.
func (r *Recorder) snapshot() (State, bool) {
	now := r.o.Clock.Time()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sample(now)
	if !r.changed && !r.state.Written.IsZero() {
		return State{}, false
	}
	r.changed = false
	r.state.Written = now
	s := r.state
	s.LeftS = nil
	id := ""
	if s.Run != nil {
		run := *s.Run
		id, s.Run = run.ID, &run
	}
	study, left, known := r.pace.Left(s.Planned-s.Finished, id, now.Sub(r.mark))
	if len(r.crew) > 0 {
		own := pace.Work{}
		if s.Run != nil {
			own = pace.Work{ID: id, Spent: now.Sub(r.mark)}
		}
		study, known = r.pace.Shared(s.Planned-s.Finished, append(slices.Clip(r.crew), own))
	}
	if known && s.Planned > s.Finished {
		s.LeftS = seconds(study)
		if s.Run != nil {
			s.Run.LeftS = seconds(left)
		}
	}
	s.Devices = []Device{}
	for _, name := range slices.Sorted(maps.Keys(r.devices)) {
		d := r.devices[name]
		out := d.Device
		out.TotalJ = *rounded(out.TotalJ)
		out.History = slices.Clone(out.History)
		if !r.window.IsZero() {
			out.WindowJ = rounded(d.windowJ)
		}
		s.Devices = append(s.Devices, out)
	}
	return s, true
}

func seconds(d time.Duration) *float64 { return rounded(d.Seconds()) }

// rounded keeps the file small: nothing of it is more accurate.
func rounded(v float64) *float64 { return new(math.Round(v*10) / 10) }

// sample adds a value to each history.
func (r *Recorder) sample(now time.Time) {
	if now.Sub(r.sampled) < every-between/2 || len(r.devices) == 0 {
		return
	}
	r.sampled = now
	for _, d := range r.devices {
		if len(d.History) == kept {
			d.History = d.History[1:]
		}
		d.History = append(d.History, d.Watts)
		r.changed = r.changed || d.Watts != nil
	}
}

// Observe takes an event. It may be called from several goroutines. Only the event that opens the study is written at
// once, so that whoever finds the study's folder finds its process.
func (r *Recorder) Observe(e event.Event) {
	r.note(e)
	if _, opens := e.(event.StudyStarted); opens {
		r.write()
	}
}

// note takes note of an event.
func (r *Recorder) note(e event.Event) {
	now := r.o.Clock.Time()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = true
	switch e := e.(type) {
	case event.StudyStarted:
		r.open(e)
	case event.RunStarted:
		r.state.Planned = max(r.state.Planned, e.Total)
		r.state.Run = &Run{Index: e.Index, ID: e.ID, Cycle: e.Cycle, Label: e.Label, Began: now}
		r.phase(event.PhaseStarted{Phase: event.Prepare}, now)
	case event.PhaseStarted:
		r.phase(e, now)
	case event.Progress:
		if e.Phase == r.state.Phase { // not a late one of the phase before
			r.progress(e, now)
		}
	case event.Power:
		r.power(e, now)
	case event.Note:
		r.state.Warning = e.Message
	case event.RunFinished:
		r.finish(e, now)
	}
}

func (r *Recorder) open(e event.StudyStarted) {
	r.state.Name, r.state.Planned = e.Name, e.Runs
	if low, high := e.Expected[0], e.Expected[1]; high > 0 {
		r.state.PlanS = &[2]float64{math.Round(low.Seconds()), math.Round(high.Seconds())}
	}
	r.pace = pace.New(e.Cycles)
	for _, made := range e.Made {
		r.count(made)
		r.pace.Finish(made.ID, 0, false)
	}
}

// phase begins a phase. Sensors are not read in every phase: no value is better than an old one.
func (r *Recorder) phase(e event.PhaseStarted, now time.Time) {
	r.state.Phase, r.state.Detail, r.state.Since, r.state.Fraction = e.Phase, e.Detail, now, 0
	if e.Phase == event.Measure {
		r.window = now
		if run := r.state.Run; run != nil { // a window may be repeated with more requests
			run.Done, run.Requests, run.TokensPerS = 0, 0, nil
		}
	} else if e.Phase != event.Finish {
		r.window = time.Time{}
	}
	for _, d := range r.devices {
		d.Watts, d.at = nil, time.Time{}
		if e.Phase == event.Measure {
			d.windowJ = 0
		}
	}
}

// progress notes how far a phase is. The first progress of a window comes when it opens.
func (r *Recorder) progress(e event.Progress, now time.Time) {
	if e.Detail != "" {
		r.state.Detail = e.Detail
	}
	r.state.Fraction = min(1, max(0, e.Fraction))
	run := r.state.Run
	if e.Phase != event.Measure || run == nil || e.Total == 0 {
		return
	}
	if e.Done == 0 {
		r.window = now
	}
	run.Done, run.Requests = e.Done, e.Total
	tokens := float64(e.Done * r.o.OutputTokens(run.ID))
	if took := now.Sub(r.window).Seconds(); tokens > 0 && took > 0 {
		run.TokensPerS = rounded(tokens / took)
	}
}

// power notes the displayed power of a device, and adds up its energy since the value before.
func (r *Recorder) power(e event.Power, now time.Time) {
	if math.IsNaN(e.Watts) || math.IsInf(e.Watts, 0) {
		return
	}
	d := r.devices[e.Device]
	if d == nil {
		d = &device{Device: Device{ID: e.Device, History: []*float64{}}}
		r.devices[e.Device] = d
	}
	if r.state.Run != nil {
		d.Origin = r.o.Origin(e.Device, r.state.Run.ID)
	}
	if since := now.Sub(d.at); d.Watts != nil && !d.at.IsZero() && since < apart {
		joules := (d.exact + e.Watts) / 2 * since.Seconds()
		d.TotalJ += joules
		if r.state.Phase == event.Measure {
			d.windowJ += joules
		}
	}
	d.exact, d.Watts, d.at = e.Watts, rounded(e.Watts), now
}

func (r *Recorder) finish(e event.RunFinished, now time.Time) {
	r.count(e)
	if e.Worker != "" { // another worker's
		r.state.Planned = max(r.state.Planned, e.Total)
		r.pace.Finish(e.ID, e.Took, e.Status == okStatus)
		return
	}
	took := now.Sub(r.mark)
	if e.LeftOut {
		took = 0
	}
	r.mark = now
	if e.Status != interrupted {
		r.pace.Finish(e.ID, took, e.Status == okStatus)
	}
	r.state.Planned = max(r.state.Planned, e.Total)
	r.state.Run, r.window = nil, time.Time{}
	r.phase(event.PhaseStarted{Phase: event.Rest}, now)
}

// Outcomes of runs, as in result.json.
const (
	okStatus    = "ok"
	interrupted = "interrupted"
)

// count counts a run; an interrupted one is rerun.
func (r *Recorder) count(e event.RunFinished) {
	if e.Status == interrupted {
		return
	}
	r.state.Finished++
	if e.Status != okStatus && !e.LeftOut {
		r.state.Failed++
	}
}
