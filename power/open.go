package power

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/prom"
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
	// Remote lists metrics pages to read beside the sensors of this machine, in the
	// grammar of package prom. Mistakes in it are reported as missing sources.
	Remote []string
	// Disable lists families that are not opened: nvml, hwmon, rapl (which includes
	// perf), perf, model, remote.
	Disable []string
}

// Open opens every family of sensors that this machine has, and the metrics pages
// that were asked for, and lists with the reason what it cannot read. Neither
// result is an error: a machine without any sensor yields no meters. The caller
// closes the meters.
func Open(ctx context.Context, opts Options) (meters []Meter, missing []Unavailable) {
	if opts.Fake != nil {
		return []Meter{NewFake(*opts.Fake)}, nil
	}
	o := opener{opts: opts}
	o.nvml(ctx)
	o.hwmon()
	o.cpu()
	o.model()
	o.remote(ctx)
	return o.meters, o.missing
}

// opener collects what is found.
type opener struct {
	opts    Options
	meters  []Meter
	missing []Unavailable
}

func (o *opener) wanted(family string) bool { return !slices.Contains(o.opts.Disable, family) }

func (o *opener) add(m interface {
	Meter
	Missing() []Unavailable
}) {
	o.meters = append(o.meters, m)
	o.missing = append(o.missing, m.Missing()...)
}

// has says that a device of this kind was found.
func (o *opener) has(kind Kind) bool {
	return slices.ContainsFunc(o.devices(), func(d Device) bool { return d.Kind == kind })
}

func (o *opener) devices() []Device {
	var list []Device
	for _, m := range o.meters {
		list = append(list, m.Devices()...)
	}
	return list
}

func (o *opener) nvml(ctx context.Context) {
	if !o.wanted("nvml") {
		return
	}
	m, err := OpenNVML(ctx, NVMLOptions{VisibleDevices: o.opts.VisibleDevices, DeviceOrder: o.opts.DeviceOrder,
		Library: o.opts.Library})
	if err != nil {
		o.missing = append(o.missing, reason("nvml", err))
		return
	}
	o.add(m)
}

// hwmon says nothing on a machine without its hardware, which is most of them.
func (o *opener) hwmon() {
	if !o.wanted("hwmon") {
		return
	}
	m, err := OpenHwmon(HwmonOptions{SysfsRoot: o.opts.SysfsRoot, ProcRoot: o.opts.ProcRoot})
	switch {
	case err == nil:
		o.add(m)
	case !errors.Is(err, errNoHwmon):
		o.missing = append(o.missing, reason("hwmon", err))
	}
}

// cpu opens RAPL by the first way that works: the powercap files, then the
// kernel's performance events.
func (o *opener) cpu() {
	if !o.wanted("rapl") || o.has(CPU) { // Grace has its own sensor
		return
	}
	m, err := OpenRAPL(RAPLOptions{SysfsRoot: o.opts.SysfsRoot, ProcRoot: o.opts.ProcRoot})
	if err == nil {
		o.add(m)
		return
	}
	if o.wanted("perf") {
		p, perfErr := OpenPerf(PerfOptions{SysfsRoot: o.opts.SysfsRoot, ProcRoot: o.opts.ProcRoot})
		if perfErr == nil {
			o.add(p)
			return
		}
		err = neither(reason("rapl", err), reason("perf", perfErr))
	}
	o.missing = append(o.missing, reason("rapl", err))
}

// neither explains why both ways to RAPL are closed.
func neither(powercap, perf Unavailable) Unavailable {
	u := Unavailable{Source: "rapl", Reason: powercap.Reason + "; through perf: " + perf.Reason, Fix: powercap.Fix}
	if perf != errNoPerf && perf.Fix != "" { // without events, the powercap files are the way
		u.Fix = perf.Fix
		if powercap.Fix != "" {
			u.Fix += "; or " + powercap.Fix
		}
	}
	return u
}

func (o *opener) model() {
	if !o.opts.Estimate || o.has(CPU) || !o.wanted("model") {
		return
	}
	m, err := OpenModel(ModelOptions{ProcRoot: o.opts.ProcRoot})
	if err != nil {
		o.missing = append(o.missing, reason("model", err))
		return
	}
	o.meters = append(o.meters, m)
}

// remote opens one meter per name, so that a page that hangs delays no other.
func (o *opener) remote(ctx context.Context) {
	if len(o.opts.Remote) == 0 || !o.wanted("remote") {
		return
	}
	targets, err := prom.ParseTargets(strings.Join(o.opts.Remote, " "))
	if err != nil {
		o.missing = append(o.missing, Unavailable{Source: "remote", Reason: err.Error()})
		return
	}
	local := o.devices()
	for len(targets) > 0 {
		name := targets[0].Name
		same := func(t prom.Target) bool { return t.Name == name }
		own := slices.DeleteFunc(slices.Clone(targets), func(t prom.Target) bool { return !same(t) })
		targets = slices.DeleteFunc(targets, same)
		m, err := OpenRemote(ctx, RemoteOptions{Targets: own, Local: local})
		if err != nil {
			o.missing = append(o.missing, reason("remote."+name, err))
			continue
		}
		o.add(m)
	}
}

// reason is the Unavailable inside err, or one made of it.
func reason(source string, err error) Unavailable {
	if u, ok := errors.AsType[Unavailable](err); ok {
		return u
	}
	return Unavailable{Source: source, Reason: err.Error()}
}
