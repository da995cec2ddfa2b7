package study

import (
	"fmt"
	"slices"
	"strings"
)

// rule names values that do not fit together.
type rule struct {
	// key is the one to point at.
	key  string
	when func(*settings) bool
	msg  func(*settings) string
	hint string
}

// conflict finds the first rule that the settings break, or nil.
func conflict(s *settings) *rule {
	for i := range rules {
		if rules[i].when(s) {
			return &rules[i]
		}
	}
	return nil
}

// greedyOnly are the backends that take the most likely token, whatever they are told. A
// test holds that every backend of this program either is one of them or samples.
var greedyOnly = []string{Embedded, PyTorch, Fake}

// servers are the backends that are sent requests one by one.
var servers = []string{VLLM, SGLang, TensorRT, LlamaCpp}

var rules = []rule{
	{"workload.concurrency", func(s *settings) bool {
		return s.Workload.Concurrency > 0 &&
			(!slices.Contains(servers, s.Backend) || s.Backend == VLLM && s.vllm.Mode == "offline")
	}, func(s *settings) string {
		return fmt.Sprintf("workload.concurrency is %d, but the %s backend is given all requests at once",
			s.Workload.Concurrency, s.Backend)
	}, "leave it out, or set the batch size"},
	{"decoding.temperature", func(s *settings) bool { return s.preset == presetGreedy && s.Decoding.Temperature > 0 },
		func(s *settings) string {
			return fmt.Sprintf("decoding.preset greedy is temperature 0, but decoding.temperature is %g",
				s.Decoding.Temperature)
		}, "leave one of them out"},
	{"decoding.temperature", func(s *settings) bool {
		return s.Decoding.Temperature > 0 && slices.Contains(greedyOnly, s.Backend)
	}, func(s *settings) string {
		return fmt.Sprintf("decoding.temperature is %g, but the %s backend takes the most likely token only",
			s.Decoding.Temperature, s.Backend)
	}, "use decoding.preset: greedy"},
	{"dtype", func(s *settings) bool {
		return (s.DType == "q8_0" || s.DType == "q4_0") &&
			(s.Backend == PyTorch || s.Backend == VLLM || s.Backend == SGLang || s.Backend == TensorRT)
	}, func(s *settings) string {
		return fmt.Sprintf("dtype %s is a ggml format that the %s backend does not run", s.DType, s.Backend)
	}, "use float32, float16 or bfloat16, or backend: embedded"},
	torchRule("attn_implementation", func(s *settings) bool { return s.flash() && s.DType == "float32" },
		func(s *settings) string { return s.pytorch.AttnImplementation + " does not run dtype float32" },
		"use float16 or bfloat16, or another implementation"),
	torchRule("attn_implementation", func(s *settings) bool { return s.flash() && s.pytorch.Device == "cpu" },
		func(s *settings) string {
			return s.pytorch.AttnImplementation + " needs a GPU, but pytorch.device is cpu"
		},
		"use sdpa or eager on the CPU"),
	torchRule("attn_implementation",
		func(s *settings) bool { return s.flash() && s.pytorch.CacheImplementation == "static" },
		func(s *settings) string {
			return s.pytorch.AttnImplementation + " does not run with pytorch.cache_implementation static"
		},
		"use sdpa, or the dynamic cache"),
	torchRule("compile", func(s *settings) bool {
		return s.pytorch.Compile != "" && s.pytorch.CacheImplementation != "static"
	}, func(s *settings) string {
		return s.pytorch.Compile +
			" does not run with pytorch.cache_implementation dynamic: a cache that grows has no fixed shape"
	}, "set pytorch.cache_implementation: static"),
	torchRule("compile", func(s *settings) bool {
		return s.pytorch.Compile == "reduce-overhead" &&
			s.pytorch.Device == "cpu"
	},
		func(*settings) string {
			return "reduce-overhead is CUDA graphs: it needs a GPU, but pytorch.device is cpu"
		},
		"use default or max-autotune"),
	torchRule("compile", func(s *settings) bool { return s.pytorch.Compile != "" && s.Warmup.Runs == 0 },
		func(s *settings) string {
			return s.pytorch.Compile + " does not run with warmup.runs 0: it would compile inside of the window"
		},
		"set warmup.runs to 1 or more"),
	torchRule("device_map", func(s *settings) bool {
		p := s.pytorch
		return p.DeviceMap == "auto" &&
			(p.Device != "auto" && p.Device != "cuda" || p.CacheImplementation != "" || p.Batching != "" ||
				p.Quantization != "")
	}, func(*settings) string {
		return "auto does not run with one device, a static cache, continuous batching or quantised weights"
	}, "remove these keys, or use single"),
	torchRule("tensor_parallel_size",
		func(s *settings) bool { return s.pytorch.TensorParallelSize > 1 && s.pytorch.undivided() != "" },
		func(s *settings) string {
			return fmt.Sprintf("%d does not run with pytorch.%s", s.pytorch.TensorParallelSize, s.pytorch.undivided())
		}, "remove one of the two"),
	torchRule("matmul_precision",
		func(s *settings) bool { return s.pytorch.MatmulPrecision != "" && s.DType != "float32" },
		func(s *settings) string {
			return s.pytorch.MatmulPrecision + " does not run with dtype " + s.DType +
				": it concerns products of float32"
		},
		"remove it, or use dtype: float32"),
	torchRule("batching", func(s *settings) bool {
		p := s.pytorch
		return p.Batching == "continuous" && (p.CacheImplementation != "" || p.Compile != "" || p.PrefillChunkSize != 0)
	}, func(*settings) string {
		return "continuous does not run with a static cache, compile or prefill_chunk_size: it has a paged cache " +
			"and a scheduler of its own"
	}, "remove these keys, or use static"),
	{"vllm.gpu_memory_utilization", func(s *settings) bool {
		return s.Backend == VLLM && s.vllm.GPUMemoryUtilization > 0 && s.vllm.KVCacheMemoryBytes > 0
	}, func(*settings) string {
		return "vllm.gpu_memory_utilization and vllm.kv_cache_memory_bytes both size the KV cache"
	}, "give one of them"},
	idle(VLLM, "vllm.num_speculative_tokens", "vllm.speculative_method",
		"speculative_model or num_speculative_tokens", func(s *settings) bool {
			return s.vllm.SpeculativeMethod == "" && (s.vllm.SpeculativeModel != "" || s.vllm.SpeculativeTokens > 0)
		}),
	idle(SGLang, "sglang.speculative_num_steps", "sglang.speculative_algorithm", "another key of speculation",
		func(s *settings) bool {
			g := s.sglang
			return g.SpeculativeAlgorithm == "" &&
				(g.SpeculativeDraftModel != "" || g.SpeculativeSteps > 0 || g.SpeculativeEagleTopK > 0 ||
					g.SpeculativeDraftTokens > 0)
		}),
	idle(TensorRT, "tensorrt.speculative_max_draft_len", "tensorrt.speculative_decoding_type",
		"speculative_model or speculative_max_draft_len", func(s *settings) bool {
			return s.tensorrt.SpeculativeDecodingType == "" &&
				(s.tensorrt.SpeculativeModel != "" || s.tensorrt.SpeculativeMaxDraftLen > 0)
		}),
	{"tensorrt.cuda_graph_batch_sizes", func(s *settings) bool {
		return s.Backend == TensorRT && s.tensorrt.CUDAGraphBatchSizes != "" && s.tensorrt.CUDAGraphMaxBatchSize > 0
	}, func(*settings) string {
		return "tensorrt.cuda_graph_batch_sizes and tensorrt.cuda_graph_max_batch_size both choose what is captured"
	}, "give one of them"},
	tooShort(VLLM, "vllm.max_model_len", func(s *settings) int { return s.vllm.MaxModelLen }),
	tooShort(SGLang, "sglang.context_length", func(s *settings) int { return s.sglang.ContextLength }),
	tooShort(TensorRT, "tensorrt.max_seq_len", func(s *settings) int { return s.tensorrt.MaxSeqLen }),
}

// idle finds keys that do nothing without another one; at is the one to point at.
func idle(backend, at, key, others string, when func(*settings) bool) rule {
	return rule{at, func(s *settings) bool { return s.Backend == backend && when(s) }, func(*settings) string {
		return fmt.Sprintf("%s is not given, and without it %s means nothing", key, others)
	}, "give it, or leave the others out"}
}

// torchRule is a rule of the PyTorch backend; its message begins with the key.
func torchRule(key string, when func(*settings) bool, msg func(*settings) string, hint string) rule {
	key = PyTorch + "." + key
	return rule{key, func(s *settings) bool { return s.Backend == PyTorch && when(s) },
		func(s *settings) string { return key + " " + msg(s) }, hint}
}

// undivided is a setting with which devices cannot share the layers; "" if there is none.
func (p PyTorchSection) undivided() string {
	switch {
	case p.DeviceMap != "":
		return "device_map " + p.DeviceMap
	case p.Quantization != "":
		return "quantization " + p.Quantization
	case p.Batching != "":
		return "batching " + p.Batching
	case p.Compile != "":
		return "compile " + p.Compile
	case strings.HasPrefix(p.Device, "cuda:"):
		return "device " + p.Device + ": it takes the first visible GPUs"
	}
	return ""
}

// flash says that attention needs a package of its own.
func (s *settings) flash() bool {
	return strings.HasPrefix(s.pytorch.AttnImplementation, "flash_attention_")
}

// tooShort finds a sequence that is longer than the engine is set up for. Prompts of a
// data set may be shorter than workload.input_tokens, so only synthetic ones count.
func tooShort(backend, key string, most func(*settings) int) rule {
	return rule{key, func(s *settings) bool {
		n := most(s)
		return s.Backend == backend && n > 0 && s.Workload.Dataset == "synthetic" && s.Workload.InputTokens+
			s.Workload.OutputTokens > n
	}, func(s *settings) string {
		return fmt.Sprintf("%s %d is less than %d input and %d output tokens", key, most(s), s.Workload.InputTokens,
			s.Workload.OutputTokens)
	}, "raise it, or use a shorter workload"}
}
