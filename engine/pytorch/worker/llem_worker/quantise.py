"""Quantised weights: the linear layers of a loaded model, replaced in place.

In place, because weights that were drawn and not read have no other way, and a
checkpoint then goes the same one. The output matrix stays as it is, as both libraries
advise. What a library leaves out silently is an error here.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.metadata
import importlib.util
import logging
import sys

import torch

from llem_protocol.failures import Failure

# Columns that share a scale in 4 bits, the usual number first.
GROUPS = (128, 64, 32)
# What bitsandbytes and transformers use: larger activations stay in 16 bits.
OUTLIER_THRESHOLD = 6.0


@dataclasses.dataclass
class Method:
    """A way to quantise, as pytorch.quantization names it."""

    package: str
    apply: object  # (model, layers, dtype, device) -> settings
    dtypes: tuple[torch.dtype, ...]
    # The least CUDA capability, and whether a CPU can run it.
    capability: tuple[int, int]
    on_cpu: bool


def check(name: str, dtype: torch.dtype, device: torch.device) -> None:
    """Refuse libraries that are not installed, and what the device or the type does not support."""
    method = METHODS.get(name)
    if method is None:
        raise Failure("config", f"pytorch.quantization {name} is not supported",
                      "use one of none, " + ", ".join(METHODS))
    if importlib.util.find_spec(method.package) is None:
        raise Failure("not_installed", f"pytorch.quantization {name}: {sys.executable} has no module {method.package}",
                      f"{sys.executable} -m pip install {method.package}")
    if dtype not in method.dtypes:
        raise Failure("unsupported_dtype_quant", f"pytorch.quantization {name} does not run dtype {word(dtype)}",
                      "use dtype " + " or ".join(map(word, method.dtypes)))
    if device.type == "cpu" and not method.on_cpu:
        raise Failure("unsupported_dtype_quant", f"pytorch.quantization {name} needs a GPU",
                      "use torchao-int8 on a CPU")
    if device.type == "cuda" and (has := torch.cuda.get_device_capability(device)) < method.capability:
        raise Failure("unsupported_dtype_quant",
                      f"pytorch.quantization {name} needs compute capability {'.'.join(map(str, method.capability))}, "
                      f"{torch.cuda.get_device_name(device)} has {'.'.join(map(str, has))}", "use torchao-int8")


def quantise(model: torch.nn.Module, name: str, device: torch.device) -> dict[str, str]:
    """Quantise the model's layers. Returns a description for the record."""
    if getattr(model.config, "quantization_config", None) is not None:
        raise Failure("config", f"pytorch.quantization {name}: the checkpoint is quantised already",
                      "set pytorch.quantization: none to run it as it is")
    method = METHODS[name]
    output = model.get_output_embeddings()
    layers = {path: module for path, module in model.named_modules()
              if type(module) is torch.nn.Linear and module is not output}
    if not layers:
        raise Failure("unsupported_model", f"pytorch.quantization {name}: {type(model).__name__} has no linear layers "
                      "that can be replaced", "set pytorch.quantization: none")
    try:
        extra = method.apply(model, layers, model.dtype, device)
    except (ImportError, AssertionError, NotImplementedError, TypeError, ValueError) as exc:
        raise refusal(name, method.package, exc) from exc
    left = [path for path in layers if not is_quantised(model.get_submodule(path).weight)]
    if left:
        raise Failure("unsupported_dtype_quant",
                      f"pytorch.quantization {name}: {method.package} left {len(left)} of {len(layers)} layers "
                      f"as they were, such as {left[0]} {tuple(layers[left[0]].weight.shape)}",
                      "use another quantisation, or a model with other widths")
    layers.clear()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    library = f"{method.package} {importlib.metadata.version(method.package)}"
    return {"quantization": name, "quantization_library": library, **extra}


def refusal(name: str, package: str, exc: Exception) -> Failure:
    """A library does not do what was requested."""
    version = importlib.metadata.version(package)
    text = " ".join(str(exc).split()) or type(exc).__name__
    return Failure("unsupported_dtype_quant", f"pytorch.quantization {name}: {package} {version} refuses: {text[:300]}",
                   f"install what the message names, or another version of {package}, or use torchao-int8")


def torchao(make_config):
    """Quantise with a torchao config."""

    def apply(model, layers, dtype, device):
        from torchao.quantization import quantize_

        chosen = set(layers)
        config, extra = make_config(layers, dtype, device)
        quantize_(model, config, filter_fn=lambda module, path: path in chosen)
        return extra

    return apply


def int8_config(layers, dtype, device):
    """Whole rows of int8 weights, activations as they are."""
    from torchao.quantization import Int8WeightOnlyConfig

    return Int8WeightOnlyConfig(set_inductor_config=False), {}


def int4_config(layers, dtype, device):
    """Groups of int4 weights, packed for the kernels that PyTorch itself has."""
    from torchao.quantization import Int4WeightOnlyConfig

    widths = {layer.in_features for layer in layers.values()}
    group = next((g for g in GROUPS if all(width % g == 0 for width in widths)), GROUPS[-1])
    config = Int4WeightOnlyConfig(group_size=group, int4_packing_format="tile_packed_to_4d", set_inductor_config=False)
    return config, {"quantization_group": str(group)}


def float8_config(layers, dtype, device):
    """Products of float8 numbers: weights and activations, a scale for each row."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow

    return Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False), {}


def bitsandbytes_8bit(model, layers, dtype, device):
    """LLM.int8(): int8 products, and outliers of the activations in 16 bits."""
    import bitsandbytes as bnb

    # It warns at every product that it converts inputs to float16: the record has that.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for path, layer in layers.items():
        made = bnb.nn.Linear8bitLt(layer.in_features, layer.out_features, bias=layer.bias is not None,
                                   has_fp16_weights=False, threshold=OUTLIER_THRESHOLD, device="meta")
        # It quantises when it moves weights off the CPU.
        made.weight = bnb.nn.Int8Params(layer.weight.data.cpu(), requires_grad=False, has_fp16_weights=False).to(device)
        replace(model, path, layer, made)
    return {"quantization_outliers_above": str(OUTLIER_THRESHOLD), "quantization_inputs": "float16"}


def bitsandbytes_4bit(model, layers, dtype, device):
    """NF4 weights, products in the model's type."""
    import bitsandbytes as bnb

    for path, layer in layers.items():
        made = bnb.nn.Linear4bit(layer.in_features, layer.out_features, bias=layer.bias is not None,
                                 compute_dtype=dtype, quant_type="nf4", device="meta")
        whole = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", module=made)
        made.weight = whole.to(device)
        replace(model, path, layer, made)
    return {"quantization_type": "nf4"}


def replace(model: torch.nn.Module, path: str, old: torch.nn.Linear, new: torch.nn.Module) -> None:
    """Replace a layer by another, which frees the old weight."""
    new.bias = old.bias
    new.eval()
    model.set_submodule(path, new)
    old.weight = None


def is_quantised(weight: torch.Tensor) -> bool:
    """Whether a weight is stored in fewer bits than before."""
    return hasattr(weight, "__tensor_flatten__") or not weight.dtype.is_floating_point


def stored_bytes(tensor: torch.Tensor | None) -> int:
    """What a weight takes, with its scales."""
    if tensor is None:
        return 0
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        return sum(stored_bytes(getattr(tensor, name)) for name in names)
    scales = stored_bytes(getattr(tensor, "SCB", None))
    state = getattr(tensor, "quant_state", None)
    if state is not None:
        scales += stored_bytes(state.absmax) + stored_bytes(state.code)
    return tensor.numel() * tensor.element_size() + scales


def weight_bytes(model: torch.nn.Module) -> int:
    """What the weights of a model take."""
    # bitsandbytes moves the scales of 8 bits to the layer's state in the first pass.
    states = [getattr(module, "state", None) for module in model.modules()]
    moved = sum(stored_bytes(getattr(state, "SCB", None)) for state in states)
    return moved + sum(stored_bytes(weight) for weight in model.parameters())


def word(dtype: torch.dtype) -> str:
    """The name of a type in study files."""
    return str(dtype).removeprefix("torch.")


ALL = (torch.bfloat16, torch.float16, torch.float32)
METHODS = {
    "bitsandbytes-8bit": Method("bitsandbytes", bitsandbytes_8bit, ALL, (7, 5), True),
    "bitsandbytes-4bit": Method("bitsandbytes", bitsandbytes_4bit, ALL, (6, 0), True),
    "torchao-int8": Method("torchao", torchao(int8_config), ALL, (7, 5), True),
    "torchao-int4": Method("torchao", torchao(int4_config), (torch.bfloat16,), (8, 0), False),
    "torchao-float8": Method("torchao", torchao(float8_config), (torch.bfloat16,), (8, 9), False),
}
