"""Attention masks without waiting for the device.

transformers looks into a padding mask to see whether it can be left out, and
builds the eager mask from a constant that it copies to the device. Both make the
host wait for the GPU at every step. Here the answer is known beforehand: a mask
is passed only for a batch that needs one. The masks themselves stay the
library's own; they are replaced through its public registry.
"""

from __future__ import annotations

import contextlib

import torch

# How many columns the cache holds before the current pass, if the host knows.
# A static cache counts them on the device.
known_columns: int | None = None


@contextlib.contextmanager
def columns_before(count: int):
    """Within it, masks are made for queries that follow so many columns."""
    global known_columns
    known_columns = count
    try:
        yield
    finally:
        known_columns = None


def install() -> None:
    """Register mask functions for sdpa and eager that do not look at values."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    sdpa_mask = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
    if getattr(sdpa_mask, "llem", False):
        return
    AttentionMaskInterface.register("sdpa", without_looking(sdpa_mask))
    AttentionMaskInterface.register("eager", additive(sdpa_mask))


def without_looking(sdpa_mask):
    """The library's mask function, told that a given padding mask is needed."""

    def mask(*args, attention_mask=None, allow_is_causal_skip=True, q_offset=0, **kwargs):
        skip = allow_is_causal_skip and attention_mask is None
        if known_columns is not None and torch.is_tensor(q_offset):
            q_offset = known_columns
        return sdpa_mask(*args, attention_mask=attention_mask, allow_is_causal_skip=skip, q_offset=q_offset, **kwargs)

    mask.llem = True
    return mask


def additive(sdpa_mask):
    """The eager form of the mask: 0 where attended to, the lowest number elsewhere."""

    def mask(*args, dtype=torch.float32, allow_is_causal_skip=False, **kwargs):
        allowed = sdpa_mask(*args, allow_is_causal_skip=False, **kwargs)
        if allowed is None:
            return None
        bias = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return bias.masked_fill_(~allowed, torch.finfo(dtype).min)

    return mask
