package shape

// family is the name and structure of one model_type of Hugging Face. A model of another family is counted from
// its list of tensors.
type family struct {
	arch  string // its name in GGUF files
	class string // its class in transformers
	tied  bool   // default of tie_word_embeddings
	// names maps usual key names to the family's own. values are the relevant defaults of its configuration class.
	names  map[string]string
	values map[string]any
	// blocks describes the layers; nil for a transformer that the fields of Config describe.
	blocks *blocks
}

// blocks are the kinds of blocks in the layers of a family.
type blocks struct {
	mix  turns // the ways to mix tokens
	feed turns // the feed-forward blocks; none if a layer is a single block
	// norms are the norms of one layer, normBias their second vector; once is a key that leaves only one norm.
	norms    int64
	normBias bool
	once     string
	attn     attention
	gated    bool // a third matrix in feed-forward blocks
	feedBias bool
	// positions reports that positions are learned: a second embedding.
	positions bool
	// experts are the keys of a mixture: a bias of each, and of the router; wide is the total width of all shared
	// experts.
	expertBias bool
	shared     string // key of the width of shared experts
	sharedGate bool
	dense      string // key of the width of dense blocks; empty for intermediate_size
}

// attention holds what distinguishes attention layers.
type attention struct {
	bias    string // key that gives q, k and v a bias; "yes" is always
	outBias string // the same for the output
	// of q and k: "head" for each head, "all" over all heads; otherwise a key that requests one for each head
	norm  string
	gated bool // the query has a gate of its size
	sinks bool // a number for each head
}

// turns is which kind of block each layer has: Then if it is the layer's turn, otherwise Else.
type turns struct {
	list  string            // key of a list with a word for each layer
	words map[string]string // meaning of the words
	// Layers at offset in every group of `every` layers have their turn; both are keys. Without offset it is the last
	// layer of a group; with period the number is fixed.
	every, offset string
	period        int
	// Layers before first, and the layers in the list except, do not have their turn.
	first, except string
	then, other   string
}

// Kinds of blocks.
const (
	kindAttention = "attention"
	kindWindow    = "window" // attention over sliding_window
	kindChunk     = "chunk"  // attention within attention_chunk_size
	kindLatent    = "latent" // multi-head latent attention
	kindMamba     = "mamba"
	kindMamba2    = "mamba2"
	kindDelta     = "delta" // gated delta net
	kindFeed      = "feed"
	kindExperts   = "experts"
)

// layerWords are the words in layer_types and similar keys.
var layerWords = map[string]string{
	"full_attention": kindAttention, "attention": kindAttention, "*": kindAttention,
	"sliding_attention": kindWindow, "chunked_attention": kindChunk, "1": kindChunk, "0": kindAttention,
	"linear_attention": kindDelta, "mamba": kindMamba, "mlp": kindFeed, "-": kindFeed, "moe": kindExperts,
	"E": kindExperts,
}

// nemotronWords are the words of Nemotron-H, whose linear layers are Mamba 2.
var nemotronWords = map[string]string{
	"full_attention": kindAttention, "attention": kindAttention, "*": kindAttention,
	"linear_attention": kindMamba2, "mamba": kindMamba2, "M": kindMamba2,
	"mlp": kindFeed, "-": kindFeed, "moe": kindExperts, "E": kindExperts,
}

// sparse is the usual choice of layers with experts.
var sparse = turns{every: "decoder_sparse_step", except: "mlp_only_layers", then: kindExperts, other: kindFeed}

var deepseek = &blocks{
	mix: turns{then: kindLatent}, norms: 2, gated: true, shared: "n_shared_experts",
	feed: turns{first: "first_k_dense_replace", every: "moe_layer_freq", offset: "moe_layer_offset",
		then: kindExperts, other: kindFeed},
}

var deepseekNames = map[string]string{"num_experts": "n_routed_experts"}

var llama4 = &blocks{
	mix:   turns{list: "no_rope_layers", words: layerWords, period: 4, then: kindAttention, other: kindChunk},
	feed:  turns{every: "interleave_moe_layer_step", then: kindExperts, other: kindFeed},
	norms: 2, gated: true, shared: "intermediate_size", dense: "intermediate_size_mlp",
}

var llama4Values = map[string]any{"interleave_moe_layer_step": 1.0, "attention_chunk_size": 8192.0,
	"num_experts_per_tok": 1.0, "num_experts": 16.0, "head_dim": 128.0}

var llama4Names = map[string]string{"num_experts": "num_local_experts", "moe_intermediate_size": "intermediate_size"}

// Class returns the class in transformers of a model_type.
func Class(modelType string) (string, bool) {
	f, ok := families[modelType]
	return f.class, ok
}

// families by model_type.
var families = map[string]family{
	"llama":   {arch: ArchLlama, class: "LlamaForCausalLM"},
	"mistral": {arch: ArchLlama, class: "MistralForCausalLM"},
	"mixtral": {arch: ArchLlama, class: "MixtralForCausalLM"},
	"phi3":    {arch: ArchPhi3, class: "Phi3ForCausalLM"},
	"qwen2":   {arch: ArchQwen2, class: "Qwen2ForCausalLM"},
	"qwen3":   {arch: ArchQwen3, class: "Qwen3ForCausalLM"},
	"qwen3_moe": {arch: ArchQwen3MoE, class: "Qwen3MoeForCausalLM",
		values: map[string]any{"num_experts": 128.0, "num_experts_per_tok": 8.0, "decoder_sparse_step": 1.0,
			"moe_intermediate_size": 768.0, "num_key_value_heads": 4.0},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: sparse, norms: 2, gated: true,
			attn: attention{bias: "attention_bias", norm: "head"}}},
	"gemma2":      {arch: ArchGemma2, class: "Gemma2ForCausalLM", tied: true},
	"gemma3_text": {arch: ArchGemma3, class: "Gemma3ForCausalLM", tied: true},
	"gemma3":      {arch: ArchGemma3, class: "Gemma3ForConditionalGeneration", tied: true},
	"mistral3":    {arch: ArchLlama, class: "Mistral3ForConditionalGeneration", tied: true},

	"smollm3": {arch: "smollm3", class: "SmolLM3ForCausalLM", tied: true,
		values: map[string]any{"num_key_value_heads": 4.0},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, gated: true,
			attn: attention{bias: "attention_bias"}}},
	"olmo2": {arch: "olmo2", class: "Olmo2ForCausalLM",
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, gated: true,
			attn: attention{bias: "attention_bias", outBias: "attention_bias", norm: "all"}}},
	"stablelm": {arch: "stablelm", class: "StableLmForCausalLM",
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, normBias: true,
			once: "use_parallel_residual", gated: true, attn: attention{bias: "use_qkv_bias", norm: "qk_layernorm"}}},
	"falcon": {arch: "falcon", class: "FalconForCausalLM", tied: true,
		names: map[string]string{"num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
			"intermediate_size": "ffn_hidden_size"},
		values: map[string]any{"parallel_attn": true, "multi_query": true},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, normBias: true,
			attn: attention{bias: "bias", outBias: "bias"}}},
	"gpt2": {arch: "gpt2", class: "GPT2LMHeadModel", tied: true,
		names: map[string]string{"hidden_size": "n_embd", "num_hidden_layers": "n_layer",
			"num_attention_heads": "n_head", "max_position_embeddings": "n_positions", "intermediate_size": "n_inner"},
		values: map[string]any{"max_position_embeddings": 1024.0, "vocab_size": 50257.0},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, normBias: true,
			attn: attention{bias: "yes", outBias: "yes"}, feedBias: true, positions: true}},
	"gpt_neox": {arch: "gptneox", class: "GPTNeoXForCausalLM",
		values: map[string]any{"attention_bias": true},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: turns{then: kindFeed}, norms: 2, normBias: true,
			attn: attention{bias: "attention_bias", outBias: "attention_bias"}, feedBias: true}},
	"qwen2_moe": {arch: "qwen2moe", class: "Qwen2MoeForCausalLM",
		values: map[string]any{"num_experts": 60.0, "num_experts_per_tok": 4.0, "moe_intermediate_size": 1408.0,
			"shared_expert_intermediate_size": 5632.0, "decoder_sparse_step": 1.0, "qkv_bias": true},
		blocks: &blocks{mix: turns{then: kindAttention}, feed: sparse, norms: 2, gated: true,
			shared: "shared_expert_intermediate_size", sharedGate: true, attn: attention{bias: "qkv_bias"}}},
	"qwen3_next": {arch: "qwen3next", class: "Qwen3NextForCausalLM",
		values: map[string]any{"num_experts": 512.0, "num_experts_per_tok": 10.0, "moe_intermediate_size": 512.0,
			"shared_expert_intermediate_size": 512.0, "decoder_sparse_step": 1.0, "full_attention_interval": 4.0,
			"linear_num_key_heads": 16.0, "linear_num_value_heads": 32.0, "linear_key_head_dim": 128.0,
			"linear_value_head_dim": 128.0, "linear_conv_kernel_dim": 4.0, "head_dim": 256.0,
			"num_key_value_heads": 2.0},
		blocks: &blocks{mix: turns{list: "layer_types", words: layerWords, every: "full_attention_interval",
			then: kindAttention, other: kindDelta}, feed: sparse, norms: 2, gated: true,
			shared: "shared_expert_intermediate_size", sharedGate: true,
			attn: attention{bias: "attention_bias", norm: "head", gated: true}}},
	"deepseek_v2": {arch: "deepseek2", class: "DeepseekV2ForCausalLM", names: deepseekNames, blocks: deepseek,
		values: map[string]any{"moe_layer_freq": 1.0}},
	"deepseek_v3": {arch: "deepseek2", class: "DeepseekV3ForCausalLM", names: deepseekNames, blocks: deepseek,
		values: map[string]any{"moe_layer_freq": 1.0}},
	"gpt_oss": {arch: "gpt-oss", class: "GptOssForCausalLM",
		names: map[string]string{"num_experts": "num_local_experts", "moe_intermediate_size": "intermediate_size",
			"num_experts_per_tok": "experts_per_token"},
		values: map[string]any{"num_experts": 128.0, "num_experts_per_tok": 4.0, "sliding_window": 128.0,
			"head_dim": 64.0, "num_key_value_heads": 8.0},
		blocks: &blocks{mix: turns{list: "layer_types", words: layerWords, period: 2, then: kindAttention,
			other: kindWindow}, feed: turns{then: kindExperts}, norms: 2, gated: true, expertBias: true,
			attn: attention{bias: "yes", outBias: "yes", sinks: true}}},
	"llama4": {arch: "llama4", class: "Llama4ForConditionalGeneration", blocks: llama4, names: llama4Names,
		values: llama4Values},
	"llama4_text": {arch: "llama4", class: "Llama4ForCausalLM", blocks: llama4, names: llama4Names,
		values: llama4Values},
	"mamba": {arch: "mamba", class: "MambaForCausalLM", tied: true,
		names: map[string]string{"hidden_size": "d_model", "num_hidden_layers": "n_layer",
			"mamba_inner": "intermediate_size"},
		values: map[string]any{"state_size": 16.0, "conv_kernel": 4.0, "expand": 2.0},
		blocks: &blocks{mix: turns{then: kindMamba}, norms: 1}},
	"falcon_mamba": {arch: "mamba", class: "FalconMambaForCausalLM",
		names:  map[string]string{"mamba_inner": "intermediate_size"},
		values: map[string]any{"state_size": 16.0, "conv_kernel": 4.0, "expand": 2.0},
		blocks: &blocks{mix: turns{then: kindMamba}, norms: 1}},
	"mamba2": {arch: "mamba2", class: "Mamba2ForCausalLM",
		names: map[string]string{"mamba_num_heads": "num_heads", "mamba_head_dim": "head_dim"},
		values: map[string]any{"state_size": 128.0, "conv_kernel": 4.0, "expand": 2.0, "n_groups": 8.0,
			"num_heads": 128.0, "head_dim": 64.0},
		blocks: &blocks{mix: turns{then: kindMamba2}, norms: 1}},
	"jamba": {arch: "jamba", class: "JambaForCausalLM",
		names: map[string]string{"state_size": "mamba_d_state", "conv_kernel": "mamba_d_conv",
			"expand": "mamba_expand", "time_step_rank": "mamba_dt_rank", "moe_intermediate_size": "intermediate_size"},
		values: map[string]any{"mamba_d_state": 16.0, "mamba_d_conv": 4.0, "mamba_expand": 2.0, "num_experts": 16.0,
			"num_experts_per_tok": 2.0, "attn_layer_period": 8.0, "attn_layer_offset": 4.0,
			"expert_layer_period": 2.0, "expert_layer_offset": 1.0, "num_key_value_heads": 8.0, "mamba_norms": true},
		blocks: &blocks{mix: turns{list: "layers_block_type", words: layerWords, every: "attn_layer_period",
			offset: "attn_layer_offset", then: kindAttention, other: kindMamba},
			feed: turns{every: "expert_layer_period", offset: "expert_layer_offset", then: kindExperts,
				other: kindFeed},
			norms: 2, gated: true}},
	"nemotron_h": {arch: "nemotron_h", class: "NemotronHForCausalLM",
		names: map[string]string{"num_experts": "n_routed_experts", "state_size": "ssm_state_size",
			"head_dim": "attention_head_dim", "hybrid_override_pattern": "layers_block_type"},
		values: map[string]any{"ssm_state_size": 128.0, "mamba_num_heads": 128.0, "mamba_head_dim": 64.0,
			"n_groups": 8.0, "conv_kernel": 4.0, "intermediate_size": 21504.0, "num_attention_heads": 32.0,
			"num_key_value_heads": 8.0, "head_dim": 128.0, "n_routed_experts": 8.0, "num_experts_per_tok": 2.0,
			"moe_intermediate_size": 7688.0, "moe_shared_expert_intermediate_size": 7688.0, "vocab_size": 131072.0,
			"hidden_size": 4096.0, "hybrid_override_pattern": "ME*-"},
		blocks: &blocks{mix: turns{list: "hybrid_override_pattern", words: nemotronWords, then: kindMamba2},
			norms: 1, shared: "moe_shared_expert_intermediate_size"}},
}
