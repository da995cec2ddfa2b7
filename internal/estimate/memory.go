package estimate

import (
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/engine"
	"github.com/llenergymeasure/llem/internal/digits"
	"github.com/llenergymeasure/llem/internal/shape"
)

// Memory is the predicted memory of one device (or the host, for the embedded engine). The parts are as of the
// moment of the peak and add up to Total.
type Memory struct {
	Weights     digits.Bytes
	KVCache     digits.Bytes
	Activations digits.Bytes
	Logits      digits.Bytes
	Overhead    digits.Bytes // workspaces, tables, rounding, the engine's own buffers
	// Total is the estimate of a result's memory.peak_bytes.
	Total digits.Bytes
	// Phase is the phase of the peak: prefill or decode.
	Phase string
	// Context is the memory of driver and libraries, not included in Total.
	Context digits.Bytes
	// Load is the peak while the model is loaded, if that is higher.
	Load digits.Bytes
	// Device is the memory that the device will show as used: the context, and what the allocator keeps or the engine
	// takes for its pool.
	Device digits.Bytes
	// CacheAtEnd is the key/value cache after the last token.
	CacheAtEnd digits.Bytes
	Low, High  digits.Bytes // rough interval of Total
	Basis      string
}

// Needed returns the memory that must be free for the run to succeed: the context and the higher of the two peaks.
func (m Memory) Needed() digits.Bytes { return m.Context + max(m.Total, m.Load) }

// Parts describes Needed and its parts, largest first.
func (m Memory) Parts() string {
	if m.Load > m.Total {
		return fmt.Sprintf("%v (%v while loading the weights of %v, context %v)", m.Needed(), m.Load, m.Weights,
			m.Context)
	}
	words := []string{fmt.Sprintf("weights %v", m.Weights), fmt.Sprintf("KV cache %v", m.KVCache),
		fmt.Sprintf("activations %v", m.Activations+m.Logits), fmt.Sprintf("overhead %v", m.Overhead+m.Context)}
	return fmt.Sprintf("%v (%s)", m.Needed(), strings.Join(words, ", "))
}

// Relative widths of the interval: fittedWidth is verified by the tests on measured peaks, nominalWidth is for
// nominal constants.
const fittedWidth, nominalWidth = 0.05, 0.2

// Memory estimates the peak. An invalid Setup gives zeros; see [Setup.Validate].
func (s Setup) Memory() Memory {
	if s.Validate() != nil {
		return Memory{}
	}
	p := s.profile()
	var m Memory
	switch p.memory {
	case engine.MemoryGGML:
		m = s.ggmlMemory()
	case engine.MemoryTorch:
		m = s.torchMemory()
	default:
		m = s.serverMemory(p)
	}
	m.Total = m.Weights + m.KVCache + m.Activations + m.Logits + m.Overhead
	m.Context = p.context
	kept := digits.Bytes(p.reserve * float64(m.Total-m.Weights-m.Overhead))
	if p.cacheMoves > 1 {
		// Copies that grow leave gaps: in the simulation as much as they grew, at worst four times as much.
		kept += max(0, m.CacheAtEnd-digits.Bytes(s.cache(int64(s.batch()), int64(s.Work.Input))))
	}
	m.Device = max(m.Needed(), m.Context+m.Total+kept, s.pool(), m.Needed()-m.KVCache+s.PoolCache)
	width := nominalWidth
	if p.fitted && !s.format().quantised() && s.devices() == 1 {
		width = fittedWidth
	}
	m.Low, m.High = digits.Bytes(float64(m.Total)*(1-width)), digits.Bytes(float64(m.Total)*(1+width))
	return m
}

// weights returns the bytes of the weights on one device. Weights that stay as stored keep their stored size.
// Otherwise, the matrices of the layers are quantised; embeddings, norms, biases, routers and vision towers stay
// 16 bits wide. Norms and biases are on every device.
func (s Setup) weights() int64 {
	c, f := s.Model, s.format()
	if s.Stored.All > 0 {
		return s.split(s.Stored.All)
	}
	if s.engine().ggml || f.ggml() {
		d := f
		if !f.ggml() {
			d = f.compute()
		}
		c.Stored = shape.Stored{}
		b, _ := c.EstimateBytes(string(d), 1, 1)
		return s.split(b)
	}
	p, e := c.Parameters(), s.element()
	vectors := s.vectors()
	matrices := p.NonEmbedding - p.Vision - vectors
	bytes := s.split((p.Embedding+p.Vision)*e) + vectors*e + s.split(int64(float64(matrices)*f.bits()/8))
	if f == FP8 || f == Int8 {
		bytes += s.split(4 * c.Rows())
	}
	return bytes
}

// stageWeights returns the weights of one device if groups of devices share the layers: its share of them, and an
// embedding.
func (s Setup) stageWeights() int64 {
	all := s.weights()
	if s.stages() == 1 {
		return all
	}
	embedding := s.split(int64(s.Model.Hidden) * int64(s.Model.Vocab) * s.element())
	return embedding + max(0, all-embedding)/int64(s.stages())
}

// vectors returns the number of parameters of norms, biases and routers.
func (s Setup) vectors() int64 { return s.Model.Count(shape.Vector, shape.Router) }

// CacheBytesPerToken returns the key/value cache of one token in all layers of one device, assuming that no layer
// has a window.
func (s Setup) CacheBytesPerToken() digits.Bytes {
	n := int64(0)
	for _, m := range s.Model.Mixers() {
		n += m.Layers * s.rowOf(m)
	}
	return digits.Bytes(n)
}

// cacheRow returns the cache of one token in the widest layer.
func (s Setup) cacheRow() int64 {
	n := int64(0)
	for _, m := range s.Model.Mixers() {
		n = max(n, s.rowOf(m))
	}
	return n
}

// rowOf returns the cache of one token in one layer; a head is not divided among devices. ggml always uses 16
// bits.
func (s Setup) rowOf(m shape.Mixer) int64 {
	bits := 8 * float64(s.element())
	if s.engine().ggml {
		bits = 16
	}
	if s.CacheBits > 0 {
		bits = s.CacheBits
	}
	return int64(float64(s.split(m.Heads)*m.Width) * bits / 8)
}

// cache returns the key/value cache of sequences of context tokens. Windowed layers keep only their window, and
// layers with a state only the state.
func (s Setup) cache(sequences, context int64) int64 {
	n := int64(0)
	for _, m := range s.Model.Mixers() {
		n += m.Layers * (m.Seen(context)*s.rowOf(m) + s.split(m.State)*s.element())
	}
	return sequences * n
}

// windowed returns the longest window, and whether all attention layers have one.
func (s Setup) windowed() (longest int64, all bool) {
	all = true
	for _, m := range s.Model.Mixers() {
		if m.Width > 0 {
			longest, all = max(longest, m.Window), all && m.Window > 0
		}
	}
	return longest, all && longest > 0
}

// serverMemory returns the memory of an engine with a paged cache and chunked prefill.
func (s Setup) serverMemory(p profile) Memory {
	c, w, e := s.Model, s.Work, s.element()
	batch := int64(s.batch())
	tokens := batch * int64(w.Input)
	if p.chunk > 0 {
		tokens = min(tokens, int64(p.chunk))
	}
	const page = 16
	context := (int64(w.Input+w.Output-1) + page - 1) / page * page
	ffn := int64(c.FFN)
	if c.Experts > 0 {
		ffn = int64(c.ExpertsUsed) * int64(c.ExpertFFN+c.Hidden)
	}
	cache := s.cache(batch, context)
	if s.CacheTokens > 0 {
		cache = s.cache(1, int64(s.CacheTokens))
	}
	m := Memory{
		Weights:     digits.Bytes(s.stageWeights()),
		KVCache:     digits.Bytes(cache / int64(s.stages())),
		Activations: digits.Bytes(tokens * (4*int64(c.Hidden) + 3*s.split(ffn)) * e),
		// In the format of the model, and in float32 for the choice of a token.
		Logits:   digits.Bytes(batch * int64(c.Vocab) * (e + 4)),
		Overhead: p.buffers,
		Phase:    "decode",
		Basis: "weights, paged cache for the whole batch and one step of prefill by shape; nominal buffers, " +
			"not measured",
	}
	m.CacheAtEnd = m.KVCache
	if s.PoolCache > 0 {
		m.Basis += fmt.Sprintf("; the engine takes %v for its cache", s.PoolCache)
	} else if p.pool > 0 {
		m.Basis += fmt.Sprintf("; the engine takes %.0f %% of the device at start", 100*p.pool)
	}
	return m
}

// Constants of the embedded engine's resident set, fitted on five runs of four
// shapes (within 5 %).
const (
	ggmlProcess  = 40 * mib // the program
	ggmlPerToken = 200      // bytes per entry of the vocabulary
)

// ggmlMemory returns the resident set of the embedded engine: the graph of one chunk of prefill is allocated at
// start, in float32, and a tied output matrix is a second copy of the embedding.
func (s Setup) ggmlMemory() Memory {
	c, w := s.Model, s.Work
	batch := int64(s.batch())
	const chunk = 512
	tokens := min(chunk, batch*int64(w.Input))
	m := Memory{
		Weights:     digits.Bytes(s.weights()),
		KVCache:     digits.Bytes(s.cache(batch, int64(w.Input+w.Output))),
		Activations: digits.Bytes(4 * tokens * int64(3*c.FFN+4*c.Hidden)),
		Logits:      digits.Bytes(4 * batch * int64(c.Vocab)),
		Overhead:    ggmlProcess + digits.Bytes(ggmlPerToken*c.Vocab),
		Phase:       "prefill",
		Basis:       "resident set (VmHWM): weights, cache and graph by shape, program and vocabulary fitted on runs",
	}
	if c.Experts > 0 {
		m.Activations = digits.Bytes(4 * tokens * int64(c.ExpertsUsed*(3*c.ExpertFFN+c.Hidden)+4*c.Hidden))
	}
	if c.Tied {
		bits := s.format().bits()
		if s.Stored.Lookup > 0 {
			bits = 8 * float64(s.Stored.Lookup) / float64(c.Count(shape.Embedding))
		}
		m.Overhead += digits.Bytes(float64(c.Hidden) * float64(c.Vocab) * bits / 8)
	}
	m.CacheAtEnd = m.KVCache
	return m
}
