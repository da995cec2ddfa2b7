// Package power reads electrical power and energy from the sensors of a
// machine, and says exactly what it read.
//
// A [Meter] stands for one family of sensors (NVML for NVIDIA GPUs, hwmon for AMD
// and Intel GPUs and for Grace, RAPL for CPU packages, a metrics page of another
// machine, a model where the user asked for an estimate, a fake for tests and
// demonstrations). Each meter offers up to three things for its devices:
//
//   - a power series: [Sample] values with the sensor's own averaging window,
//   - an energy counter: [Reading] values with the stamps before and after the call,
//   - [Telemetry]: temperature, clocks, memory, utilisation, throttling, and beside
//     it which processes use the device ([Presence]).
//
// A [Sampler] polls a set of meters while something else runs and hands back a
// [Trace]. Everything carries CLOCK_MONOTONIC nanoseconds, the clock of the
// engine's step log. Package power/sensors finds what this machine has and explains
// what it lacks. This package does no attribution: that a second of the
// series belongs to a decode step is said elsewhere, from the trace.
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
	// Module is a package of several chips on one sensor: a Grace Hopper module or
	// an APU. It contains devices of other kinds, metered or not, so it is shown
	// and never added to them.
	Module Kind = "module"
	// Remote is a sensor that is read over the network and checks the others: a
	// GPU that is also read here, or a meter of the whole machine. It is shown and
	// never added.
	Remote Kind = "remote"
)

// Device is one metered thing.
type Device struct {
	// ID names the device in every file: gpu0, amd0, intel0, package-0, dram-0.
	ID string
	// Kind is what the device is.
	Kind Kind
	// Name is the product name, such as "NVIDIA H200".
	Name string
	// UUID identifies a GPU across indexing schemes; empty elsewhere. It is
	// "GPU-…" where the vendor has such a name, else the PCI address.
	UUID string
	// Scope is what the sensor covers where the vendor offers a choice; empty
	// elsewhere.
	Scope string
	// OverNetwork says that the sensor is read over the network. It may belong to
	// another machine, so that it counts only where the UUID is that of a GPU which
	// the engine uses.
	OverNetwork bool
	// Modelled says that no sensor stands behind the numbers.
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
	// Source names the call behind the value: nvml.samples, nvml.instant, rapl.
	Source string
	// Power is the value in watts.
	Power unit.Watts
	// Window is the time over which the sensor averaged, ending at the stamp;
	// zero when the sensor is taken as instantaneous.
	Window time.Duration
	// SinceNS belongs to a polled sensor without stamps of its own: it is when the
	// last call that still saw another value began, so that the sensor's update
	// lies in [SinceNS, MonoNS]. Zero where the stamp is the sensor's own, or where
	// the value was held.
	SinceNS int64
}

// Reading is one value of an energy counter.
type Reading struct {
	// Device is the ID of the device.
	Device string
	// Source names the counter.
	Source string
	// BeforeNS and AfterNS enclose the call that returned the value.
	BeforeNS int64
	// AfterNS is the end of the call, in nanoseconds of CLOCK_MONOTONIC.
	AfterNS int64
	// Energy counts from an arbitrary origin; only differences mean something.
	Energy unit.Energy
	// Snapped says that this call was the first to see a new value, so that the
	// counter's own update lies between the previous call and this one.
	Snapped bool
	// Refresh is the counter's update period; zero when it is not known.
	Refresh time.Duration
	// SinceNS belongs to a snapped reading: it is when the last call that still
	// saw the old value began. The update lies in [SinceNS, AfterNS].
	SinceNS int64
}

// At is when the value became true: for a snapped reading the middle of the
// interval that holds the counter's update, else the middle of the call.
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
	// SMClockMHz is the clock of the processors.
	SMClockMHz *float64
	// MemClockMHz is the clock of the memory.
	MemClockMHz *float64
	// UtilizationPct is the share of time in which some kernel ran, in percent.
	UtilizationPct *float64
	// MemoryUsedBytes is the memory in use, by any process.
	MemoryUsedBytes *int64
	// Throttle is the bit mask of NVML's clocks-event reasons.
	Throttle *int64
}

// Presence says that a process had a compute context on a device. It was seen at
// both instants, and at every look in between unless it came back.
type Presence struct {
	// Device is the ID of the device.
	Device string
	// PID is the process id.
	PID int
	// FirstNS is when the process was first seen, in nanoseconds of CLOCK_MONOTONIC.
	FirstNS int64
	// LastNS is when it was last seen.
	LastNS int64
	// BusyPct is the largest share of time, in percent, in which its kernels ran between two
	// looks; nil where the device does not say. A process that only holds memory has 0.
	BusyPct *float64
	// BusyNS is when it was last seen to work, in nanoseconds of CLOCK_MONOTONIC; 0 is never.
	BusyNS int64
}

// Join takes over what another look found of the same process.
func (p *Presence) Join(o Presence) {
	p.FirstNS, p.LastNS, p.BusyNS = min(p.FirstNS, o.FirstNS), max(p.LastNS, o.LastNS), max(p.BusyNS, o.BusyNS)
	if o.BusyPct != nil && (p.BusyPct == nil || *o.BusyPct > *p.BusyPct) {
		p.BusyPct = o.BusyPct
	}
}

// MemoryLook is the memory of a device in use at an instant, by all and by each process.
// It holds until the next look at the device in a trace.
type MemoryLook struct {
	// MonoNS is the instant in nanoseconds of CLOCK_MONOTONIC.
	MonoNS int64
	// Device is the ID of the device.
	Device string
	// UsedBytes is nil where the device does not say.
	UsedBytes *int64
	// Processes are those with memory of the device.
	Processes []GPUProcess
}

// same says that two looks found the same.
func (l MemoryLook) same(o MemoryLook) bool {
	equal := func(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }
	return equal(l.UsedBytes, o.UsedBytes) && slices.EqualFunc(l.Processes, o.Processes, func(p, q GPUProcess) bool {
		return p.PID == q.PID && equal(p.UsedBytes, q.UsedBytes)
	})
}

// Gap is a stretch of a series for which no samples exist although there should
// be some.
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

// Trace is what a sampler collected, in the order of arrival per device.
type Trace struct {
	// Samples are the power series of all devices.
	Samples []Sample
	// Counters are the readings of energy counters.
	Counters []Reading
	// Telemetry is the state of the devices, about once a second.
	Telemetry []Telemetry
	// Processes are those seen on the devices, two looks a second.
	Processes []Presence
	// Memory is what these looks found in use, where it differs from the look before.
	Memory []MemoryLook
	// Gaps are the stretches without samples.
	Gaps []Gap
	// Errors lists what failed while sampling, once per meter and message.
	Errors []string
	// Cost is what sampling took from the machine.
	Cost Cost
}

// Saw notes that a process was on a device during [FirstNS, LastNS].
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

// Looked notes a look, unless it found what the last one at the device did.
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

// Cost is what sampling itself took from the machine.
type Cost struct {
	// Polls is how often meters were polled.
	Polls int
	// CPU is processor time of the sampling threads.
	CPU time.Duration
	// Bytes is the memory that the series took until they were unpacked at the end.
	Bytes int64
	// Elapsed is how long sampling went on.
	Elapsed time.Duration
}

// Share is the part of one core that sampling used.
func (c Cost) Share() float64 {
	if c.Elapsed <= 0 {
		return 0
	}
	return c.CPU.Seconds() / c.Elapsed.Seconds()
}

// Meter reads one family of sensors. Poll, Counters and Close are called by one
// goroutine at a time; Devices may be called at any time and never changes.
type Meter interface {
	// Name is the short name of the family: nvml, hwmon, rapl, perf, model, fake,
	// or remote.NAME.
	Name() string
	// Devices lists what the meter reads, in a stable order.
	Devices() []Device
	// Interval is how often Poll wants to be called.
	Interval() time.Duration
	// Poll appends to t what is new since the last call. An error ends neither
	// the meter nor the trace: the caller records it and polls again.
	Poll(ctx context.Context, t *Trace) error
	// Counters reads every energy counter once, devices concurrently. A meter
	// without counters returns none.
	Counters(ctx context.Context) ([]Reading, error)
	// Close releases the sensors; it may be called more than once.
	Close() error
}

// Unavailable is why a family of sensors, or one sensor, cannot be read here.
type Unavailable struct {
	// Source is nvml, rapl, …, or one device of them, such as "nvml gpu1".
	Source string `json:"source"`
	// Note has what is missing, and the command or step that would help; empty if nothing would.
	note.Note
}

// Error makes an Unavailable the error of the function that tried to open the
// sensors.
func (u Unavailable) Error() string {
	s := u.Source + ": " + u.Message
	if u.Next != "" {
		s += " (" + u.Next + ")"
	}
	return s
}

// UnmarshalJSON also reads what earlier versions wrote: reason for message and fix for next.
func (u *Unavailable) UnmarshalJSON(text []byte) error {
	type plain Unavailable
	if err := json.Unmarshal(text, (*plain)(u)); err != nil {
		return err
	}
	u.Code = cmp.Or(u.Code, codes.SensorMissing)
	return u.ReadEarlier(text)
}

// Warner is a meter that opened with doubts, such as a device order that it
// could not verify. They belong into the result.
type Warner interface {
	// Warnings returns the doubts; most have the code [codes.Sensor].
	Warnings() note.List
}

// Helped is a meter that reads on more threads than the caller's. The [Sampler]
// adds their time to what sampling costs.
type Helped interface {
	// HelperCPU returns the processor time of these threads since the meter was opened.
	HelperCPU() time.Duration
}
