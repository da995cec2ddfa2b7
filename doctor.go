package llem

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/backend/pytorch"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/clock"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/power"
)

// DoctorOptions of a sensor self-test.
type DoctorOptions struct {
	// Quick leaves out what needs a load.
	Quick bool
	// Load is one of LoadAuto, LoadPyTorch, LoadCPU and LoadNone.
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
	// A load would be in the energy of whoever measures, and theirs in every finding.
	release, err := campaign.LockGPUs(campaign.LockDir(), meters)
	if err != nil {
		return nil, err
	}
	defer release()
	facts := factsOf(meters)
	t := doctor.Options{Meters: meters, Missing: missing, Facts: facts, Quick: o.Quick, Say: o.Say, Now: clock.Mono, Sleep: sleep}
	gpu, cpu := onGPU(meters), onCPU(meters)
	if gpu && (o.Load == LoadAuto || o.Load == LoadPyTorch) {
		t.Loads = append(t.Loads, func(ctx context.Context) (doctor.Load, error) {
			return pytorch.Backend{Python: o.Python}.StartLoad(ctx, "cuda")
		})
	}
	if cpu && (o.Load == LoadAuto || o.Load == LoadCPU) {
		t.Loads = append(t.Loads, func(context.Context) (doctor.Load, error) {
			// One core stays free for the sampler.
			return doctor.Spin{Cores: max(1, runtime.NumCPU()-1), Now: clock.Mono, Sleep: sleep}, nil
		})
	}
	if len(t.Loads) == 0 {
		t.NoLoad = noLoad(o.Load, gpu || cpu)
	}
	r, err := doctor.Run(ctx, t)
	if err != nil {
		return nil, err
	}
	keys := sensorKeys(meters, facts)
	return r, r.Save(cache, func(device string) string { return keys[device] })
}

// Loads of a self-test.
const (
	LoadAuto    = "auto"    // whatever the sensors' devices can be kept busy with
	LoadPyTorch = "pytorch" // matrix products on the GPUs
	LoadCPU     = "cpu"     // arithmetic on the processor
	LoadNone    = "none"
)

// noLoad says why there is no load.
func noLoad(asked string, sensors bool) string {
	switch {
	case asked == LoadNone:
		return "--load none"
	case asked == LoadPyTorch && sensors:
		return "--load pytorch: there is no NVIDIA GPU with a sensor"
	case asked == LoadCPU && sensors:
		return "--load cpu: there is no sensor of a processor"
	}
	return "there is no sensor whose device could be kept busy"
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

// onGPU says whether an NVIDIA GPU has a sensor, onCPU whether a processor has one.
func onGPU(meters []power.Meter) bool {
	return metered(meters, func(m power.Meter, d power.Device) bool { return d.Kind == power.GPU && m.Name() == "nvml" })
}

func onCPU(meters []power.Meter) bool {
	return metered(meters, func(_ power.Meter, d power.Device) bool { return d.Kind == power.CPU && !d.Modelled && !d.OverNetwork })
}

func metered(meters []power.Meter, match func(power.Meter, power.Device) bool) bool {
	for _, m := range meters {
		if slices.ContainsFunc(m.Devices(), func(d power.Device) bool { return match(m, d) }) {
			return true
		}
	}
	return false
}

// sensorKeys name the sensors for which a self-test holds, by device: card and driver
// of a GPU; this host, the processor and the kernel for a sensor of a processor.
func sensorKeys(meters []power.Meter, facts map[string]power.GPUFacts) map[string]string {
	out := map[string]string{}
	for id, f := range facts {
		if f.UUID != nil {
			out[id] = *f.UUID + "-" + driverOf(f)
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return out
	}
	host, kernel := unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:])
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.Kind == power.CPU && !d.Modelled && !d.OverNetwork {
				out[d.ID] = strings.Join([]string{host, m.Name(), d.ID, d.Name, kernel}, "-")
			}
		}
	}
	return out
}

// profiles are what earlier self-tests know of the meters' devices, and the newest
// of their reports.
func profiles(meters []power.Meter, cache string) (map[string]*power.Profile, *doctor.Report) {
	out := map[string]*power.Profile{}
	var newest *doctor.Report
	for id, key := range sensorKeys(meters, factsOf(meters)) {
		r := doctor.Cached(cache, key, time.Now())
		if r == nil {
			continue
		}
		for _, p := range r.Profiles() {
			// The order of GPUs may be another one by now; UUIDs stay.
			if p.UUID == uuidOf(meters, id) && (p.UUID != "" || p.Device == id) {
				p.Device, out[id] = id, p
			}
		}
		if newest == nil || r.When.After(newest.When) {
			newest = r
		}
	}
	return out, newest
}

func uuidOf(meters []power.Meter, device string) string {
	for _, m := range meters {
		for _, d := range m.Devices() {
			if d.ID == device {
				return d.UUID
			}
		}
	}
	return ""
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
