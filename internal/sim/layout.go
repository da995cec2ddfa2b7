package sim

import (
	"sync/atomic"
	"time"
)

// The shared file has three parts: one page, one gpu for each GPU, and per GPU a log of segments. Every field
// but the names has eight bytes in the machine's byte order, so that these structs and the structs of
// nvml/nvml.c share memory. Magic, version and sizes in the header let the library reject a file with another
// layout. Times named …After are relative to the header's epoch, and zero means never. Other instants are
// CLOCK_MONOTONIC nanoseconds.
const (
	layoutMagic   = 0x4d49534d454c4c31 // "1LLEMSIM" in memory
	layoutVersion = 5
	pageBytes     = 4096
)

// header describes the file.
type header struct {
	magic       uint64
	version     int64
	headerBytes int64
	gpuBytes    int64
	gpus        int64
	capacity    int64 // segments per GPU
	epochNS     int64 // when the simulation began
	wallNS      int64 // wall clock minus monotonic clock; 0: the real one
	wallAfter   time.Duration
	wallStep    time.Duration // the wall clock's jump at that time
}

// page is the header with the fields that change while others read.
type page struct {
	header
	nowNS   atomic.Int64 // virtual time; 0: the time is CLOCK_MONOTONIC
	spentNS atomic.Int64 // duration of calls in virtual time for which nobody has waited yet
	runs    atomic.Int64 // workloads that engines have begun
}

// Ring describes the driver's ring of power samples; with a zero Spacing there is none. The entry with stamp
// t is the mean power over [t − Lag − Window, t − Lag].
type Ring struct {
	Spacing time.Duration
	Window  time.Duration
	Depth   int64 // number of entries kept
	Lag     time.Duration
	Phase   time.Duration // of the stamps relative to the epoch
	Jitter  time.Duration // largest distance of stamps from their grid, less than half a spacing
	Noise   float64       // standard deviation of an entry, relative to its value
	Gain    float64       // error of the gain: 0.01 reads 1 % high
	// Filter, if set, makes the entry the output of a first-order low-pass filter with this time constant at
	// t − Lag, as on an H200; Window is then ignored.
	Filter time.Duration
}

// Point describes a value that is held between updates: the field POWER_INSTANT or nvmlDeviceGetPowerUsage.
// With a zero Refresh there is none. The value of the update at t is the mean power over [t − Lag − Window, t
// − Lag].
type Point struct {
	Refresh time.Duration
	Window  time.Duration
	Lag     time.Duration
	Phase   time.Duration
	Jitter  time.Duration // of the updates, less than half of Refresh
	Noise   float64
	Gain    float64
	// Filter is as in Ring.
	Filter time.Duration
	// HeldStamp sets the field's stamp to its last update instead of the call; 1 means on.
	HeldStamp int64
}

// Counter describes the energy counter; with a zero Refresh there is none.
type Counter struct {
	Refresh time.Duration
	Lag     time.Duration
	Phase   time.Duration
	Jitter  time.Duration // of the updates, less than half of Refresh
	// PartTime makes the counter measure only this interval at the end of each refresh period and use its
	// mean for the whole period; 0 measures everything.
	PartTime time.Duration
	// ReadTime is how long one read keeps its caller busy.
	ReadTime time.Duration
	Gain     float64
	Origin   float64 // joules at the epoch
	// ReadJoules is what each read adds to later values: a counter that polling disturbs.
	ReadJoules float64
}

// Faults are errors, each from a time after the epoch; zero means never.
type Faults struct {
	LostAfter       time.Duration // every call: the GPU is lost
	DeniedAfter     time.Duration // every call: no permission
	FailedAfter     time.Duration // every call: FailedCode
	FailedCode      int64         // NVML's, such as 28 (GPU not found) or 999 (unknown)
	ResetAfter      time.Duration // the counter starts again at zero
	JumpAfter       time.Duration // the counter jumps
	JumpJoules      float64       // by this much
	FrozenAfter     time.Duration // the counter freezes
	DropoutFrom     time.Duration // the ring keeps no entries from here
	DropoutTo       time.Duration // to here
	ThrottleAfter   time.Duration // the clocks are throttled
	ThrottleReasons uint64        // for these reasons, NVML's bits
	NeighbourAfter  time.Duration // another process appears on the GPU
	NeighbourUntil  time.Duration // and leaves it
	NeighbourPID    int64
	NeighbourBytes  int64
	NeighbourWatts  float64 // its power, in addition to the engine's
	NeighbourBusy   int64   // the share of time in which its kernels run, in percent
}

// Sensors is one simulated GPU as its driver shows it.
type Sensors struct {
	Seed    uint64 // of all noise and jitter
	Ring    Ring
	Instant Point
	Average Point
	Counter Counter
	Faults  Faults

	MIG            int64 // 1: the GPU is split into slices
	PowerLimitMW   int64
	PowerDefaultMW int64 // the factory limit
	NotPersistent  int64 // 1: persistence mode is off
	MemoryTotal    int64 // bytes
	ECCOff         int64 // 1: ECC is off
	ClockMHz       int64 // the clock of the multiprocessors; 0 is the highest

	name [64]byte
	uuid [64]byte
}

// gpu is a simulated GPU with the fields that change while others read.
type gpu struct {
	Sensors
	enginePID   atomic.Int64
	engineBytes atomic.Int64
	_           [3]int64      // reads of the counter, used only by the library
	count       atomic.Uint64 // segments in the log, written after them
}

// Segment is constant true power from Start until the next segment begins; the last one does not end. Joules
// is the energy from the epoch to Start.
type Segment struct {
	Start  int64
	Watts  float64
	Joules float64
}

// DefaultSensors returns a GPU similar to an H200: a ring of 20 ms means, a field that measures 25 ms of
// every 100 ms, an average of one second, and a counter that changes every 100 ms. There is no error and no
// noise.
func DefaultSensors() Sensors {
	const ms = time.Millisecond
	return Sensors{
		Ring:           Ring{Spacing: 20 * ms, Window: 20 * ms, Depth: 119},
		Instant:        Point{Refresh: 100 * ms, Window: 25 * ms},
		Average:        Point{Refresh: 100 * ms, Window: time.Second},
		Counter:        Counter{Refresh: 100 * ms, Jitter: 3 * ms, Origin: 12847.7},
		PowerLimitMW:   700_000,
		PowerDefaultMW: 700_000,
		MemoryTotal:    141 << 30,
	}
}
