"""Static batches: which requests run together, and how they are padded."""

from __future__ import annotations

import dataclasses

import torch

from llem_protocol import work

PAD_TOKEN = 0


@dataclasses.dataclass
class Batch:
    """Requests that run together. Tensors are int64, padded on the left.

    With P the longest prompt and N the number of output tokens:
    token_ids is [B, P]; positions and mask are [B, P+N-1], so that every step
    takes a slice and nothing is computed between two steps. mask is None when
    all prompts have one length: attention then needs none.
    """

    request_ids: list[int]
    lengths: list[int]
    token_ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None

    @property
    def size(self) -> int:
        """The number of sequences."""
        return len(self.lengths)

    @property
    def width(self) -> int:
        """The length of the longest prompt."""
        return self.token_ids.shape[1]

    def to(self, device: torch.device) -> Batch:
        """The batch on a device. The copies are queued, not waited for."""
        def move(tensor):
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return dataclasses.replace(
            self,
            token_ids=move(self.token_ids),
            positions=move(self.positions),
            mask=move(self.mask),
        )


def make_batches(requests: list[dict], size: int, output_tokens: int, together: int = 0) -> list[Batch]:
    """Cut each round of requests into batches of the given size, in the given order."""
    return [
        pad_left(batch, output_tokens)
        for batch in work.batches(requests, size, together)
    ]


def pad_left(requests: list[dict], output_tokens: int) -> Batch:
    """Pad the prompts of one batch on the left.

    Positions count real tokens from 0, so that a padded prompt computes the same
    as the prompt alone.
    """
    lengths = [len(request["tokens"]) for request in requests]
    width = max(lengths)
    token_ids = torch.full((len(requests), width), PAD_TOKEN, dtype=torch.int64)
    for row, request in enumerate(requests):
        token_ids[row, width - lengths[row] :] = torch.tensor(request["tokens"], dtype=torch.int64)
    padding = width - torch.tensor(lengths, dtype=torch.int64).unsqueeze(1)
    columns = torch.arange(width + output_tokens - 1, dtype=torch.int64).unsqueeze(0)
    mask = (columns >= padding).to(torch.int64)
    return Batch(
        request_ids=[request["id"] for request in requests],
        lengths=lengths,
        token_ids=token_ids,
        positions=(columns - padding).clamp(min=0),
        mask=mask if min(lengths) < width else None,
    )
