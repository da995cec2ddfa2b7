"""Random models: CTranslate2's own format, written at the shape of a config.

The layers equal the output of its converter for the same architectures. Weights are
float numbers from one random pool, which each matrix reads from another place: its
length is a prime, so that the rows of a matrix differ.
"""

from __future__ import annotations

import numpy as np
from llem_protocol.failures import Failure

# Architectures that the code below builds: model_type, and whether queries, keys and values have a bias.
BIASED = {"llama": False, "mistral": False, "qwen2": True}
POOL = 4_194_319  # a prime


class Pool:
    """Random weights without end."""

    def __init__(self, seed: int, deviation: float, dtype: str) -> None:
        numbers = np.random.default_rng(seed % 2**63).standard_normal(POOL, dtype=np.float32)
        self.numbers = np.resize((numbers * np.float32(deviation)).astype(dtype), 2 * POOL)
        self.at = 0

    def take(self, *shape: int) -> np.ndarray:
        """The next ones, as an array of this shape."""
        count = int(np.prod(shape))
        out = np.resize(self.numbers[self.at : self.at + min(count, POOL)], count).reshape(shape)
        self.at = (self.at + count) % POOL
        return out


def check(config: dict, model: str) -> None:
    """Refuse shapes that cannot be built."""
    kind = config.get("model_type")
    if kind not in BIASED:
        raise Failure("unsupported_model", f"model {model}: llem builds no random CTranslate2 model of type {kind}",
                      "use a shape of " + ", ".join(BIASED) + ", or another backend")
    scaling = config.get("rope_scaling")
    if scaling and scaling.get("rope_type", scaling.get("type")) not in ("default", "linear", "llama3"):
        raise Failure("unsupported_model", f"model {model}: its scaling of rotary positions is {scaling}, "
                      "which CTranslate2 does not have in random models", "use another shape or backend")
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise Failure("unsupported_model", f"model {model}: its activation {config['hidden_act']} is not silu",
                      "use another shape or backend")


def rotary(config: dict, scaling_types) -> dict:
    """Arguments for the rotary positions."""
    out = {"rotary_dim": 0, "rotary_interleave": False, "rotary_base": config.get("rope_theta") or 10_000}
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind in ("linear", "llama3"):
        out["rotary_scaling_type"] = scaling_types.Linear if kind == "linear" else scaling_types.Llama3
        out["rotary_scaling_factor"] = scaling["factor"]
    return out


def spec(config: dict, seed: int, dtype: str):
    """CTranslate2's specification of the model, with its weights."""
    from ctranslate2.specs import attention_spec, common_spec, transformer_spec

    heads, hidden, inner = config["num_attention_heads"], config["hidden_size"], config["intermediate_size"]
    kv_heads, vocab = config.get("num_key_value_heads") or heads, config["vocab_size"]
    width = config.get("head_dim") or hidden // heads
    # No window is kept: within it a sliding attention computes the same.
    model = transformer_spec.TransformerDecoderModelSpec.from_config(
        config["num_hidden_layers"], heads, activation=common_spec.Activation.SWISH, pre_norm=True, ffn_glu=True,
        rms_norm=True, num_heads_kv=None if kv_heads == heads else kv_heads,
        head_dim=None if width * heads == hidden else width, **rotary(config, attention_spec.RotaryScalingType))
    pool, ones = Pool(seed, config.get("initializer_range") or 0.02, dtype), np.ones(hidden, dtype=dtype)
    decoder = model.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = pool.take(vocab, hidden)
    decoder.layer_norm.gamma = ones
    tied = config.get("tie_word_embeddings")
    decoder.projection.weight = decoder.embeddings.weight if tied else pool.take(vocab, hidden)
    rows = (heads + 2 * kv_heads) * width
    for layer in decoder.layer:
        attention, ffn = layer.self_attention, layer.ffn
        attention.layer_norm.gamma = ffn.layer_norm.gamma = ones
        attention.linear[0].weight = pool.take(rows, hidden)
        attention.linear[1].weight = pool.take(hidden, heads * width)
        if BIASED[config["model_type"]]:
            attention.linear[0].bias = pool.take(rows)
        ffn.linear_0.weight, ffn.linear_0_noact.weight = pool.take(inner, hidden), pool.take(inner, hidden)
        ffn.linear_1.weight = pool.take(hidden, inner)
        if "rotary_scaling_type" in vars(attention) and (config.get("rope_scaling") or {}).get("low_freq_factor"):
            attention.rotary_low_freq_factor = config["rope_scaling"]["low_freq_factor"]
            attention.rotary_high_freq_factor = config["rope_scaling"]["high_freq_factor"]
    model.register_vocabulary(names(vocab))
    for role, token in special(config).items():
        setattr(model.config, role, token)
    model.config.layer_norm_epsilon = config.get("rms_norm_eps") or 1e-6
    return model


def write(config: dict, seed: int, dtype: str, folder: str) -> None:
    """Write a random model."""
    model = spec(config, seed, dtype)
    model.validate()
    if config.get("tie_word_embeddings"):  # written once
        model.decoder.projection.weight = "decoder/embeddings/weight"
    model.save(folder)


def names(vocab: int) -> list[str]:
    """The tokens of a vocabulary whose texts are their ids, because prompts are ids."""
    return [str(token) for token in range(vocab)]


def special(config: dict) -> dict[str, str]:
    """The special tokens that the format must name; nothing ends on them."""
    out = {"unk_token": "0"}
    for role in ("bos_token", "eos_token"):
        token = config.get(role + "_id")
        token = token[0] if isinstance(token, list) else token
        out[role] = str(token or 0)
    return out
