// Package power reads electrical power and energy from the sensors of a machine, and records exactly what it
// read.
//
// A [Meter] reads one family of sensors: NVML for NVIDIA GPUs, hwmon for AMD and Intel GPUs and for Grace,
// RAPL for CPU packages, a metrics page of another machine, a CPU model if the user asked for an estimate, or
// a fake for tests and demonstrations. A meter offers up to three things for its devices:
//
//   - a power series: [Sample] values with the sensor's averaging window,
//   - an energy counter: [Reading] values with the stamps before and after the call,
//   - [Telemetry]: temperature, clocks, memory, utilisation, throttling, and the
//     processes that use the device ([Presence]).
//
// A [Sampler] polls a set of meters while something else runs, and returns a [Trace]. All stamps are
// CLOCK_MONOTONIC nanoseconds, the clock of the engine's step log. Package power/sensors finds the sensors of
// this machine and explains what is missing. This package does not attribute energy to steps or phases.
package power

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/note"
	"github.com/llenergymeasure/llem/unit"
)

// Kind is what a device is.
type Kind string

// Kinds of device.
const (
	GPU  Kind = "gpu"
	CPU  Kind = "cpu"
	DRAM Kind = "dram"
	// Module is a package of several chips on one sensor: a Grace Hopper module or an APU. It contains other
	// devices, metered or not, so it is shown but never added to them.
	Module Kind = "module"
	// Remote is a sensor that is read over the network as a check: a GPU that is also read locally, or a
	// meter of the whole machine. It is shown but never added.
	Remote Kind = "remote"
)

// Device is one metered thing.
type Device struct {
	// ID names the device in every file: gpu0, amd0, intel0, package-0, dram-0.
	ID string
	// Kind is what the device is.
	Kind Kind
	// Name is the product name, for example "NVIDIA H200".
	Name string
	// UUID identifies a GPU across indexing schemes: "GPU-…" if the vendor assigns such a name, otherwise the
	// PCI address. It is empty for other devices.
	UUID string
	// Scope is what the sensor covers, if the vendor offers a choice; otherwise empty.
	Scope string
	// OverNetwork reports whether the sensor is read over the network. The device may belong to another
	// machine, so it is counted only if its UUID matches a GPU of the engine.
	OverNetwork bool
	// Modelled reports whether the values come from a formula instead of a sensor.
	Modelled bool
}

// Sample is one value of a power series.
type Sample struct {
	// MonoNS is the stamp in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64
	// UnixNS is the stamp in nanoseconds of the wall clock.
	UnixNS int64
	// Device is the ID of the device.
	Device string
	// Source names the call that returned the value: nvml.samples, nvml.instant, rapl.
	Source string
	// Power is the value in watts.
	Power unit.Watts
	// Window is the sensor's averaging time, which ends at the stamp; zero means an instantaneous value.
	Window time.Duration
	// SinceNS is set for a polled sensor without stamps of its own. It is the start of the last call that
	// returned the previous value, so the sensor updated within [SinceNS, MonoNS]. It is zero if the sensor
	// stamps its values, or if the value is repeated.
	SinceNS int64
}

// Reading is one value of an energy counter.
type Reading struct {
	// Device is the ID of the device.
	Device string
	// Source names the counter.
	Source string
	// BeforeNS is the start of the call that returned the value, in nanoseconds of CLOCK_MONOTONIC.
	BeforeNS int64
	// AfterNS is the end of the call, in nanoseconds of CLOCK_MONOTONIC.
	AfterNS int64
	// Energy counts from an arbitrary origin; only differences are meaningful.
	Energy unit.Energy
	// Snapped reports whether this call was the first to return a new value, so that the counter updated
	// between the previous call and this one.
	Snapped bool
	// Refresh is the counter's update period; zero if unknown.
	Refresh time.Duration
	// SinceNS is set for a snapped reading. It is the start of the last call that returned the old value: the
	// counter updated within [SinceNS, AfterNS].
	SinceNS int64
}

// At returns the time for which the value holds: the middle of the interval that contains the counter's
// update for a snapped reading, otherwise the middle of the call.
func (r Reading) At() int64 {
	from := r.BeforeNS
	if r.Snapped && r.SinceNS != 0 {
		from = r.SinceNS
	}
	return from + (r.AfterNS-from)/2
}

// Telemetry is the state of a device at one instant. Fields that the device
// does not report are nil.
type Telemetry struct {
	// MonoNS is the instant in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64
	// Device is the ID of the device.
	Device string
	// TemperatureC is in degrees Celsius.
	TemperatureC *float64
	// SMClockMHz is the clock of the streaming multiprocessors.
	SMClockMHz *float64
	// MemClockMHz is the clock of the memory.
	MemClockMHz *float64
	// UtilizationPct is the percentage of time during which a kernel ran.
	UtilizationPct *float64
	// MemoryUsedBytes is the memory used by all processes.
	MemoryUsedBytes *int64
	// Throttle is the bit mask of NVML's clocks event reasons.
	Throttle *int64
}

// Presence records that a process had a compute context on a device from FirstNS to LastNS. It may have been
// absent for some polls in between.
type Presence struct {
	// Device is the ID of the device.
	Device string
	// PID is the process id.
	PID int
	// FirstNS is when the process was first seen, in nanoseconds of CLOCK_MONOTONIC.
	FirstNS int64
	// LastNS is when it was last seen.
	LastNS int64
	// BusyPct is the largest percentage of time during which its kernels ran between two polls; nil if the
	// device does not report it. A process that only holds memory has 0.
	BusyPct *float64
	// BusyNS is when it was last seen working, in nanoseconds of CLOCK_MONOTONIC; 0 means never.
	BusyNS int64
}

// Join merges another record of the same process.
func (p *Presence) Join(o Presence) {
	p.FirstNS, p.LastNS, p.BusyNS = min(p.FirstNS, o.FirstNS), max(p.LastNS, o.LastNS), max(p.BusyNS, o.BusyNS)
	if o.BusyPct != nil && (p.BusyPct == nil || *o.BusyPct > *p.BusyPct) {
		p.BusyPct = o.BusyPct
	}
}

// MemoryLook is the memory of a device in use at one instant, in total and per process. It holds until the
// next MemoryLook of the device in a trace.
type MemoryLook struct {
	// MonoNS is the instant in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64
	// Device is the ID of the device.
	Device string
	// UsedBytes is the total; nil if the device does not report it.
	UsedBytes *int64
	// Processes are the processes that hold memory of the device.
	Processes []GPUProcess
}

// same reports whether l and o differ only in time.
func (l MemoryLook) same(o MemoryLook) bool {
	equal := func(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }
	return equal(l.UsedBytes, o.UsedBytes) && slices.EqualFunc(l.Processes, o.Processes, func(p, q GPUProcess) bool {
		return p.PID == q.PID && equal(p.UsedBytes, q.UsedBytes)
	})
}

// Gap is an interval in which a series lacks samples that it should have.
type Gap struct {
	// Device is the ID of the device.
	Device string
	// Source names the series.
	Source string
	// StartNS is the beginning of the gap, in nanoseconds of CLOCK_MONOTONIC.
	StartNS int64
	// EndNS is its end.
	EndNS int64
	// Reason is why there are no samples.
	Reason string
}

// Trace is what a sampler collected, per device in the order of arrival.
type Trace struct {
	// Samples are the power series of all devices.
	Samples []Sample
	// Counters are the readings of energy counters.
	Counters []Reading
	// Telemetry is the state of the devices, about once a second.
	Telemetry []Telemetry
	// Processes are the processes seen on the devices, polled twice a second.
	Processes []Presence
	// Memory has the memory in use at these polls, if it differs from the poll before.
	Memory []MemoryLook
	// Gaps are the intervals without samples.
	Gaps []Gap
	// Errors lists the errors of sampling, once per meter and message.
	Errors []string
	// Cost is what sampling cost the machine.
	Cost Cost
}

// Saw records that a process was on a device during [FirstNS, LastNS].
func (t *Trace) Saw(p Presence) {
	for i := range t.Processes {
		q := &t.Processes[i]
		if q.Device == p.Device && q.PID == p.PID {
			q.Join(p)
			return
		}
	}
	t.Processes = append(t.Processes, p)
}

// Looked records the memory in use, unless it equals the previous record of the device.
func (t *Trace) Looked(l MemoryLook) {
	for _, last := range slices.Backward(t.Memory) {
		if last.Device == l.Device {
			if last.same(l) {
				return
			}
			break
		}
	}
	t.Memory = append(t.Memory, l)
}

// Cost is what sampling cost the machine.
type Cost struct {
	// Polls is the number of polls of all meters.
	Polls int
	// CPU is the processor time of the sampling threads.
	CPU time.Duration
	// Bytes is the memory that the packed series took.
	Bytes int64
	// Elapsed is the duration of sampling.
	Elapsed time.Duration
}

// Share returns the fraction of one core that sampling used.
func (c Cost) Share() float64 {
	if c.Elapsed <= 0 {
		return 0
	}
	return c.CPU.Seconds() / c.Elapsed.Seconds()
}

// Meter reads one family of sensors. One goroutine at a time calls Poll, Counters and Close. Devices may be
// called at any time and always returns the same devices.
type Meter interface {
	// Name is the short name of the family: nvml, hwmon, rapl, perf, model, fake,
	// or remote.NAME.
	Name() string
	// Devices lists what the meter reads, in a stable order.
	Devices() []Device
	// Interval is the time between two calls of Poll.
	Interval() time.Duration
	// Poll appends new values to t. After an error, the meter and the trace remain valid: the caller records
	// the error and polls again.
	Poll(ctx context.Context, t *Trace) error
	// Counters reads every energy counter once, all devices concurrently. A meter without counters returns
	// none.
	Counters(ctx context.Context) ([]Reading, error)
	// Close releases the sensors; it may be called more than once.
	Close() error
}

// Unavailable reports why a family of sensors, or one sensor, cannot be read.
type Unavailable struct {
	// Source is the family, such as nvml or rapl, or one of its devices, such as "nvml gpu1".
	Source string `json:"source"`
	// Note describes what is missing, and the command or step that helps; empty if nothing helps.
	note.Note
}

// Error formats the reason as the error of opening the sensors.
func (u Unavailable) Error() string {
	s := u.Source + ": " + u.Message
	if u.Next != "" {
		s += " (" + u.Next + ")"
	}
	return s
}

// UnmarshalJSON also accepts the keys of earlier versions: reason for message and fix for next.
func (u *Unavailable) UnmarshalJSON(text []byte) error {
	type plain Unavailable
	if err := json.Unmarshal(text, (*plain)(u)); err != nil {
		return err
	}
	u.Code = cmp.Or(u.Code, codes.SensorMissing)
	return u.ReadEarlier(text)
}

// Warner is implemented by meters that report doubts when they open, such as a device order that could not be
// verified. The doubts are part of the result.
type Warner interface {
	// Warnings returns the doubts; most have the code [codes.Sensor].
	Warnings() note.List
}

// Helped is implemented by meters that read on additional threads. The [Sampler] adds the time of these
// threads to its cost.
type Helped interface {
	// HelperCPU returns the processor time of the threads since the meter was opened.
	HelperCPU() time.Duration
}
