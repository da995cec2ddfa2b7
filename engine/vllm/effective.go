package vllm

import (
	"regexp"
	"strings"

	"github.com/llenergymeasure/llem/internal/asked"
)

// cacheLabels maps the labels of the cache metric to keys.
var cacheLabels = map[string]string{"block_size": "block_size", "cache_dtype": "kv_cache_dtype",
	"cpu_offload_gb": "cpu_offload_gb", "enable_prefix_caching": "enable_prefix_caching",
	"gpu_memory_utilization": "gpu_memory_utilization", "kv_cache_memory_bytes": "kv_cache_memory_bytes"}

// configLine is the line in which each engine core prints its configuration.
var configLine = regexp.MustCompile(`(?m)^.*Initializing a V1 LLM engine .*$`)

// configKeys match the settings in that line, by key.
var configKeys = func() map[string][]*regexp.Regexp {
	out := map[string][]*regexp.Regexp{
		"cudagraph_mode":          {regexp.MustCompile(`cudagraph_mode['"]?: ?<CUDAGraphMode\.([A-Z_]+)`)},
		"cudagraph_capture_sizes": {regexp.MustCompile(`cudagraph_capture_sizes['"]?: ?\[([0-9, ]+)\]`)},
		"speculative_method":      {regexp.MustCompile(`speculative_config=(None)`), specific("method")},
		"speculative_model":       {specific("model")},
		"num_speculative_tokens":  {specific("num_spec_tokens")},
	}
	for key, names := range map[string][]string{
		"dtype": {"dtype"}, "max_model_len": {"max_seq_len"}, "quantization": {"quantization"},
		"kv_cache_dtype": {"kv_cache_dtype"}, "tensor_parallel_size": {"tensor_parallel_size"},
		"pipeline_parallel_size": {"pipeline_parallel_size"}, "data_parallel_size": {"data_parallel_size"},
		"disable_custom_all_reduce": {"disable_custom_all_reduce"}, "enforce_eager": {"enforce_eager"},
		"enable_prefix_caching":  {"enable_prefix_caching"},
		"enable_chunked_prefill": {"enable_chunked_prefill", "chunked_prefill_enabled"},
	} {
		for _, n := range names {
			out[key] = append(out[key], regexp.MustCompile(`[ ,(]`+n+`=([^,\s]+)`))
		}
	}
	return out
}()

// specific matches a part of the configuration of speculative decoding.
func specific(name string) *regexp.Regexp {
	return regexp.MustCompile(`speculative_config=SpeculativeConfig\([^)]*\b` + name + `=([^,)]+)`)
}

// lines match settings that are printed on separate lines.
var lines = map[string][]*regexp.Regexp{
	"attention_backend": {
		regexp.MustCompile(`Using ([A-Z0-9_]+) attention backend`),
		regexp.MustCompile(`Using (?:AttentionBackendEnum\.)?([A-Z0-9_]+) backend\b`)},
	"max_num_batched_tokens": {regexp.MustCompile(`Chunked prefill is enabled with max_num_batched_tokens=([0-9]+)`)},
	"async_scheduling":       {regexp.MustCompile(`Asynchronous scheduling is (enabled|disabled)`)},
}

// printed reads the settings from the server's output, by key.
func printed(text string) map[string]string {
	out := asked.Found(text, lines)
	for key, value := range asked.Found(strings.Join(configLine.FindAllString(text, -1), "\n"), configKeys) {
		out[key] = strings.TrimPrefix(value, "torch.")
	}
	if v, ok := out["async_scheduling"]; ok {
		out["async_scheduling"] = map[bool]string{true: "true", false: "false"}[v == "enabled"]
	}
	out["mode"] = "serve"
	return out
}
