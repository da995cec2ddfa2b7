package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
)

// Env is the environment variable through which the fake library and the engine's process find the shared
// file.
const Env = "LLEM_SIM"

// defaultCapacity is the number of segments per GPU; untouched pages cost nothing.
const defaultCapacity = 1 << 21

// Options describe a new shared file.
type Options struct {
	// GPUs are the sensors of each GPU; empty means one GPU with DefaultSensors.
	GPUs []Sensors
	// BareW is the power of every GPU until a model is loaded.
	BareW float64
	// Clock is the time of the simulation; nil means real time.
	Clock *Clock
	// Serial is part of the GPUs' UUIDs, to distinguish simulations on one machine.
	Serial int64
	// Capacity is the number of power segments per GPU; 0 means two million.
	Capacity int64
}

// File is the shared memory of a simulation. One process, and one goroutine of it at a time, writes the
// segments of a GPU; any process may read at any time.
type File struct {
	path string
	mem  []byte
	head *page
	gpus []*gpu
	logs [][]Segment
}

// CardBareW is the idle power in watts of the GPU of [CreateCard].
const CardBareW = 78

// CreateCard creates the file of one GPU with sensors like an H200's, for demonstrations.
func CreateCard(path string) (*File, error) {
	s := DefaultSensors()
	s.Seed = 1
	s.Ring.Noise = 0.01
	return Create(path, Options{GPUs: []Sensors{s}, BareW: CardBareW})
}

// Create creates the file. The caller closes and removes it.
func Create(path string, o Options) (*File, error) {
	if len(o.GPUs) == 0 {
		o.GPUs = []Sensors{DefaultSensors()}
	}
	if o.Capacity <= 0 {
		o.Capacity = defaultCapacity
	}
	for i, g := range o.GPUs {
		if err := g.check(); err != nil {
			return nil, fmt.Errorf("simulated gpu%d: %w", i, err)
		}
	}
	h := header{
		magic: layoutMagic, version: layoutVersion, headerBytes: int64(unsafe.Sizeof(page{})),
		gpuBytes: int64(unsafe.Sizeof(gpu{})), gpus: int64(len(o.GPUs)), capacity: o.Capacity, epochNS: clock.Mono(),
	}
	if o.Clock != nil {
		h.epochNS, h.wallNS = o.Clock.Now(), o.Clock.wall
	}
	raw, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the simulation's file: %w", err)
	}
	defer raw.Close()
	if err := raw.Truncate(h.size()); err != nil {
		return nil, fmt.Errorf("create the simulation's file: %w", err)
	}
	f, err := mapFile(raw, h)
	if err != nil {
		return nil, err
	}
	f.head.header = h
	if o.Clock != nil {
		f.head.nowNS.Store(h.epochNS)
	}
	for i, g := range o.GPUs {
		g.describe(i, o.Serial)
		f.gpus[i].Sensors = g
		f.Append(i, h.epochNS, o.BareW)
	}
	if o.Clock != nil {
		o.Clock.attach(f)
	}
	return f, nil
}

// Open maps a file that another process created.
func Open(path string) (*File, error) {
	raw, err := disk.OpenFile(path, os.O_RDWR, 0, disk.Unbounded)
	if err != nil {
		return nil, fmt.Errorf("open the simulation's file: %w", err)
	}
	defer raw.Close()
	var h header
	b := unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h))
	if _, err := raw.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%s is not a simulation: %w", path, err)
	}
	info, err := raw.Stat()
	if err != nil {
		return nil, err
	}
	if h.magic != layoutMagic || h.version != layoutVersion || h.headerBytes != int64(unsafe.Sizeof(page{})) ||
		h.gpuBytes != int64(unsafe.Sizeof(gpu{})) || h.gpus < 1 || h.capacity < 1 || info.Size() != h.size() {
		return nil, fmt.Errorf("%s is not a simulation of this version of llem", path)
	}
	return mapFile(raw, h)
}

// size returns the size of a file with this header.
func (h *header) size() int64 {
	return h.logOffset() + h.gpus*h.capacity*int64(unsafe.Sizeof(Segment{}))
}

// logOffset returns where the first log begins.
func (h *header) logOffset() int64 {
	return (pageBytes + h.gpus*h.gpuBytes + pageBytes - 1) / pageBytes * pageBytes
}

func mapFile(raw *os.File, h header) (*File, error) {
	mem, err := unix.Mmap(int(raw.Fd()), 0, int(h.size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", raw.Name(), err)
	}
	f := &File{path: raw.Name(), mem: mem, head: (*page)(unsafe.Pointer(&mem[0]))}
	for i := range h.gpus {
		f.gpus = append(f.gpus, (*gpu)(unsafe.Pointer(&mem[pageBytes+i*h.gpuBytes])))
		at := h.logOffset() + i*h.capacity*int64(unsafe.Sizeof(Segment{}))
		f.logs = append(f.logs, unsafe.Slice((*Segment)(unsafe.Pointer(&mem[at])), h.capacity))
	}
	return f, nil
}

// check rejects sensors that no driver could have.
func (s *Sensors) check() error {
	switch {
	case s.Ring.Spacing < 0 || s.Ring.Window < 0 || s.Instant.Refresh < 0 || s.Average.Refresh < 0 ||
		s.Counter.Refresh < 0:
		return errors.New("a negative duration")
	case s.Ring.Spacing > 0 && (s.Ring.Window == 0 || s.Ring.Depth < 1):
		return errors.New("a ring needs a window and a depth")
	case s.Instant.Refresh > 0 && s.Instant.Window <= 0, s.Average.Refresh > 0 && s.Average.Window <= 0:
		return errors.New("a power value needs a window")
	case 2*s.Ring.Jitter > s.Ring.Spacing, 2*s.Instant.Jitter > s.Instant.Refresh,
		2*s.Average.Jitter > s.Average.Refresh, 2*s.Counter.Jitter > s.Counter.Refresh:
		return errors.New("jitter of more than half an interval would put updates out of order")
	case s.Counter.PartTime > s.Counter.Refresh:
		return errors.New("a counter cannot see more than its whole refresh period")
	}
	return nil
}

// describe sets what identifies a GPU.
func (s *Sensors) describe(index int, serial int64) {
	clear(s.name[:])
	clear(s.uuid[:])
	copy(s.name[:len(s.name)-1], "simulated GPU")
	copy(s.uuid[:len(s.uuid)-1], fmt.Sprintf("GPU-51ed%04d-0000-0000-0000-%012x", index, serial&0xffff_ffff_ffff))
}

// Path of the file.
func (f *File) Path() string { return f.path }

// GPUs returns the number of simulated GPUs.
func (f *File) GPUs() int { return len(f.gpus) }

// UUID of a GPU.
func (f *File) UUID(gpu int) string { return unix.ByteSliceToString(f.gpus[gpu].uuid[:]) }

// Epoch returns when the simulation began.
func (f *File) Epoch() int64 { return f.head.epochNS }

// Runs counts the workloads that engines have begun, warm-ups included.
func (f *File) Runs() int64 { return f.head.runs.Load() }

// Sensors returns the sensors of a GPU, which may be changed while the simulation runs. The fake library sees
// a change of a word at once; write the fields of a fault before its time.
func (f *File) Sensors(gpu int) *Sensors { return &f.gpus[gpu].Sensors }

// unusable reports whether every call to a GPU fails at an instant.
func (f *File) unusable(gpu int, now int64) bool {
	faults := &f.gpus[gpu].Faults
	return slices.ContainsFunc([]time.Duration{faults.LostAfter, faults.DeniedAfter, faults.FailedAfter},
		func(after time.Duration) bool { return after != 0 && now >= f.head.epochNS+int64(after) })
}

// Append changes the true power of a GPU at an instant. Segments that would have begun at or after it are
// removed.
func (f *File) Append(gpu int, start int64, watts float64) {
	g, log := f.gpus[gpu], f.logs[gpu]
	n := g.count.Load()
	for n > 0 && log[n-1].Start >= start {
		n--
	}
	if n == uint64(len(log)) {
		return // the engine has already stopped: see full
	}
	s := Segment{Start: start, Watts: watts}
	if n > 0 {
		s.Joules = log[n-1].at(start)
	}
	// A reader that still sees the old count only reads times before start.
	log[n] = s
	g.count.Store(n + 1)
}

// stepRoom is a generous bound on the number of segments of one step.
const stepRoom = 1 << 13

// full reports whether the log of a GPU may be too full for another step.
func (f *File) full(gpu int) bool {
	return f.gpus[gpu].count.Load()+stepRoom > uint64(len(f.logs[gpu]))
}

// Curve returns a copy of the true power of a GPU.
func (f *File) Curve(gpu int) Curve {
	return slices.Clone(f.segments(gpu))
}

func (f *File) segments(gpu int) Curve {
	return Curve(f.logs[gpu][:f.gpus[gpu].count.Load()])
}

// Neighbour returns the energy of another process on a GPU between two instants, in joules. The sensors
// include it; no Curve does.
func (f *File) Neighbour(gpu int, from, to int64) float64 {
	q := f.gpus[gpu].Faults
	if q.NeighbourAfter == 0 {
		return 0
	}
	from = max(from, f.Epoch()+int64(q.NeighbourAfter))
	if q.NeighbourUntil != 0 {
		to = min(to, f.Epoch()+int64(q.NeighbourUntil))
	}
	return q.NeighbourWatts * digits.Seconds(max(0, to-from))
}

// occupy sets the memory of a process on a GPU.
func (f *File) occupy(gpu int, pid int, bytes int64) {
	f.gpus[gpu].engineBytes.Store(bytes)
	f.gpus[gpu].enginePID.Store(int64(pid))
}

// Close unmaps the file, which stays on disk.
func (f *File) Close() error {
	if f.mem == nil {
		return nil
	}
	mem := f.mem
	f.mem, f.head, f.gpus, f.logs = nil, nil, nil, nil
	return unix.Munmap(mem)
}

// Curve is true power over time.
type Curve []Segment

// at returns the energy from the epoch to t, in joules, for a t after the start.
func (s Segment) at(t int64) float64 { return s.Joules + s.Watts*float64(t-s.Start)/1e9 }

// until returns the energy from the epoch to t. Before the epoch, the first power holds.
func (c Curve) until(t int64) float64 {
	i := sort.Search(len(c), func(i int) bool { return c[i].Start > t })
	return c[max(i-1, 0)].at(t)
}

// Joules returns the true energy between two instants.
func (c Curve) Joules(from, to int64) float64 { return c.until(to) - c.until(from) }

// Watts returns the true power at an instant.
func (c Curve) Watts(t int64) float64 {
	i := sort.Search(len(c), func(i int) bool { return c[i].Start > t })
	return c[max(i-1, 0)].Watts
}

// mean returns the mean power over a window that ends at t.
func (c Curve) mean(t, window int64) float64 {
	return c.Joules(t-window, t) / (float64(window) / 1e9)
}

// look returns what a sensor with a window or a filter shows at t.
func (c Curve) look(t, window, filter int64) float64 {
	if filter > 0 {
		return c.filtered(t, filter)
	}
	return c.mean(t, window)
}

// filtered returns the output of a low-pass filter with the time constant tau at t.
func (c Curve) filtered(t, tau int64) float64 {
	i, _ := slices.BinarySearchFunc(c, t+1, func(s Segment, t int64) int { return cmp.Compare(s.Start, t) })
	sum, near := 0.0, 1.0
	for i = max(i-1, 0); ; i-- {
		far := 0.0
		if i > 0 {
			far = math.Exp(-float64(t-c[i].Start) / float64(tau))
		}
		sum += c[i].Watts * (near - far)
		if near = far; i == 0 || near < 1e-12 {
			return sum
		}
	}
}
