package llem

import (
	"context"
	"path/filepath"
	"runtime"
	"time"

	"github.com/llenergymeasure/llem/backend/pytorch"
	"github.com/llenergymeasure/llem/internal/clock"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/power"
)

// DoctorOptions of a sensor self-test.
type DoctorOptions struct {
	// Quick leaves out what needs a load.
	Quick bool
	// Load is auto, pytorch or none.
	Load string
	// Python is the interpreter for the load; empty looks for one.
	Python string
	// Say receives a line at the beginning of every test.
	Say func(string)
}

// DoctorReport is the outcome of a self-test.
type DoctorReport = doctor.Report

// Doctor tests the power sensors of this machine. What it learns of a GPU is kept in
// the cache folder for later measurements.
func Doctor(ctx context.Context, o DoctorOptions) (*DoctorReport, error) {
	cache, err := model.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	meters, missing := OpenMeters(ctx, false)
	defer func() {
		for _, m := range meters {
			m.Close()
		}
	}()
	facts := factsOf(meters)
	t := doctor.Options{Meters: meters, Missing: missing, Facts: facts, Quick: o.Quick, Say: o.Say, Now: clock.Mono, Sleep: sleep}
	switch gpu := firstGPU(meters); {
	case o.Load == "none":
		t.NoLoad = "--load none"
	case gpu == "":
		if !hasCPU(meters) {
			t.NoLoad = "there is no sensor whose device could be kept busy"
			break
		}
		t.Load = func(context.Context) (doctor.Load, error) {
			// One core stays free for the sampler.
			return doctor.Spin{Cores: max(1, runtime.NumCPU()-1), Now: clock.Mono, Sleep: sleep}, nil
		}
	default:
		t.Load = func(ctx context.Context) (doctor.Load, error) {
			return pytorch.Backend{Python: o.Python}.StartLoad(ctx, "cuda")
		}
	}
	r, err := doctor.Run(ctx, t)
	if err != nil {
		return nil, err
	}
	return r, r.Save(cache, func(device string) string { return driverOf(facts[device]) })
}

// factsOf are what the driver says about the GPUs, by device.
func factsOf(meters []power.Meter) map[string]power.GPUFacts {
	out := map[string]power.GPUFacts{}
	for _, m := range meters {
		nvml, ok := m.(interface{ Facts() []power.GPUFacts })
		if !ok {
			continue
		}
		devices := m.Devices()
		for i, f := range nvml.Facts() {
			if i < len(devices) {
				out[devices[i].ID] = f
			}
		}
	}
	return out
}

func driverOf(f power.GPUFacts) string {
	if f.DriverVersion == nil {
		return ""
	}
	return *f.DriverVersion
}

func firstGPU(meters []power.Meter) string {
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind == power.GPU && m.Name() == "nvml" {
				return d.ID
			}
		}
	}
	return ""
}

// hasCPU says whether a processor's own sensor is there.
func hasCPU(meters []power.Meter) bool {
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind == power.CPU && !d.Modelled {
				return true
			}
		}
	}
	return false
}

// profiles are what earlier self-tests know of the meters' devices, and the newest
// of their reports.
func profiles(meters []power.Meter, cache string) (map[string]*power.Profile, *doctor.Report) {
	out := map[string]*power.Profile{}
	var newest *doctor.Report
	for id, f := range factsOf(meters) {
		if f.UUID == nil {
			continue
		}
		r := doctor.Cached(cache, *f.UUID, driverOf(f), time.Now())
		if r == nil {
			continue
		}
		for _, p := range r.Profiles() {
			if p.UUID == *f.UUID {
				out[id] = p
			}
		}
		if newest == nil || r.When.After(newest.When) {
			newest = r
		}
	}
	return out, newest
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// baselinesFile is where idle power is remembered.
func baselinesFile(cache string) string { return filepath.Join(cache, "baselines.json") }
