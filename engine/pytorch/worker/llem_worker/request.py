"""The parent's request, and the checks for what is impossible."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys

import torch

from llem_protocol.failures import Failure
from llem_protocol.spec import common, options_of

from . import lora, quantise
from .sampling import Decoding
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")
BATCHINGS = ("static", "continuous")
CACHES = ("dynamic", "static")
COMPILE_MODES = ("off", "default", "reduce-overhead", "max-autotune")
DEVICE_MAPS = ("single", "auto")
PRECISIONS = ("highest", "high", "medium")

# The package that brings an attention implementation, and how to install it.
FLASH_PACKAGES = {
    "flash_attention_2": ("flash_attn", "flash-attn --no-build-isolation"),
    "flash_attention_3": ("flash_attn_interface", "flash_attn_3"),
}


@dataclasses.dataclass
class Request:
    """A Spec, with the pytorch section of the study."""

    model: str
    path: str
    synthetic: bool
    dtype: str
    seed: int
    batch_size: int
    max_context: int
    attention: str
    device: str
    batching: str = "static"
    cache: str = "dynamic"
    compile: str = "off"
    quantization: str = "none"
    precision: str = "highest"
    threads: int = 0
    chunk: int = 0
    device_map: str = "single"
    tensor_parallel: int = 1
    lora: str = "none"
    decoding: Decoding = Decoding()

    @classmethod
    def from_spec(cls, spec: dict) -> Request:
        """Read a Spec; absent options have their defaults."""
        options = options_of(spec)
        return cls(
            **common(spec, dtype="bfloat16"),
            attention=options.get("attn_implementation") or "sdpa",
            device=options.get("device") or "auto",
            batching=options.get("batching") or "static",
            cache=options.get("cache_implementation") or "dynamic",
            compile=options.get("compile") or "off",
            quantization=options.get("quantization") or "none",
            precision=options.get("matmul_precision") or "highest",
            threads=int(options.get("threads") or 0),
            chunk=int(options.get("prefill_chunk_size") or 0),
            device_map=options.get("device_map") or "single",
            tensor_parallel=int(options.get("tensor_parallel_size") or 1),
            lora=options.get("lora") or "none",
            decoding=Decoding.from_spec(spec),
        )

    @property
    def flash(self) -> bool:
        """Attention needs a package of its own."""
        return self.attention in FLASH_PACKAGES


def check_options(request: Request) -> None:
    """Refuse values that are not known, and values that do not fit together."""
    if request.dtype not in DTYPES:
        raise Failure("unsupported_dtype_quant", f"dtype {request.dtype} is not supported by the pytorch backend",
                      "use one of " + ", ".join(DTYPES))
    for key, value, known in (
        ("attn_implementation", request.attention, ATTENTIONS),
        ("batching", request.batching, BATCHINGS),
        ("cache_implementation", request.cache, CACHES),
        ("compile", request.compile, COMPILE_MODES),
        ("matmul_precision", request.precision, PRECISIONS),
        ("device_map", request.device_map, DEVICE_MAPS),
    ):
        if value not in known:
            raise Failure("config", f"pytorch.{key} {value} is not supported", "use one of " + ", ".join(known))
    if request.precision != "highest" and request.dtype != "float32":
        raise Failure("config", f"pytorch.matmul_precision {request.precision} concerns products of float32, "
                      f"not of {request.dtype}", "remove it, or use dtype float32")
    if request.batch_size < 1:
        raise Failure("config", f"pytorch.batch_size {request.batch_size} is not a batch size", "use 1 or more")
    if request.compile != "off" and request.cache != "static":
        raise Failure("config", f"pytorch.compile {request.compile} needs a static cache: "
                      "a cache that grows has no fixed shape", "set pytorch.cache_implementation: static")
    if request.flash and request.cache == "static":
        raise Failure("config", f"{request.attention} does not run with a static cache",
                      "use pytorch.attn_implementation: sdpa, or pytorch.cache_implementation: dynamic")
    if request.batching == "continuous" and (request.cache != "dynamic" or request.chunk):
        raise Failure("config", "pytorch.batching continuous has a paged cache and a scheduler of its own",
                      "remove pytorch.cache_implementation, compile and prefill_chunk_size")
    if request.device_map == "auto" and (request.device not in ("auto", "cuda") or request.cache != "dynamic"
                                         or request.batching != "static" or request.quantization != "none"):
        raise Failure("config", "pytorch.device_map auto runs on all visible GPUs, "
                      "with a dynamic cache, static batches and whole weights",
                      "leave out pytorch.device, cache_implementation, batching and quantization, "
                      "or set pytorch.device_map: single")
    if request.decoding.repetition_penalty != 1 and request.batching == "continuous":
        raise Failure("config", f"decoding.repetition_penalty {request.decoding.repetition_penalty} does not run with "
                      "pytorch.batching continuous: the library's scheduler does not have it",
                      "set pytorch.batching: static, or leave out decoding.repetition_penalty")
    if request.tensor_parallel != 1:
        check_parallel(request)
    lora.check(request.lora)
    if request.lora != "none" and request.device_map != "single":
        raise Failure("config", f"pytorch.lora {request.lora} does not run with pytorch.device_map "
                      f"{request.device_map}", "set pytorch.device_map: single, or pytorch.lora: none")
    if not os.path.isfile(os.path.join(request.path, "config.json")):
        raise Failure("model_not_found", f"model {request.model}: {request.path} has no config.json",
                      "give a Hugging Face folder, or a model of the form random:<shape>")


def check_parallel(request: Request) -> None:
    """Refuse settings that do not run on several ranks."""
    if request.tensor_parallel < 1:
        raise Failure("config", f"pytorch.tensor_parallel_size is {request.tensor_parallel}", "use 1 or more")
    size = f"pytorch.tensor_parallel_size {request.tensor_parallel}"
    for key, value, needed in (
        ("device_map", request.device_map, "single"),
        ("quantization", request.quantization, "none"),
        ("batching", request.batching, "static"),
        ("compile", request.compile, "off"),
        ("lora", request.lora, "none"),
    ):
        if value != needed:
            raise Failure("config", f"{size} does not run with pytorch.{key} {value}",
                          f"set pytorch.{key}: {needed}, or pytorch.tensor_parallel_size: 1")
    if request.device not in ("auto", "cpu", "cuda"):
        raise Failure(
            "config",
            f"{size} runs on the first {request.tensor_parallel} visible GPUs, not on {request.device} alone",
            "leave out pytorch.device, and choose GPUs with CUDA_VISIBLE_DEVICES",
        )


def choose_device(name: str) -> torch.device:
    """The device that pytorch.device names, made current."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cuda", "cpu"):
        raise Failure("config", f"pytorch.device {name} is not a device", "use auto, cpu, cuda or cuda:<number>")
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = device.index or 0
    if index >= count:
        raise Failure("no_device", f"pytorch.device {name}: PyTorch sees {count} GPUs",
                      "check nvidia-smi and CUDA_VISIBLE_DEVICES, or set pytorch.device: cpu")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def check_support(request: Request, device: torch.device) -> None:
    """Refuse combinations that the device or the installation cannot do."""
    if request.dtype == "bfloat16" and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        raise Failure("unsupported_dtype_quant",
                      f"{torch.cuda.get_device_name(device)} has no bfloat16 arithmetic", "use dtype float16")
    if request.compile == "reduce-overhead" and device.type != "cuda":
        raise Failure("config", "pytorch.compile reduce-overhead is CUDA graphs: it needs a GPU",
                      "use default or max-autotune")
    if request.quantization != "none":
        quantise.check(request.quantization, DTYPES[request.dtype], device)
    if request.flash:
        check_flash(request, device)


def check_flash(request: Request, device: torch.device) -> None:
    """Refuse flash attention if it would be replaced or fail."""
    name = request.attention
    if device.type != "cuda":
        raise Failure("config", f"{name} needs a GPU", "set pytorch.attn_implementation: sdpa")
    if request.dtype == "float32":
        raise Failure("unsupported_dtype_quant", f"{name} has no float32 form",
                      "use dtype float16 or bfloat16, or pytorch.attn_implementation: sdpa")
    if name == "flash_attention_3" and torch.cuda.get_device_capability(device)[0] != 9:
        raise Failure("unsupported_dtype_quant",
                      f"flash_attention_3 is made for Hopper GPUs, not for {torch.cuda.get_device_name(device)}",
                      "set pytorch.attn_implementation: sdpa or flash_attention_2")
    # Without the package transformers may fetch a substitute: that is not what
    # was asked for.
    module, package = FLASH_PACKAGES[name]
    if importlib.util.find_spec(module) is None:
        raise Failure("not_installed", f"{sys.executable} has no module {module}",
                      f"{sys.executable} -m pip install {package}, or set pytorch.attn_implementation: sdpa")
