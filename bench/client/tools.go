package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/llenergymeasure/llem/internal/metronome"
	"github.com/llenergymeasure/llem/result/series"
)

// job is one call of a tool.
type job struct {
	load
	url, tokenizer, dir string
}

// driver is how a tool is called, and its report read.
type driver struct {
	// arguments of the tool. A tool that starts the stub itself has none running.
	arguments func(job) ([]string, error)
	own       bool
	report    func(job) (figures, error)
	// online tools look for a local tokenizer on a hub if they are told to stay offline.
	online bool
}

var drivers = map[string]driver{
	"llem":           {arguments: llemArguments, own: true, report: llemReport},
	"vllm-bench":     {arguments: rustArguments, report: vllmReport},
	"vllm":           {arguments: pythonArguments, report: vllmReport},
	"guidellm":       {arguments: guideArguments, report: guideReport},
	"aiperf":         {arguments: aiperfArguments, report: aiperfReport, online: true},
	"inference-perf": {arguments: inferencePerfArguments, report: inferencePerfReport},
}

// measure runs one tool under one load.
func measure(ctx context.Context, name, program string, l load, dir, tokenizer string) (outcome, error) {
	d := drivers[name]
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return outcome{}, err
	}
	answers := filepath.Join(dir, "answers.gob")
	j := job{load: l, tokenizer: tokenizer, dir: dir}
	var server *exec.Cmd
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	env := os.Environ()
	if !d.online {
		env = append(env, "HF_HUB_OFFLINE=1")
	}
	if d.own {
		if err := os.Symlink(self, filepath.Join(dir, "vllm")); err != nil && !errors.Is(err, os.ErrExist) {
			return outcome{}, err
		}
		env = append(env, "PATH="+dir+":"+os.Getenv("PATH"), answersEnv+"="+answers,
			fmt.Sprintf("%s=%v,%v", timingEnv, l.timing.first, l.timing.step))
	} else {
		if server, j.url, err = startStub(ctx, self, l.timing, answers); err != nil {
			return outcome{}, err
		}
		defer func() { _ = server.Process.Kill() }()
	}
	args, err := d.arguments(j)
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the tool may start others
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	stop, watched := make(chan struct{}), make(chan []spending, 1)
	go func() { watched <- watch(cmd.Process.Pid, stop) }()
	err = cmd.Wait()
	close(stop)
	spent := <-watched
	_ = os.WriteFile(filepath.Join(dir, "log.txt"), said.Bytes(), 0o644)
	if err != nil {
		return outcome{}, fmt.Errorf("%w: %s", err, tail(said.Bytes()))
	}
	if server != nil {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			return outcome{}, fmt.Errorf("the stub: %w", err)
		}
	}
	text, err := os.ReadFile(answers)
	if err != nil {
		return outcome{}, err
	}
	list, err := metronome.ReadAnswers(text)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	if !d.own { // which warms up nothing, and has as many arrivals as chance gives
		list = last(list, l.requests)
	}
	from, to, tokens := o.know(list, l.rate)
	o.cpu = between(spent, from, to) / float64(max(1, tokens)) * 1e6
	if o.told, err = d.report(j); err != nil {
		return o, err
	}
	return o, nil
}

func tail(b []byte) []byte { return bytes.TrimSpace(b[max(0, len(b)-600):]) }

// startStub starts the stub and waits until it answers.
func startStub(ctx context.Context, self string, t timing, answers string) (*exec.Cmd, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.CommandContext(ctx, self, "serve", "-port", strconv.Itoa(port), "-first", t.first.String(), "-step",
		t.step.String(), "-answers", answers)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 100 {
		if r, err := http.Get(url + "/health"); err == nil {
			_ = r.Body.Close()
			return cmd, url, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	return nil, "", errors.New("the stub does not answer")
}

// llemArguments writes a study.
func llemArguments(j job) ([]string, error) {
	form := fmt.Sprintf("concurrency: %d", j.streams)
	if j.rate > 0 {
		form = fmt.Sprintf("load: {kind: %s, rate: %g}", j.arrivals, j.rate)
	}
	study := fmt.Sprintf("name: client\nmodel: random:smollm2-135m\nbackend: vllm\n"+
		"workload: {dataset: synthetic, prompts: %d, input_tokens: %d, output_tokens: %d, %s}\n"+
		"warmup: {runs: 0}\nenergy: {sources: none}\nvllm: {max_num_seqs: 8192}\n", j.requests, input, j.output, form)
	path := filepath.Join(j.dir, "study.yaml")
	return []string{"run", path, "-o", filepath.Join(j.dir, "results")}, os.WriteFile(path, []byte(study), 0o644)
}

// llemReport reads the stored requests.
func llemReport(j job) (figures, error) {
	files, _ := filepath.Glob(filepath.Join(j.dir, "results", "*", "runs", "*", "requests.parquet"))
	if len(files) == 0 {
		return figures{}, errors.New("llem stored no requests")
	}
	rows, err := series.ReadFile[series.Request](files[len(files)-1])
	if err != nil {
		return figures{}, err
	}
	var ttft, itl, lag []float64
	for _, q := range rows {
		if n := len(q.TokenNS); q.OK && n > 1 {
			ttft = append(ttft, ms(q.FirstTokenNS-q.SubmittedNS))
			itl = append(itl, ms(q.TokenNS[n-1]-q.TokenNS[0])/float64(n-1))
			if q.ArrivedNS != nil {
				lag = append(lag, ms(q.SubmittedNS-*q.ArrivedNS))
			}
		}
	}
	if len(ttft) != len(rows) {
		return figures{}, fmt.Errorf("llem completed %d of %d requests", len(ttft), len(rows))
	}
	return figures{mean(ttft), percentile(ttft, 99), mean(itl), percentile(lag, 50), percentile(lag, 99)}, nil
}

// rustArguments are of vllm-bench, the client in Rust.
func rustArguments(j job) ([]string, error) {
	// Without it, it asks the server how many tokens a text has.
	return append(vllmArguments(j), "--prompt-token-ids"), nil
}

// pythonArguments are of vLLM itself.
func pythonArguments(j job) ([]string, error) {
	return append([]string{"bench", "serve"}, vllmArguments(j)...), nil
}

func vllmArguments(j job) []string {
	args := []string{"--backend", "openai", "--base-url", j.url, "--model", "llem", "--tokenizer", j.tokenizer,
		"--dataset-name", "random", "--random-input-len", strconv.Itoa(input), "--random-output-len",
		strconv.Itoa(j.output), "--num-prompts", strconv.Itoa(j.requests), "--ignore-eos", "--save-result",
		"--result-dir", j.dir, "--result-filename", "report.json", "--disable-tqdm"}
	if j.rate > 0 {
		args = append(args, "--request-rate", fmt.Sprint(j.rate))
		if j.arrivals == "constant" {
			args = append(args, "--burstiness", "inf")
		}
		return args
	}
	return append(args, "--max-concurrency", strconv.Itoa(j.streams))
}

func vllmReport(j job) (figures, error) {
	var r struct {
		TTFT   float64 `json:"mean_ttft_ms"`
		TTFT99 float64 `json:"p99_ttft_ms"`
		TPOT   float64 `json:"mean_tpot_ms"`
	}
	return figures{lag50: -1}.read(filepath.Join(j.dir, "report.json"), &r,
		func(f *figures) { f.ttft, f.ttft99, f.itl = r.TTFT, r.TTFT99, r.TPOT })
}

// read decodes a report and sets the figures from it.
func (f figures) read(path string, into any, set func(*figures)) (figures, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return f, err
	}
	set(&f)
	return f, nil
}

func guideArguments(j job) ([]string, error) {
	profile := fmt.Sprintf("kind=concurrent,streams=%d", j.streams)
	if j.rate > 0 {
		profile = fmt.Sprintf("kind=%s,rate=%g", j.arrivals, j.rate)
	}
	return []string{"run", "--backend",
		"kind=openai_http,target=" + j.url + ",model=llem,request_format=/v1/completions",
		"--profile", profile, "--constraint", fmt.Sprintf("kind=max_requests,count=%d", j.requests),
		"--tokenizer", "kind=huggingface_auto,model=" + j.tokenizer,
		"--data", fmt.Sprintf("kind=synthetic_text,prompt_tokens=%d,output_tokens=%d", input, j.output),
		"--output", "kind=json,path=" + filepath.Join(j.dir, "report.json"), "--disable-console"}, nil
}

// spread is a distribution in the reports of GuideLLM and AIPerf.
type spread struct {
	Mean        float64 `json:"mean"`
	Avg         float64 `json:"avg"`
	P99         float64 `json:"p99"`
	Percentiles struct {
		P99 float64 `json:"p99"`
	} `json:"percentiles"`
}

func guideReport(j job) (figures, error) {
	type successful struct {
		Successful spread `json:"successful"`
	}
	var r struct {
		Benchmarks []struct {
			Metrics struct {
				TTFT successful `json:"time_to_first_token_ms"`
				ITL  successful `json:"inter_token_latency_ms"`
			} `json:"metrics"`
		} `json:"benchmarks"`
	}
	f, err := figures{lag50: -1}.read(filepath.Join(j.dir, "report.json"), &r, func(f *figures) {
		if len(r.Benchmarks) > 0 {
			m := r.Benchmarks[0].Metrics
			f.ttft, f.ttft99, f.itl = m.TTFT.Successful.Mean, m.TTFT.Successful.Percentiles.P99, m.ITL.Successful.Mean
		}
	})
	if err == nil && f.ttft == 0 {
		err = errors.New("guidellm reports no times")
	}
	return f, err
}

func aiperfArguments(j job) ([]string, error) {
	args := []string{"profile", "-m", "llem", "--url", j.url, "--endpoint-type", "completions", "--streaming",
		"--request-count", strconv.Itoa(j.requests), "--tokenizer", j.tokenizer, "--isl", strconv.Itoa(input),
		"--osl", strconv.Itoa(j.output), "--extra-inputs", "ignore_eos:true", "--artifact-dir", j.dir, "--ui", "none",
		"--export-level", "summary"}
	if j.rate > 0 {
		return append(args, "--request-rate", fmt.Sprint(j.rate), "--arrival-pattern", j.arrivals), nil
	}
	return append(args, "--concurrency", strconv.Itoa(j.streams)), nil
}

func aiperfReport(j job) (figures, error) {
	var r struct {
		TTFT spread `json:"time_to_first_token"`
		ITL  spread `json:"inter_token_latency"`
	}
	files, _ := filepath.Glob(filepath.Join(j.dir, "*_aiperf.json"))
	if len(files) == 0 {
		return figures{}, errors.New("aiperf wrote no report")
	}
	f, err := figures{lag50: -1}.read(files[0], &r,
		func(f *figures) { f.ttft, f.ttft99, f.itl = r.TTFT.Avg, r.TTFT.P99, r.ITL.Avg })
	if err == nil && (f.ttft == 0 || math.IsNaN(f.ttft)) {
		err = errors.New("aiperf reports no times")
	}
	return f, err
}
