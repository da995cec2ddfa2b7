package vllm

import (
	"maps"
	"os"
	"testing"
)

// TestPrinted: the settings in the server's output, by key.
func TestPrinted(t *testing.T) {
	for file, want := range map[string]map[string]string{
		"testdata/printed/v0.19.log": {"dtype": "bfloat16", "max_model_len": "8192", "tensor_parallel_size": "4",
			"pipeline_parallel_size": "1", "data_parallel_size": "1", "disable_custom_all_reduce": "False",
			"quantization": "None", "enforce_eager": "False", "kv_cache_dtype": "auto", "enable_prefix_caching": "True",
			"enable_chunked_prefill": "True", "cudagraph_mode": "FULL_AND_PIECEWISE",
			"cudagraph_capture_sizes": "1, 2, 4, 8, 16", "attention_backend": "FLASH_ATTN", "async_scheduling": "true",
			"max_num_batched_tokens": "2048", "speculative_method": "None", "mode": "serve"},
		"testdata/printed/guesses.log": {"dtype": "float16", "enforce_eager": "True", "speculative_method": "ngram",
			"speculative_model": "None", "num_speculative_tokens": "3", "enable_chunked_prefill": "False",
			"attention_backend": "TRITON_ATTN", "async_scheduling": "false", "mode": "serve"},
		"/dev/null": {"mode": "serve"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := printed(string(text)); !maps.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", file, got, want)
		}
	}
}
