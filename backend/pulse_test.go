package backend_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/fault"
	"github.com/llenergymeasure/llem/note"
)

// pulse answers the preparation correctly, and the following pattern as the mode requires.
func (w *rawWorker) pulse(mode string, id int64) {
	answer := func(edges string) {
		w.say(`{"id":%d,"event":"pulsed","pulsed":{"name":"raw","device_uuids":["GPU-1"],"pid":%d,"edges":[%s]}}`, id,
			os.Getpid(), edges)
	}
	w.pulses++
	if w.pulses == 1 && mode != "pulse empty" {
		answer("")
		return
	}
	switch mode {
	case "pulse":
		answer(`{"on_ns":10,"off_ns":20},{"on_ns":30,"off_ns":40}`)
	case "pulse empty":
		w.say(`{"id":%d,"event":"pulsed"}`, id)
	case "pulse few":
		answer(`{"on_ns":10,"off_ns":20}`)
	case "pulse backwards":
		answer(`{"on_ns":30,"off_ns":40},{"on_ns":10,"off_ns":20}`)
	case "pulse without end":
		answer(`{"on_ns":10,"off_ns":20},{"on_ns":30,"off_ns":30}`)
	case "pulse fails":
		w.say(`{"id":%d,"event":"error","failure":{"class":"oom_gpu","message":"no memory","next":"free some"}}`, id)
	case "pulse cancelled":
		fmt.Fprintln(os.Stderr, w.read().Op)
		w.say(`{"id":%d,"event":"error","failure":{"class":"interrupted","message":"cancelled"}}`, id)
	case "pulse late":
		w.read()
		answer(`{"on_ns":10,"off_ns":20},{"on_ns":30,"off_ns":40}`)
	case "pulse deaf":
		time.Sleep(time.Hour)
	}
}

// pattern has two pulses and a pause.
var pattern = []backend.Pulse{{Off: time.Millisecond}, {On: time.Millisecond, Off: time.Millisecond},
	{On: time.Millisecond}}

func startPulser(t *testing.T, mode string) (*backend.Pulser, error) {
	t.Helper()
	p, err := backend.StartPulser(t.Context(), mode, self(mode), "cpu", impatient)
	if err == nil {
		t.Cleanup(func() {
			p.Close()
			checkGone(t, p.PID())
		})
	}
	return p, err
}

func TestPulse(t *testing.T) {
	p, err := startPulser(t, "pulse")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "raw" || len(p.Devices()) != 1 || p.Devices()[0] != "GPU-1" {
		t.Errorf("name %q, devices %v", p.Name(), p.Devices())
	}
	edges, err := p.Pulse(t.Context(), pattern)
	if err != nil || len(edges) != 2 || edges[1] != (backend.Edge{OnNS: 30, OffNS: 40}) {
		t.Errorf("Pulse() = %v, %v", edges, err)
	}
	p.Close()
	if _, err := p.Pulse(t.Context(), pattern); err == nil {
		t.Error("a closed load still runs")
	}
}

func TestPulserIsNotStarted(t *testing.T) {
	for mode, want := range map[string]note.Class{"other clock": codes.ClassClock,
		"pulse empty": codes.ClassProtocol} {
		_, err := startPulser(t, mode)
		if f := fault.As(err); err == nil || f.Class != want {
			t.Errorf("%s: %v, want class %s", mode, err, want)
		}
	}
}

func TestPulseFailures(t *testing.T) {
	for mode, want := range map[string]struct {
		class   note.Class
		message string
	}{
		"pulse few":         {codes.ClassProtocol, "1 pulses for a pattern of 2"},
		"pulse backwards":   {codes.ClassProtocol, "pulse 1 is at"},
		"pulse without end": {codes.ClassProtocol, "pulse 1 is at"},
		"pulse fails":       {codes.ClassOOMGPU, "no memory"},
	} {
		t.Run(mode, func(t *testing.T) {
			p, err := startPulser(t, mode)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Pulse(t.Context(), pattern)
			if f := fault.As(err); err == nil || f.Class != want.class ||
				!strings.Contains(f.Message, want.message) {
				t.Errorf("Pulse() = %v, want %v", err, want)
			}
		})
	}
}

// TestPulseCancelled: the end of the context ends the load soon, whatever the worker does; a worker that answers
// stays alive.
func TestPulseCancelled(t *testing.T) {
	for mode, survives := range map[string]bool{"pulse cancelled": true, "pulse late": true, "pulse deaf": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, err := startPulser(t, mode)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := p.Pulse(ctx, pattern); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Pulse() = %v, want the context's error", err)
			}
			// The worker acts as before, so this call ends with its context again, if the worker lives.
			again, cancelAgain := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancelAgain()
			_, err = p.Pulse(again, pattern)
			if hung := fault.As(err).Class == codes.ClassHung; hung == survives {
				t.Errorf("after the cancel: %v, want a live worker: %v", err, survives)
			}
		})
	}
}
