package doctor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llenergymeasure/llem/backend"
)

// Spin keeps processor cores busy with arithmetic, one goroutine per core. It is the load for CPU sensors.
type Spin struct {
	Cores int
	Now   func() int64
	Sleep func(context.Context, time.Duration) error
}

// Name describes the load.
func (s Spin) Name() string { return fmt.Sprintf("arithmetic on %d cores", s.Cores) }

// Devices is empty: the load is on the processor.
func (s Spin) Devices() []string { return nil }

// Close does nothing.
func (s Spin) Close() error { return nil }

// Pulse runs a pattern; pulses begin at fixed times after the first one.
func (s Spin) Pulse(ctx context.Context, pattern []backend.Pulse) ([]backend.Edge, error) {
	var edges []backend.Edge
	at := s.Now()
	for _, p := range pattern {
		if p.On > 0 {
			edge := backend.Edge{OnNS: s.Now()}
			s.burn(ctx, at+int64(p.On))
			edge.OffNS = s.Now()
			edges = append(edges, edge)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		at += int64(p.On + p.Off)
		if wait := at - s.Now(); wait > 0 {
			if err := s.Sleep(ctx, time.Duration(wait)); err != nil {
				return nil, err
			}
		}
	}
	return edges, nil
}

// sink prevents the compiler from removing the arithmetic.
var sink atomic.Uint64

// burn computes on all cores until the time has come or the context ends.
func (s Spin) burn(ctx context.Context, until int64) {
	var wg sync.WaitGroup
	for range max(1, s.Cores) {
		wg.Go(func() {
			x := uint64(1)
			for s.Now() < until && ctx.Err() == nil {
				for range 2000 {
					x = x*6364136223846793005 + 1442695040888963407
				}
			}
			sink.Add(x)
		})
	}
	wg.Wait()
}
