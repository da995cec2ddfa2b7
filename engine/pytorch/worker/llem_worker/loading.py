"""Loading one model: from a checkpoint, or random at the shape of a config."""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
from collections.abc import Callable

import torch

from llem_protocol.failures import Failure, needs_restart
from llem_protocol.tokens import Tokenizer

from . import compiled, continuous, lora, masks, parallel, quantise, spread
from .caches import StaticCaches
from .generate import Forward
from .request import DTYPES, Request, check_options, check_support, choose_device
@dataclasses.dataclass
class Engine:
    """A loaded model and everything needed to run it."""

    model: torch.nn.Module
    # The first device receives prompts and returns tokens.
    device: torch.device
    devices: list[torch.device]
    tokenizer: Tokenizer | None
    batch_size: int
    vocab: int
    longest: int | None
    notes: list[str]
    request: Request
    forward: Forward | continuous.Scheduler
    # Counted before quantising: afterwards a number may hold two weights. Without an adapter's.
    parameters: int
    quantised: dict[str, str]
    placed: dict[str, str]
    adapter: dict[str, str]
    # The ranks that share the model; None if it is whole.
    group: parallel.Group | None = None

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        for device in self.devices:
            if device.type == "cuda":
                torch.cuda.synchronize(device)

    def describe(self) -> dict:
        """The engine as it actually runs, without what hello already reported."""
        text_vocab = self.tokenizer.text_vocab(self.vocab) if self.tokenizer else self.vocab
        return {
            "device": self.device.type,
            "dtype": self.dtype(),
            "attention": attention_of(self.model),
            "threads": torch.get_num_threads(),
            "device_uuids": [uuid for device in self.devices for uuid in device_uuids(device)]
            + (self.group.uuids if self.group else []),
            "vocab": self.vocab,
            "text_vocab": text_vocab,
            "parameters": self.parameters,
            # Of shared weights each rank has as many.
            "weight_bytes": quantise.weight_bytes(self.model) * (self.group.size if self.group else 1),
            "settings": self.settings(),
            "schedules": isinstance(self.forward, continuous.Scheduler),
            "notes": self.notes,
        }

    def dtype(self) -> str:
        """The type of the weights; for a quantised model, of its unquantised weights."""
        return self.request.dtype if self.quantised else str(self.model.dtype).removeprefix("torch.")

    def settings(self) -> dict[str, str]:
        """The settings in use, by key if there is one."""
        used = {"dtype": self.dtype(), "attn_implementation": attention_of(self.model).removeprefix("paged|"),
                "device": str(self.device), "batch_size": str(self.batch_size), "batching": "static",
                "compile": "off", "prefill_chunk_size": "0", "quantization": "none",
                "device_map": "single", "lora": "none",
                "threads": str(torch.get_num_threads()),
                "tensor_parallel_size": str(self.group.size if self.group else 1),
                "matmul_precision": torch.get_float32_matmul_precision()}
        return {**used, **self.forward.settings(), **self.quantised, **self.placed, **self.adapter}


def load(request: Request, progress: Callable[[str, float], None], group: parallel.Group | None = None) -> Engine:
    """Load the model that the request describes, or with a group this rank's part of it."""
    check_options(request)
    device = parallel.device_of(request, group) if group else choose_device(request.device)
    devices = spread.devices_for(request.device_map, device)
    check_support(request, device)
    set_process(request)
    progress("importing transformers", 0.0)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    masks.install()
    config = read_config(request)
    longest, notes = context_limit(request, config.get_text_config())
    if group:
        parallel.check_sizes(request, config.get_text_config())
        progress("waiting for the other ranks", 0.05)
        group.join(device)
    torch.manual_seed(request.seed % 2**63)
    progress("creating weights" if request.synthetic else "reading weights", 0.1)
    model = (random_model if request.synthetic else stored_model)(request, config, device)
    model.eval().requires_grad_(False)
    check_attention(request, model)
    parameters = sum(weight.numel() for weight in model.parameters())
    placed = spread.spread(model, devices) if request.device_map == "auto" else {}
    if group:
        progress("sharing weights", 0.7)
        placed = parallel.shard(model, group, device, alike=not request.synthetic)
    quantised = {}
    if request.quantization != "none":
        progress("quantising", 0.7)
        quantised = quantise.quantise(model, request.quantization, device)
    adapter = lora.attach(model, request.lora, request.seed)
    progress("reading tokenizer", 0.8)
    tokenizer = Tokenizer.from_folder(request.path)
    if request.compile != "off":
        progress("compiling", 0.9)
    return Engine(
        model=model,
        device=device,
        devices=devices,
        tokenizer=tokenizer,
        batch_size=request.batch_size,
        vocab=model.get_input_embeddings().num_embeddings,
        longest=longest,
        notes=notes,
        request=request,
        forward=make_forward(request, model, device, longest),
        parameters=parameters,
        quantised=quantised,
        placed=placed,
        adapter=adapter,
        group=group,
    )


def set_process(request: Request) -> None:
    """Settings of the whole process. They are set always: an earlier load may have changed them."""
    torch.set_float32_matmul_precision(request.precision)
    if request.tensor_parallel > 1:
        parallel.share_threads(request)
    if request.threads:
        torch.set_num_threads(request.threads)
        if torch.get_num_threads() != request.threads:
            raise Failure("config",
                          f"pytorch.threads {request.threads}: PyTorch runs {torch.get_num_threads()} threads",
                          "leave pytorch.threads out")


def make_forward(
    request: Request, model: torch.nn.Module, device: torch.device, longest: int | None
) -> Forward | continuous.Scheduler:
    """What runs the steps, with everything compiled that can be known of."""
    if request.batching == "continuous":
        if not longest:
            raise no_length(request)
        return continuous.Scheduler(model, device, request.attention, request.batch_size, longest,
                                    request.decoding)
    if request.cache == "dynamic":
        return Forward(model, None, request.chunk, request.decoding)
    if not longest:
        raise no_length(request)
    caches = StaticCaches(model, longest, keep=request.compile != "off")
    if request.compile == "off":
        return Forward(model, caches, request.chunk, request.decoding)
    forward = compiled.CompiledForward(model, caches, request.chunk, request.compile, device, request.decoding)
    forward.warm(request.batch_size)
    return forward


def no_length(request: Request) -> Failure:
    """A cache cannot be laid out."""
    return Failure("config", f"model {request.model} does not say how long a sequence may be",
                   "use pytorch.cache_implementation: dynamic and pytorch.batching: static")


def adapt(engine: Engine, request: Request) -> None:
    """Take another batch size, length, chunk or cache; whatever else differs needs another model."""
    free = {name: getattr(engine.request, name) for name in ("batch_size", "max_context", "chunk", "decoding")}
    if request.compile == engine.request.compile == "off":
        free["cache"] = engine.request.cache
    if dataclasses.replace(request, **free) != engine.request:
        raise needs_restart("the loaded model cannot take these settings")
    check_options(request)
    longest, notes = context_limit(request, engine.model.config.get_text_config())
    # What the settings before took is free before the new ones take theirs.
    engine.forward = None
    gc.collect()
    engine.forward = make_forward(request, engine.model, engine.device, longest)
    engine.longest, engine.notes = longest, notes
    engine.batch_size, engine.request = request.batch_size, request


def read_config(request: Request):
    """The config of the folder; unknown architectures are a Failure."""
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(request.path, local_files_only=True)
    except (KeyError, ValueError) as exc:
        if "trust_remote_code" in str(exc):
            raise
        raise Failure("unsupported_model",
                      f"model {request.model}: transformers {transformers.__version__} does not know its architecture: "
                      f"{str(exc).splitlines()[0] if str(exc) else exc!r}",
                      "upgrade transformers, or choose another model or backend") from exc


def context_limit(request: Request, config) -> tuple[int | None, list[str]]:
    """The longest context that may be run, and remarks on it.

    Rotary positions have no end: beyond what the model was made for the work is
    the same, only the text is not. A table of positions has one.
    """
    made_for = getattr(config, "max_position_embeddings", None)
    if made_for is None or request.max_context <= made_for:
        return request.max_context or made_for, []
    excess = f"the workload needs {request.max_context} tokens of context, model {request.model} is made for {made_for}"
    if getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None):
        return request.max_context, [excess]
    raise Failure("config", excess, "shorten workload.input_tokens or workload.output_tokens")


def random_model(request: Request, config, device: torch.device) -> torch.nn.Module:
    """A model with random weights, created on its device."""
    import transformers

    with torch.device(device):
        return transformers.AutoModelForCausalLM.from_config(
            config, dtype=DTYPES[request.dtype], attn_implementation=request.attention
        )


def stored_model(request: Request, config, device: torch.device) -> torch.nn.Module:
    """A model with the weights of its folder, all of them."""
    import transformers

    # With accelerate the weights go to the GPU one by one; without it the whole
    # model passes through host memory. So it does where several GPUs get parts of it.
    spreads = request.device_map == "auto" or request.tensor_parallel > 1
    placed = device.type == "cuda" and not spreads and importlib.util.find_spec("accelerate") is not None
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        request.path,
        config=config,
        dtype=DTYPES[request.dtype],
        attn_implementation=request.attention,
        local_files_only=True,
        output_loading_info=True,
        **({"device_map": {"": str(device)}} if placed else {}),
    )
    missing = sorted(report.get("missing_keys") or [])
    if missing:
        raise Failure("corrupt_model",
                      f"model {request.model}: the checkpoint lacks {len(missing)} weights, such as {missing[0]}",
                      "download the model again")
    return model if placed or spreads else model.to(device)


def attention_of(model: torch.nn.Module) -> str:
    """The attention implementation that the model's layers use."""
    return model.config.get_text_config()._attn_implementation


def check_attention(request: Request, model: torch.nn.Module) -> None:
    """A library that replaces the attention must not do so silently."""
    actual = attention_of(model)
    if actual != request.attention:
        raise Failure("config",
                      f"model {request.model} runs with attention {actual}, not with {request.attention} as asked",
                      f"set pytorch.attn_implementation: {actual}")


def device_uuids(device: torch.device) -> list[str]:
    """The GPU's name as the driver's tools print it."""
    if device.type != "cuda":
        return []
    uuid = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    if not uuid:
        return []
    return [uuid if uuid.startswith(("GPU-", "MIG-")) else "GPU-" + uuid]
