//go:build cgo

package ggml

import (
	"context"
	"fmt"
	"math"

	"github.com/ollama/ollama/ml"
	"github.com/ollama/ollama/model"
	"github.com/ollama/ollama/model/input"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/clock"
	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
)

// batch is one static batch: its sequences are prefilled, then decoded together
// until each has its tokens.
type batch struct {
	e      *worker
	log    *backend.Log
	output int
	seqs   []sequence
}

// sequence is one request in a batch; its index is its slot in the KV cache.
type sequence struct {
	prompt []int32
	fed    int // tokens of this sequence in the KV cache
	choose *core.Sampler
	req    *backend.Request
}

// newBatch appends a log entry for each request and prepares the sequences.
func newBatch(e *worker, prompts []backend.Prompt, output int, log *backend.Log) *batch {
	b := &batch{e: e, log: log, output: output, seqs: make([]sequence, len(prompts))}
	for i, p := range prompts {
		log.Requests = append(log.Requests, backend.Request{
			ID: p.ID, PromptTokens: len(p.Tokens),
			TokenNS: make([]int64, 0, output), Output: make([]int32, 0, output),
		})
		b.seqs[i] = sequence{prompt: p.Tokens, choose: core.NewSampler(e.spec, p),
			req: &log.Requests[len(log.Requests)-1]}
	}
	return b
}

// run prefills and decodes the batch. The cache is cleared first, so that nothing of an earlier request is reused.
func (b *batch) run(ctx context.Context) error {
	for i := range b.seqs {
		if err := b.e.model.Config().Cache.Remove(i, 0, math.MaxInt32); err != nil {
			return fmt.Errorf("clear the KV cache of slot %d: %w", i, err)
		}
	}
	submitted := clock.Mono()
	for i := range b.seqs {
		b.seqs[i].req.SubmittedNS, b.seqs[i].req.StartedNS = submitted, submitted
	}
	if err := b.prefill(ctx); err != nil {
		return err
	}
	for range b.output - 1 {
		if err := b.decode(ctx); err != nil {
			return err
		}
	}
	for i := range b.seqs {
		r := b.seqs[i].req
		r.OK, r.FinishReason = true, "length"
		r.OutputTokens = len(r.Output)
		r.EndNS = r.TokenNS[len(r.TokenNS)-1]
	}
	return nil
}

// prefill feeds the prompts in steps of at most PrefillChunk tokens. A step may
// hold the end of one prompt and the start of the next.
func (b *batch) prefill(ctx context.Context) error {
	for next := 0; next < len(b.seqs); {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := newStep(b.e.opt.PrefillChunk)
		first := next
		for next < len(b.seqs) && s.room() > 0 {
			seq := &b.seqs[next]
			n := min(s.room(), len(seq.prompt)-seq.fed)
			s.add(next, seq, seq.prompt[seq.fed:seq.fed+n], seq.fed+n == len(seq.prompt))
			if seq.fed < len(seq.prompt) {
				break
			}
			next++
		}
		if err := b.forward(s, backend.Step{PrefillTokens: len(s.tokens)}, first); err != nil {
			return err
		}
	}
	return nil
}

// decode feeds the last token of every sequence and takes the next one.
func (b *batch) decode(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := newStep(len(b.seqs))
	for i := range b.seqs {
		seq := &b.seqs[i]
		s.add(i, seq, seq.req.Output[len(seq.req.Output)-1:], true)
	}
	return b.forward(s, backend.Step{DecodeTokens: len(b.seqs)}, -1)
}

// step is the input of one engine step.
type step struct {
	capacity  int
	tokens    []int32
	positions []int32
	sequences []int
	outputs   []int32     // indexes of tokens whose logits are needed
	takers    []*sequence // the sequences that get them
	members   int
	context   int64
}

func newStep(capacity int) *step {
	return &step{capacity: capacity,
		tokens: make([]int32, 0, capacity), positions: make([]int32, 0, capacity), sequences: make([]int, 0, capacity)}
}

func (s *step) room() int { return s.capacity - len(s.tokens) }

// add appends tokens of one sequence; last reports whether the token after them is needed.
func (s *step) add(slot int, seq *sequence, tokens []int32, last bool) {
	for _, t := range tokens {
		s.tokens = append(s.tokens, t)
		s.positions = append(s.positions, int32(seq.fed))
		s.sequences = append(s.sequences, slot)
		seq.fed++
	}
	s.members++
	s.context += int64(seq.fed)
	if last {
		s.outputs = append(s.outputs, int32(len(s.tokens)-1))
		s.takers = append(s.takers, seq)
	}
}

// forward computes one step, takes the tokens and logs the step. The prefill of the sequences from firstPrefill on
// starts with this step unless it has already started.
func (b *batch) forward(s *step, entry backend.Step, firstPrefill int) error {
	entry.StartNS = clock.Mono()
	if firstPrefill >= 0 {
		for i := firstPrefill; i < len(b.seqs) && b.seqs[i].fed > 0; i++ {
			if r := b.seqs[i].req; r.PrefillStartNS == 0 {
				r.PrefillStartNS = entry.StartNS
			}
		}
	}
	next, err := b.e.compute(s)
	if err != nil {
		return err
	}
	entry.EndNS = clock.Mono()
	entry.Sequences, entry.ContextTokens = s.members, s.context
	b.log.Steps = append(b.log.Steps, entry)
	for i, seq := range s.takers {
		r := seq.req
		if len(r.TokenNS) == 0 {
			r.FirstTokenNS, r.PromptComputed = entry.EndNS, seq.fed
		}
		r.TokenNS = append(r.TokenNS, entry.EndNS)
		r.Output = append(r.Output, next[i])
	}
	return nil
}

// compute runs the model on one step and returns the token chosen for each requested position.
func (e *worker) compute(s *step) ([]int32, error) {
	ctx := e.model.Backend().NewContext()
	defer ctx.Close()
	outputs := s.outputs
	if len(outputs) == 0 {
		// The engine needs at least one output row; its value is dropped.
		outputs = []int32{int32(len(s.tokens) - 1)}
	}
	logits, err := e.graph(ctx, s, outputs)
	if err != nil {
		return nil, err
	}
	ctx.Compute(logits)
	values := logits.Floats() // waits for the result
	next := make([]int32, len(s.outputs))
	width := len(values) / len(outputs)
	for i := range next {
		next[i] = s.takers[i].choose.Choose(values[i*width : (i+1)*width])
	}
	return next, nil
}

// graph builds the computation of one step.
func (e *worker) graph(ctx ml.Context, s *step, outputs []int32) (ml.Tensor, error) {
	logits, err := model.Forward(ctx, e.model, input.Batch{
		Inputs:    ctx.Input().FromInts(s.tokens, len(s.tokens)),
		Outputs:   ctx.Input().FromInts(outputs, len(outputs)),
		Positions: s.positions,
		Sequences: s.sequences,
	})
	if err != nil {
		return nil, fmt.Errorf("build an engine step of %d tokens: %w", len(s.tokens), err)
	}
	return logits, nil
}

// reserve allocates working memory for the largest steps, a full prefill chunk
// and a full decode step, so that a run does not allocate inside its window.
func (e *worker) reserve() error {
	for _, n := range []int{e.opt.PrefillChunk, e.opt.BatchSize} {
		s := newStep(n)
		for i := range n {
			s.tokens = append(s.tokens, 0)
			s.positions = append(s.positions, int32(i/e.opt.BatchSize))
			s.sequences = append(s.sequences, i%e.opt.BatchSize)
		}
		if err := e.reserveStep(s); err != nil {
			return err
		}
	}
	return nil
}

func (e *worker) reserveStep(s *step) error {
	ctx := e.model.Backend().NewContext()
	defer ctx.Close()
	outputs := []int32{int32(len(s.tokens) - 1)}
	b := input.Batch{
		Inputs: ctx.Input().Empty(ml.DTypeI32, len(s.tokens)), Outputs: ctx.Input().Empty(ml.DTypeI32, len(outputs)),
		Positions: s.positions, Sequences: s.sequences,
	}
	if err := e.model.Config().Cache.StartForward(ctx, b, true); err != nil {
		return fmt.Errorf("reserve working memory: %w", err)
	}
	logits, err := e.model.Forward(ctx, b)
	if err != nil {
		return fmt.Errorf("reserve working memory: %w", err)
	}
	ctx.SetBatchSize(len(s.tokens))
	ctx.Forward(logits).Reserve()
	return nil
}
