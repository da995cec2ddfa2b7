// Package clientaudit measures how exact the client of server engines is on this machine, in about a second: it
// drives the client, as a run does, against a metronome in a process of its own, which knows when it received and
// wrote.
//
//	closed loop: Streams requests at once ─▶ errors of TTFT and ITL, processor time
//	open loop:   Rate requests a second   ─▶ how late they were sent
package clientaudit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/metronome"
	"github.com/llenergymeasure/llem/internal/self"
	"github.com/llenergymeasure/llem/internal/server"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/load"
)

// Options of an audit.
type Options struct {
	// Command starts a metronome ([metronome.Main]); arguments are added. Nil starts this program again.
	Command *backend.Command
	// Streams are open at once in the closed loop, each with Tokens tokens.
	Streams, Tokens int
	// Rate and Requests are of the open loop.
	Rate     float64
	Requests int
	// Certain is the longest write whose time counts as known: a server that lost its core within one does not know
	// it. 0 is 50 µs.
	Certain time.Duration
}

// The load of an audit.
const (
	defaultStreams, defaultTokens = 64, 64
	defaultRate, defaultRequests  = 500, 250
	openTokens                    = 3
	first, step                   = 20 * time.Millisecond, 5 * time.Millisecond
	defaultCertain                = 50 * time.Microsecond
)

func (o Options) withDefaults() Options {
	if o.Streams == 0 {
		o.Streams, o.Tokens = defaultStreams, defaultTokens
	}
	if o.Rate == 0 {
		o.Rate, o.Requests = defaultRate, defaultRequests
	}
	o.Certain = cmp.Or(o.Certain, defaultCertain)
	return o
}

// Run executes the audit.
func Run(ctx context.Context, o Options) (*load.Client, error) {
	o = o.withDefaults()
	if o.Command == nil {
		c, err := self.Command(metronome.Name)
		if err != nil {
			return nil, err
		}
		o.Command = &c
	}
	e := &engine{command: *o.Command}
	b := server.Backend{Command: o.Command, Product: server.Product{Name: e.Name(), Title: "the metronome",
		Info:   func(context.Context, backend.Command) (backend.Info, error) { return backend.Info{}, nil },
		Engine: func(backend.Command, backend.Info) server.Engine { return e }},
		Options: server.Options{StartTimeout: limit, StallTimeout: limit, StopTimeout: time.Second}}
	s, err := b.Start(ctx, backend.Spec{Model: "none", MaxContext: 1 << 20})
	if err != nil {
		return nil, fmt.Errorf("audit the client: %w", err)
	}
	out, err := o.run(ctx, s, e)
	if closed := s.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("audit the client: %w", err)
	}
	return out, nil
}

// limit bounds an audit that hangs.
const limit = 10 * time.Second

// run drives both loops. The keys of requests are the first ids of their prompts.
func (o Options) run(ctx context.Context, s backend.Session, e *engine) (*load.Client, error) {
	warm := o.workload(0, min(o.Streams, 8), openTokens)
	if _, err := s.Run(ctx, warm); err != nil {
		return nil, err
	}
	closed := o.workload(1000, o.Streams, o.Tokens)
	before := processorTime()
	answered, err := s.Run(ctx, closed)
	if err != nil {
		return nil, err
	}
	spent := processorTime() - before
	open := o.workload(100_000, o.Requests, openTokens)
	open.Open = true
	for i := range open.Requests {
		open.Requests[i].DueNS = int64(float64(i+1) / o.Rate * 1e9)
	}
	sent, err := s.Run(ctx, open)
	if err != nil {
		return nil, err
	}
	answers, err := e.answers(ctx)
	if err != nil {
		return nil, err
	}
	out, err := o.compare(closed, answered, answers)
	if err != nil {
		return nil, err
	}
	out.Streams, out.Rate = o.Streams, o.Rate
	out.CPUSPerMillion = spent.Seconds() / float64(o.Streams*o.Tokens) * 1e6
	var lags []float64
	for _, q := range sent.Requests {
		lags = append(lags, microseconds(q.SubmittedNS-q.ArrivedNS))
	}
	out.SendLagP50US, out.SendLagP99US, out.SendLagMaxUS = percentile(lags, 50), percentile(lags, 99), slices.Max(lags)
	return out, nil
}

// workload returns n requests whose keys count from a number.
func (o Options) workload(key, n, tokens int) backend.Workload {
	w := backend.Workload{OutputTokens: tokens}
	for i := range n {
		w.Requests = append(w.Requests, backend.Prompt{ID: i, Tokens: []int32{int32(key + i), 1, 2, 3, 4, 5, 6, 7}})
	}
	return w
}

// compare returns the errors of the client's stamps, or an error if none is known: 0 would look perfect.
func (o Options) compare(w backend.Workload, log *backend.Log, answers []metronome.Answer) (*load.Client, error) {
	truth := map[int]metronome.Answer{}
	for _, a := range answers {
		truth[a.Key] = a
	}
	var ttft, ttftAbs, itl []float64
	unknown, gaps := 0, 0
	for i, q := range log.Requests {
		a, ok := truth[int(w.Requests[i].Tokens[0])]
		if !ok || !q.OK || len(q.TokenNS) != len(a.BeforeNS) {
			continue
		}
		known := func(n int) bool { return a.AfterNS[n]-a.BeforeNS[n] <= int64(o.Certain) }
		if known(0) {
			d := microseconds(q.FirstTokenNS - q.SubmittedNS - (a.BeforeNS[0] - a.ReceivedNS))
			ttft, ttftAbs = append(ttft, d), append(ttftAbs, math.Abs(d))
		}
		for n := 1; n < len(q.TokenNS); n++ {
			gaps++
			if !known(n) || !known(n-1) {
				unknown++
				continue
			}
			itl = append(itl, math.Abs(microseconds(q.TokenNS[n]-q.TokenNS[n-1]-(a.BeforeNS[n]-a.BeforeNS[n-1]))))
		}
	}
	if len(ttft) == 0 || len(itl) == 0 {
		return nil, fmt.Errorf("of %s no answer has times that client and server both know",
			digits.Count(len(log.Requests), "request"))
	}
	return &load.Client{TTFTErrorUS: stats.Mean(ttft), TTFTErrorP99US: percentile(ttftAbs, 99),
		ITLErrorP50US: percentile(itl, 50), ITLErrorP99US: percentile(itl, 99),
		UnknownPct: 100 * float64(unknown) / float64(max(1, gaps))}, nil
}

func microseconds(ns int64) float64 { return float64(ns) / 1e3 }

func percentile(v []float64, p float64) float64 {
	s, _ := stats.Summarize(v)
	return s.Percentile(p)
}

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// engine is the metronome as an engine.
type engine struct {
	command backend.Command
	ask     server.Ask
}

var _ server.Describer = (*engine)(nil)

// Name implements server.Engine.
func (*engine) Name() string { return metronome.Name }

// Launch implements server.Engine.
func (e *engine) Launch(_ context.Context, _ backend.Spec, port int) (server.Launch, error) {
	c := e.command
	c.Args = append(slices.Clone(c.Args), "--port", strconv.Itoa(port), "--first", first.String(), "--step",
		step.String())
	return server.Launch{Command: c, Health: "/health"}, nil
}

// Describe implements server.Describer: it keeps the way to ask for the answers.
func (e *engine) Describe(_ context.Context, ask server.Ask, _ *backend.Loaded) error {
	e.ask = ask
	return nil
}

// answers returns what the metronome knows.
func (e *engine) answers(ctx context.Context) ([]metronome.Answer, error) {
	text, err := e.ask(ctx, "GET", metronome.AnswersPath, nil)
	if err != nil {
		return nil, err
	}
	return metronome.ReadAnswers(text)
}

// completion is a request of the completions API.
type completion struct {
	Model         string  `json:"model"`
	Prompt        []int32 `json:"prompt"`
	MaxTokens     int     `json:"max_tokens"`
	Stream        bool    `json:"stream"`
	ReturnIDs     bool    `json:"return_token_ids"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// Request implements server.Engine.
func (*engine) Request(_ backend.Spec, p backend.Prompt, output int) server.Request {
	c := completion{Model: "llem", Prompt: p.Tokens, MaxTokens: output, Stream: true, ReturnIDs: true}
	c.StreamOptions.IncludeUsage = true
	return server.JSON("/v1/completions", c)
}

// Read implements server.Engine.
func (*engine) Read(data []byte) (server.Event, error) { return server.ReadCompletion(data) }
