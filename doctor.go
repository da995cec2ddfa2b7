package llem

import (
	"cmp"
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine/pytorch"
	"github.com/llenergymeasure/llem/internal/campaign"
	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/self"
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
	if err := self.Check(); err != nil {
		return nil, err
	}
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
	t := doctor.Options{Meters: meters, Missing: missing, Facts: facts, Quick: o.Quick, Say: o.Say, Now: clock.Mono,
		Sleep: clock.Sleep}
	gpu, cpu := onGPU(meters), onCPU(meters)
	if gpu && (o.Load == LoadAuto || o.Load == LoadPyTorch) {
		t.Loads = append(t.Loads, func(ctx context.Context) (doctor.Load, error) {
			return pytorch.Backend{Python: o.Python}.StartLoad(ctx, "cuda")
		})
	}
	if cpu && (o.Load == LoadAuto || o.Load == LoadCPU) {
		t.Loads = append(t.Loads, func(context.Context) (doctor.Load, error) {
			// One core stays free for the sampler.
			return doctor.Spin{Cores: max(1, runtime.NumCPU()-1), Now: clock.Mono, Sleep: clock.Sleep}, nil
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
	return metered(meters, func(m power.Meter,
		d power.Device) bool {
		return d.Kind == power.GPU && m.Name() == "nvml"
	})
}

func onCPU(meters []power.Meter) bool {
	return metered(meters, func(_ power.Meter,
		d power.Device) bool {
		return d.Kind == power.CPU && !d.Modelled && !d.OverNetwork
	})
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
// of an NVIDIA GPU; elsewhere this host, what the sensor belongs to, and the kernel.
func sensorKeys(meters []power.Meter, facts map[string]power.GPUFacts) map[string]string {
	out := map[string]string{}
	driver := ""
	for id, f := range facts {
		driver = driverOf(f)
		if f.UUID != nil {
			out[id] = *f.UUID + "-" + driver
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return out
	}
	host, kernel := unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:])
	for _, m := range meters {
		for _, d := range m.Devices() {
			if out[d.ID] != "" || d.Modelled || d.OverNetwork {
				continue
			}
			version := kernel
			if m.Name() == "nvml" {
				version = driver
			}
			// The number of a card may change, its address does not.
			out[d.ID] = strings.Join([]string{host, m.Name(), cmp.Or(d.UUID, d.ID), string(d.Kind), d.Name, version},
				"-")
		}
	}
	return out
}

// profiles are what earlier self-tests know of the meters' devices, and what is
// written beside a study's results: their reports as one, or why there is none.
func profiles(meters []power.Meter, cache string) (map[string]*power.Profile, any) {
	var devices []power.Device
	for _, m := range meters {
		for _, d := range m.Devices() {
			if !d.Modelled && !d.OverNetwork {
				devices = append(devices, d)
			}
		}
	}
	kept := map[string]*doctor.Report{}
	for id, key := range sensorKeys(meters, factsOf(meters)) {
		if r := doctor.Cached(cache, key, time.Now()); r != nil {
			kept[id] = r
		}
	}
	switch r := doctor.Merge(devices, kept); {
	case r != nil:
		return r.Profiles(), r
	case len(devices) == 0:
		return nil, noSelfTest{Skipped: "no power sensor of this machine is used", Next: "llem doctor"}
	}
	return nil, noSelfTest{Skipped: "no self-test of this machine's sensors is kept (it holds for 30 days, by " +
		"card and driver)", Next: "llem doctor"}
}

// noSelfTest stands in doctor.json where there is no report.
type noSelfTest struct {
	Skipped string `json:"skipped"`
	Next    string `json:"next"`
}

// baselinesFile is where idle power is remembered.
func baselinesFile(cache string) string { return filepath.Join(cache, "baselines.json") }
