package pytorch

import (
	"strings"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/grammar"
	"github.com/llenergymeasure/llem/internal/option"
)

// variable names the interpreter for this engine only.
const variable = "LLEM_PYTHON_PYTORCH"

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: "PyTorch", Aliases: []string{"transformers", "torch",
			"hf"}, Summary: "transformers in a Python worker", Chats: true,
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "", "seed": "", "min_p": "",
			"repetition_penalty": "not with `batching: continuous`: the library's scheduler does not have it"},
		Section:   func() engine.Section { return defaults() },
		Conflict:  func(s engine.Section, j engine.Job) *engine.Conflict { return s.(*settings).conflict(j) },
		Forget:    forget,
		Settle:    func(s engine.Section, batch, _ int) { s.(*settings).BatchSize = batch },
		Schedules: func(s engine.Section) bool { return s.(*settings).Batching == "continuous" },
		Estimate:  estimate,
		HostToo:   true,
		GPU:       func(s engine.Section) bool { return s.(*settings).Device != "cpu" },
		Demands: func(s engine.Section) bool {
			device := s.(*settings).Device
			return device != "auto" && device != "cpu"
		},
		Program:  "python3",
		Variable: variable,
		Profile:  profile(),
		Packages: []string{"torch*", "transformers", "accelerate", "tokenizers", "safetensors", "sentencepiece",
			"triton", "kernels", "flash-attn*", "xformers", "peft", "bitsandbytes", "gptqmodel", "auto-gptq",
			"autoawq", "hqq", "optimum*"},
		New: func(e engine.Env) backend.Backend { return launcher{Python: e.Own(variable)} },
	}
}

func defaults() *settings {
	return &settings{BatchSize: 1, AttnImplementation: "sdpa", Device: "auto"}
}

// forget clears what can change without loading the model again.
func forget(section engine.Section) (anyLength bool) {
	s := section.(*settings)
	s.BatchSize, s.PrefillChunkSize = 0, 0
	if s.Compile == "" { // compiled code and graphs stay in memory
		s.CacheImplementation = ""
	}
	return true
}

// conflict returns values that do not fit together. Messages begin with the key.
func (s *settings) conflict(j engine.Job) *engine.Conflict {
	at := func(key, hint, format string, args ...any) *engine.Conflict {
		key = name + "." + key
		return engine.Conflictf(key, hint, key+" "+format, args...)
	}
	flash := strings.HasPrefix(s.AttnImplementation, "flash_attention_")
	switch {
	case flash && j.DType == "float32":
		return at("attn_implementation", "use float16 or bfloat16, or another implementation",
			"%s does not run dtype float32", s.AttnImplementation)
	case flash && s.Device == "cpu":
		return at("attn_implementation", "use sdpa or eager on the CPU", "%s needs a GPU, but pytorch.device is cpu",
			s.AttnImplementation)
	case flash && s.CacheImplementation == "static":
		return at("attn_implementation", "use sdpa, or the dynamic cache",
			"%s does not run with pytorch.cache_implementation static", s.AttnImplementation)
	case j.RepetitionPenalty > 0 && s.Batching == "continuous":
		return engine.Conflictf("decoding.repetition_penalty", "leave it out, or use pytorch.batching: static",
			"decoding.repetition_penalty %g does not run with pytorch.batching continuous: the library's scheduler "+
				"does not have it", j.RepetitionPenalty)
	case s.Compile != "":
		if c := s.compiling(j, at); c != nil {
			return c
		}
	}
	return s.sharing(j, at)
}

// compiling returns conflicts with a compiled decode step.
func (s *settings) compiling(j engine.Job,
	at func(key, hint, format string, args ...any) *engine.Conflict) *engine.Conflict {
	switch {
	case s.CacheImplementation != "static":
		return at("compile", "set pytorch.cache_implementation: static", "%s does not run with "+
			"pytorch.cache_implementation dynamic: a cache that grows has no fixed shape", s.Compile)
	case s.Compile == "reduce-overhead" && s.Device == "cpu":
		return at("compile", "use default or max-autotune",
			"reduce-overhead is CUDA graphs: it needs a GPU, but pytorch.device is cpu")
	case j.WarmupRuns == 0:
		return at("compile", "set warmup.runs to 1 or more",
			"%s does not run with warmup.runs 0: it would compile inside the window", s.Compile)
	}
	return nil
}

// sharing returns conflicts with several devices, or with a scheduler.
func (s *settings) sharing(j engine.Job,
	at func(key, hint, format string, args ...any) *engine.Conflict) *engine.Conflict {
	switch {
	case s.DeviceMap == "auto" && (s.Device != "auto" && s.Device != "cuda" || s.CacheImplementation != "" ||
		s.Batching != "" || s.Quantization != ""):
		return at("device_map", "remove these keys, or use single",
			"auto does not run with one device, a static cache, continuous batching or quantised weights")
	case s.DeviceMap == "auto" && s.LoRA != "":
		return at("lora", "remove it, or use pytorch.device_map: single",
			"%s does not run with pytorch.device_map auto", s.LoRA)
	case s.TensorParallelSize > 1 && s.undivided() != "":
		return at("tensor_parallel_size", "remove one of the two", "%d does not run with pytorch.%s",
			s.TensorParallelSize, s.undivided())
	case s.MatmulPrecision != "" && j.DType != "float32":
		return at("matmul_precision", "remove it, or use dtype: float32",
			"%s does not run with dtype %s: it concerns products of float32", s.MatmulPrecision, j.DType)
	case s.Batching == "continuous" && (s.CacheImplementation != "" || s.Compile != "" || s.PrefillChunkSize != 0):
		return at("batching", "remove these keys, or use static", "continuous does not run with a static cache, "+
			"compile or prefill_chunk_size: it has a paged cache and its own scheduler")
	}
	return nil
}

// undivided returns a setting with which devices cannot share the layers; "" if there is none.
func (s *settings) undivided() string {
	switch {
	case s.DeviceMap != "":
		return "device_map " + s.DeviceMap
	case s.Quantization != "":
		return "quantization " + s.Quantization
	case s.Batching != "":
		return "batching " + s.Batching
	case s.LoRA != "":
		return "lora " + s.LoRA
	case s.Compile != "":
		return "compile " + s.Compile
	case strings.HasPrefix(s.Device, "cuda:"):
		return "device " + s.Device + ": it takes the first visible GPUs"
	}
	return ""
}

// estimate supports the library's defaults only and names all other settings.
func estimate(section engine.Section) engine.Estimate {
	s := section.(*settings)
	var unknown []string
	for _, f := range s.Fields() {
		if f := grammar.Slot(f); f.Given() && f.Key != "batch_size" && f.Key != "attn_implementation" &&
			f.Key != "device" && f.Key != "quantization" {
			unknown = append(unknown, f.Key+"="+f.Get().String())
		}
	}
	return engine.Estimate{Attention: s.AttnImplementation, Unknown: strings.Join(unknown, ", "),
		Quantized: s.Quantization != "", Weights: s.weights()}
}

// weights describes how the libraries store the linear layers, with the defaults that llem_worker/quantise.py
// keeps: LLM.int8() with a 32-bit scale for each row; NF4 in blocks of 64 whose scales are 8 bits, with a 32-bit
// one for 256 of these; int8 with a 16-bit scale for each row; int4 in groups of 128 with a 16-bit scale and
// offset, laid out in tiles of 1024 columns; float8 with a 32-bit scale for each row.
func (s *settings) weights() engine.Weights {
	switch s.Quantization {
	case "bitsandbytes-8bit":
		return engine.Weights{Format: "int8", Bits: 8, RowBytes: 4}
	case "bitsandbytes-4bit":
		return engine.Weights{Format: "int4", Bits: 4 + 8.0/64 + 32.0/(64*256)}
	case "torchao-int8":
		return engine.Weights{Format: "int8", Bits: 8, RowBytes: 2}
	case "torchao-int4":
		return engine.Weights{Format: "int4", Bits: 4 + 32.0/128, Columns: 1024}
	case "torchao-float8":
		return engine.Weights{Format: "fp8", Bits: 8, RowBytes: 4}
	}
	return engine.Weights{}
}

// profile was fitted to bench/results. Host seconds: decode steps of 17 to 28 ms on virtual machines with slow
// cores, median 20 ms, at 1332 kernels. Start, load and first warm-up: 12 to 14 s and 3 to 7 s for 16 GB of random
// weights. The context is typical of H100-class drivers with PyTorch's libraries loaded, not measured; the reserve
// follows from a simulation of the caching allocator (2 to 6 % of the total).
func profile() *engine.Profile {
	return &engine.Profile{Memory: engine.MemoryTorch, Context: option.MiB(600), Reserve: 0.25, Launch: 15e-6,
		Elementwise: 1, CacheMoves: 3, Start: 8, LoadRate: 3e9, First: 5, Fitted: true, Widens: true}
}
