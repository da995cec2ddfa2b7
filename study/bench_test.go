package study

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// million is a study of 1 000 000 experiments with three axes.
const million = `
model: m/n
sweep:
  embedded.batch_size: 1..100
  workload.prompts: 1..100
  workload.input_tokens: 1..100
`

// sections is as large, and every experiment has its own section.
const sections = `
model: m/n
backend: vllm
sweep:
  vllm.max_num_seqs: 1..100
  vllm.max_num_batched_tokens: 1..100
  vllm.max_model_len: 1..100
`

// everything uses the whole grammar for about as many points.
const everything = `
model: m/n
backend: [embedded, pytorch, vllm]
sweep:
  dtype: [float32, bfloat16]
  pytorch.batch_size: 1..40
  workload.prompts: 1..40
  groups:
    length: [{}, {workload.input_tokens: [64, 128], workload.output_tokens: 1..8}]
    attention: [{}, {pytorch.attn_implementation: [eager, flash_attention_2]}]
  zip: {seed: 1..5, warmup.runs: 1..5}
  link: {vllm.max_num_seqs: pytorch.batch_size}
  where: ["workload.prompts * batch <= 1500", "dtype != \"float32\" or batch < 30"]
`

func BenchmarkExpand(b *testing.B) {
	for _, bench := range []struct{ name, text string }{{"Product", million}, {"Sections", sections},
		{"Grammar", everything}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s, err := Parse("s.yaml", []byte(bench.text))
				if err != nil {
					b.Fatal(err)
				}
				n = len(s.Experiments)
			}
			b.ReportMetric(float64(n), "experiments")
			b.ReportMetric(peak(b), "peak-MiB")
		})
	}
}

// peak returns the peak memory of the process, in MiB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("needs /proc")
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / 1024
}

func BenchmarkID(b *testing.B) {
	e := defaultExperiment(Embedded)
	e.Model = "m/n"
	b.ReportAllocs()
	for b.Loop() {
		e.ID()
	}
}
