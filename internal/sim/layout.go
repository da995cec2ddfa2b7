package sim

import (
	"sync/atomic"
	"time"
)

// The shared file has three parts: one page, one gpu for each GPU, and per GPU a
// log of segments. Every field but the names is eight bytes wide in the machine's own order, so
// that these structs and those of nvml/nvml.c are the same memory; magic, version
// and sizes in the header let the library refuse a file of another layout. Times
// named …After are relative to the header's epoch, zero means never. Other
// instants are CLOCK_MONOTONIC nanoseconds.
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
	wallStep    time.Duration // by which the wall clock jumps then
}

// page is the header with what changes while others read.
type page struct {
	header
	nowNS   atomic.Int64 // virtual time; 0: the time is CLOCK_MONOTONIC
	spentNS atomic.Int64 // time that calls took in virtual time and nobody has waited for yet
	runs    atomic.Int64 // workloads that engines have begun
}

// Ring describes the driver's ring of power samples; a zero Spacing leaves it out.
// The entry stamped t is the mean power over [t − Lag − Window, t − Lag].
type Ring struct {
	Spacing time.Duration
	Window  time.Duration
	Depth   int64 // entries kept
	Lag     time.Duration
	Phase   time.Duration // of the stamps against the epoch
	Jitter  time.Duration // stamps lie up to this much off their grid, less than half a spacing
	Noise   float64       // standard deviation of an entry, relative to its value
	Gain    float64       // error of the gain: 0.01 reads 1 % high
	// Filter, if set, makes the entry what a first-order low-pass filter with this
	// time constant shows at t − Lag, as an H200's does; Window is ignored then.
	Filter time.Duration
}

// Point describes a value that is held between updates: the field POWER_INSTANT or
// nvmlDeviceGetPowerUsage. A zero Refresh leaves it out. The value of the update at
// t is the mean power over [t − Lag − Window, t − Lag].
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
	// HeldStamp makes the field's stamp that of its last update instead of that of
	// the call; 1 is on.
	HeldStamp int64
}

// Counter describes the energy counter; a zero Refresh leaves it out.
type Counter struct {
	Refresh time.Duration
	Lag     time.Duration
	Phase   time.Duration
	Jitter  time.Duration // of the updates, less than half of Refresh
	// PartTime makes the counter see only this stretch at the end of each refresh
	// period and take its mean for the whole of it; 0 sees everything.
	PartTime time.Duration
	// ReadTime is how long one read keeps its caller busy.
	ReadTime time.Duration
	Gain     float64
	Origin   float64 // joules at the epoch
	// ReadJoules is what each read adds to later values: a counter that polling
	// disturbs.
	ReadJoules float64
}

// Faults are things that go wrong, each from a time after the epoch on; zero is
// never.
type Faults struct {
	LostAfter       time.Duration // every call: the GPU is lost
	DeniedAfter     time.Duration // every call: no permission
	FailedAfter     time.Duration // every call: FailedCode
	FailedCode      int64         // NVML's, such as 28 (GPU not found) or 999 (unknown)
	ResetAfter      time.Duration // the counter starts again at zero
	JumpAfter       time.Duration // the counter jumps
	JumpJoules      float64       // by this much
	FrozenAfter     time.Duration // the counter stands still
	DropoutFrom     time.Duration // the ring keeps no entries from here
	DropoutTo       time.Duration // to here
	ThrottleAfter   time.Duration // the clocks are held back
	ThrottleReasons uint64        // for these reasons, NVML's bits
	NeighbourAfter  time.Duration // another process appears on the GPU
	NeighbourUntil  time.Duration // and leaves it
	NeighbourPID    int64
	NeighbourBytes  int64
	NeighbourWatts  float64 // that it draws meanwhile, above what the engine does
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

	MIG            int64 // 1: the GPU is cut into slices
	PowerLimitMW   int64
	PowerDefaultMW int64 // the limit that the card came with
	NotPersistent  int64 // 1: persistence mode is off
	MemoryTotal    int64 // bytes
	ECCOff         int64 // 1: ECC is off
	ClockMHz       int64 // that the processors are set to; 0 is the highest

	name [64]byte
	uuid [64]byte
}

// gpu is a simulated GPU with what changes while others read.
type gpu struct {
	Sensors
	enginePID   atomic.Int64
	engineBytes atomic.Int64
	_           [3]int64      // reads of the counter, kept by the library alone
	count       atomic.Uint64 // segments in the log, written after them
}

// Segment is constant true power from Start on, until the next segment begins; the
// last one goes on. Joules is the energy from the epoch to Start.
type Segment struct {
	Start  int64
	Watts  float64
	Joules float64
}

// DefaultSensors is a GPU much like an H200: a ring of 20 ms means, a field that
// sees 25 ms of every 100 ms, an average of one second, and a counter that moves every
// 100 ms. Nothing is off and nothing is noisy.
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
