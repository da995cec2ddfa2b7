package sglang

import (
	"maps"
	"testing"
)

// TestInUse: the server's arguments by key.
func TestInUse(t *testing.T) {
	got := inUse([]byte(`{"tp_size":2,"dp_size":1,"attention_backend":"fa3","quantization":null,"kv_cache_dtype":"auto",
		"mem_fraction_static":0.87,"chunked_prefill_size":8192,"disable_cuda_graph":false,"cuda_graph_max_bs":null,
		"cuda_graph_bs":[1,2,4],"sampling_backend":"flashinfer","schedule_policy":"fcfs","max_running_requests":null,
		"internal_states":[{"memory_usage":{"weight":1.2}}],"model_path":"m"}`))
	want := map[string]string{"tensor_parallel_size": "2", "data_parallel_size": "1", "attention_backend": "fa3",
		"quantization": "none", "kv_cache_dtype": "auto", "mem_fraction_static": "0.87", "chunked_prefill_size": "8192",
		"disable_cuda_graph": "false", "cuda_graph_bs": "1,2,4", "sampling_backend": "flashinfer",
		"schedule_policy": "fcfs"}
	if !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if got := inUse([]byte("<html>")); len(got) > 0 {
		t.Errorf("%v of a page", got)
	}
}
