package llem_test

import (
	"strings"
	"testing"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/backend/backendtest"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/powertest"
	"github.com/llenergymeasure/llem/study"
)

// TestPlugConforms: the custom sensor passes the conformance suite of meters.
func TestPlugConforms(t *testing.T) {
	powertest.Run(t, func(*testing.T) powertest.Subject {
		base := time.Now() // of the bubble
		now := func() int64 { return int64(time.Since(base)) + int64(time.Hour) }
		opened := now()
		return powertest.Subject{Meter: newPlug(powertest.Clocks(now)), Now: now, OpenedNS: opened, Power: plugPower}
	})
}

// TestMeterOfTheSameName: device IDs must be unique in a result.
func TestMeterOfTheSameName(t *testing.T) {
	s, err := study.New(study.Set("model", "random:tiny-llama"), study.Set("backend", "fake"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPlug(power.SystemClocks())
	_, err = llem.Run(t.Context(), s, llem.Options{Results: t.TempDir(), Meters: []power.Meter{p, p}})
	if err == nil || !strings.Contains(err.Error(), `two meters have a device named "plug"`) {
		t.Errorf("error %v, want one about the device", err)
	}
}

// TestEchoConforms: the custom engine passes the conformance suite of engines.
func TestEchoConforms(t *testing.T) {
	d := echoEngine()
	if err := engine.Check(d); err != nil {
		t.Error(err)
	}
	backendtest.Run(t, backendtest.Suite{Backend: echoBackend{},
		Spec: backend.Spec{Model: "random:tiny-llama", Options: []byte(`{"step_ms": 2}`)}, Parallel: true})
}

// TestEngineNobodyBrings: a study may describe an engine that no backend can run.
func TestEngineNobodyBrings(t *testing.T) {
	d := echoEngine()
	d.New = nil
	s, err := study.Load(study.Options{Engines: append(engines.All(), d),
		Settings: []study.Setting{study.Set("model", "random:tiny-llama"), study.Set("backend", "echo")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = llem.Run(t.Context(), s, llem.Options{Results: t.TempDir()}); err == nil ||
		!strings.Contains(err.Error(), "cannot run the backend echo") {
		t.Errorf("error %v, want one about the engine", err)
	}
}
