package fake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/shape"
	"github.com/llenergymeasure/llem/internal/sim"
	"github.com/llenergymeasure/llem/note"
)

// workerEnv turns this test binary into a worker.
const workerEnv = "LLEM_TEST_FAKE_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(workerEnv) {
	case "":
		os.Exit(m.Run())
	case "noisy":
		go func() {
			for {
				fmt.Println(`{"id":4,"event":"done"} noise on standard output`)
				time.Sleep(time.Millisecond)
			}
		}()
	}
	if err := WorkerMain(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// testBackend starts this test binary as the worker.
func testBackend(t *testing.T, mode string) launcher {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launcher{Command: &backend.Command{Path: self, Args: []string{"worker", name},
		Env: []string{workerEnv + "=" + mode}}}
}

// testSpec is a small model that has only a shape.
func testSpec(t *testing.T, section settings) backend.Spec {
	t.Helper()
	r, err := model.Store{Dir: t.TempDir()}.Resolve(t.Context(),
		model.Request{Model: "random:tiny-llama", Format: model.FormatHF})
	if err != nil {
		t.Fatal(err)
	}
	return backend.Spec{Model: "random:tiny-llama", Path: r.Path, Synthetic: true, DType: "bfloat16", Seed: 1,
		BatchSize:  1,
		MaxContext: 512, Options: []byte(engine.Encode(&section))}
}

func TestConformance(t *testing.T) {
	for _, batching := range []string{sim.Static, sim.Continuous} {
		t.Run(batching, func(t *testing.T) {
			backendtest.Run(t, backendtest.Suite{
				Backend: testBackend(t, "plain"), Noisy: testBackend(t, "noisy"),
				Spec: testSpec(t, settings{BatchSize: 1, Batching: batching, Speed: 1}),
				Tokens: func(text string) []int32 {
					ids := make([]int32, len(text))
					for i := range len(text) {
						ids[i] = int32(text[i])
					}
					return ids
				},
				Parallel: true, Schedules: batching == sim.Continuous,
			})
		})
	}
}

// TestPowerReachesTheMeter: the child's work is power in the parent's file, for the duration of its steps, and no
// power when it is gone.
func TestPowerReachesTheMeter(t *testing.T) {
	f, err := sim.CreateCard(filepath.Join(t.TempDir(), "gpu"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := testBackend(t, "plain")
	b.Simulation = f.Path()
	session, err := b.Start(t.Context(), testSpec(t, settings{BatchSize: 1, Batching: sim.Static, Speed: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if l := session.Loaded(); len(l.DeviceUUIDs) != 1 || l.DeviceUUIDs[0] != f.UUID(0) || len(l.Notes) != 1 {
		t.Errorf("loaded %+v, want the simulated GPU and a warning", l)
	}
	log, err := session.Run(t.Context(),
		backend.Workload{OutputTokens: 50, Requests: []backend.Prompt{{ID: 1, Tokens: []int32{1, 2, 3}}}})
	if err != nil {
		t.Fatal(err)
	}
	curve := f.Curve(0)
	for _, s := range log.Steps {
		w := curve.Joules(s.StartNS, s.EndNS) / float64(s.EndNS-s.StartNS) * 1e9
		if s.StartNS-log.Steps[0].StartNS > int64(20*time.Millisecond) && (w < 150 || w > 280) {
			t.Errorf("a step draws %.0f W, want about %d", w, staticW)
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	if w := f.Curve(0).Watts(clock.Mono() + int64(time.Second)); w != sim.CardBareW {
		t.Errorf("%v W after the end, want %d", w, sim.CardBareW)
	}
}

func TestRefusesBadOptions(t *testing.T) {
	b := testBackend(t, "plain")
	for name, o := range map[string]settings{"batching": {BatchSize: 1, Batching: "dynamic", Speed: 1},
		"speed": {BatchSize: 1, Batching: sim.Static}} {
		_, err := b.Start(t.Context(), testSpec(t, o))
		if f, ok := errors.AsType[*note.Failure](err); !ok || f.Class != codes.ClassConfig {
			t.Errorf("%s: %v", name, err)
		}
	}
	spec := testSpec(t, settings{BatchSize: 1, Batching: sim.Static, Speed: 1})
	spec.Path = filepath.Join(t.TempDir(), "none")
	if _, err := b.Start(t.Context(), spec); err == nil {
		t.Error("started without a shape")
	}
	b.Simulation = filepath.Join(t.TempDir(), "none")
	if _, err := b.Start(t.Context(), testSpec(t, settings{BatchSize: 1, Batching: sim.Static, Speed: 1})); err == nil {
		t.Error("started without its simulation")
	}
}

// TestShapes: larger models take longer and use more energy; speed changes both.
func TestShapes(t *testing.T) {
	options := func(name string, speed float64) sim.EngineOptions {
		c, err := shape.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		return engineOptions(c.Config, backend.Spec{DType: "bfloat16"},
			settings{BatchSize: 1, Batching: sim.Static, Speed: speed})
	}
	small, large, fast := options("smollm2-135m", 1).Model, options("llama-3.1-8b", 1).Model, options("llama-3.1-8b",
		4).Model
	if large.Time.Weights < 3e-3 || large.Time.Weights > 10e-3 || large.Time.Prefill < 10*small.Time.Prefill ||
		large.WeightsJ < 10*small.WeightsJ {
		t.Errorf("small %+v, large %+v", small, large)
	}
	if fast.Time.Weights != large.Time.Weights/4 || fast.DecodeJ != large.DecodeJ/4 {
		t.Errorf("at four times the speed %+v", fast)
	}
}
