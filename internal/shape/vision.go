package shape

// towers count the parameters of vision towers and their projection into the language model, by the model_type of
// vision_config. They were compared with the classes of transformers.
var towers = map[string]func(v, model *hfFields, hidden int64) int64{
	"siglip_vision_model": siglip,
	"pixtral":             pixtral,
	"llama4_vision_model": llama4Vision,
}

// tower returns the vision tower of a model, nil if it has none.
func (f *hfFields) tower(hidden int) *Tower {
	m, ok := f.m["vision_config"].(map[string]any)
	if !ok {
		return nil
	}
	v := &hfFields{m: m}
	t := &Tower{Kind: v.text("model_type")}
	if t.Kind == "" {
		t.Kind = "of an unknown kind"
	}
	if count := towers[t.Kind]; count != nil {
		if n := count(v, f, int64(hidden)); v.err == nil && n > 0 && n < 1<<40 {
			t.Parameters = n
		}
	}
	return t
}

// side returns a key as a dimension.
func (f *hfFields) side(key string, def int) int64 { return int64(min(max(f.int(key, def), 0), 1<<16)) }

// patches returns the number of patches of an image.
func patches(v *hfFields, image, patch int) int64 {
	p := max(1, v.side("patch_size", patch))
	n := v.side("image_size", image) / p
	return n * n
}

// encoder returns the parameters of a transformer with biases: attention, two matrices, two norms.
func encoder(h, width, layers int64) int64 {
	return layers * (4*(h*h+h) + 2*h*width + width + h + 4*h)
}

// siglip returns the parameters of Gemma 3's tower, whose projection is one matrix and a norm.
func siglip(v, _ *hfFields, hidden int64) int64 {
	h, width, layers := v.side("hidden_size", 768), v.side("intermediate_size", 3072), v.side("num_hidden_layers", 12)
	p := v.side("patch_size", 16)
	n := 3*p*p*h + h + patches(v, 224, 16)*h + encoder(h, width, layers) + 2*h
	if v.bool("vision_use_head", true) { // attention with one query, and a feed-forward block
		n += encoder(h, width, 1) - 2*h + h
	}
	return n + h*hidden + h
}

// pixtral returns the parameters of Mistral Small 3.1's tower: gated, without biases, with patches merged two by
// two.
func pixtral(v, model *hfFields, hidden int64) int64 {
	h, layers, p := v.side("hidden_size", 1024), v.side("num_hidden_layers", 24), v.side("patch_size", 16)
	n := 3*p*p*h + h + layers*(4*h*h+3*h*v.side("intermediate_size", 4096)+2*h)
	merge := model.side("spatial_merge_size", 2)
	n += h + merge*merge*h*h + h*hidden + hidden*hidden
	if model.bool("multimodal_projector_bias", false) {
		n += 2 * hidden
	}
	return n
}

// llama4Vision also merges patches, in an adapter of two matrices.
func llama4Vision(v, _ *hfFields, hidden int64) int64 {
	h, width, layers := v.side("hidden_size", 768), v.side("intermediate_size", 5632), v.side("num_hidden_layers", 34)
	p, in, out := v.side("patch_size", 14), v.side("projector_input_dim", 4096), v.side("projector_output_dim", 4096)
	n := h + (patches(v, 448, 14)+1)*h + 3*p*p*h + 4*h + encoder(h, width, layers)
	return n + width*in + in*out + v.side("vision_output_dim", 7680)*hidden
}
