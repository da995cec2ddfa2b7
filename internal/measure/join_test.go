package measure

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/attribute"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/internal/tenants"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

const ms = int64(time.Millisecond)

// sampled is a series of a sensor that averages over 20 ms, from power over time in
// milliseconds.
func sampled(device string, from, to int64, watts func(ms int64) float64) []power.Sample {
	const spacing = 20
	var out []power.Sample
	for at := from + spacing; at <= to; at += spacing {
		sum := 0.0
		for t := at - spacing; t < at; t++ {
			sum += watts(t)
		}
		out = append(out, power.Sample{MonoNS: at * ms, Device: device, Source: sensor.SourceFake,
			Power: unit.Watts(sum / spacing), Window: spacing * time.Millisecond})
	}
	return out
}

// TestConfirmed: a look confirms what is remembered of the same source and power, and
// nothing else.
func TestConfirmed(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 2000 * ms}
	trace := power.Trace{Samples: sampled("gpu0", 500, 2500, func(t int64) float64 { return 80 + float64(t/20%3) })}
	s := sampling.Stretch{Window: w, Trace: trace}
	for name, q := range map[string]struct {
		known result.Idle
		want  bool
	}{
		"the same":       {result.Idle{W: 81, Half95: 0.5, Source: sensor.SourceFake}, true},
		"within 2 %":     {result.Idle{W: 82.3, Half95: 0.1, Source: sensor.SourceFake}, true},
		"more power":     {result.Idle{W: 90, Half95: 0.5, Source: sensor.SourceFake}, false},
		"less power":     {result.Idle{W: 70, Half95: 0.5, Source: sensor.SourceFake}, false},
		"another source": {result.Idle{W: 81, Half95: 0.5, Source: "nvml.energy"}, false},
		"not known well": {result.Idle{W: 90, Half95: 9, Source: sensor.SourceFake}, true},
	} {
		if got := confirms(s, map[string]result.Idle{"gpu0": q.known}); got != q.want {
			t.Errorf("%s: confirmed %v, want %v", name, got, q.want)
		}
	}
	if confirms(s, map[string]result.Idle{"gpu7": {W: 81, Source: sensor.SourceFake}}) {
		t.Error("a device without samples was confirmed")
	}
}

// TestBaselinesAge: a remembered power holds for a time, and not before it was measured.
func TestBaselinesAge(t *testing.T) {
	b, now := &Baselines{}, time.Now()
	if err := b.put(gpu0, result.Idle{W: 80}, now); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: true, time.Hour: true, time.Hour + time.Second: false,
		-time.Second: false} {
		if idle, ok := b.get(gpu0, time.Hour, now.Add(after)); ok != want || ok && (idle.W != 80 || idle.AgeS <= 0) {
			t.Errorf("after %v: %+v, %v", after, idle, ok)
		}
	}
}

// TestStreamsInDoubt: one connection or token suffices for the warning.
func TestStreamsInDoubt(t *testing.T) {
	for n := range 2 {
		d := &desk{record: &result.Record{}}
		d.checkStreams(&backend.Log{Reconnects: n, SharedStamps: n})
		_, again := warned(d.record, codes.Reconnects)
		_, shared := warned(d.record, codes.SharedStamps)
		if again != (n > 0) || shared != (n > 0) {
			t.Errorf("%d of each: warnings %v", n, d.record.Warnings)
		}
	}
}

// TestLongestMinWindow: of several devices the one that needs the longest window decides, unless the study does.
func TestLongestMinWindow(t *testing.T) {
	d := &desk{Options: Options{Meters: []power.Meter{nil}}}
	d.Profiles = map[string]*power.Profile{}
	for i, seconds := range []float64{1, 2, 9, 4, 3, 5} {
		d.Profiles[string(rune('a'+i))] = &power.Profile{MinWindowS: seconds}
	}
	for range 50 { // a map has another order each time
		if got := d.minWindow(); got != 9 {
			t.Fatalf("%g s, want 9", got)
		}
	}
	if d.Experiment.Energy.MinWindow = 2; d.minWindow() != 2 {
		t.Errorf("%g s, want the 2 that the study asks for", d.minWindow())
	}
}

// TestBusyMachineIsNotRemembered: a baseline with other processes, or one that drifts,
// is of no use to a later run.
func TestBusyMachineIsNotRemembered(t *testing.T) {
	w := attribute.Window{Start: 1000 * ms, End: 4000 * ms}
	steady := func(int64) float64 { return 80 }
	falling := func(t int64) float64 { return 110 - float64(t)/100 }
	for name, q := range map[string]struct {
		watts func(int64) float64
		seen  []power.Presence
		want  bool
	}{
		"idle":          {steady, nil, true},
		"neighbour":     {steady, []power.Presence{{Device: "gpu0", PID: 1}}, false},
		"still cooling": {falling, nil, false},
	} {
		m := &meter{devices: []power.Device{gpu0}}
		d := &desk{Options: Options{Meters: []power.Meter{m}, Baselines: &Baselines{}}, record: &result.Record{}}
		var p tenants.Processes
		p.Add(q.seen)
		d.remember(sampling.Stretch{Window: w, Trace: power.Trace{Samples: sampled("gpu0", 500, 4500, q.watts)}}, &p)
		if _, got := d.Baselines.get(gpu0, time.Hour, time.Now()); got != q.want {
			t.Errorf("%s: remembered %v, want %v", name, got, q.want)
		}
	}
}

// TestBatchesOfARepeatedWorkload: a workload that is repeated comes in rounds, each of
// which is the workload once; what a batch may hold is no more than that.
func TestBatchesOfARepeatedWorkload(t *testing.T) {
	const warmNS = int64(100 * time.Millisecond)
	for prompts := 1; prompts <= 12; prompts++ {
		for batch := 1; batch <= 12; batch++ {
			d := &desk{Options: newLab(t).options, record: &result.Record{}}
			d.Experiment.Workload.Prompts, d.Experiment.Section = prompts, batchOf(batch)
			d.Experiment.Energy.MinWindow, d.Meters = 1, []power.Meter{&meter{}}
			var requests []workload.Request
			for i := range prompts {
				requests = append(requests, workload.Request{ID: i})
			}
			settings := d.engineSettings()
			full := settings.BatchSize()
			w := newWork(d.Experiment, requests)
			for _, round := range w.repeated(d.leastLength(w, warmNS).repeats).Rounds() {
				if len(round) != prompts || round[0].ID%w.stride() != 0 || full > prompts {
					t.Errorf("%d prompts in batches of %d: a round of %d from %d in batches of %d", prompts, batch,
						len(round), round[0].ID, full)
				}
			}
			w.concurrency = 2
			if once := w.repeated(3); len(once.Rounds()) != 1 {
				t.Errorf("a closed loop stops %d times", len(once.Rounds()))
			}
			if d.Experiment.BatchSize() != batch {
				t.Fatal("the experiment itself was changed")
			}
		}
	}
}

// TestSharedGPUInARun: processes on the engine's GPU are named, before and during
// the window; those on another GPU are not.
func TestSharedGPUInARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		m := &crowded{meter: l.newMeter(gpu0, gpu1), list: func() map[string][]power.GPUProcess {
			all := map[string][]power.GPUProcess{"gpu0": {{PID: 7}}, "gpu1": {{PID: 8}}}
			if l.spec.Path != "" { // the engine's own
				all["gpu0"] = append(all["gpu0"], power.GPUProcess{PID: 9})
			}
			if _, ok := l.limits(); ok {
				all["gpu0"] = append(all["gpu0"], power.GPUProcess{PID: 10})
				all["gpu1"] = append(all["gpu1"], power.GPUProcess{PID: 11})
			}
			return all
		}}
		l.options.Meters = []power.Meter{m}
		r := l.withEnergy(t)
		all, told := warned(r, codes.GPUForeignWork)
		if !told || !strings.Contains(all, "gpu0: process 7 was on the GPU in the window") ||
			strings.Contains(all, "process 9") || strings.Contains(all, "gpu1") {
			t.Errorf("warnings %+v, want 7 during the window, on gpu0 alone", r.Warnings)
		}
		if _, told := warned(r, codes.GPUShared); told || r.Energy.PerOutputTokenJ != nil || r.Energy.TotalJ == nil {
			t.Errorf("%+v, want the board's total and no more", r.Energy)
		}
	})
}

// TestRepeatedWorkload: a workload that is too short for the wanted window runs
// several times, and everything counts that often.
func TestRepeatedWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		x := &l.options.Experiment
		x.Warmup.Runs, x.Energy.MinWindow, x.Section = 1, 0.6, batchOf(3)
		l.warm, l.batch = 100*time.Millisecond, 3
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		out, err := Run(t.Context(), l.options)
		if err != nil {
			t.Fatal(err)
		}
		r := out.Record
		n := r.Window.Repeats
		if n < 2 || r.Energy.TotalJ == nil {
			t.Fatalf("%d repeats, energy %v (%s); failure %+v", n, r.Energy.TotalJ, r.Energy.Reason, r.Failure)
		}
		if r.Tokens.RequestsOK != int64(3*n) || r.Tokens.Prompt != int64(3*n*promptLen) ||
			r.Tokens.Output != int64(3*n*outputLen) || r.Tokens.Given != r.Tokens.Prompt {
			t.Errorf("tokens %+v of %d repeats of 3 requests", r.Tokens, n)
		}
		seen := map[int64]bool{}
		for _, q := range out.Series.Requests {
			if seen[q.ID] || q.Task != out.Series.Requests[0].Task {
				t.Errorf("request %+v: its id is not its own, or its task is lost", q)
			}
			seen[q.ID] = true
		}
		if len(seen) != 3*n || len(out.Series.Steps) != n*outputLen {
			t.Errorf("%d requests and %d steps, want %d and %d", len(seen), len(out.Series.Steps), 3*n, n*outputLen)
		}
		near(t, "per_request_j", r.Energy.PerRequestJ.Value, r.Energy.TotalJ.Value/float64(3*n), 1e-9)
		if _, short := warned(r, codes.UnequalWork); short {
			t.Errorf("warnings %+v", r.Warnings)
		}
		once := newLab(t)
		once.options.Experiment.Section = batchOf(3)
		if hash := once.measure(t, result.OK).WorkloadHash; hash != r.WorkloadHash {
			t.Errorf("workload hash %s, want the workload's, %s", r.WorkloadHash, hash)
		}
	})
}

// TestTwoIdlePowers: a model that is loaded draws power, and both nets say which idle
// they are net of.
func TestTwoIdlePowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.bareW = 12
		l.options.Experiment.Baseline = study.Baseline{Seconds: 0.3, ResidentSeconds: 0.3}
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		e := l.withEnergy(t).Energy
		near(t, "baseline_w", e.BaselineW.Value, 12, 0.8)
		near(t, "resident_w", e.ResidentW.Value, idleW, 0.8)
		if e.NetResidentJ.Value >= e.NetJ.Value || !strings.Contains(e.NetJ.Method, "before the engine was started") ||
			!strings.Contains(e.NetResidentJ.Method, "with the model loaded") {
			t.Errorf("net_j %+v, net_resident_j %+v", e.NetJ, e.NetResidentJ)
		}
		if d := e.Devices[0]; *d.BaselineW != d.Bare.W || *d.ResidentW != d.Resident.W ||
			d.Bare.Source != sensor.SourceFake {
			t.Errorf("device %+v", d)
		}
	})
}

// crowded is a meter that knows the processes on its devices.
type crowded struct {
	*meter
	list func() map[string][]power.GPUProcess
}

// Processes returns the processes of the test.
func (c *crowded) Processes(context.Context) (map[string][]power.GPUProcess, error) {
	return c.list(), nil
}
