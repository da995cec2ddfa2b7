package pytorch

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/codes"
)

func TestLoadOnWhat(t *testing.T) {
	for _, device := range []string{"", "auto", "gpu0", "cuda:"} {
		if _, err := (launcher{}).StartLoad(t.Context(), device); class(t, err) != codes.ClassConfig {
			t.Errorf("StartLoad(%q) = %v, want a config failure", device, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	b := launcher{Python: testPython(t)}
	l, err := b.StartLoad(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !strings.Contains(l.Name(), "PyTorch") || len(l.Devices()) != 0 {
		t.Errorf("name %q, devices %v, want a CPU", l.Name(), l.Devices())
	}
	before := clock.Mono()
	edges, err := l.Pulse(t.Context(),
		[]backend.Pulse{{Off: time.Millisecond}, {On: 5 * time.Millisecond, Off: 5 * time.Millisecond},
			{On: 5 * time.Millisecond}})
	after := clock.Mono()
	if err != nil || len(edges) != 2 {
		t.Fatalf("Pulse() = %v, %v, want two edges", edges, err)
	}
	if edges[0].OnNS < before || edges[1].OffNS > after {
		t.Errorf("edges %v are outside [%d, %d]: another clock", edges, before, after)
	}
	// A load that is interrupted leaves neither process nor files.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Pulse(ctx, []backend.Pulse{{On: time.Hour}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Pulse() = %v, want the context's error", err)
	}
	if edges, err := l.Pulse(t.Context(), []backend.Pulse{{On: time.Millisecond}}); err != nil || len(edges) != 1 {
		t.Errorf("after a cancel: %v, %v", edges, err)
	}
	pid := l.PID()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}

func TestLoadNeedsGPU(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	if _, err := (launcher{Python: testPython(t)}).StartLoad(t.Context(), "cuda"); class(t,
		err) != codes.ClassNoDevice {
		t.Errorf("StartLoad(cuda) without a GPU = %v", err)
	}
	mustBeEmpty(t, os.Getenv("TMPDIR"))
}
