"""Static key-value caches: laid out once for the longest sequence, then reused.

Attention reads the whole cache at every step, also where nothing was written yet:
that is what a static cache costs.
"""

from __future__ import annotations

import torch

from llem_protocol.failures import Failure


class StaticCaches:
    """One cache for each batch size in use; keep preserves the others."""

    def __init__(self, model: torch.nn.Module, length: int, keep: bool) -> None:
        self.model = model
        self.length = length
        self.keep = keep
        self.by_size: dict[int, object] = {}
        check_library(model)

    def fresh(self, size: int):
        """An empty cache for so many sequences."""
        cache = self.by_size.get(size)
        if cache is None:
            if not self.keep:
                self.by_size.clear()
            cache = self.by_size[size] = self.make()
        else:
            cache.reset()
        return cache

    def make(self):
        """A cache without memory: its layers take theirs in the first forward pass.

        Their counters are on the device from the start: the library would copy them
        there in the middle of a prefill, and wait for the copy.
        """
        import transformers

        cache = transformers.StaticCache(config=self.model.config, max_cache_len=self.length)
        for layer in cache.layers:
            if torch.is_tensor(counter := getattr(layer, "cumulative_length", None)):
                layer.cumulative_length = torch.zeros_like(counter, device=self.model.device)
        return cache


def check_library(model: torch.nn.Module) -> None:
    """Refuse versions whose static cache counts differently, and models without one."""
    import transformers

    layer = getattr(transformers.cache_utils, "StaticLayer", None)
    if layer is None or not torch.is_tensor(getattr(layer(max_cache_len=1), "cumulative_length", None)):
        raise Failure("version_mismatch",
                      f"the static cache of transformers {transformers.__version__} is not one that this worker knows",
                      "install transformers 5.17, or use pytorch.cache_implementation: dynamic")
    try:
        cache = transformers.StaticCache(config=model.config, max_cache_len=1)
    except Exception as exc:  # noqa: BLE001: the library may raise anything for a kind of layer
        raise no_cache(model) from exc
    if not cache.is_compileable:
        raise no_cache(model)


def no_cache(model: torch.nn.Module) -> Failure:
    """The failure of a model without a static cache."""
    return Failure("unsupported_model", f"{type(model).__name__} has no static cache in this version of transformers",
                   "use pytorch.cache_implementation: dynamic")
