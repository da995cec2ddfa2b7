package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// inferencePerfArguments writes a configuration. Its constant arrivals are not constant, and its Poisson arrivals are
// Poisson in each second only.
func inferencePerfArguments(j job) ([]string, error) {
	load := fmt.Sprintf("{type: concurrent, num_workers: 2, stages: [{num_requests: %d, concurrency_level: %d}]}",
		j.requests, j.streams)
	if j.rate > 0 {
		load = fmt.Sprintf("{type: %s, num_workers: 2, stages: [{rate: %g, duration: %d}]}", j.arrivals, j.rate,
			int(float64(j.requests)/j.rate))
	}
	length := func(n int) string {
		return fmt.Sprintf("{min: %d, max: %d, mean: %d, std_dev: 0, total_count: %d}", n, n, n, j.requests)
	}
	text := fmt.Sprintf("api: {type: completion, streaming: true}\n"+
		"data: {type: random, input_distribution: %s, output_distribution: %s}\nload: %s\n"+
		"server: {type: vllm, model_name: llem, base_url: %q, ignore_eos: true}\n"+
		"tokenizer: {pretrained_model_name_or_path: %q}\nstorage: {local_storage: {path: %q}}\n",
		length(input), length(j.output), load, j.url, j.tokenizer, filepath.Join(j.dir, "reports"))
	path := filepath.Join(j.dir, "config.yaml")
	return []string{"--config_file", path}, os.WriteFile(path, []byte(text), 0o644)
}

// inferencePerfReport reads its summary, in seconds.
func inferencePerfReport(j job) (figures, error) {
	var r struct {
		Successes struct {
			Latency struct {
				TTFT spread `json:"time_to_first_token"`
				ITL  spread `json:"inter_token_latency"`
			} `json:"latency"`
		} `json:"successes"`
	}
	f, err := figures{lag50: -1}.read(filepath.Join(j.dir, "reports", "summary_lifecycle_metrics.json"), &r,
		func(f *figures) {
			l := r.Successes.Latency
			f.ttft, f.ttft99, f.itl = l.TTFT.Mean*1e3, l.TTFT.P99*1e3, l.ITL.Mean*1e3
		})
	if err == nil && f.ttft == 0 {
		err = errors.New("inference-perf reports no times")
	}
	return f, err
}
