package naming_test

import (
	"strings"
	"testing"

	"github.com/llenergymeasure/llem/internal/naming"
	"github.com/llenergymeasure/llem/study"
)

// TestNaming: experiments are named by what varies among them, and no two have the same name.
func TestNaming(t *testing.T) {
	for name, q := range map[string]struct{ text, heads, first, last string }{
		"nothing varies": {"model: random:tiny-llama\n", "",
			"random:tiny-llama embedded auto batch 1", "random:tiny-llama embedded auto batch 1"},
		"a server's keys, decoding, concurrency and window": {`
model: random:tiny-llama
backend: vllm
decoding: {temperature: 0.7}
sweep:
  vllm.enable_chunked_prefill: [true, false]
  vllm.gpu_memory_utilization: [0.5, 0.9]
  workload.concurrency: [1, 16]
  decoding.top_p: [0.5, 0.9]
  energy.min_window: [5, 50]
`, "concurrency top_p min_window gpu_memory_utilization enable_chunked_prefill",
			"concurrency=1 top_p=0.5 min_window=5 gpu_memory_utilization=0.5 enable_chunked_prefill=true",
			"concurrency=16 top_p=0.9 min_window=50 gpu_memory_utilization=0.9 enable_chunked_prefill=false"},
		"what is left out, in the words of a study": {`
model: random:tiny-llama
backend: vllm
experiments:
  - {decoding.temperature: 0}
  - {decoding.temperature: 0.8, decoding.top_p: 0.95, decoding.repetition_penalty: 1.1, vllm.max_num_seqs: 8,
     warmup.max_seconds: 5, warmup.cover: sizes}
`, "temperature top_p repetition_penalty cover max_seconds max_num_seqs",
			"temperature=0 top_p=1 repetition_penalty=1 cover=all max_seconds=default max_num_seqs=default",
			"temperature=0.8 top_p=0.95 repetition_penalty=1.1 cover=sizes max_seconds=5 max_num_seqs=8"},
		"a chat template, or none": {"model: m/n\nbackend: vllm\nsweep: {workload.chat_template: [none, model]}\n",
			"chat_template", "chat_template=none", "chat_template=model"},
		"engines share a column": {`
model: random:tiny-llama
backend: [embedded, pytorch]
sweep: {pytorch.batch_size: [1, 8]}
`, "backend batch_size", "embedded batch_size=1", "pytorch batch_size=8"},
		"left to the engine": {`
model: random:tiny-llama
backend: vllm
experiments: [{}, {vllm.enable_chunked_prefill: false, dtype: bfloat16}]
`, "dtype enable_chunked_prefill", "auto enable_chunked_prefill=default", "bfloat16 enable_chunked_prefill=false"},
		"a default of this program": {`
model: random:tiny-llama
backend: pytorch
dtype: float32
experiments: [{}, {pytorch.batching: continuous, pytorch.matmul_precision: high}]
`, "batching matmul_precision", "batching=static matmul_precision=highest",
			"batching=continuous matmul_precision=high"},
		"two keys of one name": {`
model: random:tiny-llama
backend: vllm
decoding: {temperature: 0.7}
sweep: {seed: [1, 2], decoding.seed: [3, 4]}
`, "decoding.seed seed", "decoding.seed=3 seed=1", "decoding.seed=4 seed=2"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := study.Parse("s.yaml", []byte(q.text))
			if err != nil {
				t.Fatal(err)
			}
			n := naming.Of(s.Experiments)
			if got := strings.Join(n.Heads(), " "); got != q.heads {
				t.Errorf("columns %q, want %q", got, q.heads)
			}
			seen := map[string]bool{}
			for _, e := range s.Experiments {
				if l := n.Label(e); seen[l] {
					t.Errorf("two experiments are called %q", l)
				} else {
					seen[l] = true
				}
			}
			if got := n.Label(s.Experiments[0]); got != q.first {
				t.Errorf("the first is %q, want %q", got, q.first)
			}
			if got := n.Label(s.Experiments[len(s.Experiments)-1]); got != q.last {
				t.Errorf("the last is %q, want %q", got, q.last)
			}
		})
	}
}
