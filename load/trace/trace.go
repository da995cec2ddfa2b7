package trace

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llenergymeasure/llem/load"
)

// Request is a recorded request.
type Request struct {
	// AtNS is when it is due, in nanoseconds from the start.
	AtNS int64
	// Input and Output are its lengths in tokens.
	Input  int
	Output int // see Input
	// Session is equal for requests of one conversation; empty if unknown.
	Session string
	// Parent is the index of the request that this one follows in its conversation; -1 for none.
	Parent int
	// Blocks are the ids of the blocks of the prompt, in order; the last one may be partial. Nil if unknown.
	Blocks []int64
	// Line of the file, from 1.
	Line int64
	// WaitNS is the recorded pause between the end of the answer before and this request, in nanoseconds; -1 if it is
	// unknown.
	WaitNS int64
}

// Trace is the recorded requests of a file, in the order of time.
type Trace struct {
	// Format of the file.
	Format string
	// Requests that are kept.
	Requests []Request
	// BlockTokens is the number of tokens of a block; 0 if the format has none.
	BlockTokens int
	// Resolution is the least time between two different stamps, in nanoseconds; 0 for a single stamp.
	Resolution int64
	// Counts say what became of the rows.
	Counts Counts
	// Gaps reports that a turn which continues another one is sent some time after the end of the answer before it,
	// [Trace.Pause], whenever it was recorded.
	Gaps bool
	// LastNS is the last recorded stamp of the span, in nanoseconds from its start, before any change of speed.
	LastNS int64
}

// Counts say what became of the rows of a file.
type Counts struct {
	// Rows of the file that were read.
	Rows int64
	// Outside is the number of rows before or after the span.
	Outside int64
	// Empty rows have no prompt or no answer: failures in the service that was recorded.
	Empty int64
	// Dropped is the number of requests longer than the limits, and Clipped of requests that were shortened to them.
	Dropped int64
	Clipped int64 // see Dropped
}

// Options choose the requests of a trace.
type Options struct {
	// From and To limit the span, in time from the first row; To 0 is the end.
	From time.Duration
	To   time.Duration // see From
	// Speed divides times; 0 is 1.
	Speed float64
	// Rate scales times so that this is the mean number of requests per second; 0 keeps them.
	Rate float64
	// MaxInput and MaxOutput limit the lengths in tokens; 0 sets no limit.
	MaxInput  int
	MaxOutput int // see MaxInput
	// Clip shortens longer requests; otherwise they are dropped.
	Clip bool
	// Spread spreads requests with equal stamps evenly at random over the resolution of the clock.
	Spread bool
	// Seed of the spread.
	Seed uint64
	// Requests is the maximum number of requests that are kept; 0 takes all.
	Requests int
	// Gaps replays the pauses within conversations, see [Trace.Gaps].
	Gaps bool
}

// OptionsOf returns which requests of a trace a load takes; seed is the seed if the load has none.
func OptionsOf(a load.Arrivals, seed uint64) (Options, error) {
	o := Options{Speed: a.Speed, Rate: a.Rate, MaxInput: a.MaxInput, MaxOutput: a.MaxOutput,
		Clip: a.Longer == load.Clip, Spread: a.Spread, Seed: cmp.Or(a.Seed, seed),
		Gaps: a.Follow == load.ByGap}
	if a.Span == "" {
		return o, nil
	}
	var err error
	o.From, o.To, err = load.ParseSpan(a.Span)
	return o, err
}

// LineError is a line of a trace that cannot be used.
type LineError struct {
	// File and Line are its position; lines count from 1.
	File string
	Line int64 // see File
	// Message is what is wrong, and Next the next step.
	Message string
	Next    string // see Message
}

// Error returns the position and the message.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// NextStep returns the next step for the user.
func (e *LineError) NextStep() string { return e.Next }

// Bounds of what is read.
const (
	maxLine   = 16 << 20   // bytes
	maxTokens = 10_000_000 // of one prompt or answer
)

// row is a line of a trace, with its time in nanoseconds since any moment.
type row struct {
	at            int64
	input, output int64
	session       string
	id, parent    int64 // of a conversation's turn; -1 for none
	blocks        []int64
	wait          int64 // after the answer before; -1 if it is unknown
}

// format reads the lines of one format.
type format struct {
	name string
	// block is the number of tokens of a block; 0 if there are none.
	block int
	// chains reports that the requests of a session are turns of one conversation.
	chains bool
	// parse reads a line. A line that is to be skipped returns errSkip.
	parse func(line []byte, r *row) error
}

// errSkip is a line without a request.
var errSkip = errors.New("no request")

// Read reads a trace. name is the file's name in messages.
func Read(r io.Reader, name string, o Options) (*Trace, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(r, 1<<20)
	s := &reading{in: in, name: name, options: o, out: &Trace{}, turns: map[int64]int{}, sessions: map[string]string{},
		latest: map[string]int{}}
	if err := s.all(); err != nil {
		return nil, err
	}
	return s.finish()
}

func (o Options) check() error {
	bad := func(field, next, format string, args ...any) error {
		return &load.Mistake{Field: field, Message: fmt.Sprintf(format, args...), Next: next}
	}
	switch {
	case o.From < 0 || o.To < 0 || o.To > 0 && o.To <= o.From:
		return bad("span", "write FROM..TO, such as 10m..20m", "the span from %v to %v is empty", o.From, o.To)
	case o.Speed != 0 && !(o.Speed >= 1e-3 && o.Speed <= 1e6):
		return bad("speed", "2 is twice as fast", "speed is %g, want a number from 0.001 to 1e6", o.Speed)
	case o.Rate != 0 && !(o.Rate > 0 && o.Rate <= load.MaxRate):
		return bad("rate", "", "rate is %g, want more than 0 and at most %g requests per second", o.Rate, load.MaxRate)
	case o.Speed != 0 && o.Speed != 1 && o.Rate != 0:
		return bad("speed", "leave one of them out", "rate and speed both change the times of the trace")
	}
	return nil
}

// finish scales and spreads the times.
func (s *reading) finish() (*Trace, error) {
	t, o := s.out, s.options
	if s.format == nil {
		s.line = max(1, s.line)
		return nil, s.errorf(wantFormat, "the file is empty")
	}
	t.Format, t.BlockTokens, t.Gaps = s.format.name, s.format.block, o.Gaps
	if len(t.Requests) == 0 {
		return nil, s.errorf("choose another span or other limits", "no request is left of %d rows: %d outside of the "+
			"span, %d without a prompt or an answer, %d longer than the limits", t.Counts.Rows, t.Counts.Outside,
			t.Counts.Empty, t.Counts.Dropped)
	}
	t.LastNS = t.Requests[len(t.Requests)-1].AtNS
	t.resolve()
	if o.Spread {
		t.spread(o.Seed)
	}
	factor := 1.0
	switch {
	case o.Rate > 0 && t.LastNS > 0:
		factor = float64(len(t.Requests)) / o.Rate * 1e9 / float64(t.LastNS)
	case o.Speed > 0:
		factor = 1 / o.Speed
	}
	if last := float64(t.LastNS) * factor; last > float64(load.MaxDuration) {
		return nil, s.errorf("choose a part of the trace with workload.load.span", "the requests take %.0f s, of at "+
			"most %.0f s (7 days)", last/1e9, load.MaxDuration.Seconds())
	}
	if factor != 1 {
		for i := range t.Requests {
			q := &t.Requests[i]
			q.AtNS = int64(math.Round(float64(q.AtNS) * factor))
			if q.WaitNS > 0 {
				q.WaitNS = int64(math.Round(float64(q.WaitNS) * factor))
			}
		}
	}
	return t, nil
}

// resolve finds the least time between two different stamps.
func (t *Trace) resolve() {
	for i := 1; i < len(t.Requests); i++ {
		if d := t.Requests[i].AtNS - t.Requests[i-1].AtNS; d > 0 && (t.Resolution == 0 || d < t.Resolution) {
			t.Resolution = d
		}
	}
}

// spread spreads requests with equal stamps over the resolution.
func (t *Trace) spread(seed uint64) {
	if t.Resolution == 0 {
		return
	}
	src := rand.NewPCG(seed, 0x737072656164)
	var at []int64
	for i := 0; i < len(t.Requests); {
		j := i
		for j < len(t.Requests) && t.Requests[j].AtNS == t.Requests[i].AtNS {
			j++
		}
		if j-i > 1 {
			at = at[:0]
			for range j - i {
				at = append(at, t.Requests[i].AtNS+int64(src.Uint64()%uint64(t.Resolution)))
			}
			slices.Sort(at)
			for k := i; k < j; k++ {
				t.Requests[k].AtNS = at[k-i]
			}
		}
		i = j
	}
}
