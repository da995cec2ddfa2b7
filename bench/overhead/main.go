// Command overhead measures how much sampling slows down a running engine: one session runs the same workload
// repeatedly, alternately with and without the power sampler (on-off, off-on, …), and the throughputs are
// compared pair by pair.
//
//	overhead -backend pytorch -model random:llama-3.1-8b -batch 8 -pairs 8
//
// The ratio is tokens/s with sampling divided by tokens/s without; its interval is the 95 % percentile
// interval of the median from a bootstrap over the pairs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/internal/host"
	"github.com/llenergymeasure/llem/internal/machine"
	"github.com/llenergymeasure/llem/internal/model"
	"github.com/llenergymeasure/llem/internal/stats"
	"github.com/llenergymeasure/llem/internal/workload"
	"github.com/llenergymeasure/llem/power"
)

type config struct {
	backend, model, dtype, python, out            string
	batch, prompts, input, output, pairs, threads int
}

// outcome is the JSON output.
type outcome struct {
	Backend, Model, DType      string
	Batch, Input, Output       int
	On, Off                    []float64 // output tokens/s of each window
	Ratios                     []float64 // on/off, pair by pair
	Median                     float64
	CI95                       [2]float64
	SamplerCPUPct, SamplesPerS float64
	Sources                    []string
}

func main() {
	var c config
	flag.StringVar(&c.backend, "backend", "embedded", "embedded or pytorch")
	flag.StringVar(&c.model, "model", "random:smollm2-135m", "model")
	flag.StringVar(&c.dtype, "dtype", "", "dtype; empty means the backend's default")
	flag.StringVar(&c.python, "python", "", "interpreter")
	flag.StringVar(&c.out, "out", "", "file for the JSON result")
	flag.IntVar(&c.batch, "batch", 1, "batch size")
	flag.IntVar(&c.prompts, "prompts", 1, "prompts in a window")
	flag.IntVar(&c.input, "input", 128, "tokens per prompt")
	flag.IntVar(&c.output, "output", 128, "output tokens")
	flag.IntVar(&c.threads, "threads", 0, "threads of the embedded engine; 0 means one per usable physical core")
	flag.IntVar(&c.pairs, "pairs", 8, "pairs of windows")
	llem.WorkerMain()
	flag.Parse()
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "overhead:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	meters, missing := machine.Meters(ctx, true)
	defer func() {
		for _, m := range meters {
			m.Close()
		}
	}()
	for _, u := range missing {
		fmt.Fprintf(os.Stderr, "overhead: %s: %s\n", u.Source, u.Message)
	}
	session, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer session.Close()
	requests, err := workload.Synthetic(c.prompts, c.input, workload.Vocab{Size: 256}, 1)
	if err != nil {
		return err
	}
	work := backend.Workload{OutputTokens: c.output}
	for _, q := range requests {
		work.Requests = append(work.Requests, backend.Prompt{ID: q.ID, Tokens: q.Tokens})
	}
	out := outcome{Backend: c.backend, Model: c.model, DType: session.Loaded().DType, Batch: c.batch, Input: c.input,
		Output: c.output}
	for range 2 { // warm up
		if _, err := session.Run(ctx, work); err != nil {
			return err
		}
	}
	for i := range c.pairs {
		if err := pair(ctx, session, work, meters, i%2 == 0, &out); err != nil {
			return err
		}
	}
	return out.report(c.out)
}

func start(ctx context.Context, c config) (backend.Session, error) {
	format, dtype := model.FormatGGUF, "float16"
	if c.backend != "embedded" {
		format, dtype = model.FormatHF, "bfloat16"
	}
	if c.dtype != "" {
		dtype = c.dtype
	}
	resolved, err := model.Store{}.Resolve(ctx, model.Request{Model: c.model, Format: format, DType: dtype, Seed: 1})
	if err != nil {
		return nil, err
	}
	snapshot, err := host.Collect(ctx, host.Options{})
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(map[string]any{"batch_size": c.batch})
	if c.backend == "embedded" {
		threads := c.threads
		if threads == 0 {
			threads = host.CPUThreads(snapshot)
		}
		options, err = json.Marshal(map[string]any{"batch_size": c.batch, "threads": threads})
	}
	if err != nil {
		return nil, err
	}
	return machine.Backends(nil, c.python)[c.backend].Start(ctx, backend.Spec{
		Model: c.model, Path: resolved.Path, Synthetic: resolved.Synthetic, DType: dtype, Seed: 1,
		BatchSize: c.batch, MaxContext: c.input + c.output, Options: options,
	})
}

// pair runs one window with and one without sampling.
func pair(ctx context.Context, s backend.Session, w backend.Workload, meters []power.Meter, onFirst bool,
	out *outcome) error {
	var rates [2]float64 // off, on
	for _, on := range []bool{onFirst, !onFirst} {
		sampler := power.NewSampler(meters...)
		sampler.CounterInterval = 5 * time.Second // as in a measured window
		if on {
			sampler.Start(ctx)
		}
		log, err := s.Run(ctx, w)
		if err != nil {
			return err
		}
		rate := float64(len(w.Requests)*w.OutputTokens) / (float64(log.EndNS-log.StartNS) / 1e9)
		if !on {
			rates[0] = rate
			continue
		}
		rates[1] = rate
		time.Sleep(50 * time.Millisecond)
		trace := sampler.Stop(ctx)
		out.SamplerCPUPct = max(out.SamplerCPUPct, 100*trace.Cost.Share())
		out.SamplesPerS = float64(len(trace.Samples)) / trace.Cost.Elapsed.Seconds()
		out.Sources = sources(trace)
	}
	out.Off, out.On = append(out.Off, rates[0]), append(out.On, rates[1])
	out.Ratios = append(out.Ratios, rates[1]/rates[0])
	return nil
}

func sources(t power.Trace) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range t.Samples {
		if key := s.Device + " " + s.Source; !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	return out
}

// report prints a table and writes the JSON.
func (o *outcome) report(path string) error {
	s, ok := stats.Summarize(o.Ratios)
	if !ok {
		return fmt.Errorf("no pairs")
	}
	o.Median = s.Percentile(50)
	o.CI95 = bootstrap(o.Ratios)
	on, _ := stats.Summarize(o.On)
	off, _ := stats.Summarize(o.Off)
	fmt.Printf("%s %s %s batch %d, %d+%d tokens, %d pairs\n", o.Backend, o.Model, o.DType, o.Batch, o.Input, o.Output,
		len(o.Ratios))
	fmt.Printf("  tokens/s with sampling %.2f, without %.2f (medians)\n", on.Percentile(50), off.Percentile(50))
	fmt.Printf("  ratio %.4f [%.4f, %.4f], sampler %.2f %% of a core, %.1f samples/s from %v\n",
		o.Median, o.CI95[0], o.CI95[1], o.SamplerCPUPct, o.SamplesPerS, o.Sources)
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// bootstrap returns the 95 % percentile interval of the median.
func bootstrap(values []float64) [2]float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, 2000)
	for i := range medians {
		draw := make([]float64, len(values))
		for j := range draw {
			draw[j] = values[rng.IntN(len(values))]
		}
		s, _ := stats.Summarize(draw)
		medians[i] = s.Percentile(50)
	}
	s, _ := stats.Summarize(medians)
	return [2]float64{s.Percentile(2.5), s.Percentile(97.5)}
}
