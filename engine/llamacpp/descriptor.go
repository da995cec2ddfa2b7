package llamacpp

import (
	"cmp"

	"github.com/llenergymeasure/llem/backend"
	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/codes"
	"github.com/llenergymeasure/llem/internal/option"
)

const (
	// variable is the path of llama-server.
	variable = "LLEM_LLAMA_SERVER"
	install  = "git clone https://github.com/ggml-org/llama.cpp && cmake -S llama.cpp -B llama.cpp/build " +
		"-DGGML_CUDA=ON && cmake --build llama.cpp/build --target llama-server; then put it into PATH, or its path " +
		"into " + variable
)

// cacheTypes are the types of a KV cache.
var cacheTypes = []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"}

// Descriptor describes the engine to the program.
func Descriptor() engine.Descriptor {
	return engine.Descriptor{
		Name: name, Title: title, Aliases: []string{"llama_cpp", "llama.cpp"}, Chats: true,
		Decoding: map[string]string{"temperature": "", "top_p": "", "top_k": "", "seed": "", "min_p": "",
			"repetition_penalty": ""},
		Section: func() engine.Section { return new(settings) },
		Serves:  func(engine.Section) bool { return true },
		GGUF:    true, Sequences: slots,
		Estimate: estimate,
		GPU:      func(s engine.Section) bool { return s.(*settings).gpuLayers != "0" },
		Image:    "ghcr.io/ggml-org/llama.cpp:server-cuda", Program: program,
		Variable: variable,
		Profile:  profile(),
		Symptoms: symptoms(),
		Packages: []string{"llama-cpp-python"},
		New:      func(e engine.Env) backend.Backend { return newBackend(e.Get(variable)) },
	}
}

func estimate(section engine.Section) engine.Estimate {
	s := section.(*settings)
	// Keys and values may differ; an element costs the mean of both.
	k, v := cmp.Or(option.CacheBits(s.cacheTypeK), 16), cmp.Or(option.CacheBits(s.cacheTypeV), 16)
	return engine.Estimate{CacheBits: (k + v) / 2, CacheTokens: s.contextSize, Chunk: s.ubatchTokens,
		Unknown: option.Adapted(s.lora)}
}

// profile is nominal.
func profile() *engine.Profile {
	return &engine.Profile{GGML: true, Context: option.MiB(400), Buffers: option.MiB(300), Chunk: 512, Step: 1e-3,
		Elementwise: 0.5, CacheMoves: 1, Start: 2, LoadRate: 2e9, First: 1}
}

// symptoms are from llama.cpp's sources and runs.
func symptoms() []backend.Symptom {
	return []backend.Symptom{
		{Class: codes.ClassKVTooSmall, Texts: []string{"failed to find a memory slot",
			"exceeds the available context size", "kv cache is full"}},
		{Class: codes.ClassOOMGPU, Texts: []string{"cudaMalloc failed: out of memory", "unable to allocate CUDA",
			"failed to allocate CUDA"}},
		{Class: codes.ClassCorruptModel, Texts: []string{"invalid magic characters", "is not within the file bounds",
			"tensor…has wrong shape"}},
		{Class: codes.ClassModelNotFound, Texts: []string{"failed to open GGUF",
			"gguf_init_from_file: failed to open"}},
		{Class: codes.ClassUnsupportedModel, Texts: []string{"unknown model architecture"}},
		{Class: codes.ClassPortInUse, Texts: []string{"couldn't bind HTTP server socket"}},
	}
}
