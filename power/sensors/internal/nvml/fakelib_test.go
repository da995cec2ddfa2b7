package nvml

import (
	"fmt"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// fakeLib is a driver whose GPUs draw constant power. Its wall clock is one hour ahead of the monotonic
// clock, plus the test's offset.
type fakeLib struct {
	openErr error
	gpus    []*fakeGPU
	closed  int
}

func newFakeLib(n int, watts float64, now func() int64) *fakeLib {
	lib := &fakeLib{}
	for i := range n {
		lib.gpus = append(lib.gpus, &fakeGPU{
			now: now, watts: watts, spacing: 20 * time.Millisecond, depth: 119, refresh: 100 * time.Millisecond,
			// Early enough that the ring is full.
			startNS: now() - int64(10*time.Second),
			id: nvmlIdentity{UUID: fmt.Sprintf("GPU-%d0000000-aaaa", i), Name: "NVIDIA Imagined",
				Architecture: 9, Major: 9},
		})
	}
	return lib
}

func (l *fakeLib) Open() error { return l.openErr }

func (l *fakeLib) Close() error { l.closed++; return nil }

func (l *fakeLib) Devices() ([]nvmlListed, error) {
	list := make([]nvmlListed, len(l.gpus))
	for i, g := range l.gpus {
		if list[i].err = g.refused; g.refused == nil {
			list[i].dev = g
		}
	}
	return list, nil
}

// fakeGPU is one device. Fields may be changed between calls, under mu where
// another goroutine reads.
type fakeGPU struct {
	now     func() int64
	id      nvmlIdentity
	watts   float64
	spacing time.Duration
	depth   int
	refresh time.Duration
	startNS int64

	mu         sync.Mutex
	wallStep   time.Duration // added to the driver's stamps
	frozenNS   int64         // the ring has no entries after this time
	noRing     error
	noInstant  error
	noEnergy   error
	noAverage  error
	lost       error
	refused    error // the driver gives no access to the GPU
	nameless   error // the driver returns the UUID and nothing else
	fieldStamp bool
	extra      []nvmlSample // also returned, for any stamp
	// module surrounds the GPU; its sensors are modelled as another GPU.
	module *fakeGPU
	// ignoresScope returns the GPU's values for every scope.
	ignoresScope bool
	noScopes     error
	// wave is the value of Instant and Average; nil means constant power.
	wave func(ns int64) float64
	// held returns the processes on the GPU at an instant; nil means one whose memory is hidden.
	held func(ns int64) []power.GPUProcess
	// busyNow has the working processes; noBusy is the driver's error.
	busyNow map[int]float64
	noBusy  error
}

func (g *fakeGPU) shown() float64 {
	if g.wave != nil {
		return g.wave(g.now())
	}
	return g.watts
}

// Scoped returns the sensors of one scope. On a module, the plain counter covers the module.
func (g *fakeGPU) Scoped(scope nvmlScope) nvmlSensors {
	switch {
	case scope == nvmlScopeGPU || g.ignoresScope:
		return scopedFake{g, g.noScopes}
	case g.module != nil && g.noScopes == nil:
		return scopedFake{g.module, nil}
	}
	return &fakeGPU{now: g.now, lost: nvmlError{"field", nvmlNotSupported, "Not Supported"}}
}

// scopedFake counts the energy of its scope.
type scopedFake struct {
	*fakeGPU
	noFields error // no fields with a scope, but a ring
}

func (s scopedFake) Energy() (uint64, error) {
	if s.noFields != nil {
		return 0, s.noFields
	}
	return s.ownEnergy()
}

func (g *fakeGPU) with(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *fakeGPU) failure(err error) error {
	if g.lost != nil {
		return g.lost
	}
	return err
}

func (g *fakeGPU) Identity() (nvmlIdentity, error) {
	if g.nameless != nil {
		return nvmlIdentity{UUID: g.id.UUID}, g.nameless
	}
	return g.id, nil
}

// wallUS returns the driver's stamp for a monotonic time.
func (g *fakeGPU) wallUS(ns int64) uint64 {
	return uint64((ns + int64(time.Hour) + int64(g.wallStep)) / 1000)
}

func (g *fakeGPU) Samples(after uint64) ([]nvmlSample, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.failure(g.noRing); err != nil {
		return nil, err
	}
	end := g.now()
	if g.frozenNS != 0 {
		end = min(end, g.frozenNS)
	}
	last := (end - g.startNS) / int64(g.spacing)
	list := make([]nvmlSample, 0, g.depth)
	for k := last; k > max(0, last-int64(g.depth)); k-- { // newest first: the order is not guaranteed
		s := nvmlSample{StampUS: g.wallUS(g.startNS + k*int64(g.spacing)), Milliwatts: g.watts * 1000}
		if s.StampUS <= after {
			break
		}
		list = append(list, s)
	}
	list = append(list, g.extra...)
	if len(list) == 0 {
		return nil, nvmlError{"nvmlDeviceGetSamples", nvmlNotFound, "Not Found"}
	}
	return list, nil
}

// Energy is the plain counter.
func (g *fakeGPU) Energy() (uint64, error) {
	if g.module != nil {
		return g.module.ownEnergy()
	}
	return g.ownEnergy()
}

func (g *fakeGPU) ownEnergy() (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	elapsed := time.Duration(g.now() - g.startNS).Truncate(g.refresh)
	return uint64(g.watts * 1000 * elapsed.Seconds()), g.failure(g.noEnergy)
}

func (g *fakeGPU) Instant() (nvmlSample, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := nvmlSample{Milliwatts: g.shown() * 1000}
	if g.fieldStamp { // held for 100 ms, like field 186 on an H200
		s.StampUS = g.wallUS(g.now() - g.now()%int64(100*time.Millisecond))
	}
	return s, g.failure(g.noInstant)
}

func (g *fakeGPU) Average() (uint32, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return uint32(g.shown() * 1000), g.failure(g.noAverage)
}

func (g *fakeGPU) Telemetry() power.Telemetry {
	return power.Telemetry{TemperatureC: new(40.0), Throttle: new(int64(0))}
}

func (g *fakeGPU) Facts() sensor.GPUFacts { return sensor.GPUFacts{Name: &g.id.Name, UUID: &g.id.UUID} }

func (g *fakeGPU) MemoryUsed() (int64, error) { return 1 << 30, nil }

func (g *fakeGPU) Busy(uint64) (map[int]float64, error) {
	if g.noBusy != nil {
		return nil, g.noBusy
	}
	return g.busyNow, nil
}

func (g *fakeGPU) Processes() ([]power.GPUProcess, error) {
	if g.held != nil {
		return g.held(g.now()), nil
	}
	return []power.GPUProcess{{PID: 42}}, nil
}
