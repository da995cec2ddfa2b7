//go:build cgo

package ggml

import (
	"context"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ollama/ollama/ml"
	"github.com/ollama/ollama/model"
	"github.com/ollama/ollama/model/input"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine/embedded/internal/core"
	"github.com/llenergymeasure/llem/internal/gguf"
)

// Work of the benchmark: one static batch.
const (
	benchBatch  = 4
	benchPrompt = 64
	benchOutput = 32
)

// BenchmarkAgainstBareLoop runs the engine as llem does, in a worker process with its step log, alternating with a
// bare loop over the same packages in this process. It reports tokens/s of both and their ratio (the median over
// the pairs); the ratio should be at least 0.95.
//
//	go test -run '^$' -bench BareLoop -benchtime 10x ./engine/embedded
func BenchmarkAgainstBareLoop(b *testing.B) {
	shape := "smollm2-135m"
	if testing.Short() {
		shape = "tiny-llama"
	}
	path := tinyModel(b, shape, gguf.Float16)
	threads := max(1, runtime.NumCPU())
	session := benchSession(b, path, threads)
	bare := newBareLoop(b, path, threads)
	work := benchWork()
	rate := func(took time.Duration) float64 { return benchBatch * benchOutput / took.Seconds() }
	if _, err := session.Run(b.Context(), work); err != nil { // warm up both
		b.Fatal(err)
	}
	bare.run(b, work)

	var ours, theirs, ratios []float64
	for i := 0; b.Loop(); i++ {
		measured := func() {
			log, err := session.Run(b.Context(), work)
			if err != nil {
				b.Fatal(err)
			}
			ours = append(ours, rate(time.Duration(log.EndNS-log.StartNS)))
		}
		loop := func() { theirs = append(theirs, rate(bare.run(b, work))) }
		if i%2 == 0 {
			measured()
			loop()
		} else {
			loop()
			measured()
		}
		ratios = append(ratios, ours[i]/theirs[i])
	}
	b.ReportMetric(median(ours), "llem-tok/s")
	b.ReportMetric(median(theirs), "bare-tok/s")
	b.ReportMetric(median(ratios), "ratio")
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func benchWork() backend.Workload {
	w := backend.Workload{OutputTokens: benchOutput}
	for i := range benchBatch {
		tokens := make([]int32, benchPrompt)
		for j := range tokens {
			tokens[j] = int32((i*37 + j*11) % 256)
		}
		w.Requests = append(w.Requests, backend.Prompt{ID: i, Tokens: tokens})
	}
	return w
}

func benchSession(b *testing.B, path string, threads int) backend.Session {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	eb := core.Backend{Command: &backend.Command{Path: self, Args: []string{"worker", core.Name},
		Env: []string{workerEnv + "=plain"}}}
	options := `{"batch_size":` + strconv.Itoa(benchBatch) + `,"threads":` + strconv.Itoa(threads) + `}`
	s, err := eb.Start(b.Context(), backend.Spec{Model: "bench", Path: path, Synthetic: true, DType: "float16",
		BatchSize: benchBatch, MaxContext: benchPrompt + benchOutput, Options: []byte(options)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// bareLoop is the minimal code that decodes a batch with the engine's packages.
type bareLoop struct{ m model.Model }

func newBareLoop(b *testing.B, path string, threads int) *bareLoop {
	b.Helper()
	m, err := model.New(path, ml.BackendParams{AllocMemory: true, NumThreads: threads})
	if err != nil {
		b.Fatal(err)
	}
	m.Config().Cache.Init(m.Backend(), ml.DTypeF16, benchBatch, benchPrompt+benchOutput, 512)
	if err := m.Backend().Load(context.Background(), func(float32) {}); err != nil {
		b.Fatal(err)
	}
	return &bareLoop{m}
}

func (l *bareLoop) run(b *testing.B, w backend.Workload) time.Duration {
	b.Helper()
	for i := range w.Requests {
		if err := l.m.Config().Cache.Remove(i, 0, math.MaxInt32); err != nil {
			b.Fatal(err)
		}
	}
	start := time.Now()
	var tokens, outputs []int32
	var positions []int32
	var sequences []int
	for i, r := range w.Requests {
		for p, t := range r.Tokens {
			tokens, positions, sequences = append(tokens, t), append(positions, int32(p)), append(sequences, i)
		}
		outputs = append(outputs, int32(len(tokens)-1))
	}
	next := l.step(b, tokens, positions, sequences, outputs)
	for p := benchPrompt; p < benchPrompt+benchOutput-1; p++ {
		positions, sequences, outputs = positions[:0], sequences[:0], outputs[:0]
		for i := range next {
			positions, sequences, outputs = append(positions, int32(p)), append(sequences, i), append(outputs, int32(i))
		}
		next = l.step(b, next, positions, sequences, outputs)
	}
	return time.Since(start)
}

func (l *bareLoop) step(b *testing.B, tokens, positions []int32, sequences []int, outputs []int32) []int32 {
	b.Helper()
	ctx := l.m.Backend().NewContext()
	defer ctx.Close()
	t, err := model.Forward(ctx, l.m, input.Batch{Inputs: ctx.Input().FromInts(tokens, len(tokens)),
		Outputs: ctx.Input().FromInts(outputs, len(outputs)), Positions: positions, Sequences: sequences})
	if err != nil {
		b.Fatal(err)
	}
	ctx.Compute(t)
	values := t.Floats()
	width := len(values) / len(outputs)
	next := make([]int32, len(outputs))
	for i := range next {
		next[i] = argmax(values[i*width : (i+1)*width])
	}
	return next
}

// argmax is greedy sampling: the index of the largest logit, the first of equals.
func argmax(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}
