// Command client compares load generators by what they report of a server that knows its times: llem itself,
// GuideLLM, AIPerf, inference-perf, vllm-bench and vllm bench serve, one after the other against the same stub
// (internal/metronome).
//
//	client run -tool llem=PROGRAM -tool guidellm=PROGRAM … -streams 1,100,500,1000
//	client run … -rate 100 -arrivals constant
//
// For each tool and load it prints a row: what the tool reports minus the truth, and its processor time. llem is the
// real program with backend vllm: called vllm, this program answers as vLLM does. bench/client/run.sh builds everything
// and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	switch {
	case filepath.Base(args[0]) == "vllm":
		return imitate(ctx, args[1:])
	case len(args) > 1 && args[1] == "serve":
		return serve(ctx, args[2:])
	case len(args) > 1 && args[1] == "run":
		return run(ctx, args[2:])
	}
	return errors.New("use client run or client serve")
}

// load is what a tool has to produce.
type load struct {
	// streams are in flight in a closed loop; rate and arrivals (constant or poisson) are of an open one.
	streams  int
	rate     float64
	arrivals string
	requests int
	output   int
	timing   timing
}

// timing is of the stub.
type timing struct{ first, step time.Duration }

func (l load) String() string {
	if l.rate > 0 {
		return fmt.Sprintf("%s %g/s", l.arrivals, l.rate)
	}
	return strconv.Itoa(l.streams)
}

const input = 32 // tokens of a prompt

// run drives all tools and prints the table.
func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	tools := map[string]string{}
	var order []string
	tool := "NAME=PROGRAM: llem, guidellm, aiperf, inference-perf, vllm-bench or vllm; repeated"
	f.Func("tool", tool, func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if _, known := drivers[name]; !ok || !known {
			return fmt.Errorf("%q is not NAME=PROGRAM of a known tool", s)
		}
		tools[name], order = path, append(order, name)
		return nil
	})
	streams := f.String("streams", "1,100,500,1000", "streams of the closed loops")
	rates := f.String("rate", "", "requests per second of open loops, instead of streams")
	arrivals := f.String("arrivals", "constant,poisson", "arrivals of the open loops")
	first := f.Duration("first", 50*time.Millisecond, "the stub's time to the first token")
	step := f.Duration("step", 10*time.Millisecond, "the stub's time between tokens")
	output := f.Int("output", 100, "tokens of an answer")
	seconds := f.Float64("seconds", 10, "length of an open loop")
	tokenizer := f.String("tokenizer", "", "folder of a tokenizer for the other tools")
	keep := f.String("keep", "", "folder for the tools' files; empty removes them")
	if err := f.Parse(args); err != nil {
		return err
	}
	dir := *keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "llem-client-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	var loads []load
	clocked := timing{*first, *step}
	for _, s := range numbers(*streams) {
		if *rates == "" {
			loads = append(loads, load{streams: int(s), requests: max(15, 2*int(s)), output: *output, timing: clocked})
		}
	}
	for _, r := range numbers(*rates) {
		for a := range strings.SplitSeq(*arrivals, ",") {
			loads = append(loads,
				load{rate: r, arrivals: a, requests: int(r * *seconds), output: *output, timing: clocked})
		}
	}
	fmt.Printf("The stub sends the first token %v after a request, and then one every %v; %d tokens in, %d out.\n\n",
		*first, *step, input, *output)
	head(*rates != "")
	for _, l := range loads {
		for _, name := range order {
			folder := filepath.Join(dir, name+"-"+slug(l.String()))
			o, err := measure(ctx, name, tools[name], l, folder, *tokenizer)
			if err != nil {
				fmt.Printf("| %s | %v | failed: %s |\n", name, l, strings.ReplaceAll(firstLine(err.Error()), "|", "/"))
				fmt.Fprintln(os.Stderr, name, l, err)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue
			}
			o.row(name, l)
		}
	}
	return nil
}

func slug(s string) string { return strings.NewReplacer(" ", "-", "/", "-").Replace(s) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// numbers parses a list; empty is none.
func numbers(list string) (out []float64) {
	for s := range strings.SplitSeq(list, ",") {
		if v, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			out = append(out, v)
		}
	}
	return out
}
