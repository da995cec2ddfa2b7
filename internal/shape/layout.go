package shape

import "fmt"

// Role is the function of a weight, which determines whether a token uses it and how it is stored.
type Role uint8

// Roles of weights.
const (
	Matrix    Role = iota // of a layer; quantisation shrinks it
	Expert                // of a layer; a token visits only some of them
	Vector                // norms, biases, short convolutions; never quantised
	Router                // chooses experts; never quantised
	Embedding             // one row of it is looked up
	Head                  // computes the logits
	Vision                // of a vision tower, which text does not pass
)

// Weight is one kind of tensor, Count times.
type Weight struct {
	Role  Role
	Out   int64 // rows of a matrix, length of a vector
	In    int64 // columns of a matrix; 1 for a vector
	Count int64 // number of tensors; experts count one by one
	Bytes int64 // of all of them as stored; 0 if unknown
}

// Elements returns the number of parameters of all of them.
func (w Weight) Elements() int64 { return w.Out * w.In * w.Count }

// Mixer is one way in which layers mix tokens, and the cache they keep of earlier ones.
type Mixer struct {
	Layers int64
	// Window is the number of tokens that such a layer sees, including the current one; 0 means all. With chunks, a
	// token sees back to the start of its chunk of this size.
	Window  int64
	Chunked bool
	// Heads and Width are the size of the cache: elements per head of one token, keys and values together. Multi-head
	// latent attention keeps one head, a compressed row.
	Heads, Width int64
	// State is the size of a recurrent layer's state in elements per sequence, independent of its length.
	State int64
	// Score is the number of operations of a token for each token that it sees, Scan the number of its operations on
	// the state, both in one layer.
	Score, Scan float64
}

// Seen returns how many tokens of a sequence a layer keeps.
func (m Mixer) Seen(context int64) int64 {
	if m.Window > 0 {
		return min(m.Window, context)
	}
	return context
}

// visits sums, over the tokens at positions from+1 to to, how many tokens each of them sees.
func (m Mixer) visits(from, to int) float64 {
	if !m.Chunked || m.Window == 0 {
		return sumTo(from, to, int(m.Window))
	}
	sum := func(n int) float64 {
		whole, rest := n/int(m.Window), n%int(m.Window)
		return float64(whole)*sumTo(0, int(m.Window), 0) + sumTo(0, rest, 0)
	}
	return sum(to) - sum(from)
}

// Layout is a model described by what determines its size and work, in any family: its weights, and what its
// layers keep of earlier tokens.
type Layout struct {
	Weights []Weight
	Mixers  []Mixer
	// Share is the part of the experts that a token visits; 0 without experts.
	Share float64
	// Approximate is the reason why FLOPs and the cache are approximate; empty if they are exact.
	Approximate string
}

// layout returns the model's own layout, or the layout of a transformer as its other fields describe it.
func (c Config) layout() Layout {
	if c.Layout != nil {
		return *c.Layout
	}
	h, l := int64(c.Hidden), int64(c.Layers)
	q, kv := int64(c.Heads)*int64(c.HeadDim), int64(c.KVHeads)*int64(c.HeadDim)
	out := Layout{Weights: []Weight{{Role: Embedding, Out: int64(c.Vocab), In: h, Count: 1}}}
	add := func(role Role, rows, columns, count int64) {
		if n := rows * columns * count; n > 0 {
			out.Weights = append(out.Weights, Weight{Role: role, Out: rows, In: columns, Count: count})
		}
	}
	add(Matrix, q, h, l)
	add(Matrix, kv, h, 2*l)
	add(Matrix, h, q, l)
	if c.QKVBias {
		add(Vector, q+2*kv, 1, l)
	}
	if c.QKNorm {
		add(Vector, int64(c.HeadDim), 1, 2*l)
	}
	norms := int64(2) // before attention and feed-forward
	if c.PostNorms {
		norms = 4
	}
	add(Vector, h, 1, norms*l)
	if c.Experts > 0 {
		n := l * int64(c.Experts)
		add(Router, int64(c.Experts), h, l)
		add(Expert, int64(c.ExpertFFN), h, 2*n)
		add(Expert, h, int64(c.ExpertFFN), n)
		out.Share = float64(c.ExpertsUsed) / float64(c.Experts)
	} else {
		add(Matrix, int64(c.FFN), h, 2*l) // gate, up
		add(Matrix, h, int64(c.FFN), l)   // down
	}
	add(Vector, h, 1, 1)
	if !c.Tied {
		add(Head, int64(c.Vocab), h, 1)
	}
	out.Mixers = c.Mixers()
	out.Weights = append(out.Weights, c.vision()...)
	return out
}

// Mixers returns the ways in which the layers mix tokens.
func (c Config) Mixers() []Mixer {
	if c.Layout != nil {
		return c.Layout.Mixers
	}
	var out []Mixer
	full, windowed := c.SplitLayers()
	mixer := Mixer{Heads: int64(c.KVHeads), Width: 2 * int64(c.HeadDim),
		Score: 4 * float64(c.Heads) * float64(c.HeadDim)}
	for _, m := range []struct{ layers, window int }{{full, 0}, {windowed, c.SlidingWindow}} {
		if m.layers > 0 {
			mixer.Layers, mixer.Window = int64(m.layers), int64(m.window)
			out = append(out, mixer)
		}
	}
	return out
}

// vision returns the weights of a vision tower.
func (c Config) vision() []Weight {
	if c.Tower == nil {
		return nil
	}
	return []Weight{{Role: Vision, Out: c.Tower.Parameters, In: 1, Count: 1}}
}

// Sum adds up the elements of the weights with one of the roles.
func (l Layout) Sum(roles ...Role) int64 {
	n := int64(0)
	for _, w := range l.Weights {
		for _, r := range roles {
			if w.Role == r {
				n += w.Elements()
			}
		}
	}
	return n
}

// Count adds up the parameters with one of the roles.
func (c Config) Count(roles ...Role) int64 { return c.layout().Sum(roles...) }

// ExpertShare returns the part of the experts that a token visits; 0 without experts.
func (c Config) ExpertShare() float64 { return c.layout().Share }

// Rows returns the number of output rows of the layers' matrices, including experts: each has a scale if the
// quantisation is by row.
func (c Config) Rows() int64 {
	n := int64(0)
	for _, w := range c.layout().Weights {
		if w.Role == Matrix || w.Role == Expert {
			n += w.Out * w.Count
		}
	}
	return n
}

// Tower is the part of a model that turns images into rows of the language model.
type Tower struct {
	Kind       string // its model_type
	Parameters int64  // including the projection into the language model; 0 if unknown
}

// Counted describes what part of the model Parameters counts; empty if all of it.
func (c Config) Counted() string {
	switch {
	case c.Tower == nil:
		return ""
	case c.Tower.Parameters == 0:
		return fmt.Sprintf("text model only: its vision tower (%s) is not counted", c.Tower.Kind)
	}
	return "text model and vision tower; FLOPs are for text only"
}
