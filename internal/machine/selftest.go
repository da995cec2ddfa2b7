package machine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/internal/doctor"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// Facts returns what the driver reports about the GPUs, by device.
func Facts(meters []power.Meter) map[string]sensor.GPUFacts {
	out := map[string]sensor.GPUFacts{}
	for _, m := range meters {
		nvml, ok := m.(interface{ Facts() []sensor.GPUFacts })
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

func driverOf(f sensor.GPUFacts) string {
	if f.DriverVersion == nil {
		return ""
	}
	return *f.DriverVersion
}

// OnGPU reports whether an NVIDIA GPU has a sensor.
func OnGPU(meters []power.Meter) bool {
	return Metered(meters, func(m power.Meter,
		d power.Device) bool {
		return d.Kind == power.GPU && m.Name() == "nvml"
	})
}

// OnCPU reports whether a processor has a sensor.
func OnCPU(meters []power.Meter) bool {
	return Metered(meters, func(_ power.Meter,
		d power.Device) bool {
		return d.Kind == power.CPU && !d.Modelled && !d.OverNetwork
	})
}

// Metered reports whether any device of the meters matches.
func Metered(meters []power.Meter, match func(power.Meter, power.Device) bool) bool {
	for _, m := range meters {
		if slices.ContainsFunc(m.Devices(), func(d power.Device) bool { return match(m, d) }) {
			return true
		}
	}
	return false
}

// Keys returns the key under which a self-test of a device is stored: card and driver for an NVIDIA GPU;
// otherwise this host, what the sensor belongs to, and the kernel.
func Keys(meters []power.Meter, facts map[string]sensor.GPUFacts) map[string]string {
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
			// The number of a card may change; its address does not.
			out[d.ID] = strings.Join([]string{host, m.Name(), cmp.Or(d.UUID, d.ID), string(d.Kind), d.Name, version},
				"-")
		}
	}
	return out
}

// Profiles returns the results of earlier self-tests for the meters' devices, and the document for the
// study's results: their merged reports, or why there is none.
func Profiles(meters []power.Meter, cache string) (map[string]*power.Profile, any) {
	var devices []power.Device
	for _, m := range meters {
		for _, d := range m.Devices() {
			if !d.Modelled && !d.OverNetwork {
				devices = append(devices, d)
			}
		}
	}
	kept := map[string]*doctor.Report{}
	for id, key := range Keys(meters, Facts(meters)) {
		if r := doctor.Cached(cache, key, time.Now()); r != nil {
			kept[id] = r
		}
	}
	switch r := doctor.Merge(devices, kept); {
	case r != nil:
		return r.Profiles(), r
	case len(devices) == 0:
		return nil, doctor.None{Skipped: "no power sensor of this machine is used", Next: "llem doctor"}
	}
	return nil, doctor.None{Skipped: "no self-test of this machine's sensors is stored (valid for 30 days, per " +
		"card and driver)", Next: "llem doctor"}
}
