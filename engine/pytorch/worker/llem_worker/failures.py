"""How exceptions of torch and its libraries become failures."""

from __future__ import annotations

import re

from llem_protocol import failures
from llem_protocol.failures import Failure, shorten

OOM_HINT = (
    "use a smaller pytorch.batch_size, a shorter input or output, a smaller dtype, "
    "or free the device of other processes"
)


# Texts of exceptions, their class and the next step. The first
# match wins, so the specific ones come first. Matched without regard to case.
PATTERNS: list[tuple[str, str, str]] = [
    (r"cuda out of memory|cuda error: out of memory|cublas_status_alloc_failed",
     "oom_gpu", OOM_HINT),
    (r"defaultcpuallocator|cannot allocate memory|can't allocate memory",
     "oom_host", "use a smaller model, dtype or pytorch.batch_size"),
    (r"no cuda gpus are available|found no nvidia driver|cuda_error_no_device",
     "no_device", "check nvidia-smi and CUDA_VISIBLE_DEVICES, or set pytorch.device: cpu"),
    (r"driver on your system is too old|driver version is insufficient|forward compatibility was attempted",
     "version_mismatch", "update the NVIDIA driver, or install a PyTorch built for an older CUDA"),
    (r"nccl error|nccl(unhandled|system|internal|remote)|distbackenderror",
     "nccl", "check `nvidia-smi topo -m`, and run with NCCL_DEBUG=INFO; the full text is in the engine log"),
    (r"no kernel image is available",
     "version_mismatch", "install a PyTorch that is built for this GPU"),
    (r"undefined symbol|cannot open shared object file",
     "version_mismatch", "reinstall torch and transformers together in a fresh virtual environment"),
    (r"flashattention only support|flash attention only supports",
     "unsupported_dtype_quant", "use dtype float16 or bfloat16, or pytorch.attn_implementation: sdpa"),
    (r"not implemented for '(half|bfloat16|float16)'",
     "unsupported_dtype_quant", "use dtype float32 on this device"),
    (r"does not support an attention implementation",
     "config", "set pytorch.attn_implementation: eager"),
    (r"trust_remote_code|execute the configuration file",
     "unsupported_model", "models that bring their own code are not run; choose one that transformers knows"),
    (r"does not recognize this architecture|unrecognized configuration class|unrecognized model in",
     "unsupported_model", "upgrade transformers, or choose another model or backend"),
    (r"no file named .* found in directory|does not appear to have a file named",
     "model_not_found", "the folder holds no weights: download the model completely"),
    (r"not a valid json file|deserializing header|incompletemetadata|size mismatch|ignore_mismatched_sizes",
     "corrupt_model", "download the model again"),
]


def from_exception(exc: BaseException) -> Failure:
    """Turn any exception into a failure, keeping its type and text."""
    if isinstance(exc, Failure):
        return exc
    if type(exc).__name__ == "OutOfMemoryError":
        return Failure("oom_gpu", out_of_memory_message(str(exc)), OOM_HINT)
    text = f"{type(exc).__name__}: {exc}".strip()
    for pattern, failure_class, next_step in PATTERNS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return Failure(failure_class, shorten(text), next_step)
    return failures.from_exception(exc)


def out_of_memory_message(text: str) -> str:
    """One line with the requested and the free memory."""
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", text)
    free = re.search(r"total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free", text)
    message = "out of GPU memory"
    if asked:
        message += f": tried to allocate {asked[1]}"
    if free:
        message += f", {free[2]} of {free[1]} free"
    return message if asked or free else f"{message}: {shorten(text)}"
