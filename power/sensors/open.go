// Package sensors opens the power sensors of this machine.
//
// [Open] finds the sensors: NVML for NVIDIA GPUs, hwmon for AMD and Intel GPUs and for Grace, RAPL for CPU
// packages, the given metrics pages, and a model of the processor if the user asked for an estimate. Each is
// a [power.Meter]; some also implement [power.Warner] or [power.Helped].
package sensors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/prom"
	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
	"github.com/llenergymeasure/llem/power/sensors/internal/nvml"
)

// Options select what [Open] opens. The zero value means this machine with all its GPUs and no estimate.
type Options struct {
	// VisibleDevices is CUDA_VISIBLE_DEVICES; nil if not set.
	VisibleDevices *string
	// DeviceOrder is CUDA_DEVICE_ORDER.
	DeviceOrder string
	// Library is the path of NVIDIA's management library; if empty, it is looked for.
	Library string
	// Estimate adds the CPU power model if no CPU sensor can be read.
	Estimate bool
	// SysfsRoot and ProcRoot replace /sys and /proc.
	SysfsRoot, ProcRoot string
	// Remote lists metrics pages to read in addition, in the format of the key energy.remote: NAME=URL of a
	// dcgm-exporter, or NAME=URL#METRIC{LABELS}:UNIT. Mistakes are reported as missing sources.
	Remote []string
	// Only lists the families to open; empty means all. Families are nvml, hwmon, rapl (which includes perf),
	// perf, model and remote.
	Only []string
	// Clocks replaces the system's clocks, for simulated time.
	Clocks *power.Clocks
}

// Open opens all power sensors of this machine and the requested metrics pages, and lists what cannot be read
// with the reason. Missing sensors are not an error: a machine without sensors has no meters. The caller
// closes the meters.
func Open(ctx context.Context, opts Options) (meters []power.Meter, missing []power.Unavailable) {
	o := opener{opts: opts, roots: roots{opts.SysfsRoot, opts.ProcRoot}, clocks: power.SystemClocks()}
	if opts.Clocks != nil {
		o.clocks = *opts.Clocks
	}
	o.nvml(ctx)
	o.hwmon()
	o.cpu()
	o.model()
	o.remote(ctx)
	return o.meters, o.missing
}

// opener collects meters and missing sensors.
type opener struct {
	opts    Options
	roots   roots
	clocks  power.Clocks
	meters  []power.Meter
	missing []power.Unavailable
}

// roots are the mount points of sysfs and procfs; empty means /sys and /proc.
type roots struct{ SysfsRoot, ProcRoot string }

func (r roots) sysfs() string { return cmp.Or(r.SysfsRoot, "/sys") }
func (r roots) proc() string  { return cmp.Or(r.ProcRoot, "/proc") }

func (o *opener) wanted(family string) bool {
	return len(o.opts.Only) == 0 || slices.Contains(o.opts.Only, family)
}

func (o *opener) add(m interface {
	power.Meter
	Missing() []power.Unavailable
}) {
	o.meters = append(o.meters, m)
	o.missing = append(o.missing, m.Missing()...)
}

// has reports whether a device of this kind was found.
func (o *opener) has(kind power.Kind) bool {
	return slices.ContainsFunc(o.devices(), func(d power.Device) bool { return d.Kind == kind })
}

func (o *opener) devices() []power.Device {
	var list []power.Device
	for _, m := range o.meters {
		list = append(list, m.Devices()...)
	}
	return list
}

func (o *opener) nvml(ctx context.Context) {
	if !o.wanted("nvml") {
		return
	}
	m, err := nvml.Open(ctx, nvml.Options{VisibleDevices: o.opts.VisibleDevices, DeviceOrder: o.opts.DeviceOrder,
		Library: o.opts.Library, Clocks: &o.clocks})
	if err != nil {
		if all, ok := errors.AsType[nvml.Refusals](err); ok {
			o.missing = append(o.missing, all...)
			return
		}
		o.missing = append(o.missing, reason("nvml", err))
		return
	}
	o.add(m)
}

// hwmon reports nothing on a machine without its hardware, which is the common case.
func (o *opener) hwmon() {
	if !o.wanted("hwmon") {
		return
	}
	m, err := openHwmon(o.roots, o.clocks)
	switch {
	case err == nil:
		o.add(m)
	case m != nil:
		o.missing = append(o.missing, m.missing...)
	case !errors.Is(err, errNoHwmon):
		o.missing = append(o.missing, reason("hwmon", err))
	}
}

// cpu opens RAPL through the powercap files or, if these cannot be read, through the kernel's performance
// events.
func (o *opener) cpu() {
	if !o.wanted("rapl") || o.has(power.CPU) { // Grace has a CPU sensor of its own
		return
	}
	m, err := openRAPL(o.roots, o.clocks)
	if err == nil {
		o.add(m)
		return
	}
	if o.wanted("perf") {
		p, perfErr := openPerf(o.roots, kernelPerf, o.clocks)
		if perfErr == nil {
			o.add(p)
			return
		}
		err = neither(reason("rapl", err), reason("perf", perfErr))
	}
	o.missing = append(o.missing, reason("rapl", err))
}

// neither explains why RAPL cannot be read in either way.
func neither(powercap, perf power.Unavailable) power.Unavailable {
	u := sensor.NoSensor("rapl", powercap.Message+"; through perf: "+perf.Message, powercap.Next)
	if perf != errNoPerf && perf.Next != "" { // without events, the powercap files are the only way
		u.Next = perf.Next
		if powercap.Next != "" {
			u.Next += "; or " + powercap.Next
		}
	}
	return u
}

func (o *opener) model() {
	if !o.opts.Estimate || o.has(power.CPU) || !o.wanted("model") {
		return
	}
	m, err := openModel(modelOptions{ProcRoot: o.opts.ProcRoot}, o.clocks)
	if err != nil {
		o.missing = append(o.missing, reason("model", err))
		return
	}
	o.meters = append(o.meters, m)
}

// remote opens one meter per name, so that a page that hangs does not delay others.
func (o *opener) remote(ctx context.Context) {
	if len(o.opts.Remote) == 0 || !o.wanted("remote") {
		return
	}
	targets := o.targets()
	local := o.devices()
	for len(targets) > 0 {
		name := targets[0].Name
		same := func(t prom.Target) bool { return t.Name == name }
		own := slices.DeleteFunc(slices.Clone(targets), func(t prom.Target) bool { return !same(t) })
		targets = slices.DeleteFunc(targets, same)
		m, err := openRemoteHTTP(ctx, remoteOptions{Targets: own, Local: local}, o.clocks)
		if err != nil {
			if m != nil {
				o.missing = append(o.missing, m.missing...)
				continue
			}
			o.missing = append(o.missing, reason("remote."+name, err))
			continue
		}
		o.add(m)
	}
}

// targets parses the list of pages. Entries with a mistake, and entries that conflict, are reported as
// missing; the others are kept.
func (o *opener) targets() []prom.Target {
	targets, err := prom.ParseTargets(strings.Join(o.opts.Remote, " "))
	if err == nil {
		return targets
	}
	var kept []string
	for _, entry := range o.opts.Remote {
		read, err := prom.ParseTargets(strings.Join(append(slices.Clone(kept), entry), " "))
		if err != nil {
			o.missing = append(o.missing, sensor.NoSensor("remote", err.Error(), ""))
			continue
		}
		targets, kept = read, append(kept, entry)
	}
	return targets
}

// reason returns the Unavailable inside err, or makes one.
func reason(source string, err error) power.Unavailable {
	if u, ok := errors.AsType[power.Unavailable](err); ok {
		return u
	}
	return sensor.NoSensor(source, err.Error(), "")
}
