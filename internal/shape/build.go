package shape

import "fmt"

// builder collects the layout of a model from the values of its config.json.
type builder struct {
	f   *hfFields
	fam family
	c   *Config
	out Layout
}

// value returns a key's value: from the file, under the family's own name for it, or the family's default. null
// counts as absent.
func (b *builder) value(key string) any {
	own := b.fam.names[key]
	for _, k := range []string{key, own} {
		if v := b.f.m[k]; k != "" && v != nil {
			return v
		}
	}
	if v := b.fam.values[key]; v != nil {
		return v
	}
	return b.fam.values[own]
}

// num returns a key as a number, 0 if there is none.
func (b *builder) num(key string) int64 {
	v := b.value(key)
	f := hfFields{m: map[string]any{key: v}}
	n := f.int(key, 0)
	if f.err != nil && b.f.err == nil {
		b.f.err = f.err
	}
	return int64(min(max(n, 0), maxDim))
}

// yes returns a key as a truth value; the key "yes" is true.
func (b *builder) yes(key string) bool {
	v, _ := b.value(key).(bool)
	return v || key == "yes"
}

// words returns a key that is a list, or a text with a letter for each layer.
func (b *builder) words(key string) []string {
	var out []string
	switch v := b.value(key).(type) {
	case string:
		for _, r := range v {
			out = append(out, string(r))
		}
	case []any:
		for _, w := range v {
			out = append(out, fmt.Sprint(w))
		}
	}
	return out
}

// times multiplies widths, bounded so that the widths of a hostile file do not overflow.
func times(a, b int64) int64 { return min(min(a, 1<<30)*min(b, 1<<30), 1<<30) }

// add adds weights; weights of a block that the model does not have are empty.
func (b *builder) add(role Role, rows, columns, count int64) {
	if rows > 0 && columns > 0 && count > 0 {
		b.out.Weights = append(b.out.Weights, Weight{Role: role, Out: rows, In: columns, Count: count})
	}
}

// fromBlocks fills in a Config from the blocks of its family.
func (f *hfFields) fromBlocks(fam family) Config {
	b := &builder{f: f, fam: fam, c: &Config{Arch: fam.arch}}
	c := b.c
	c.Hidden, c.Layers = int(b.num("hidden_size")), int(b.num("num_hidden_layers"))
	c.Heads, c.KVHeads = int(b.num("num_attention_heads")), int(b.num("num_key_value_heads"))
	c.HeadDim, c.FFN = int(b.num("head_dim")), int(b.num("intermediate_size"))
	c.Vocab, c.Context = int(b.num("vocab_size")), int(b.num("max_position_embeddings"))
	c.Tied = f.bool("tie_word_embeddings", fam.tied)
	b.settle()
	if c.Layers > 4096 {
		return *c
	}

	b.add(Embedding, int64(c.Vocab), int64(c.Hidden), 1)
	if fam.blocks.positions {
		b.add(Embedding, int64(c.Context), int64(c.Hidden), 1)
	}
	mix, feed := b.turn(fam.blocks.mix), b.turn(fam.blocks.feed)
	counts := map[string]int64{}
	for _, kind := range append(mix, feed...) {
		counts[kind]++
	}
	for _, kind := range kinds {
		if n := counts[kind.name]; n > 0 {
			kind.build(b, n)
		}
	}
	b.norms(int64(c.Layers)*b.perLayer() + 1)
	if !c.Tied {
		b.add(Head, int64(c.Vocab), int64(c.Hidden), 1)
	}
	c.Layout = &b.out
	return *c
}

// settle fills in what follows from other values.
func (b *builder) settle() {
	c := b.c
	if list := b.words(b.fam.blocks.mix.list); len(list) > 0 && b.fam.blocks.feed.then == "" {
		c.Layers = len(list) // a layer is one block, of the kind in the list
	}
	if c.FFN == 0 {
		c.FFN = 4 * c.Hidden
	}
	switch { // Falcon
	case b.yes("new_decoder_architecture"):
		c.KVHeads = int(max(b.num("num_kv_heads"), b.num("n_head_kv")))
	case b.yes("multi_query"):
		c.KVHeads = 1
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
}

// perLayer returns the number of norms per layer.
func (b *builder) perLayer() int64 {
	n := b.fam.blocks.norms
	if once := b.fam.blocks.once; once != "" && b.yes(once) || b.yes("parallel_attn") &&
		!b.yes("new_decoder_architecture") {
		return 1
	}
	return n
}

func (b *builder) norms(n int64) {
	b.add(Vector, int64(b.c.Hidden), 1, n)
	if b.fam.blocks.normBias {
		b.add(Vector, int64(b.c.Hidden), 1, n)
	}
}

// turn lists the kind of block of each layer; nil if the family has none.
func (b *builder) turn(t turns) []string {
	if t.then == "" {
		return nil
	}
	list, except := b.words(t.list), map[string]bool{}
	for _, w := range b.words(t.except) {
		except[w] = true
	}
	every, offset := int64(t.period), b.num(t.offset)
	if t.every != "" {
		every = b.num(t.every)
	}
	if t.offset == "" && every > 0 {
		offset = every - 1
	}
	kinds := make([]string, b.c.Layers)
	for i := range kinds {
		kinds[i] = t.then
		switch {
		case i < len(list):
			if kind := t.words[list[i]]; kind != "" {
				kinds[i] = kind
			}
		case int64(i) < b.num(t.first), except[fmt.Sprint(i)], every > 0 && int64(i)%every != offset:
			kinds[i] = t.other
		}
	}
	return kinds
}

// kinds are the blocks, in the order in which they are built.
var kinds = []struct {
	name  string
	build func(*builder, int64)
}{
	{kindAttention, func(b *builder, n int64) { b.attention(n, 0, false) }},
	{kindWindow, func(b *builder, n int64) { b.attention(n, b.num("sliding_window"), false) }},
	{kindChunk, func(b *builder, n int64) { b.attention(n, b.num("attention_chunk_size"), true) }},
	{kindLatent, (*builder).latent},
	{kindMamba, (*builder).mamba},
	{kindMamba2, (*builder).mamba2},
	{kindDelta, (*builder).delta},
	{kindFeed, (*builder).feed},
	{kindExperts, (*builder).experts},
}

// attention adds attention with heads that share keys and values.
func (b *builder) attention(n, window int64, chunked bool) {
	c, a := b.c, b.fam.blocks.attn
	h, d := int64(c.Hidden), int64(c.HeadDim)
	q, kv := int64(c.Heads)*d, int64(c.KVHeads)*d
	rows := q
	if a.gated {
		rows *= 2
	}
	b.add(Matrix, rows, h, n)
	b.add(Matrix, kv, h, 2*n)
	b.add(Matrix, h, q, n)
	if a.bias != "" && b.yes(a.bias) {
		b.add(Vector, rows+2*kv, 1, n)
	}
	if a.outBias != "" && b.yes(a.outBias) {
		b.add(Vector, h, 1, n)
	}
	switch {
	case a.norm == "head":
		b.add(Vector, d, 1, 2*n)
	case a.norm == "all", a.norm != "" && b.yes(a.norm):
		b.add(Vector, q+kv, 1, n)
	}
	if a.sinks {
		b.add(Vector, int64(c.Heads), 1, n)
	}
	b.out.Mixers = append(b.out.Mixers, Mixer{Layers: n, Window: window, Chunked: chunked, Heads: int64(c.KVHeads),
		Width: 2 * d, Score: 4 * float64(q)})
}

// latent adds multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): the cache of a token is one compressed
// row for all heads, and a rotary key.
func (b *builder) latent(n int64) {
	c := b.c
	h, heads := int64(c.Hidden), int64(c.Heads)
	rank, rope, plain, value := b.num("kv_lora_rank"), b.num("qk_rope_head_dim"), b.num("qk_nope_head_dim"),
		b.num("v_head_dim")
	if q := b.num("q_lora_rank"); q > 0 {
		b.add(Matrix, q, h, n)
		b.add(Vector, q, 1, n)
		b.add(Matrix, heads*(plain+rope), q, n)
	} else {
		b.add(Matrix, heads*(plain+rope), h, n)
	}
	b.add(Matrix, rank+rope, h, n)
	b.add(Vector, rank, 1, n)
	b.add(Matrix, heads*(plain+value), rank, n)
	b.add(Matrix, h, heads*value, n)
	c.HeadDim = int(plain + rope)
	b.out.Mixers = append(b.out.Mixers, Mixer{Layers: n, Heads: 1, Width: rank + rope,
		Score: 2 * float64(heads) * float64(plain+rope+value)})
}

// mamba adds a selective state space (arXiv 2312.00752). Its scan takes 9 operations for each element of the state
// (github.com/state-spaces/mamba, selective_scan_flop_jit).
func (b *builder) mamba(n int64) {
	h, state, kernel := int64(b.c.Hidden), b.num("state_size"), b.num("conv_kernel")
	inner, rank := b.num("mamba_inner"), b.num("time_step_rank")
	if inner == 0 {
		inner = times(b.num("expand"), h)
	}
	if rank == 0 {
		rank = (h + 15) / 16
	}
	b.add(Matrix, 2*inner, h, n)
	b.add(Matrix, rank+2*state, inner, n)
	b.add(Matrix, inner, rank, n)
	b.add(Matrix, h, inner, n)
	b.add(Vector, inner*kernel+3*inner+inner*state, 1, n) // convolution and its bias, bias of time steps, D, A
	if b.yes("mamba_norms") {
		b.add(Vector, rank+2*state, 1, n)
	}
	b.out.Mixers = append(b.out.Mixers, Mixer{Layers: n, State: inner * (state + kernel),
		Scan: 9 * float64(inner) * float64(state)})
}

// mamba2 adds a state space with one decay for each head (arXiv 2405.21060): 5 operations for each element of the
// state.
func (b *builder) mamba2(n int64) {
	h, state, kernel := int64(b.c.Hidden), b.num("state_size"), b.num("conv_kernel")
	heads := b.num("mamba_num_heads")
	inner := times(heads, b.num("mamba_head_dim"))
	shared := times(2*b.num("n_groups"), state)
	b.add(Matrix, 2*inner+shared+heads, h, n)
	b.add(Matrix, h, inner, n)
	b.add(Vector, (inner+shared)*(kernel+1)+inner+3*heads, 1, n) // convolution and its bias, norm, A, D, time steps
	b.out.Mixers = append(b.out.Mixers, Mixer{Layers: n, State: inner*state + (inner+shared)*kernel,
		Scan: 5 * float64(inner) * float64(state)})
}

// delta adds a gated delta net (arXiv 2412.06464): decay, prediction, update and output take 7 operations for each
// element of the state.
func (b *builder) delta(n int64) {
	h, kernel := int64(b.c.Hidden), b.num("linear_conv_kernel_dim")
	keys, values := times(b.num("linear_num_key_heads"), b.num("linear_key_head_dim")), b.num("linear_num_value_heads")
	d := b.num("linear_value_head_dim")
	state := times(times(values, d), b.num("linear_key_head_dim"))
	b.add(Matrix, 2*keys+2*values*d, h, n)
	b.add(Matrix, 2*values, h, n)
	b.add(Matrix, h, values*d, n)
	b.add(Vector, (2*keys+values*d)*kernel+d+2*values, 1, n) // convolution, norm, decay and time steps
	b.out.Mixers = append(b.out.Mixers, Mixer{Layers: n, State: state + (2*keys+values*d)*kernel,
		Scan: 7 * float64(state)})
}

// feed adds a dense feed-forward block.
func (b *builder) feed(n int64) {
	h, width := int64(b.c.Hidden), int64(b.c.FFN)
	if key := b.fam.blocks.dense; key != "" && b.num(key) > 0 {
		width = b.num(key)
	}
	b.matrices(Matrix, width, n)
	if b.fam.blocks.feedBias || b.fam.arch == "falcon" && b.yes("bias") {
		b.add(Vector, width+h, 1, n)
	}
}

// matrices adds the matrices of feed-forward blocks of a width.
func (b *builder) matrices(role Role, width, n int64) {
	h, in := int64(b.c.Hidden), n
	if b.fam.blocks.gated {
		in *= 2
	}
	b.add(role, width, h, in)
	b.add(role, h, width, n)
}

// experts adds a mixture, including the experts that every token visits.
func (b *builder) experts(n int64) {
	h, all, used, width := int64(b.c.Hidden), b.num("num_experts"), b.num("num_experts_per_tok"),
		b.num("moe_intermediate_size")
	if all == 0 {
		b.feed(n)
		return
	}
	b.add(Router, all, h, n)
	b.matrices(Expert, width, n*all)
	if b.fam.blocks.expertBias {
		b.add(Vector, all, 1, n)
		b.add(Expert, 2*width+h, 1, n*all)
	}
	shared := int64(0)
	if key := b.fam.blocks.shared; key != "" {
		shared = b.num(key)
		if key == "n_shared_experts" { // a number of experts
			shared *= width
		}
	}
	if shared > 0 {
		b.matrices(Matrix, shared, n)
	}
	if b.fam.blocks.sharedGate {
		b.add(Vector, h, 1, n)
	}
	b.c.Experts, b.c.ExpertsUsed, b.c.ExpertFFN = int(all), int(min(used, all)), int(width)
	b.out.Share = float64(min(used, all)) / float64(all)
}
