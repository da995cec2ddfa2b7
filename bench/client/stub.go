package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/llenergymeasure/llem/internal/metronome"
)

// The environment tells the stub that llem starts as vLLM what to do.
const (
	answersEnv = "LLEM_BENCH_ANSWERS"
	timingEnv  = "LLEM_BENCH_TIMING"
)

// serve runs the stub for the other tools.
func serve(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	port := f.Int("port", 0, "port")
	first := f.Duration("first", 50*time.Millisecond, "time to the first token")
	step := f.Duration("step", 10*time.Millisecond, "time between tokens")
	answers := f.String("answers", "", "file for the stamps")
	if err := f.Parse(args); err != nil {
		return err
	}
	return stub(ctx, *port, timing{*first, *step}, *answers)
}

// stub serves until ctx ends, and then writes the stamps.
func stub(ctx context.Context, port int, t timing, answers string) error {
	l, err := metronome.Listen(port)
	if err != nil {
		return err
	}
	var s *metronome.Server
	s = metronome.New(metronome.Options{First: t.first, Step: t.step, Model: "llem",
		Page: func(path string, body []byte) ([]byte, bool) { return page(s, path, body) }})
	go func() { <-ctx.Done(); _ = l.Close() }()
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	if answers == "" {
		return nil
	}
	return os.WriteFile(answers, metronome.WriteAnswers(s.Answers()), 0o644)
}

// page answers like vLLM.
func page(s *metronome.Server, path string, body []byte) ([]byte, bool) {
	switch path {
	case "/metrics":
		c := s.Counts()
		return fmt.Appendf(nil, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running %d\n"+
			"# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{enable_prefix_caching=\"False\"} 1\n"+
			"# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total %d\n"+
			"# TYPE vllm:prefix_cache_hits_total counter\nvllm:prefix_cache_hits_total 0\n"+
			"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total %d\n"+
			"# TYPE vllm:iteration_tokens_total histogram\nvllm:iteration_tokens_total_count %d\n",
			c.Running, c.Prompt, c.Output, c.Steps), true
	case "/version":
		return []byte(`{"version":"0.0.stub"}`), true
	case "/tokenize":
		return fmt.Appendf(nil, `{"count":%d,"max_model_len":65536,"tokens":[]}`, len(body)), true
	case "/":
		return []byte("{}"), true
	}
	return nil, false
}

// imitate is vLLM's program.
func imitate(ctx context.Context, args []string) error {
	port := ""
	for i, a := range args {
		switch {
		case a == "--version":
			fmt.Println("0.0.stub")
			return nil
		case strings.HasPrefix(a, "--help"):
			fmt.Println("usage: vllm serve ...") // a text without options lists nothing, so all are accepted
			return nil
		case a == "--port" && i+1 < len(args):
			port = args[i+1]
		}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return errors.New("vllm: no --port")
	}
	var t timing
	if first, step, ok := strings.Cut(os.Getenv(timingEnv), ","); ok {
		t.first, _ = time.ParseDuration(first)
		t.step, _ = time.ParseDuration(step)
	}
	return stub(ctx, n, t, os.Getenv(answersEnv))
}
