// Package metronome is a server that streams tokens at known times, without a model. One loop writes all streams,
// one after the other, as an inference engine does; it stamps each write before and after. A client's errors are the
// differences between its stamps and these.
//
//	request ──▶ received (the kernel's stamp) ──First──▶ token ──Step──▶ token ──Step──▶ … ──▶ end
//
// It answers /v1/completions and /v1/chat/completions, streamed or not, and /v1/models and /health. The self-audit of
// the client runs it as a child of this program ([Main]); bench/client runs other clients against it.
package metronome

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/clock"
)

// Options of a server.
type Options struct {
	// First is the time from a request to its first token, and Step the time between two tokens.
	First, Step time.Duration
	// Model is the name of the model in answers.
	Model string
	// Page answers the other requests: ok is false for an unknown path. Nil knows none.
	Page func(path string, body []byte) (answer []byte, ok bool)
}

// Answer is what the server knows of a request. Stamps are nanoseconds of CLOCK_MONOTONIC.
type Answer struct {
	// Key is the first token id of a prompt of ids, -1 for other prompts.
	Key int
	// ReceivedNS is when the last byte of the request came to the socket.
	ReceivedNS int64
	// BeforeNS and AfterNS enclose the write of each token.
	BeforeNS, AfterNS []int64
	// LateNS is by how much the server itself was late with its first token.
	LateNS int64
	// Lost reports that the client had gone before the end.
	Lost bool
}

// Counts are totals.
type Counts struct {
	Prompt, Output, Steps int64
	Running               int
}

// Server is a metronome.
type Server struct {
	o    Options
	wake chan struct{} // has room for one

	mu     sync.Mutex
	inbox  []*stream
	ended  []Answer
	counts Counts
}

// New returns a server.
func New(o Options) *Server { return &Server{o: o, wake: make(chan struct{}, 1)} }

// stream is a request that is being answered.
type stream struct {
	Answer
	conn                net.Conn
	due                 int64
	left                int
	event, final, trail []byte // a token, the last token, and what follows it
	done                chan struct{}
}

// Serve answers on a listener of [Listen] until it is closed.
func (s *Server) Serve(l net.Listener) error {
	go s.play()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go s.attend(c)
	}
}

// Counts returns the totals so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Answers returns what has been answered so far, in the order of the ends.
func (s *Server) Answers() []Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Answer{}, s.ended...)
}

// submit hands a request over to the loop, and waits for its end.
func (s *Server) submit(q *stream, prompt int) {
	s.mu.Lock()
	s.inbox = append(s.inbox, q)
	s.counts.Prompt += int64(prompt)
	s.counts.Running++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-q.done
}

// fresh returns the requests that came since the last call.
func (s *Server) fresh() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inbox
	s.inbox = nil
	return in
}

// shortest is the shortest sleep of the loop: new requests wait for its end.
const shortest = 100 * time.Microsecond

// play is the loop. Requests before their first token and after it are queues in the order of their next tokens.
func (s *Server) play() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // otherwise sleeps are 50 µs longer
	var first, later []*stream
	nap := max(shortest, min(s.o.First, s.o.Step))
	for {
		first = append(first, s.fresh()...)
		queue := &first
		if len(first) == 0 || len(later) > 0 && later[0].due < first[0].due {
			queue = &later
		}
		if len(*queue) == 0 {
			<-s.wake
			continue
		}
		q := (*queue)[0]
		if now := clock.Mono(); q.due > now {
			s.sleepUntil(min(q.due, now+int64(nap)))
			continue
		}
		*queue = (*queue)[1:]
		if s.token(q) {
			later = append(later, q)
		}
	}
}

// sleepUntil waits on the loop's own thread: a timer of the runtime is half a millisecond late.
func (s *Server) sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
		continue
	}
}

// token writes the next token of a stream, and reports whether there are more.
func (s *Server) token(q *stream) bool {
	text := q.event
	if q.left == 1 {
		text = q.final
	}
	before := clock.Mono()
	_, err := q.conn.Write(text)
	after := clock.Mono()
	if len(q.BeforeNS) == 0 {
		q.LateNS = before - q.due
	}
	q.BeforeNS, q.AfterNS = append(q.BeforeNS, before), append(q.AfterNS, after)
	if q.left--; err == nil && q.left == 0 {
		_, err = q.conn.Write(q.trail)
	}
	q.Lost = err != nil
	more := err == nil && q.left > 0
	s.mu.Lock()
	s.counts.Output++
	s.counts.Steps++
	if !more {
		s.counts.Running--
		s.ended = append(s.ended, q.Answer)
	}
	s.mu.Unlock()
	if !more {
		close(q.done)
		return false
	}
	q.due = max(q.due+int64(s.o.Step), after) // a loop that is behind does not send what it missed at once
	return true
}

// Listen opens a port of the loopback address, whose connections have the kernel's stamps; 0 takes a free one.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	err = raw.Control(func(fd uintptr) { // connections inherit it
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return l, err
}
