package nvml

import (
	"context"
	"testing"
	"time"

	"github.com/llenergymeasure/llem/power/powertest"
)

// openFake opens the meter over a fake driver.
func openFake(t testing.TB, lib *fakeLib, now func() int64) *Meter {
	t.Helper()
	m, err := openNVML(context.Background(), lib, Options{}, powertest.Clocks(now))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// withoutRing leaves only the instantaneous value, which has its own stamp.
func withoutRing(lib *fakeLib) *fakeLib {
	for _, g := range lib.gpus {
		g.noRing, g.fieldStamp = notSupported("ring"), true
	}
	return lib
}

// waving makes the instantaneous values change every 100 ms, at a different phase per GPU.
func waving(lib *fakeLib) *fakeLib {
	const refresh = int64(100 * time.Millisecond)
	for i, g := range lib.gpus {
		g.wave = func(ns int64) float64 { return 300 + float64((ns+int64(i)*refresh/8)/refresh%7) }
	}
	return lib
}
