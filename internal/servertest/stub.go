// Package servertest is a server that behaves like an inference engine's, without a model: it answers in the
// engine's own format, one token of every stream at each engine step, and misbehaves on demand. Tests run it as a
// child process instead of the engine's program.
package servertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/clock"
)

// Fault is a way to misbehave.
type Fault string

// Faults.
const (
	None          Fault = ""
	NeverReady    Fault = "never-ready"    // health always answers 503
	DiesLoading   Fault = "dies-loading"   // exits before it is healthy, with a traceback
	DiesStreaming Fault = "dies-streaming" // exits after a few tokens
	Stalls        Fault = "stalls"         // stops sending after a few tokens
	Stopped       Fault = "stopped"        // stops itself (SIGSTOP) after a few tokens
	StopsLoading  Fault = "stops-loading"  // stops itself before it is healthy
	Answers500    Fault = "answers-500"    // on every request
	Malformed     Fault = "malformed"      // events that are not JSON
	BreaksOff     Fault = "breaks-off"     // closes a stream in the middle of an event
	FewerTokens   Fault = "fewer-tokens"   // stops early, and reports so
	MoreTokens    Fault = "more-tokens"    // does not stop
	CountsWrong   Fault = "counts-wrong"   // its own count is one more than in its stream
	CountsTwice   Fault = "counts-twice"   // its own count is twice the count in its stream
	CountsFewer   Fault = "counts-fewer"   // its own count is less
	CountsBelow   Fault = "counts-below"   // its own count is -1
	CountsAbsurd  Fault = "counts-absurd"  // its own count is 1e18
	CountsNothing Fault = "counts-nothing" // its own count is missing
	HoldsBack     Fault = "holds-back"     // the last token is counted, but its event is missing
	StrangeID     Fault = "strange-id"     // a token's id is not one of the model's
	Floods        Fault = "floods"         // a stream of events without a token and without end
	FloodsLine    Fault = "floods-line"    // a line without end
	CacheHit      Fault = "cache-hit"      // computes half of each prompt
	TwoAtOnce     Fault = "two-at-once"    // two tokens in one event
	ClosesIdle    Fault = "closes-idle"    // closes a connection after each answer
	BadFlag       Fault = "bad-flag"       // its program rejects an option that its help lists
	KeepsCache    Fault = "keeps-cache"    // its settings report that the prefix cache is on
	LacksOption   Fault = "lacks-option"   // its program's help does not list the first of Dialect.Options
)

// Options of a stub.
type Options struct {
	Dialect Dialect
	Fault   Fault
	// Step is the duration of one engine step.
	Step time.Duration
	// Log records when tokens were written, for /stub/writes.
	Log bool
}

// Dialect is the format of an engine. Its methods may be called concurrently.
type Dialect interface {
	// Health is the path of the health check.
	Health() string
	// Paths accept a request for a stream.
	Paths() []string
	// Options are the program's options that a test passes, except --host and --port.
	Options() []string
	// Parse reads a request.
	Parse(path string, body []byte) (Request, error)
	// Token returns the data of an event with tokens, the first of which is number from. last marks the final one,
	// which includes the usage in some formats.
	Token(r Request, from, n int, last bool) string
	// End returns the data of the events after the last token.
	End(r Request, output, cached int) []string
	// Pages returns further pages by path: metrics, tokenizers, versions.
	Pages(s *Stub) map[string]http.HandlerFunc
}

// Request is a request in any format.
type Request struct {
	Prompt []int32
	Output int
	Greedy bool
	Forced bool // the end of the sequence is ignored
	Stream bool
	// cached prompt tokens are not computed; counted is the engine's count of generated tokens, for formats with a
	// count beside the last token.
	cached, counted int
	shift           int32 // added to the ids of the output
}

// Stub is a server.
type Stub struct {
	o Options

	mu      sync.Mutex
	step    *sync.Cond
	steps   int64
	running int
	prompt  int64 // computed tokens
	cached  int64
	output  int64
	seen    []Request
	writes  map[string][]int64
	next    int
	kept    map[string]bool // prompts in the prefix cache
	// refusals is how often it refused to forget them.
	refusals int
}

// New returns a stub.
func New(o Options) *Stub {
	if o.Step <= 0 {
		o.Step = time.Millisecond
	}
	s := &Stub{o: o, writes: map[string][]int64{}}
	s.step = sync.NewCond(&s.mu)
	return s
}

// Caches reports whether the stub claims to have a prefix cache.
func (s *Stub) Caches() bool { return s.o.Fault == KeepsCache || s.remembers() }

// Counts returns the totals so far.
func (s *Stub) Counts() (prompt, cached, output, steps int64, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prompt, s.cached, s.output, s.steps, s.running
}

// Serve answers on a listener until it is closed.
func (s *Stub) Serve(l net.Listener) error {
	go s.clockwork()
	mux := http.NewServeMux()
	mux.HandleFunc(s.o.Dialect.Health(), s.health)
	for _, path := range s.o.Dialect.Paths() {
		mux.HandleFunc(path, s.stream)
	}
	for path, page := range s.o.Dialect.Pages(s) {
		mux.HandleFunc(path, page)
	}
	mux.HandleFunc("/stub/writes", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.writes)
	})
	mux.HandleFunc("/stub/requests", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.seen)
	})
	server := http.Server{Handler: mux}
	server.SetKeepAlivesEnabled(s.o.Fault != ClosesIdle)
	return server.Serve(l)
}

// clockwork runs the engine's steps.
func (s *Stub) clockwork() {
	for range time.Tick(s.o.Step) {
		s.mu.Lock()
		if s.running > 0 {
			s.steps++
		}
		s.step.Broadcast()
		s.mu.Unlock()
	}
}

func (s *Stub) health(w http.ResponseWriter, _ *http.Request) {
	if s.o.Fault == NeverReady {
		http.Error(w, `{"error":{"code":503,"message":"Loading model"}}`, http.StatusServiceUnavailable)
	}
}

// misbehaveAfter is the number of tokens before a fault shows.
const misbehaveAfter = 3

// stream answers one request.
func (s *Stub) stream(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(hr.Body)
	if err != nil {
		return
	}
	r, err := s.o.Dialect.Parse(hr.URL.Path, body)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case s.o.Fault == Answers500:
		http.Error(w, `{"error":{"message":"EngineCore encountered an issue"}}`, http.StatusInternalServerError)
		return
	}
	cached := 0
	if s.o.Fault == CacheHit {
		cached = len(r.Prompt) / 2
	}
	cached += s.reused(r.Prompt)
	s.mu.Lock()
	name := strconv.Itoa(s.next)
	if len(r.Prompt) > 0 {
		name = fmt.Sprint(r.Prompt[0])
	}
	s.next++
	s.seen = append(s.seen, r)
	s.running++
	s.prompt += int64(len(r.Prompt))
	s.cached += int64(cached)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flush, ok := w.(http.Flusher)
	if !ok {
		return
	}
	want := r.Output
	switch s.o.Fault {
	case FewerTokens:
		want = max(1, want-2)
	case MoreTokens:
		want += 2
	}
	r.cached, r.counted = cached, want
	switch s.o.Fault {
	case CountsWrong:
		r.counted++
	case CountsTwice:
		r.counted *= 2
	case CountsFewer:
		r.counted--
	case CountsBelow:
		r.counted = -1
	case CountsAbsurd:
		r.counted = 1e18
	case StrangeID:
		r.shift = 1 << 30
	}
	stamps := make([]int64, 0, want)
	for n := 0; n < want; {
		s.wait()
		k := 1
		if s.o.Fault == TwoAtOnce {
			k = min(2, want-n)
		}
		if n >= misbehaveAfter && !s.misbehave(w, flush) {
			return
		}
		if hr.Context().Err() != nil {
			return
		}
		event := "data: " + s.o.Dialect.Token(r, n, k, n+k == want) + "\n\n"
		stamps = append(stamps, clock.Mono())
		if s.o.Fault != HoldsBack || n+k < want {
			_, _ = w.Write([]byte(event))
			flush.Flush()
		}
		n += k
		s.mu.Lock()
		s.output += int64(k)
		s.mu.Unlock()
	}
	if s.o.Fault == CountsNothing {
		return
	}
	for _, data := range s.o.Dialect.End(r, r.counted, cached) {
		_, _ = w.Write([]byte("data: " + data + "\n\n"))
	}
	if s.o.Log {
		s.mu.Lock()
		s.writes[name] = slices.Clone(stamps)
		s.mu.Unlock()
	}
}

// wait waits for the next step.
func (s *Stub) wait() {
	s.mu.Lock()
	s.step.Wait()
	s.mu.Unlock()
}

// misbehave shows the fault of a stream; false ends it.
func (s *Stub) misbehave(w http.ResponseWriter, flush http.Flusher) bool {
	switch s.o.Fault {
	case DiesStreaming:
		fmt.Fprintln(os.Stderr,
			"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\nEngine core initialization "+
				"failed. See root cause above.")
		os.Exit(1)
	case Stalls:
		select {}
	case Stopped:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Hour) // the signal may reach another thread first
	case Malformed:
		_, _ = w.Write([]byte("data: {\"choices\": [{\"text\"\n\n"))
		flush.Flush()
		return false
	case Floods, FloodsLine:
		line := ": nothing, over and over\n\n"
		if s.o.Fault == FloodsLine {
			line = strings.Repeat("x", 4096)
		}
		for {
			if _, err := w.Write([]byte(line)); err != nil {
				return false
			}
		}
	case BreaksOff:
		_, _ = w.Write([]byte("data: {\"choi"))
		flush.Flush()
		if h, ok := w.(http.Hijacker); ok {
			if c, _, err := h.Hijack(); err == nil {
				_ = c.Close()
			}
		}
		return false
	}
	return true
}
