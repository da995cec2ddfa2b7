package plan

import (
	"cmp"
	"strings"

	"github.com/llenergymeasure/llem/internal/estimate"
	"github.com/llenergymeasure/llem/study"
	"github.com/llenergymeasure/llem/unit"
)

// section is what an estimate reads of the section of a backend.
type section struct {
	attention, device, quantization, cacheType string
	tensor, pipeline, copies                   int
	pool                                       float64
	poolCache                                  unit.Bytes
	cacheBits                                  float64
	cacheTokens, chunk                         int
	onCPU                                      bool
}

// sectionOf reads the section of an experiment's backend.
func sectionOf(x study.Experiment) section {
	switch {
	case x.Backend == study.PyTorch && x.PyTorch != nil:
		p := x.PyTorch
		return section{attention: p.AttnImplementation, device: p.Device, onCPU: p.Device == "cpu"}
	case x.Backend == study.VLLM && x.VLLM != nil:
		v := x.VLLM
		return section{quantization: v.Quantization, cacheType: v.KVCacheDType, cacheBits: bitsOf(v.KVCacheDType),
			tensor: v.TensorParallelSize, pipeline: v.PipelineParallelSize,
			copies: v.DataParallelSize, pool: v.GPUMemoryUtilization, poolCache: unit.Bytes(v.KVCacheMemoryBytes),
			chunk: v.MaxNumBatchedTokens}
	case x.Backend == study.SGLang && x.SGLang != nil:
		g := x.SGLang
		return section{quantization: g.Quantization, cacheType: g.KVCacheDType, cacheBits: bitsOf(g.KVCacheDType),
			tensor: g.TensorParallelSize, pipeline: g.PipelineParallelSize,
			copies: g.DataParallelSize, pool: g.MemFractionStatic, chunk: g.ChunkedPrefillSize}
	case x.Backend == study.TensorRT && x.TensorRT != nil:
		r := x.TensorRT
		return section{cacheType: r.KVCacheDType, cacheBits: bitsOf(r.KVCacheDType), tensor: r.TensorParallelSize,
			pipeline: r.PipelineParallelSize,
			pool:     r.FreeGPUMemoryFraction, chunk: r.MaxNumTokens}
	case x.Backend == study.LlamaCpp && x.LlamaCpp != nil:
		l := x.LlamaCpp
		// Keys and values may differ; an element costs the mean of both.
		k, v := cmp.Or(bitsOf(l.CacheTypeK), 16), cmp.Or(bitsOf(l.CacheTypeV), 16)
		return section{cacheBits: (k + v) / 2, cacheTokens: l.ContextSize, chunk: l.UBatchTokens,
			onCPU: l.GPULayers == "0"}
	}
	return section{onCPU: x.Backend == study.Embedded}
}

// bitsOf is the size of an element of a key/value cache; 0 leaves it to the model. ggml's
// types are blocks of 32 with a scale, some with an offset.
func bitsOf(cache string) float64 {
	switch cache {
	case "f32":
		return 32
	case "f16", "bf16", "bfloat16":
		return 16
	case "fp8", "fp8_e4m3", "fp8_e5m2", "int8":
		return 8
	case "nvfp4":
		return 4.5
	case "q8_0":
		return 8.5
	case "q5_1":
		return 6
	case "q5_0":
		return 5.5
	case "q4_1":
		return 5
	case "q4_0", "iq4_nl":
		return 4.5
	}
	return 0
}

// Sequences in one step of a server whose study does not say: vLLM's usual limit, which
// the others are taken to have as well, and llama.cpp's slots.
const serverSequences, llamaSlots = 256, 4

// batchOf is how many sequences are in a full step.
func batchOf(x study.Experiment) int {
	n := x.BatchSize()
	switch {
	case n > 0:
		return n
	case x.Backend == study.LlamaCpp:
		return llamaSlots
	}
	return serverSequences
}

// formatOf is the format of the weights that a backend will use, and a remark where
// that is a guess.
func formatOf(x study.Experiment, s section) (estimate.Format, string) {
	dtype := estimate.BF16
	if f, err := estimate.ParseFormat(x.DType); err == nil {
		dtype = f
	} else if x.Backend == study.Embedded {
		dtype = estimate.FP16
	}
	if s.quantization == "" || s.quantization == "auto" {
		return dtype, ""
	}
	if f, err := estimate.ParseFormat(s.quantization); err == nil {
		return f, ""
	}
	return dtype, "how many bits the quantisation " + s.quantization +
		" keeps is in the model's files: estimated as " + string(dtype)
}

// choiceOf is what the experiment asks the device to compute in.
func choiceOf(x study.Experiment) estimate.Choice {
	s := sectionOf(x)
	return estimate.Choice{Backend: x.Backend, DType: x.DType, Quantization: strings.ToLower(s.quantization),
		Cache: s.cacheType, Attention: s.attention}
}

// onGPU says that the engine may run on a GPU.
func onGPU(x study.Experiment) bool {
	return x.Backend != study.Embedded && x.Backend != study.Fake && !sectionOf(x).onCPU
}
