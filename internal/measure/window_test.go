package measure

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/sampling"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// growing is an engine that does something before each window but the first.
type growing struct {
	*stub
	grow func()
}

func (g growing) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	_, err := g.stub.Start(ctx, spec)
	return g, err
}

func (g growing) Run(ctx context.Context, w backend.Workload) (*backend.Log, error) {
	if w.Finished != nil && g.windows > 0 {
		g.grow()
	}
	return g.stub.Run(ctx, w)
}

// TestMemoryOfTheSecondWindow: where a window is measured again, the memory of both counts.
func TestMemoryOfTheSecondWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := exec.Command("sh", "-c", `read a; x=$(head -c 60000000 /dev/zero | tr '\0' a); echo grown; read b`)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _, _ = in.Close(), c.Process.Kill(), c.Wait() })
		x := &l.options.Experiment
		x.Warmup.Runs, x.Energy.MinWindow, x.Section = 1, 1.6, batchOf(3)
		l.warm, l.batch = 3*batchTime, 3
		l.options.Meters = []power.Meter{l.newMeter(cpu0)}
		l.loaded.Device, l.loaded.DeviceUUIDs, l.loaded.PID = "cpu", nil, c.Process.Pid
		l.edit = func(log *backend.Log) { log.PeakMemoryBytes, log.MemorySource = 0, "" }
		l.options.Backend = growing{l.stub, func() {
			_, err1 := in.Write([]byte("\n"))
			_, err2 := bufio.NewReader(out).ReadString('\n')
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
			}
		}}
		m := l.measure(t, result.OK).Memory
		if l.windows != 2 {
			t.Fatalf("%d windows, want 2", l.windows)
		}
		if m.ProcessPeakBytes == nil || *m.ProcessPeakBytes < 60_000_000 {
			t.Errorf("%+v, want the 60 MB of the second window", m)
		}
	})
}

// TestBatches: the last batch may be smaller.
func TestBatches(t *testing.T) {
	for _, q := range [][3]int{{6, 3, 2}, {7, 3, 3}, {2, 3, 1}, {3, 3, 1}} {
		w := work{requests: make([]workload.Request, q[0]), batch: q[1]}
		if got := w.batches(); got != q[2] {
			t.Errorf("%d requests in batches of %d: %d, want %d", q[0], q[1], got, q[2])
		}
	}
}

// TestSettles: sampling goes on after the window, so that the sensors' view of its end is in the series.
func TestSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.options.Meters = []power.Meter{l.newMeter(gpu0)}
		out, err := Run(t.Context(), l.options)
		if err != nil || out.Record.Status != result.OK {
			t.Fatal(err, out.Record.Failure)
		}
		p := out.Series.Power
		after := time.Duration(p[len(p)-1].MonoNS - out.Record.Window.EndMonoNS)
		if after < sampling.Settle-20*time.Millisecond {
			t.Errorf("the last sample is %v after the window, want about %v", after, sampling.Settle)
		}
	})
}

// talkative prints something when it ends.
type talkative struct{ *adaptable }

func (e talkative) Start(ctx context.Context, spec backend.Spec) (backend.Session, error) {
	_, err := e.adaptable.Start(ctx, spec)
	return e, err
}

func (e talkative) Close() error { return errors.Join(e.print("last words"), e.adaptable.Close()) }

// TestLastWords: what an engine prints while it ends is in the log of the run that it ends with.
func TestLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, run := reuseLab(t)
		l.options.Backend = talkative{a}
		run()
		if got := l.log(t); strings.Contains(got, "last words") {
			t.Errorf("log of a run whose engine is kept: %q", got)
		}
		l.edit = func(log *backend.Log) { log.Requests = nil }
		l.options.LogPath += "2"
		if out, err := Run(t.Context(), l.options); err != nil || out.Record.Status != result.Failed {
			t.Fatalf("%v, %+v", err, out.Record)
		}
		if got := l.log(t); !strings.Contains(got, "last words") {
			t.Errorf("log of a run that failed: %q", got)
		}
	})
}

// TestSamplerShare: in percent of a core.
func TestSamplerShare(t *testing.T) {
	d := &desk{record: &result.Record{}}
	m := &measured{}
	m.trace.Cost = power.Cost{CPU: time.Second, Elapsed: 4 * time.Second}
	if d.harness(m); d.record.Harness.SamplerCPUPct != 25 {
		t.Errorf("%g %%, want 25", d.record.Harness.SamplerCPUPct)
	}
}
