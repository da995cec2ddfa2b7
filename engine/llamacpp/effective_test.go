package llamacpp

import (
	"maps"
	"testing"
)

// TestPrinted: the settings in the server's output, by key.
func TestPrinted(t *testing.T) {
	const log = `0.03.887.589 I load_tensors: offloaded 33/33 layers to GPU
0.04.485.313 I llama_context: n_seq_max     = 4
0.04.485.313 I llama_context: n_ctx         = 4096
0.04.485.314 I llama_context: n_ctx_per_seq = 1024
0.04.485.314 I llama_context: n_batch       = 2048
0.04.485.315 I llama_context: n_ubatch      = 512
0.04.485.316 I llama_context: flash_attn    = auto
0.04.485.316 I llama_context: kv_unified    = false
llama_kv_cache: size = 640 MiB ( 4096 cells, 40 layers, 1/1 seqs), K (q8_0): 320 MiB, V (f16): 320 MiB
0.04.530.656 I llama_context: Flash Attention was auto, set to disabled
0.05.000.000 I system_info: n_threads = 8 (n_threads_batch = 16) / 32 | CUDA : ARCHS = 900 |
`
	want := map[string]string{"parallel": "4", "ctx_size": "4096", "batch_tokens": "2048", "ubatch_tokens": "512",
		"flash_attn": "false", "kv_unified": "false", "cache_type_k": "q8_0", "cache_type_v": "f16", "threads": "8",
		"threads_batch": "16", "n_gpu_layers": "all"}
	for asked, layers := range map[string]string{"": "all", "all": "all", "99": "99", "20": "all"} {
		want["n_gpu_layers"] = layers
		if got := printed(log, asked); !maps.Equal(got, want) {
			t.Errorf("asked for %q: %v\nwant %v", asked, got, want)
		}
	}
	if got := printed("load_tensors: offloaded 12/33 layers to GPU", "all"); got["n_gpu_layers"] != "12" {
		t.Errorf("%v of a part", got)
	}
}
