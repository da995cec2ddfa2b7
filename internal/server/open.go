package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/pacing"
)

// spareStreams is the number of connections that are kept open for requests to come: a burst of as many finds
// all of its connections open.
const spareStreams = 64

// openLoop sends requests when they are due, however many are in flight.
type openLoop struct {
	*client
	w      backend.Workload
	bodies []Request
	log    *backend.Log
	all    sync.WaitGroup // requests and the pacing goroutine

	mu      sync.Mutex
	idle    []*stream // connections without a request
	flying  int       // requests in flight
	waiting []int     // requests that are due and wait for the cap
	done    int
	streams []*stream // all
	closed  bool      // the run is over
}

// open runs a workload as an open loop. Connections that wait for requests are opened before the clock starts.
func (c *client) open(ctx context.Context, w backend.Workload, bodies []Request, log *backend.Log) error {
	o := &openLoop{client: c, w: w, bodies: bodies, log: log}
	order := make([]int, len(w.Requests))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(w.Requests[a].DueNS, w.Requests[b].DueNS) })
	defer func() { closeAll(o.streams) }()
	for range min(len(order), spareStreams) {
		s := &stream{client: c}
		var err error
		if s.conn, err = c.dial(ctx); err != nil {
			return fmt.Errorf("connect to the server: %w", err)
		}
		o.idle, o.streams = append(o.idle, s), append(o.streams, s)
	}
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.closed = true
		closeAll(o.streams)
	})
	defer stop()
	log.StartNS = clock.Mono()
	o.all.Go(func() {
		pacing.Own()
		for _, i := range order {
			at := log.StartNS + w.Requests[i].DueNS
			if !pacing.Until(ctx, at, o.quiet) {
				return
			}
			log.Requests[i].ArrivedNS = at
			o.arrive(ctx, i)
		}
		if w.DrainNS > 0 {
			time.AfterFunc(time.Duration(w.DrainNS), func() { cut(errDrain) })
		}
	})
	o.all.Wait()
	log.EndNS = clock.Mono()
	for _, s := range o.streams {
		log.Reconnects += s.reconnects
		log.SharedStamps += s.shared
	}
	return nil
}

// errDrain is the cause of a context whose requests are cut.
var errDrain = errors.New("the time after the last arrival is over")

// quiet keeps the watch from counting the time without requests.
func (o *openLoop) quiet() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flying == 0 {
		o.heard(clock.Mono())
	}
}

// arrive sends a request that is due, or puts it into the queue of the cap.
func (o *openLoop) arrive(ctx context.Context, i int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w.Concurrency > 0 && o.flying >= o.w.Concurrency {
		o.log.Requests[i].Capped = true
		o.waiting = append(o.waiting, i)
		return
	}
	if o.flying == 0 {
		o.heard(clock.Mono())
	}
	o.flying++
	var s *stream
	if n := len(o.idle); n > 0 {
		s, o.idle = o.idle[n-1], o.idle[:n-1]
	}
	o.all.Go(func() { o.serve(ctx, s, i) })
}

// serve sends a request over an open connection or a new one, and then requests that waited for the cap.
func (o *openLoop) serve(ctx context.Context, s *stream, i int) {
	if s == nil {
		s = o.connect(ctx)
	}
	for {
		q := &o.log.Requests[i]
		if s != nil {
			s.request(ctx, o.bodies[i], q, o.w.Asked(o.w.Requests[i]))
		} else {
			q.Failure, q.SubmittedNS = "no connection to the server could be opened", clock.Mono()
			q.EndNS = q.SubmittedNS
		}
		q.Cut = !q.OK && errors.Is(context.Cause(ctx), errDrain)
		o.mu.Lock()
		o.done++
		if o.w.Progress != nil {
			o.w.Progress(o.done, len(o.bodies))
		}
		if len(o.waiting) == 0 || ctx.Err() != nil {
			break
		}
		i, o.waiting = o.waiting[0], o.waiting[1:]
		o.mu.Unlock()
	}
	defer o.mu.Unlock()
	o.flying--
	if s != nil {
		o.idle = append(o.idle, s)
	}
	if len(o.waiting) > 0 {
		for _, i := range o.waiting {
			o.log.Requests[i].Cut = errors.Is(context.Cause(ctx), errDrain)
			o.log.Requests[i].Failure = "it was not sent: " + context.Cause(ctx).Error()
		}
		o.waiting = nil
	}
}

// connect opens a connection; nil if it cannot.
func (o *openLoop) connect(ctx context.Context) *stream {
	conn, err := o.dial(ctx)
	if err != nil {
		return nil
	}
	s := &stream{client: o.client, conn: conn}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = append(o.streams, s)
	if o.closed {
		_ = conn.Close()
	}
	return s
}
