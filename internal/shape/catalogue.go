package shape

// dims are the numbers in which members of one family differ.
type dims struct {
	hidden, layers, heads, kv, head, ffn, vocab, context int
	tied                                                 bool
}

func (d dims) config(arch string, theta, eps float64) Config {
	return Config{
		Arch: arch, Hidden: d.hidden, Layers: d.layers, Heads: d.heads, KVHeads: d.kv, HeadDim: d.head,
		FFN: d.ffn, Vocab: d.vocab, Context: d.context, Tied: d.tied, RopeTheta: theta, NormEps: eps,
	}
}

func llama(d dims, theta float64) Config { return d.config(ArchLlama, theta, 1e-5) }

func qwen2(d dims) Config {
	c := d.config(ArchQwen2, 1e6, 1e-6)
	c.QKVBias = true
	return c
}

func qwen3(d dims) Config {
	c := d.config(ArchQwen3, 1e6, 1e-6)
	c.QKNorm = true
	return c
}

func qwen3moe(d dims, experts, used, width int) Config {
	c := qwen3(d)
	c.Arch, c.Experts, c.ExpertsUsed, c.ExpertFFN = ArchQwen3MoE, experts, used, width
	return c
}

func gemma2(d dims, window, scalar int) Config {
	c := d.config(ArchGemma2, 1e4, 1e-6)
	c.PostNorms, c.SlidingWindow, c.GlobalEvery = true, window, 2
	c.AttnSoftcap, c.FinalSoftcap, c.QueryScalar = 50, 30, scalar
	return c
}

func gemma3(d dims, window int) Config {
	c := d.config(ArchGemma3, 1e6, 1e-6)
	c.PostNorms, c.QKNorm, c.SlidingWindow, c.GlobalEvery = true, true, window, 6
	c.RopeLocalTheta, c.QueryScalar = 1e4, d.head
	return c
}

// catalogue holds the dimensions of each model's published config.json. Rotary scaling for long contexts is
// omitted: it changes neither size nor work.
var catalogue = []Shape{
	{"tiny-llama", "", llama(dims{64, 2, 4, 2, 16, 192, 512, 2048, true}, 1e4)},
	{"tiny-qwen2", "", qwen2(dims{64, 2, 4, 2, 16, 192, 512, 2048, true})},
	{"tiny-qwen3", "", qwen3(dims{64, 2, 4, 2, 32, 192, 512, 2048, true})},
	{"tiny-qwen3moe", "", qwen3moe(dims{64, 2, 4, 2, 32, 192, 512, 2048, false}, 8, 2, 96)},
	{"tiny-gemma2", "", gemma2(dims{64, 2, 4, 2, 32, 192, 512, 2048, true}, 128, 32)},
	{"tiny-gemma3", "", gemma3(dims{64, 6, 4, 1, 32, 192, 512, 2048, true}, 128)},

	{"smollm2-135m", "HuggingFaceTB/SmolLM2-135M", llama(dims{576, 30, 9, 3, 64, 1536, 49152, 8192, true}, 1e5)},
	{"smollm2-360m", "HuggingFaceTB/SmolLM2-360M", llama(dims{960, 32, 15, 5, 64, 2560, 49152, 8192, true}, 1e5)},
	{"smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", llama(dims{2048, 24, 32, 32, 64, 8192, 49152, 8192, true}, 1.3e5)},
	{"tinyllama-1.1b", "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
		llama(dims{2048, 22, 32, 4, 64, 5632, 32000, 2048, false}, 1e4)},
	{"llama-3.2-1b", "meta-llama/Llama-3.2-1B", llama(dims{2048, 16, 32, 8, 64, 8192, 128256, 131072, true}, 5e5)},
	{"llama-3.2-3b", "meta-llama/Llama-3.2-3B", llama(dims{3072, 28, 24, 8, 128, 8192, 128256, 131072, true}, 5e5)},
	{"llama-2-7b", "meta-llama/Llama-2-7b-hf", llama(dims{4096, 32, 32, 32, 128, 11008, 32000, 4096, false}, 1e4)},
	{"mistral-7b", "mistralai/Mistral-7B-v0.3", llama(dims{4096, 32, 32, 8, 128, 14336, 32768, 32768, false}, 1e6)},
	{"llama-3.1-8b", "meta-llama/Llama-3.1-8B", llama(dims{4096, 32, 32, 8, 128, 14336, 128256, 131072, false}, 5e5)},
	{"llama-2-13b", "meta-llama/Llama-2-13b-hf", llama(dims{5120, 40, 40, 40, 128, 13824, 32000, 4096, false}, 1e4)},
	{"llama-3.1-70b", "meta-llama/Llama-3.1-70B", llama(dims{8192, 80, 64, 8, 128, 28672, 128256, 131072, false}, 5e5)},

	{"qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B", qwen2(dims{896, 24, 14, 2, 64, 4864, 151936, 32768, true})},
	{"qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B", qwen2(dims{1536, 28, 12, 2, 128, 8960, 151936, 131072, true})},
	{"qwen2.5-3b", "Qwen/Qwen2.5-3B", qwen2(dims{2048, 36, 16, 2, 128, 11008, 151936, 32768, true})},
	{"qwen2.5-7b", "Qwen/Qwen2.5-7B", qwen2(dims{3584, 28, 28, 4, 128, 18944, 152064, 131072, false})},
	{"qwen2.5-32b", "Qwen/Qwen2.5-32B", qwen2(dims{5120, 64, 40, 8, 128, 27648, 152064, 131072, false})},

	{"qwen3-0.6b", "Qwen/Qwen3-0.6B", qwen3(dims{1024, 28, 16, 8, 128, 3072, 151936, 40960, true})},
	{"qwen3-1.7b", "Qwen/Qwen3-1.7B", qwen3(dims{2048, 28, 16, 8, 128, 6144, 151936, 40960, true})},
	{"qwen3-4b", "Qwen/Qwen3-4B", qwen3(dims{2560, 36, 32, 8, 128, 9728, 151936, 40960, true})},
	{"qwen3-8b", "Qwen/Qwen3-8B", qwen3(dims{4096, 36, 32, 8, 128, 12288, 151936, 40960, false})},
	{"qwen3-14b", "Qwen/Qwen3-14B", qwen3(dims{5120, 40, 40, 8, 128, 17408, 151936, 40960, false})},
	{"qwen3-32b", "Qwen/Qwen3-32B", qwen3(dims{5120, 64, 64, 8, 128, 25600, 151936, 40960, false})},
	{"qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B",
		qwen3moe(dims{2048, 48, 32, 4, 128, 6144, 151936, 40960, false}, 128, 8, 768)},

	{"gemma-3-270m", "google/gemma-3-270m", gemma3(dims{640, 18, 4, 1, 256, 2048, 262144, 32768, true}, 512)},
	{"gemma-3-1b", "google/gemma-3-1b-pt", gemma3(dims{1152, 26, 4, 1, 256, 6912, 262144, 32768, true}, 512)},
	{"gemma-2-2b", "google/gemma-2-2b", gemma2(dims{2304, 26, 8, 4, 256, 9216, 256000, 8192, true}, 4096, 256)},
	{"gemma-2-9b", "google/gemma-2-9b", gemma2(dims{3584, 42, 16, 8, 256, 14336, 256000, 8192, true}, 4096, 256)},
	{"gemma-2-27b", "google/gemma-2-27b", gemma2(dims{4608, 46, 32, 16, 128, 36864, 256000, 8192, true}, 4096, 144)},
}
