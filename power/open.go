package power

import (
	"context"
	"errors"
	"slices"
)

// Options say what [Open] looks for. The zero value is this machine with all its
// GPUs and no estimate.
type Options struct {
	// VisibleDevices is CUDA_VISIBLE_DEVICES; nil when it is not set.
	VisibleDevices *string
	// DeviceOrder is CUDA_DEVICE_ORDER.
	DeviceOrder string
	// Library is the path of NVIDIA's management library; empty finds it.
	Library string
	// Estimate adds the CPU power model where no CPU sensor is readable.
	Estimate bool
	// SysfsRoot and ProcRoot replace /sys and /proc.
	SysfsRoot, ProcRoot string
	// Fake, if set, replaces every sensor.
	Fake *FakeOptions
	// Disable lists families that are not opened: nvml, rapl, model.
	Disable []string
}

// Open opens every family of sensors that this machine has and lists, with the
// reason, what it cannot read. Neither result is an error: a machine without any
// sensor yields no meters. The caller closes the meters.
func Open(ctx context.Context, opts Options) (meters []Meter, missing []Unavailable) {
	if opts.Fake != nil {
		return []Meter{NewFake(*opts.Fake)}, nil
	}
	wanted := func(family string) bool { return !slices.Contains(opts.Disable, family) }
	if wanted("nvml") {
		m, err := OpenNVML(ctx, NVMLOptions{VisibleDevices: opts.VisibleDevices, DeviceOrder: opts.DeviceOrder, Library: opts.Library})
		if err == nil {
			meters = append(meters, m)
			missing = append(missing, m.Missing()...)
		} else {
			missing = append(missing, reason("nvml", err))
		}
	}
	cpu := false
	if wanted("rapl") {
		m, err := OpenRAPL(RAPLOptions{SysfsRoot: opts.SysfsRoot, ProcRoot: opts.ProcRoot})
		if err == nil {
			cpu = slices.ContainsFunc(m.Devices(), func(d Device) bool { return d.Kind == CPU })
			meters = append(meters, m)
			missing = append(missing, m.Missing()...)
		} else {
			missing = append(missing, reason("rapl", err))
		}
	}
	if opts.Estimate && !cpu && wanted("model") {
		m, err := OpenModel(ModelOptions{ProcRoot: opts.ProcRoot})
		if err == nil {
			meters = append(meters, m)
		} else {
			missing = append(missing, reason("model", err))
		}
	}
	return meters, missing
}

// reason is the Unavailable inside err, or one made of it.
func reason(source string, err error) Unavailable {
	if u, ok := errors.AsType[Unavailable](err); ok {
		return u
	}
	return Unavailable{Source: source, Reason: err.Error()}
}
