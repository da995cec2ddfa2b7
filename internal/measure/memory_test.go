package measure

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/result"
)

// memoryMeter shows the engine's process with some memory.
type memoryMeter struct {
	*crowded
	used func() int64
}

// MemoryUsed returns the memory of the test.
func (m memoryMeter) MemoryUsed(context.Context) (map[string]digits.Bytes, error) {
	return map[string]digits.Bytes{"gpu0": digits.Bytes(m.used())}, nil
}

// TestMemoryOfAServer: an engine that reports no memory gets the memory of its processes;
// one with a figure keeps it, and has both.
func TestMemoryOfAServer(t *testing.T) {
	for name, q := range map[string]struct {
		source string
		hidden bool
		want   result.Memory
	}{
		"server": {want: result.Memory{Method: result.MemoryProcess, ProcessMethod: result.MemoryProcess}},
		"sizes hidden": {hidden: true,
			want: result.Memory{Method: result.MemoryDevice, ProcessMethod: result.MemoryDevice}},
		"its allocator": {source: "torch.cuda.max_memory_allocated",
			want: result.Memory{Method: result.MemoryAllocator, ProcessMethod: result.MemoryProcess}},
	} {
		t.Run(name, virtually(func(t *testing.T) {
			const held = int64(5) << 30
			l := newLab(t)
			l.edit = func(log *backend.Log) {
				if log.MemorySource = q.source; q.source == "" {
					log.PeakMemoryBytes = 0
				}
			}
			started := func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.loadAt != 0
			}
			list := func() map[string][]power.GPUProcess {
				if !started() {
					return map[string][]power.GPUProcess{"gpu0": nil}
				}
				p := power.GPUProcess{PID: os.Getpid(), UsedBytes: new(held)}
				if q.hidden {
					p.UsedBytes = nil
				}
				return map[string][]power.GPUProcess{"gpu0": {p}}
			}
			l.options.Meters = []power.Meter{memoryMeter{&crowded{meter: l.newMeter(gpu0), list: list}, func() int64 {
				if started() {
					return held + 1<<30
				}
				return 1 << 30
			}}}
			m := l.measure(t, result.OK).Memory
			if m.Method != q.want.Method || m.ProcessMethod != q.want.ProcessMethod || m.ProcessPeakBytes == nil ||
				*m.ProcessPeakBytes != held || m.Reason != "" {
				t.Errorf("memory %+v, want %d bytes by %s", m, held, q.want.ProcessMethod)
			}
			if own := q.source != ""; m.PeakBytes == nil || (*m.PeakBytes == 1<<20) != own ||
				(*m.PeakBytes == held) == own {
				t.Errorf("peak %v, with a figure of its own: %v", m.PeakBytes, own)
			}
		}))
	}
}

// TestMemoryOnAProcessor: the resident memory of the engine's processes, and null with
// the reason where they are not known.
func TestMemoryOnAProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		server := exec.Command("sleep", "60")
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = server.Process.Kill(), server.Wait() })
		l.loaded.Device, l.loaded.DeviceUUIDs, l.loaded.PID = "cpu", nil, server.Process.Pid
		l.edit = func(log *backend.Log) { log.PeakMemoryBytes, log.MemorySource = 0, "" }
		m := l.measure(t, result.OK).Memory
		if m.PeakBytes == nil || m.Method != result.MemoryRSS || *m.PeakBytes == 0 ||
			*m.ProcessPeakBytes != *m.PeakBytes {
			t.Errorf("memory %+v, want what the process holds", m)
		}
		l.loaded.PID = 0
		l.start, l.batches = 0, 0
		if m = l.measure(t, result.OK).Memory; m.PeakBytes != nil || m.ProcessPeakBytes != nil || m.Method != "" ||
			m.Reason == "" {
			t.Errorf("memory %+v of nobody, want null with a reason", m)
		}
	})
}
