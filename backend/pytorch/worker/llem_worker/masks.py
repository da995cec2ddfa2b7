"""Attention masks without waiting for the device.

transformers looks into a padding mask to see whether it can be left out, and
builds the eager mask from a constant that it copies to the device. Both make the
host wait for the GPU at every step. Here the answer is known beforehand: a mask
is passed only for a batch that needs one. The masks themselves stay the
library's own; they are replaced through its public registry.
"""

from __future__ import annotations

import torch


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

    def mask(*args, attention_mask=None, allow_is_causal_skip=True, **kwargs):
        skip = allow_is_causal_skip and attention_mask is None
        return sdpa_mask(*args, attention_mask=attention_mask, allow_is_causal_skip=skip, **kwargs)

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
