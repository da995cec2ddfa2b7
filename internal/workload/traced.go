package workload

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/disk"
	"github.com/llenergymeasure/llem/load"
	"github.com/llenergymeasure/llem/load/trace"
)

// LoadTrace reads the recorded requests of a file, which may be compressed with gzip. The error is a [trace.LineError]
// or a [load.Mistake].
func LoadTrace(path string, o trace.Options) (*trace.Trace, error) {
	f, err := disk.Open(path, maxTrace)
	if err != nil {
		return nil, noTrace(path, err)
	}
	defer f.Close() // read only: nothing is lost
	text, err := unpacked(f, strings.HasSuffix(strings.ToLower(filepath.Base(path)), gzExt))
	if err != nil {
		return nil, noTrace(path, err)
	}
	t, err := trace.Read(text, path, o)
	if err != nil {
		return nil, noTrace(path, err)
	}
	return t, nil
}

// noTrace returns the error of a file that cannot be read as a trace.
func noTrace(path string, err error) error {
	if _, ok := errors.AsType[*trace.LineError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*load.Mistake](err); ok {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &load.Mistake{Field: "trace", Message: path + " does not exist",
			Next: "check the path, which is relative to the current folder"}
	}
	e := unreadable(path, err)
	if d, ok := errors.AsType[*DatasetError](e); ok {
		return &load.Mistake{Field: "trace", Message: path + " " + d.Message, Next: d.Next}
	}
	return e
}

// Replayed reads the requests of a trace that a load takes; seed is the seed if the load has none.
func Replayed(a load.Arrivals, seed uint64) (*trace.Trace, error) {
	o, err := trace.OptionsOf(a, seed)
	if err != nil {
		return nil, err
	}
	t, err := LoadTrace(a.Trace, o)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, q := range t.Requests {
		if total += q.Input; total > maxPromptTokens {
			return nil, &trace.LineError{File: a.Trace, Line: q.Line,
				Message: fmt.Sprintf("more than %d prompt tokens up to here", maxPromptTokens),
				Next:    "choose a part of the trace with workload.load.span, or set workload.load.max_input"}
		}
	}
	if n := len(t.Requests); n == 0 || t.Requests[0].AtNS == t.Requests[n-1].AtNS {
		return nil, &load.Mistake{Field: "trace",
			Message: fmt.Sprintf("%s has %s for this load, all at one time: there is no rate to replay", a.Trace,
				digits.Count(n, "request")),
			Next: "take a longer part of the trace; workload.load.spread: true spreads requests with equal stamps"}
	}
	if last, _ := t.Lasts(); last == t.Requests[0].AtNS {
		return nil, &load.Mistake{Field: "follow",
			Message: fmt.Sprintf("%s has %s for this load, all of conversations that begin at one time: there is no "+
				"rate to replay", a.Trace, digits.Count(len(t.Requests), "request")),
			Next: "take a longer part of the trace, or leave out workload.load.follow"}
	}
	return t, nil
}

// maxPromptTokens bounds the prompts of a trace, which are in memory while it is replayed: 1 GB.
const maxPromptTokens = 250_000_000

// maxTrace bounds the file of a trace in bytes: it is read line by line.
const maxTrace = 64 << 30

// Recorded returns the requests of a trace with token ids of the recorded lengths, their outputs and their times. Equal
// blocks of the trace give equal tokens, see [trace.Trace.Prompt]. A turn whose prompt holds the turn before it
// continues that request, see [trace.Trace.History].
func Recorded(t *trace.Trace, vocab Vocab, seed uint64) []Request {
	ids := vocab.ordinary()
	out := make([]Request, len(t.Requests))
	for i, q := range t.Requests {
		out[i] = Request{ID: i, Tokens: t.Prompt(i, ids, seed), Task: t.Format, Output: q.Output, DueNS: q.AtNS}
		if n := t.History(i); n > 0 {
			out[i].Tokens, out[i].After = out[i].Tokens[n:], new(q.Parent)
			if t.Gaps {
				out[i].DueNS, out[i].WaitNS = t.Due(i), t.Pause(i)
			}
		}
	}
	return out
}

// Share gives all conversations the first n tokens of the first one. Shorter prompts take as many as they have. turns
// is the number of requests of a conversation; 0 and 1 are single requests.
func Share(reqs []Request, n, turns int) []Request {
	if n <= 0 {
		return reqs
	}
	out := slices.Clone(reqs)
	for i := 0; i < len(out); i += max(1, turns) {
		tokens := slices.Clone(out[i].Tokens)
		copy(tokens[:min(n, len(tokens))], reqs[0].Tokens)
		out[i].Tokens = tokens
	}
	return out
}

// Converse makes conversations of requests, each of a number of turns that follow one another in the list. A turn waits
// for the answer before it, and then for an exponential time of the given mean in seconds.
func Converse(reqs []Request, turns int, thinkS float64, seed uint64) {
	if turns < 2 {
		return
	}
	const stream = 0x7468696e6b // differs from the streams of prompts and arrivals
	src := rand.NewPCG(seed, stream)
	for i := range reqs {
		if i%turns == 0 {
			continue
		}
		u := (float64(src.Uint64()>>12) + 0.5) / (1 << 52)
		reqs[i].After = new(reqs[i-1].ID)
		reqs[i].WaitNS = int64(math.Round(-math.Log(u) * thinkS * 1e9))
	}
}
