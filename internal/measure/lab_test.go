package measure

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/event"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/powerfake"
	"github.com/llenergymeasure/llem/internal/tick"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// virtually runs a test in virtual time.
func virtually(f func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

// The lab is an engine and sensors that agree on a schedule which both know: batches
// of one prefill step and some decode steps, laid out on CLOCK_MONOTONIC before they
// happen. Power follows the schedule, so that the true energy of any stretch of
// time is known exactly, however late the machine is. Around the steps lie idle
// margins longer than the sensor's window, so that the machine's delays fall into
// time at low power.
const (
	idleW, prefillW, decodeW = 20.0, 600.0, 300.0

	loadTime    = 100 * time.Millisecond
	margin      = 60 * time.Millisecond
	prefillTime = 120 * time.Millisecond
	decodeTime  = 20 * time.Millisecond // of one step
	promptLen   = 8
	outputLen   = 11 // one token of prefill, ten of decoding
)

// stub is a backend with one session; the fields are its faults.
type stub struct {
	loaded backend.Loaded
	edit   func(*backend.Log)                            // what it does differently
	run    func(context.Context, backend.Workload) error // instead of running in the window
	silent bool                                          // does not report that it has finished
	refuse error                                         // does not start
	batch  int                                           // requests in one batch; 0 is all
	warm   time.Duration                                 // that a warm-up takes
	// logged keeps the steps of a warm-up whose duration differs from a batch's.
	logged bool
	bareW  float64 // power before it is started; 0 is idleW

	clock tick.Clock

	mu      sync.Mutex
	start   int64 // of the first step in the window; 0 before
	batches int   // in the window
	loadAt  int64 // when it was started; 0 before
	spec    backend.Spec
	warmed  int // warm-up runs
	windows int // runs that were not
	closed  int
}

// Name returns the name of the engine that it replaces.
func (e *stub) Name() string { return "embedded" }

// Probe reports an installed engine.
func (e *stub) Probe(context.Context) (backend.Info, error) { return e.loaded.Info, nil }

// Start gives the session.
func (e *stub) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	e.spec = spec
	if e.refuse != nil {
		return nil, e.refuse
	}
	e.mu.Lock()
	e.loadAt = e.clock.Mono()
	e.mu.Unlock()
	return e, clock.Sleep(ctx, loadTime)
}

// Loaded is as the test says.
func (e *stub) Loaded() backend.Loaded { return e.loaded }

// Close counts.
func (e *stub) Close() error {
	e.closed++
	return nil
}

// Tokenize makes one token of each byte.
func (e *stub) Tokenize(_ context.Context, texts []string) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, text := range texts {
		for _, b := range []byte(text) {
			out[i] = append(out[i], int32(b))
		}
	}
	return out, nil
}

// Run passes the time of warm-ups and follows the schedule in the window.
func (e *stub) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if w.Finished == nil {
		e.warmed++
		log := &backend.Log{}
		if e.warm == batchTime || e.logged { // as in the window
			log.EndNS = scheduleBatch(log, e.clock.Mono(), w.Requests, w.OutputTokens)
		}
		return log, clock.Sleep(ctx, e.warm)
	}
	e.windows++
	if e.run != nil {
		return nil, e.run(ctx, w)
	}
	log := e.schedule(w)
	if err := clock.Sleep(ctx, time.Duration(log.EndNS-e.clock.Mono())+margin); err != nil {
		return nil, err
	}
	if !e.silent {
		w.Finished()
	}
	if e.edit != nil {
		e.edit(log)
	}
	return log, nil
}

// batchTime is how long one batch takes.
const batchTime = prefillTime + (outputLen-1)*decodeTime

// schedule lays the steps out. The lock makes every power sample see either an
// idle past or the schedule.
func (e *stub) schedule(w backend.Workload) *backend.Log {
	size := e.batch
	if size == 0 {
		size = len(w.Requests)
	}
	e.mu.Lock()
	e.start = e.clock.Mono() + int64(margin)
	e.batches = (len(w.Requests) + size - 1) / size
	e.mu.Unlock()
	log := &backend.Log{StartNS: e.start, PeakMemoryBytes: 1 << 20, MemorySource: "test", StepClock: "host"}
	at := e.start
	for batch := range slices.Chunk(w.Requests, size) {
		log.EndNS = scheduleBatch(log, at, batch, w.OutputTokens)
		at += int64(batchTime)
	}
	return log
}

// scheduleBatch lays out the steps of one batch and returns its end.
func scheduleBatch(log *backend.Log, start int64, batch []backend.Prompt, output int) int64 {
	first, n, prompt := start+int64(prefillTime), len(batch), 0
	for _, q := range batch {
		prompt += len(q.Tokens)
	}
	log.Steps = append(log.Steps, backend.Step{StartNS: start, EndNS: first, PrefillTokens: prompt, Sequences: n})
	stamps := []int64{first}
	for at := first; len(stamps) < output; {
		end := at + int64(decodeTime)
		log.Steps = append(log.Steps, backend.Step{StartNS: at, EndNS: end, DecodeTokens: n, Sequences: n})
		stamps = append(stamps, end)
		at = end
	}
	end := stamps[len(stamps)-1]
	for _, q := range batch {
		log.Requests = append(log.Requests,
			backend.Request{ID: q.ID, SubmittedNS: start, PrefillStartNS: start, FirstTokenNS: first,
				EndNS: end, TokenNS: slices.Clone(stamps), PromptTokens: len(q.Tokens), PromptComputed: len(q.Tokens),
				OutputTokens: len(stamps), FinishReason: "length", OK: true})
	}
	return end
}

// limits are the start of the steps, the end of the first prefill and the end of all;
// ok reports whether there is a schedule.
func (e *stub) limits() (limits [3]int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return [3]int64{e.start, e.start + int64(prefillTime), e.start + int64(e.batches)*int64(batchTime)}, e.start != 0
}

// watts is the true power at an instant.
func (e *stub) watts(at int64) float64 {
	if e.bareW > 0 && e.bare(at) {
		return e.bareW
	}
	switch t, ok := e.limits(); {
	case !ok || at < t[0] || at >= t[2]:
		return idleW
	case (at-t[0])%int64(batchTime) < int64(prefillTime):
		return prefillW
	}
	return decodeW
}

// bare reports whether the engine had not been started yet.
func (e *stub) bare(at int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loadAt == 0 || at < e.loadAt
}

// Energy of the steps in joules.
var (
	prefillJ = prefillW * prefillTime.Seconds()
	decodeJ  = decodeW * (outputLen - 1) * decodeTime.Seconds()
)

// truth is the energy of the window of a record, which encloses all steps.
func truth(w *result.Window) float64 {
	idle := w.DurationS - prefillTime.Seconds() - (outputLen-1)*decodeTime.Seconds()
	return prefillJ + decodeJ + idleW*idle
}

// meter is a fake whose devices and faults the test chooses.
type meter struct {
	*powerfake.Fake
	devices  []power.Device
	warnings note.List
	// poll and counters change what the fake says.
	poll     func([]power.Sample) ([]power.Sample, error)
	counters func([]power.Reading) ([]power.Reading, error)
}

// newMeter is a sensor of devices that all draw the power of the schedule.
func (e *stub) newMeter(devices ...power.Device) *meter {
	var opened int64
	o := powerfake.FakeOptions{GPUs: len(devices), Spacing: 5 * time.Millisecond, Now: func() int64 {
		now := e.clock.Mono()
		if opened == 0 {
			opened = now
		}
		return now
	}}
	o.Power = func(elapsed time.Duration) unit.Watts { return unit.Watts(e.watts(opened + int64(elapsed))) }
	return &meter{Fake: powerfake.NewFake(o), devices: devices}
}

// Devices returns the devices of the test.
func (m *meter) Devices() []power.Device { return m.devices }

// Warnings returns the warnings of the test.
func (m *meter) Warnings() note.List { return m.warnings }

// id gives a device of the fake, gpu0, gpu1, …, its name in the test.
func (m *meter) id(fake string) string { return m.devices[fake[len(fake)-1]-'0'].ID }

// Poll is the fake's, with the test's names and faults.
func (m *meter) Poll(ctx context.Context, t *power.Trace) error {
	var all power.Trace
	if err := m.Fake.Poll(ctx, &all); err != nil {
		return err
	}
	for i := range all.Samples {
		all.Samples[i].Device = m.id(all.Samples[i].Device)
	}
	var err error
	if m.poll != nil {
		all.Samples, err = m.poll(all.Samples)
	}
	t.Samples = append(t.Samples, all.Samples...)
	return err
}

// Counters are the fake's, with the test's names and faults.
func (m *meter) Counters(ctx context.Context) ([]power.Reading, error) {
	readings, err := m.Fake.Counters(ctx)
	for i := range readings {
		readings[i].Device = m.id(readings[i].Device)
	}
	if m.counters != nil && err == nil {
		return m.counters(readings)
	}
	return readings, err
}

// noCounters is a sensor with a power series only.
func noCounters([]power.Reading) ([]power.Reading, error) { return nil, nil }

var (
	gpu0 = power.Device{ID: "gpu0", Kind: power.GPU, Name: "test GPU", UUID: "GPU-0"}
	gpu1 = power.Device{ID: "gpu1", Kind: power.GPU, Name: "test GPU", UUID: "GPU-1"}
	cpu0 = power.Device{ID: "package-0", Kind: power.CPU, Name: "test CPU"}
)

// lab is one run to make.
type lab struct {
	*stub
	options Options
	events  []event.Event
	eventMu sync.Mutex
}

// newLab has an engine on gpu0, no meters, and neither baseline nor warm-up. It runs by the
// virtual time of the test, which must be in a bubble of testing/synctest.
func newLab(t *testing.T) *lab {
	t.Helper()
	e := study.DefaultExperiment(engines.All()[0])
	e.Model = "random:tiny-llama"
	e.Workload = study.Workload{Dataset: "synthetic", Prompts: 3, InputTokens: promptLen, OutputTokens: outputLen}
	e.Warmup.Runs, e.Baseline = 0, study.Baseline{ResidentSeconds: 0.2}
	l := &lab{stub: &stub{loaded: backend.Loaded{Info: backend.Info{Version: "1.2", Device: "cuda"},
		DType: "float16", Threads: 2,
		DeviceUUIDs: []string{gpu0.UUID}, Vocab: 512, TextVocab: 256, SharedClock: true}, clock: tick.Virtual()}}
	l.options = Options{Experiment: e, Engine: engines.All()[0], Cycle: 1, Backend: l.stub,
		Store: model.Store{Dir: t.TempDir()},
		Clock: l.clock,
		Emit:  l.observe}
	return l
}

func (l *lab) observe(e event.Event) {
	l.eventMu.Lock()
	defer l.eventMu.Unlock()
	l.events = append(l.events, e)
}

// measure makes the run, which must have the status.
func (l *lab) measure(t *testing.T, want result.Status) *result.Record {
	t.Helper()
	out, err := Run(t.Context(), l.options)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Record.Status; got != want {
		t.Fatalf("status = %s (%+v), want %s", got, out.Record.Failure, want)
	}
	return out.Record
}

// withEnergy makes a run that must give energy.
func (l *lab) withEnergy(t *testing.T) *result.Record {
	t.Helper()
	r := l.measure(t, result.OK)
	if r.Energy.TotalJ == nil {
		t.Fatalf("no energy: %s", r.Energy.Reason)
	}
	return r
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %v, want %v ± %v", what, got, want, tolerance)
	}
}

// half is the half width of the statistical interval.
func half(q *result.Quantity) float64 { return (q.CI95[1] - q.CI95[0]) / 2 }

// warned returns the record's warning with the code, and whether there is one.
func warned(r *result.Record, code note.Code) (string, bool) {
	for _, w := range r.Warnings {
		if w.Code == code {
			return w.Message, true
		}
	}
	return "", false
}

// batchOf is a section with a batch size.
func batchOf(n int) engine.JSON {
	return engine.JSON(fmt.Sprintf(`{"batch_size":%d,"threads":0,"prefill_chunk":512}`, n))
}
