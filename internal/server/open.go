package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/internal/pacing"
)

// openLoop sends requests when they are due, however many are in flight. It also sends the requests of a closed loop
// with conversations: all of them are due at once there, with a cap.
type openLoop struct {
	*client
	w      backend.Workload
	bodies []Request // of requests that continue another one, made when that has ended
	log    *backend.Log
	all    sync.WaitGroup // requests and the pacing goroutine
	most   int            // requests in flight; 0 for any number
	// after are the requests that continue a request, by index; whole are the tokens of a conversation so far.
	after map[int][]int

	mu      sync.Mutex
	whole   map[int][]int32
	ahead   pacing.Timeline // requests whose time is known
	unknown int             // requests that wait for the end of another one
	idle    []*stream       // connections without a request
	flying  int             // requests in flight
	peak    int             // most of them so far
	waiting []int           // requests that are due and wait for the cap
	done    int
	streams []*stream // all
	closed  bool      // the run is over
}

// look is how long the pacing goroutine sleeps at most while answers may make further requests due. A request that is
// due sooner than that after the answer before it does not wait for that goroutine.
const look = 2 * time.Millisecond

// open runs a workload as an open loop. Connections that wait for requests are opened before the clock starts.
func (c *client) open(ctx context.Context, w backend.Workload, bodies []Request, log *backend.Log) error {
	o := &openLoop{client: c, w: w, bodies: bodies, log: log, most: w.Concurrency}
	return o.run(ctx, w.Concurrency)
}

// talk runs conversations as a closed loop, round by round.
func (c *client) talk(ctx context.Context, w backend.Workload, bodies []Request, log *backend.Log) error {
	begin, start := 0, int64(0)
	for _, round := range w.Rounds() {
		end := begin + len(round)
		w.Requests = round
		part := &backend.Log{Requests: log.Requests[begin:end]}
		o := &openLoop{client: c, w: w, bodies: bodies[begin:end], log: part, most: c.streams}
		if tell := w.Progress; tell != nil {
			o.w.Progress = func(done, _ int) { tell(begin+done, len(bodies)) }
		}
		if err := o.run(ctx, c.atOnce(w)); err != nil {
			return err
		}
		start = cmp.Or(start, part.StartNS)
		log.StartNS, log.EndNS = start, part.EndNS
		log.Reconnects, log.SharedStamps = log.Reconnects+part.Reconnects, log.SharedStamps+part.SharedStamps
		begin = end
	}
	return nil
}

// run sends all requests. ready is the number of connections that are opened before the clock starts; 0 opens as many
// as are kept.
func (o *openLoop) run(ctx context.Context, ready int) error {
	o.follows()
	defer func() { closeAll(o.streams) }()
	for range min(len(o.bodies), cmp.Or(ready, spareStreams)) {
		s := &stream{client: o.client}
		var err error
		if s.conn, err = o.dial(ctx); err != nil {
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
	o.log.StartNS = clock.Mono()
	last := int64(0)
	for i, p := range o.w.Requests {
		at := o.log.StartNS
		if o.w.Open {
			at += p.DueNS
		}
		last = max(last, at)
		if p.After == nil {
			o.ahead.Add(pacing.Due{At: at, I: i})
		}
	}
	if o.w.Open && o.w.DrainNS > 0 {
		over := time.AfterFunc(time.Duration(last+o.w.DrainNS-o.log.StartNS), func() { cut(errDrain) })
		defer over.Stop()
	}
	o.all.Go(func() { o.pace(ctx, pacing.New()) })
	end := o.kept(ctx)
	o.all.Wait()
	o.log.EndNS = clock.Mono()
	end()
	o.unsent(ctx)
	for _, s := range o.streams {
		o.log.Reconnects += s.reconnects
		o.log.SharedStamps += s.shared
	}
	return nil
}

// follows finds the requests that continue others.
func (o *openLoop) follows() {
	o.after, o.whole = map[int][]int{}, map[int][]int32{}
	index := map[int]int{}
	for i, p := range o.w.Requests {
		index[p.ID] = i
		if p.After != nil {
			before := index[*p.After]
			o.after[before] = append(o.after[before], i)
			o.unknown++
		}
	}
}

// pace lets requests arrive at their times.
func (o *openLoop) pace(ctx context.Context, p *pacing.Pacer) {
	for {
		o.mu.Lock()
		at, now := int64(math.MaxInt64), clock.Mono()
		if o.unknown > 0 {
			at = now + int64(look)
		}
		for o.ahead.Next().At <= now {
			o.arrive(ctx, o.ahead.Take())
		}
		next := o.ahead.Next().At
		o.mu.Unlock()
		switch {
		case min(next, at) == math.MaxInt64:
			return
		case next <= at:
			if !p.Until(ctx, next, o.quiet) {
				return
			}
		case !pacing.Until(ctx, at):
			return
		default:
			o.quiet()
		}
	}
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

// arrive sends a request that is due, or puts it into the queue of the cap. The caller holds the lock.
func (o *openLoop) arrive(ctx context.Context, t pacing.Due) {
	q := &o.log.Requests[t.I]
	if o.w.Open || o.most == 0 { // else it arrives when its client is free
		q.ArrivedNS = t.At
	}
	if o.most > 0 && o.flying >= o.most {
		q.Capped = o.w.Open
		o.waiting = append(o.waiting, t.I)
		return
	}
	if o.flying == 0 {
		o.heard(clock.Mono())
	}
	o.flying++
	o.peak = max(o.peak, o.flying)
	s := o.take()
	if s != nil {
		s.begin(o.bodies[t.I], q) // here: the goroutine that reads the answer starts later
	}
	o.all.Go(func() { o.serve(ctx, s, t.I) })
}

// next takes a request that waited for the cap: the first one, or in a closed loop the first one that continues
// another, so that a client ends a conversation before it begins one. The caller holds the lock.
func (o *openLoop) next() int {
	at := 0
	if !o.w.Open {
		at = max(0, slices.IndexFunc(o.waiting, func(i int) bool { return o.w.Requests[i].After != nil }))
	}
	i := o.waiting[at]
	o.waiting = slices.Delete(o.waiting, at, at+1)
	return i
}

// serve sends a request over an open connection or a new one, and then requests that waited for the cap.
func (o *openLoop) serve(ctx context.Context, s *stream, i int) {
	if s == nil {
		if s = o.connect(ctx); s != nil {
			s.reconnects++
		}
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
		o.follow(ctx, i)
		o.done++
		if o.w.Progress != nil {
			o.w.Progress(o.done, len(o.bodies))
		}
		if len(o.waiting) == 0 || ctx.Err() != nil {
			break
		}
		i = o.next()
		o.mu.Unlock()
	}
	defer o.mu.Unlock()
	o.flying--
	if s != nil {
		o.idle = append(o.idle, s)
	}
}

// follow makes the requests due that continue one which has ended: at their own time, or a pause after its end. The
// caller holds the lock.
func (o *openLoop) follow(ctx context.Context, i int) {
	q := &o.log.Requests[i]
	before := o.whole[i]
	delete(o.whole, i)
	if before == nil {
		before = o.w.Requests[i].Tokens
	}
	for _, k := range o.after[i] {
		p := o.w.Requests[k]
		t := pacing.Due{At: q.EndNS + p.WaitNS, I: k}
		if o.w.Open {
			t.At = max(t.At, o.log.StartNS+p.DueNS)
		}
		o.unknown--
		if reason := unfollowed(q); reason != "" {
			o.drop(ctx, t, reason)
			continue
		}
		p.Tokens = slices.Concat(before, q.Output, p.Tokens)
		if len(o.after[k]) > 0 {
			o.whole[k] = p.Tokens
		}
		o.log.Requests[k].PromptTokens = len(p.Tokens)
		o.bodies[k] = o.engine.Request(o.spec, p, o.w.Asked(p))
		switch now := clock.Mono(); {
		case t.At <= now:
			o.arrive(ctx, t)
		case t.At <= now+int64(look):
			o.all.Go(func() {
				if pacing.Until(ctx, t.At) {
					o.mu.Lock()
					defer o.mu.Unlock()
					o.arrive(ctx, t)
				}
			})
		default:
			o.ahead.Add(t)
		}
	}
}

// unfollowed returns why no request can continue an answer.
func unfollowed(q *backend.Request) string {
	switch {
	case !q.OK:
		return fmt.Sprintf("it was not sent: request %d before it failed", q.ID)
	case q.Output == nil:
		return "it was not sent: the engine does not report which tokens it generated"
	}
	return ""
}

// drop fails a request that cannot be sent, and with it the ones that continue it. The caller holds the lock.
func (o *openLoop) drop(ctx context.Context, t pacing.Due, reason string) {
	q := &o.log.Requests[t.I]
	q.Failure, q.Cut = reason, errors.Is(context.Cause(ctx), errDrain)
	q.EndNS, q.ArrivedNS = clock.Mono(), t.At
	q.EndNS = max(q.EndNS, t.At)
	o.done++
	o.follow(ctx, t.I)
}

// unsent ends the requests that were not sent before the end of the run.
func (o *openLoop) unsent(ctx context.Context) {
	why := context.Cause(ctx)
	if why == nil {
		return
	}
	for i := range o.log.Requests {
		q := &o.log.Requests[i]
		if q.SubmittedNS != 0 || q.Failure != "" {
			continue
		}
		q.Cut, q.Failure = errors.Is(why, errDrain), "it was not sent: "+why.Error()
		if q.ArrivedNS == 0 {
			q.ArrivedNS, q.EndNS = o.log.EndNS, o.log.EndNS
		}
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
