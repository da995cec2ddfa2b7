"""Loading one model: from a checkpoint, or random at the shape of a config."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable

import torch

from . import masks
from .failures import Failure
from .tokens import Tokenizer

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ATTENTIONS = ("sdpa", "eager", "flash_attention_2")


@dataclasses.dataclass
class Request:
    """What the parent asks for, with the pytorch section of the study."""

    model: str
    path: str
    synthetic: bool
    dtype: str
    seed: int
    batch_size: int
    max_context: int
    attention: str
    device: str

    @classmethod
    def from_spec(cls, spec: dict) -> Request:
        """Read a Spec; absent options have their defaults."""
        options = spec.get("options") or {}
        return cls(
            model=spec.get("model") or spec["path"],
            path=spec["path"],
            synthetic=bool(spec.get("synthetic")),
            dtype=spec.get("dtype") or "bfloat16",
            seed=int(spec.get("seed") or 0),
            batch_size=int(spec.get("batch_size") or options.get("batch_size") or 1),
            max_context=int(spec.get("max_context") or 0),
            attention=options.get("attn_implementation") or "sdpa",
            device=options.get("device") or "auto",
        )


@dataclasses.dataclass
class Engine:
    """A loaded model and what is needed to run it."""

    model: torch.nn.Module
    device: torch.device
    tokenizer: Tokenizer | None
    batch_size: int
    vocab: int
    longest: int | None
    notes: list[str]
    request: Request

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def describe(self) -> dict:
        """The engine as it actually runs, less what hello already said."""
        parameters = list(self.model.parameters())
        text_vocab = self.tokenizer.text_vocab(self.vocab) if self.tokenizer else self.vocab
        return {
            "device": self.device.type,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": attention_of(self.model),
            "threads": torch.get_num_threads(),
            "device_uuids": device_uuids(self.device),
            "vocab": self.vocab,
            "text_vocab": text_vocab,
            "parameters": sum(p.numel() for p in parameters),
            "weight_bytes": sum(p.numel() * p.element_size() for p in parameters),
            "pid": os.getpid(),
        }


def load(request: Request, progress: Callable[[str, float], None]) -> Engine:
    """Load the model that the request describes."""
    check_options(request)
    device = choose_device(request.device)
    check_support(request, device)
    progress("importing transformers", 0.0)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    masks.install()
    config = read_config(request)
    longest, notes = context_limit(request, config.get_text_config())
    torch.manual_seed(request.seed % 2**63)
    progress("creating weights" if request.synthetic else "reading weights", 0.1)
    model = (random_model if request.synthetic else stored_model)(request, config, device)
    model.eval().requires_grad_(False)
    check_attention(request, model)
    progress("reading tokenizer", 0.9)
    return Engine(
        model=model,
        device=device,
        tokenizer=Tokenizer.from_folder(request.path),
        batch_size=request.batch_size,
        vocab=model.get_input_embeddings().num_embeddings,
        longest=longest,
        notes=notes,
        request=request,
    )


def adapt(engine: Engine, request: Request) -> None:
    """Take another batch size and length; whatever else differs needs another model."""
    same = dataclasses.replace(request, batch_size=engine.request.batch_size, max_context=engine.request.max_context)
    if same != engine.request:
        raise Failure("config", "the loaded model cannot take these settings", "start the engine anew")
    check_options(request)
    engine.longest, engine.notes = context_limit(request, engine.model.config.get_text_config())
    engine.batch_size, engine.request = request.batch_size, request


def check_options(request: Request) -> None:
    """Refuse values that are not known."""
    if request.dtype not in DTYPES:
        raise Failure("unsupported_dtype_quant", f"dtype {request.dtype} is not supported by the pytorch backend",
                      "use one of " + ", ".join(DTYPES))
    if request.attention not in ATTENTIONS:
        raise Failure("config", f"pytorch.attn_implementation {request.attention} is not supported",
                      "use one of " + ", ".join(ATTENTIONS))
    if request.batch_size < 1:
        raise Failure("config", f"pytorch.batch_size {request.batch_size} is not a batch size", "use 1 or more")
    if not os.path.isfile(os.path.join(request.path, "config.json")):
        raise Failure("model_not_found", f"model {request.model}: {request.path} has no config.json",
                      "give a Hugging Face folder, or a model of the form random:<shape>")


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
    if request.attention != "flash_attention_2":
        return
    if device.type != "cuda":
        raise Failure("config", "flash_attention_2 needs a GPU", "set pytorch.attn_implementation: sdpa")
    if request.dtype == "float32":
        raise Failure("unsupported_dtype_quant", "flash_attention_2 has no float32 form",
                      "use dtype float16 or bfloat16, or pytorch.attn_implementation: sdpa")
    # Without the package transformers may fetch a substitute: that is not what
    # was asked for.
    if importlib.util.find_spec("flash_attn") is None:
        raise Failure("not_installed", f"{sys.executable} has no module flash_attn",
                      f"{sys.executable} -m pip install flash-attn --no-build-isolation, "
                      "or set pytorch.attn_implementation: sdpa")


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
    """A model with random weights, made where it will run."""
    import transformers

    with torch.device(device):
        return transformers.AutoModelForCausalLM.from_config(
            config, dtype=DTYPES[request.dtype], attn_implementation=request.attention
        )


def stored_model(request: Request, config, device: torch.device) -> torch.nn.Module:
    """A model with the weights of its folder, all of them."""
    import transformers

    # With accelerate the weights go to the GPU one by one; without it the whole
    # model passes through host memory.
    placed = device.type == "cuda" and importlib.util.find_spec("accelerate") is not None
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
    return model if placed else model.to(device)


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
