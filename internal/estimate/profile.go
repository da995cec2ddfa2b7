package estimate

import (
	"slices"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/engine/engines"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/option"
	"github.com/llenergymeasure/llem/internal/shape"
)

// Constants of the roofline, fitted on bench/results: PyTorch 2.11 with transformers
// 5.17 on an H200, llama-3.1-8b in bfloat16. They are the same on all devices.
const (
	// matrixShare is the part of the peak rate that large matrix products reach: 8 prompts of 512 tokens in 111 ms, 32
	// of 128 in 110 ms, 16 of 2048 in 942 ms (model: 111, 111, 911), including the effect of the power limit.
	matrixShare = 0.65
	// bandwidthShare is the part of the memory's rate that streaming kernels reach.
	bandwidthShare = 0.8
	// A device that holds a context idles at higher clocks: 122 W instead of 79 W.
	contextShare = 0.07
	// What a kernel draws above that, as a part of TDP − idle, while it keeps the memory or the matrix units busy.
	// Decode steps measured 200 to 300 W, prefill 280 W (128 tokens) up to the limit. Bursts of 100 ms exceed it: 790
	// W of 700 W.
	memoryDraw, matrixDraw = 0.8, 1.1
)

// Tensor parallelism: two all-reduces a layer. Nominal values, not measured.
const (
	linkBandwidth = 150e9 // bytes per second that an all-reduce reaches
	linkLatency   = 20e-6 // seconds each
)

// profile is what an engine adds to the arithmetic.
type profile struct {
	memory engine.MemoryModel
	ggml   bool
	// context is the memory of the driver and the libraries on the device. reserve is the part of the memory other
	// than weights and workspace that the allocator keeps beyond the peak.
	context digits.Bytes
	reserve float64
	// buffers are the engine's own, such as captured graphs.
	buffers digits.Bytes
	// pool is the share of the device that the engine takes at start, used or not.
	pool float64
	// chunk bounds the prompt tokens of one step; 0 sets no limit.
	chunk int

	launch float64 // seconds of the host for one kernel; 0 if graphs are replayed
	step   float64 // further seconds of the host for one step
	// elementwise is the traffic of norms, rotations and activations relative to
	// separate kernels for each operation.
	elementwise float64
	// cacheMoves is how often a decode step moves the cache: reading it once is 1, growing it by a copy is 3.
	cacheMoves float64

	start    float64 // seconds from the command to the beginning of loading
	loadRate float64 // bytes of weights per second
	first    float64 // extra seconds of the first warm-up
	fitted   bool    // fitted on measurements; otherwise nominal
}

// Backends lists the engines of this program that can be estimated.
func Backends() []string {
	var out []string
	for _, d := range engines.All() {
		if d.Profile != nil {
			out = append(out, d.Name)
		}
	}
	slices.Sort(out)
	return out
}

// kernels returns the number of kernels that PyTorch launches for one step, without compilation: a norm is 8
// kernels (to float32, square, mean, add, root, scale, back, weights), a rotation of q or k 5; 7 matrix products,
// 2 copies that grow the cache, 2 for attention, 2 for the activation and 2 sums. Outside of the layers there are
// about 20.
func kernels(c shape.Config, attention string) float64 {
	layer := 41
	if c.QKNorm {
		layer += 16
	}
	if c.PostNorms {
		layer += 16
	}
	if attention == "eager" {
		layer += 9 // repeat k and v, product, scale, mask, softmax in float32 and back, product
	}
	if c.Experts > 0 {
		layer += 25 // route, sort, gather, grouped products, scatter
	}
	return float64(c.Layers*layer + 20)
}

// elementBytes returns the traffic of one token in one layer besides the matrix products, for operands of e bytes,
// each operation reading and writing memory: two norms (partly in float32), rotation, growth of the cache,
// activation and sums.
func elementBytes(c shape.Config, e float64) float64 {
	h, q, kv := float64(c.Hidden), float64(c.Heads*c.HeadDim), float64(c.KVHeads*c.HeadDim)
	norms := 2.0
	if c.PostNorms {
		norms = 4
	}
	ffn := float64(c.FFN)
	if c.Experts > 0 {
		// The rows of all experts that a token visits are gathered and scattered.
		ffn = float64(c.ExpertsUsed * (c.ExpertFFN + c.Hidden))
	}
	b := norms*(4*e+28)*h + 6*e*h + 10*e*(q+kv) + 4*e*kv + 4*e*q + 5*e*ffn
	if c.QKNorm {
		b += (4*e + 28) * (q + kv)
	}
	return b
}

// profileOf returns the profile of an engine; an engine without one is treated as a server.
func profileOf(backend string) profile {
	p := engines.Find(nil, strings.ToLower(backend)).Profile
	if p == nil {
		p = &engine.Profile{Context: option.MiB(600), Buffers: option.MiB(1500), Pool: 0.9, Chunk: 8192,
			Step: 1.5e-3, Elementwise: 0.25, CacheMoves: 1, Start: 40, LoadRate: 2e9, First: 2}
	}
	return profileFrom(*p)
}

func profileFrom(p engine.Profile) profile {
	return profile{memory: p.Memory, ggml: p.GGML, context: digits.Bytes(p.Context), reserve: p.Reserve,
		buffers: digits.Bytes(p.Buffers), pool: p.Pool, chunk: p.Chunk, launch: p.Launch, step: p.Step,
		elementwise: p.Elementwise, cacheMoves: p.CacheMoves, start: p.Start, loadRate: p.LoadRate, first: p.First,
		fitted: p.Fitted}
}
