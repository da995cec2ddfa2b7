"""What vLLM uses, by the names of the keys of its section.

It is read from the configuration that the engine made of its arguments
(llm.llm_engine.vllm_config). Versions differ in it: what is not there, or is not a plain
value, is not read back, and llem says of a key that was given that it was not.
"""

from __future__ import annotations

import enum

# Where each key lies: the names of the parts of the configuration, the first that is there counts.
PLACES = {
    "dtype": ("model_config.dtype",),
    "max_model_len": ("model_config.max_model_len",),
    "quantization": ("model_config.quantization",),
    "enforce_eager": ("model_config.enforce_eager",),
    "disable_cascade_attn": ("model_config.disable_cascade_attn",),
    "kv_cache_dtype": ("cache_config.cache_dtype",),
    "kv_cache_memory_bytes": ("cache_config.kv_cache_memory_bytes",),
    "gpu_memory_utilization": ("cache_config.gpu_memory_utilization",),
    "block_size": ("cache_config.block_size",),
    "cpu_offload_gb": ("offload_config.uva.cpu_offload_gb", "cache_config.cpu_offload_gb"),
    "enable_prefix_caching": ("cache_config.enable_prefix_caching",),
    "tensor_parallel_size": ("parallel_config.tensor_parallel_size",),
    "pipeline_parallel_size": ("parallel_config.pipeline_parallel_size",),
    "data_parallel_size": ("parallel_config.data_parallel_size",),
    "enable_expert_parallel": ("parallel_config.enable_expert_parallel",),
    "disable_custom_all_reduce": ("parallel_config.disable_custom_all_reduce",),
    "distributed_executor_backend": ("parallel_config.distributed_executor_backend",),
    "max_num_seqs": ("scheduler_config.max_num_seqs",),
    "max_num_batched_tokens": ("scheduler_config.max_num_batched_tokens",),
    "enable_chunked_prefill": ("scheduler_config.enable_chunked_prefill", "scheduler_config.chunked_prefill_enabled"),
    "long_prefill_token_threshold": ("scheduler_config.long_prefill_token_threshold",),
    "scheduling_policy": ("scheduler_config.policy",),
    "async_scheduling": ("scheduler_config.async_scheduling",),
    "stream_interval": ("scheduler_config.stream_interval",),
    "cudagraph_mode": ("compilation_config.cudagraph_mode",),
    "cudagraph_capture_sizes": ("compilation_config.cudagraph_capture_sizes",),
    "compilation_mode": ("compilation_config.mode", "compilation_config.level"),
    "attention_backend": ("attention_config.backend",),
    "speculative_method": ("speculative_config.method",),
    "speculative_model": ("speculative_config.model",),
    "num_speculative_tokens": ("speculative_config.num_speculative_tokens",),
}

MISSING = object()


def settings(engine) -> dict[str, str]:
    """The settings in use, as texts."""
    out = {"mode": "offline"}
    config = getattr(engine, "vllm_config", None)
    for key, places in PLACES.items():
        for place in places:
            text = plain(at(config, place))
            if text is not None:
                out[key] = text
                break
    backend = attention(config)
    if backend:
        out["attention_backend"] = backend
    scheduler = type(getattr(getattr(engine.engine_core, "engine_core", None), "scheduler", None)).__name__
    if scheduler != "NoneType":
        out["scheduler"] = scheduler
    return out


def at(config, place: str):
    """A part of the configuration; MISSING if it is absent."""
    for name in place.split("."):
        config = getattr(config, name, MISSING)
    return config


def plain(value) -> str | None:
    """The text of a plain value; None if it is absent or not a plain value."""
    if isinstance(value, enum.Enum):
        # Levels are numbers, modes and backends words.
        return str(value.value) if isinstance(value, int) else value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value) if all(type(v) in (int, float, str) for v in value) else None
    if type(value).__name__ == "dtype" and type(value).__module__.startswith("torch"):
        return str(value).removeprefix("torch.")
    return None


def attention(config) -> str:
    """The backend that the attention layers have chosen; "" if unknown, or if they differ."""
    layers = at(config, "compilation_config.static_forward_context")
    names = set()
    for layer in layers.values() if isinstance(layers, dict) else ():
        backend = getattr(layer, "attn_backend", None)
        name = backend.get_name() if callable(getattr(backend, "get_name", None)) else None
        if isinstance(name, str):
            names.add(name.removesuffix("_VLLM_V1"))
    return names.pop() if len(names) == 1 else ""
