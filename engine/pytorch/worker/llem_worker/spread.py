"""One model over several GPUs: each has some of the layers, and they work in turn.

Tensors go to where the next layer is. Only one GPU computes at a time: this makes
room for large models and does not make them faster.
"""

from __future__ import annotations

import torch

from llem_protocol.failures import Failure


def devices_for(device_map: str, device: torch.device) -> list[torch.device]:
    """The devices of a run, the one that the prompts go to first."""
    if device_map == "single":
        return [device]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < 2:
        raise Failure("no_device", f"pytorch.device_map auto is for several GPUs, PyTorch sees {count}",
                      "check CUDA_VISIBLE_DEVICES, or set pytorch.device_map: single")
    return [torch.device("cuda", index) for index in range(count)]


def spread(model: torch.nn.Module, devices: list[torch.device]) -> dict[str, str]:
    """Place the layers evenly on the devices. Returns their places for the record."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, torch.nn.ModuleList) or len(layers) < len(devices):
        raise Failure("unsupported_model", f"pytorch.device_map auto: {type(model).__name__} has no list of at least "
                      f"{len(devices)} layers", "set pytorch.device_map: single")
    first, last = devices[0], devices[-1]
    for name, child in decoder.named_children():
        if child is not layers:
            place(child, last if name == "norm" else first)
    for index, layer in enumerate(layers):
        place(layer, devices[index * len(devices) // len(layers)])
    output = model.get_output_embeddings()
    tied = output.weight is model.get_input_embeddings().weight
    place(output, first if tied else last)
    homeless = [name for name, weight in model.named_parameters() if weight.device not in devices]
    if homeless:
        raise Failure("unsupported_model", f"pytorch.device_map auto does not know where {homeless[0]} belongs",
                      "set pytorch.device_map: single")
    return {"device_map": ", ".join(f"{device}: {count(layers, device)} layers" for device in dict.fromkeys(devices))}


def count(layers: torch.nn.ModuleList, device: torch.device) -> int:
    """The number of layers on a device."""
    return sum(next(layer.parameters()).device == device for layer in layers)


def place(module: torch.nn.Module, device: torch.device) -> None:
    """Put a module on a device, together with the arguments of its calls."""
    module.to(device)
    module.register_forward_pre_hook(
        lambda _, args, kwargs: (move(args, device), move(kwargs, device)), with_kwargs=True)


def move(value, device: torch.device):
    """A value with its tensors on a device. Caches have their own places."""
    if torch.is_tensor(value):
        return value.to(device, non_blocking=True)
    if isinstance(value, (tuple, list)):
        return type(value)(move(item, device) for item in value)
    if isinstance(value, dict):
        return {key: move(item, device) for key, item in value.items()}
    return value
