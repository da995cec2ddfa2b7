package server

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// spareStreams is how many connections an open loop begins with, so that a burst of as many finds all of them open.
	// Later, closed ones are replaced up to fewestSpare more than were ever in flight.
	spareStreams, fewestSpare = 64, 8
	// MostIdle bounds the connections without a request, together with the questions beside requests.
	MostIdle = spareStreams + fewestSpare
	// keepEvery is how often connections that the server has closed are replaced.
	keepEvery = 200 * time.Millisecond
)

// take returns an open connection without a request, the one that was used last; nil if there is none. Servers close
// connections that are idle for some seconds. The caller holds the lock.
func (o *openLoop) take() *stream {
	for n := len(o.idle); n > 0; n = len(o.idle) {
		s := o.idle[n-1]
		o.idle = o.idle[:n-1]
		if !s.conn.gone() {
			return s
		}
		o.discard(s)
	}
	return nil
}

// discard forgets a connection. The caller holds the lock.
func (o *openLoop) discard(s *stream) {
	o.log.Reconnects += s.reconnects
	o.log.SharedStamps += s.shared
	o.streams = slices.DeleteFunc(o.streams, func(t *stream) bool { return t == s })
	_ = s.conn.Close()
}

// kept keeps connections open for the requests to come, until the returned function is called.
func (o *openLoop) kept(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		tick := time.NewTicker(keepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				o.refresh(ctx)
			}
		}
	})
	return func() {
		cancel()
		keeping.Wait()
	}
}

// refresh replaces idle connections that the server has closed.
func (o *openLoop) refresh(ctx context.Context) {
	o.mu.Lock()
	idle := slices.Clone(o.idle)
	o.mu.Unlock()
	// Without the lock, for which requests wait; meanwhile one may be in use.
	gone := slices.DeleteFunc(idle, func(s *stream) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.conn.gone()
	})
	o.mu.Lock()
	for _, s := range gone {
		if i := slices.Index(o.idle, s); i >= 0 {
			o.idle = slices.Delete(o.idle, i, i+1)
			o.discard(s)
		}
	}
	want := min(spareStreams, o.peak+fewestSpare, len(o.bodies))
	if o.most > 0 {
		want = min(want, o.most)
	}
	missing := want - o.flying - len(o.idle)
	o.mu.Unlock()
	for range missing {
		s := o.connect(ctx)
		if s == nil {
			return
		}
		o.mu.Lock()
		o.idle = slices.Insert(o.idle, 0, s)
		o.mu.Unlock()
	}
}
