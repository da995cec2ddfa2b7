"""A LoRA adapter beside the weights of linear layers: y = Wx + (alpha / r) B(Ax), never merged.

It is read from a folder as peft writes it, or drawn at random, so that its cost can be
measured without a download. What this module does not compute is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os

import torch

from llem_protocol.failures import Failure

RANDOM = "random:"
# What a random adapter is put beside: the projections of attention.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
PREFIX = "base_model.model."
# Keys of adapter_config.json that change the computation or its place.
VARIANTS = ("use_dora", "use_rslora", "lora_bias", "rank_pattern", "alpha_pattern", "modules_to_save",
            "fan_in_fan_out", "layers_to_transform", "layers_pattern", "layer_replication", "exclude_modules",
            "target_parameters", "trainable_token_indices", "megatron_config", "use_qalora", "alora_invocation_tokens",
            "arrow_config")


class Adapted(torch.nn.Module):
    """A linear layer with an adapter. B has the scale in it."""

    def __init__(self, base: torch.nn.Module, a: torch.Tensor, b: torch.Tensor, scale: float, dtype: torch.dtype):
        super().__init__()
        self.base = base
        device = base.weight.device
        self.a = torch.nn.Parameter(a.to(device, dtype), requires_grad=False)
        self.b = torch.nn.Parameter((b.to(device, torch.float32) * scale).to(dtype), requires_grad=False)

    @property
    def weight(self) -> torch.Tensor:
        """The weights of the layer itself: models ask for their type."""
        return self.base.weight

    @property
    def bias(self) -> torch.Tensor | None:
        """The bias of the layer itself."""
        return self.base.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output and the adapter's."""
        low = torch.nn.functional.linear(x, self.a)
        return self.base(x) + torch.nn.functional.linear(low, self.b)


def check(name: str) -> None:
    """Refuse an adapter that cannot be loaded, before a model is."""
    if name == "none":
        return
    if name.startswith(RANDOM):
        rank_of(name)
        return
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not os.path.isfile(os.path.join(name, file)):
            raise Failure("model_not_found", f"pytorch.lora {name} has no {file}",
                          "give the folder of an adapter as peft saves it, or random:RANK")
    read_config(name)


def rank_of(name: str) -> int:
    """The rank of a random adapter."""
    text = name.removeprefix(RANDOM)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise refused(name, "the rank is a whole number from 1", "use random:16")
    return int(text)


def refused(name: str, why: str, hint: str) -> Failure:
    """The adapter is not one that this module computes, or not one of this model."""
    return Failure("config", f"pytorch.lora {name}: {why}", hint)


def read_config(name: str) -> dict:
    """The config of a folder, of a plain adapter."""
    try:
        with open(os.path.join(name, "adapter_config.json"), encoding="utf-8") as file:
            config = json.load(file)
    except (OSError, ValueError) as exc:
        raise Failure("corrupt_model", f"pytorch.lora {name}: read adapter_config.json: {exc}",
                      "save or download the adapter again") from exc
    if not isinstance(config, dict):
        raise Failure("corrupt_model", f"pytorch.lora {name}: adapter_config.json is not an object",
                      "save or download the adapter again")
    plain = "use a plain LoRA adapter of linear layers"
    if config.get("peft_type") != "LORA":
        raise refused(name, f"peft_type is {config.get('peft_type')}, not LORA", plain)
    for key in VARIANTS:
        if config.get(key):
            raise refused(name, f"{key} is not supported", plain)
    if config.get("bias", "none") != "none":
        raise refused(name, f"bias {config['bias']} is not supported", plain)
    rank, alpha, targets = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if type(rank) is not int or rank < 1:
        raise refused(name, f"r is {rank!r}, not a rank", plain)
    if type(alpha) not in (int, float) or not math.isfinite(alpha):
        raise refused(name, f"lora_alpha is {alpha!r}, not a number", plain)
    if not isinstance(targets, list) or not targets or not all(isinstance(t, str) and t for t in targets):
        raise refused(name, f"target_modules is {targets!r}, not a list of names", "list the names of the layers in it")
    return config


def attach(model: torch.nn.Module, name: str, seed: int) -> dict[str, str]:
    """Attach the adapter to the model's layers. Returns a description for the record."""
    if name == "none":
        return {}
    if name.startswith(RANDOM):
        rank = rank_of(name)
        layers = targets_of(model, name, ATTENTION)
        weights, scale, extra = drawn(layers, rank, seed), 1.0, {}
    else:
        config = read_config(name)
        rank, scale = config["r"], config["lora_alpha"] / config["r"]
        layers = targets_of(model, name, config["target_modules"])
        weights, extra = stored(name, layers, rank)
    for path, layer in layers.items():
        parent, _, last = path.rpartition(".")
        setattr(model.get_submodule(parent), last, Adapted(layer, *weights[path], scale, model.dtype))
    parameters = sum(a.numel() + b.numel() for a, b in weights.values())
    return {"lora": name, "lora_rank": str(rank), "lora_scale": f"{scale:g}", "lora_layers": str(len(layers)),
            "lora_parameters": str(parameters), **extra}


def targets_of(model: torch.nn.Module, name: str, suffixes) -> dict[str, torch.nn.Linear]:
    """The linear layers whose path ends with a name. A name without a layer is refused."""
    found = {}
    for suffix in suffixes:
        named = {path: module for path, module in model.named_modules()
                 if path == suffix or path.endswith("." + suffix)}
        other = [path for path, module in named.items() if not isinstance(module, torch.nn.Linear)]
        if not named:
            raise refused(name, f"{type(model).__name__} has no layer named {suffix}", "use an adapter of this model")
        if other:
            raise refused(name, f"{other[0]} is not a linear layer", "use an adapter of linear layers")
        found.update(named)
    return found


def shape_of(layer: torch.nn.Linear, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of A and B. Quantised weights may have another one than the layer."""
    return (rank, layer.in_features), (layer.out_features, rank)


def drawn(layers: dict[str, torch.nn.Linear], rank: int, seed: int) -> dict:
    """Normal weights, small beside the layer's own, none of them zero."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    weights = {}
    for path, layer in layers.items():
        if rank > min(layer.in_features, layer.out_features):
            raise refused(f"{RANDOM}{rank}", f"{path} has {layer.in_features} inputs and {layer.out_features} outputs",
                          "use a lower rank")
        pair = [torch.randn(shape, generator=generator) for shape in shape_of(layer, rank)]
        for matrix, width in zip(pair, (layer.in_features, 100 * rank)):
            matrix[matrix == 0] = 1
            matrix /= math.sqrt(width)
        weights[path] = tuple(pair)
    return weights


def stored(name: str, layers: dict[str, torch.nn.Linear], rank: int) -> tuple[dict, dict[str, str]]:
    """The weights in a folder: exactly the weights of the layers."""
    import safetensors.torch

    file = os.path.join(name, "adapter_model.safetensors")
    try:
        with open(file, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        tensors = safetensors.torch.load_file(file)
    except (OSError, ValueError, safetensors.SafetensorError) as exc:
        raise Failure("corrupt_model", f"pytorch.lora {name}: read adapter_model.safetensors: {exc}",
                      "save or download the adapter again") from exc
    weights = {}
    for path, layer in layers.items():
        pair = []
        for letter, shape in zip("AB", shape_of(layer, rank)):
            key = f"{PREFIX}{path}.lora_{letter}.weight"
            if key not in tensors:
                raise refused(name, f"it has no {key}", "use an adapter of this model")
            if tuple(tensors[key].shape) != shape:
                raise refused(name, f"{key} is {tuple(tensors[key].shape)}, with r {rank} it is {shape}",
                              "use an adapter of this model")
            pair.append(tensors.pop(key))
        weights[path] = tuple(pair)
    if tensors:
        raise refused(name, f"{min(tensors)} is not a weight of its target_modules", "use a plain LoRA adapter")
    return weights, {"lora_sha256": digest}
