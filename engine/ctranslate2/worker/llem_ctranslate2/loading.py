"""Loading one model, and the settings that the engine really uses."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile

import ctranslate2
from llem_protocol.failures import Failure, needs_restart
from llem_protocol.spec import common, options_of
from llem_protocol.tokens import Tokenizer

from . import binary, convert, environment, shapes

DTYPES = ("float32", "float16", "bfloat16")

# AUTO leaves the dtype to the device.
AUTO = "auto"
CACHE = "LLEM_CTRANSLATE2_CACHE"


@dataclasses.dataclass
class Request:
    """A Spec, with the ctranslate2 section of the study."""

    model: str
    path: str
    synthetic: bool
    dtype: str
    seed: int
    batch_size: int
    max_context: int
    device: str = "auto"
    compute_type: str = ""
    threads: int = 0
    flash_attention: bool = False
    # The arguments of generate_batch that choose tokens; none of them takes the most likely one.
    sampling: tuple[tuple[str, float], ...] = ()
    sample_seed: int = 0

    @classmethod
    def from_spec(cls, spec: dict) -> Request:
        """Read a Spec; absent options have their defaults."""
        options = options_of(spec)
        return cls(
            **common(spec, dtype=AUTO),
            device=options.get("device") or "auto",
            compute_type=options.get("compute_type") or "",
            threads=int(options.get("intra_threads") or 0),
            flash_attention=bool(options.get("flash_attention")),
            **chosen(spec),
        )

    @property
    def wanted(self) -> str:
        """The requested compute type."""
        return self.compute_type or self.dtype


class Engine:
    """A loaded model."""

    def __init__(self, request: Request, generator, tokenizer: Tokenizer | None, vocab: int, sizes: tuple[int, int],
                 notes: list[str]) -> None:
        self.request, self.generator, self.tokenizer = request, generator, tokenizer
        self.vocab, self.parameters, self.weight_bytes = vocab, *sizes
        self.notes = notes

    def describe(self) -> dict:
        """The engine as it actually runs, without what hello already reported."""
        generator = self.generator
        on_cuda = generator.device == "cuda"
        uuids = [environment.gpu_uuid(index) for index in generator.device_index] if on_cuda else []
        settings = {"compute_type": generator.compute_type, "inter_threads": str(generator.num_generators),
                    "dtype": float_type(generator.compute_type), "batch_size": str(self.request.batch_size),
                    "device": generator.device + (f":{generator.device_index[0]}" if on_cuda else "")}
        if self.request.threads:
            settings["intra_threads"] = str(self.request.threads)
        if self.request.flash_attention:
            settings["flash_attention"] = "true"
        return {
            "device": generator.device,
            "dtype": float_type(generator.compute_type),
            "threads": self.request.threads,
            "device_uuids": [name for name in uuids if name],
            "vocab": self.vocab,
            "text_vocab": self.tokenizer.text_vocab(self.vocab) if self.tokenizer else self.vocab,
            "parameters": self.parameters,
            "weight_bytes": self.weight_bytes,
            "settings": settings,
            "notes": self.notes,
        }

    def adapt(self, spec: dict) -> None:
        """Take another batch size, length or choice of tokens; whatever else differs needs another model."""
        request = settled(Request.from_spec(spec), self.generator.device)
        # The seed is taken when the thread of the generator draws for the first time, and never again.
        free = {key: getattr(self.request, key) for key in ("batch_size", "max_context", "sampling")}
        if dataclasses.replace(request, **free) != self.request:
            raise needs_restart("the loaded model cannot take these settings")
        self.request = request


def chosen(spec: dict) -> dict:
    """How tokens are chosen, as the fields of a Request. A top_k of 0 is all tokens."""
    asked = spec.get("decoding") or {}
    penalty = asked.get("repetition_penalty")
    penalties = (("repetition_penalty", float(penalty)),) if penalty else ()
    if not asked.get("temperature"):
        return {"sampling": penalties}
    return {"sampling": (("sampling_temperature", float(asked["temperature"])),
                         ("sampling_topk", int(asked.get("top_k") or 0)),
                         ("sampling_topp", float(asked.get("top_p") or 1.0)), *penalties),
            "sample_seed": int(asked.get("seed") or spec.get("seed") or 0) % 2**32}


def load(request: Request, progress) -> Engine:
    """Load the model that the request describes."""
    config = read_config(request)
    device, index = choose_device(request.device)
    request = settled(request, device)
    check(request, config, device)
    progress("reading tokenizer", 0.0)
    file = os.path.join(request.path, "tokenizer.json")
    tokenizer = Tokenizer.from_file(file) if os.path.isfile(file) else None
    if request.synthetic:
        progress("creating weights", 0.1)
        folder = tempfile.mkdtemp(prefix="model-", dir=scratch())
        try:
            shapes.write(config, request.seed, stored_type(request.dtype), folder)
            return start(request, folder, device, index, tokenizer, config, progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    cache = os.environ.get(CACHE) or os.path.expanduser("~/.cache/llem/ctranslate2")
    folder = convert.converted(request.path, request.model, request.dtype, cache, progress)
    return start(request, folder, device, index, tokenizer, config, progress)


def start(request: Request, folder: str, device: str, index: int, tokenizer, config: dict, progress) -> Engine:
    """Load CTranslate2's own folder."""
    progress("reading weights", 0.5)
    if request.sampling:
        ctranslate2.set_random_seed(request.sample_seed)
    generator = ctranslate2.Generator(
        folder, device=device, device_index=index, compute_type=request.wanted, inter_threads=1,
        intra_threads=request.threads, **({"flash_attention": True} if request.flash_attention else {}))
    got = generator.compute_type
    if got != request.wanted and not (request.wanted == "int8" and got.startswith("int8_")):
        raise Failure("unsupported_dtype_quant",
                      f"CTranslate2 computes in {got}, not in {request.wanted} as asked", "choose another compute type")
    with open(os.path.join(folder, "vocabulary.json"), encoding="utf-8") as file:
        vocab = len(json.load(file))
    if request.flash_attention:  # a missing kernel shows only when it is used
        generator.generate_batch([["0", "0"]], max_length=1, end_token=[], include_prompt_in_result=False)
    return Engine(request, generator, tokenizer, vocab, binary.sizes(os.path.join(folder, convert.MODEL), got),
                  excess(request, config))


def read_config(request: Request) -> dict:
    """The config of the model's folder."""
    file = os.path.join(request.path, "config.json")
    if not os.path.isfile(file):
        raise Failure("model_not_found", f"model {request.model}: {request.path} has no config.json",
                      "give a Hugging Face folder, or a model of the form random:<shape>")
    with open(file, encoding="utf-8") as stream:
        return json.load(stream)


def settled(request: Request, device: str) -> Request:
    """The request with the dtype that auto means: the first one that the device computes in."""
    if request.dtype != AUTO:
        return request
    supported = ctranslate2.get_supported_compute_types(device)
    usual = ("bfloat16", "float16", "float32") if device == "cuda" else ("float32",)
    return dataclasses.replace(request, dtype=next((name for name in usual if name in supported), "float32"))


def check(request: Request, config: dict, device: str) -> None:
    """Refuse impossible settings before anything is created."""
    if request.dtype not in DTYPES:
        raise Failure("unsupported_dtype_quant", f"dtype {request.dtype} is not supported by the ctranslate2 backend",
                      "use one of " + ", ".join(DTYPES))
    supported = sorted(ctranslate2.get_supported_compute_types(device))
    if request.wanted not in supported:
        floats = ", ".join(name for name in supported if name in DTYPES)
        if request.compute_type:
            raise Failure("unsupported_dtype_quant",
                          f"ctranslate2.compute_type {request.wanted}: "
                          f"CTranslate2 does not compute in it on this {device}",
                          "use one of " + ", ".join(supported))
        raise Failure("unsupported_dtype_quant",
                      f"dtype {request.wanted}: CTranslate2 does not compute in it on this {device}",
                      f"use dtype {floats}, or set ctranslate2.compute_type to one of " + ", ".join(supported))
    if request.flash_attention and device != "cuda":
        raise Failure("config", "ctranslate2.flash_attention needs a GPU",
                      "leave it out, or set ctranslate2.device: cuda")
    if request.synthetic:
        shapes.check(config, request.model)


def choose_device(name: str) -> tuple[str, int]:
    """The device that ctranslate2.device names, and its number."""
    count = environment.gpu_count()
    if name == "auto":
        name = "cuda" if count else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cpu":
        return "cpu", 0
    index = int(number or 0)
    if index >= count:
        raise Failure("no_device", f"ctranslate2.device {name}: CTranslate2 sees {count} GPUs",
                      "check nvidia-smi and CUDA_VISIBLE_DEVICES, or set ctranslate2.device: cpu")
    return "cuda", index


def stored_type(dtype: str) -> str:
    """The type of the numbers in a random model's file. numpy has no bfloat16."""
    return "float32" if dtype == "float32" else "float16"


def float_type(compute_type: str) -> str:
    """The type of unquantised weights."""
    return compute_type.removeprefix("int8_")


def excess(request: Request, config: dict) -> list[str]:
    """A remark on sequences that are longer than the model was made for: rotary positions have no end."""
    made_for = config.get("max_position_embeddings")
    if made_for is None or request.max_context <= made_for:
        return []
    return [f"the workload needs {request.max_context} tokens of context, model {request.model} is made for {made_for}"]


def scratch() -> str | None:
    """The folder for files of a run: the worker's own, which is removed with it."""
    folder = os.path.dirname(os.path.abspath(sys.argv[0] or "."))
    return folder if os.path.basename(folder).startswith("llem-") and os.access(folder, os.W_OK) else None
