"""How the next token is chosen: the most likely one, or drawn with a seed.

All of it runs on the device. Nothing is looked at by the host, so that no step waits for it:
torch.multinomial is not used, since it checks its probabilities there.
"""

from __future__ import annotations

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The key decoding of a study. Temperature 0 takes the most likely token."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @classmethod
    def from_spec(cls, spec: dict) -> Decoding:
        """Read a Spec; absent values have their defaults."""
        asked = spec.get("decoding") or {}
        penalty = float(asked.get("repetition_penalty") or 1.0)
        if not asked.get("temperature"):
            return cls(repetition_penalty=penalty)
        return cls(float(asked["temperature"]), float(asked.get("top_p") or 1.0), int(asked.get("top_k") or 0),
                   int(asked.get("seed") or spec.get("seed") or 0), float(asked.get("min_p") or 0.0), penalty)

    @property
    def likeliest(self) -> bool:
        """The token with the largest logit is taken, and nothing else is looked at."""
        return not self.temperature and self.repetition_penalty == 1


class Chooser:
    """Chooses tokens from logits."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.generators: dict[torch.device, torch.Generator] = {}
        # The prompts of the batch, and which tokens [B, V] its sequences have: for the penalty alone.
        self.prompts = self.seen = None

    def start(self, batch) -> None:
        """Begin with a batch, whose tokens count as there before."""
        self.prompts, self.seen = batch, None

    def begin(self) -> None:
        """Start the draws of a run: each run of one workload draws the same."""
        for generator in self.generators.values():
            generator.manual_seed(self.decoding.seed % 2**63)

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator of a device."""
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.decoding.seed % 2**63)
        return self.generators[device]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """The ids [B, 1] of logits [B, V]."""
        if self.decoding.repetition_penalty == 1:
            return self.chosen(logits)
        if self.seen is None:
            self.seen = seen_in(self.prompts, logits)
        ids = self.chosen(penalised(logits, self.seen, self.decoding.repetition_penalty))
        self.seen.scatter_(-1, ids, True)
        return ids

    def chosen(self, logits: torch.Tensor) -> torch.Tensor:
        """The ids, from logits with the penalty."""
        if not self.decoding.temperature:
            return logits.argmax(dim=-1, keepdim=True)
        logits = self.bounded(logits.float() / self.decoding.temperature)
        # The largest of p / e, with e from an exponential distribution, is drawn with probability p.
        draws = torch.empty_like(logits).exponential_(generator=self.generator(logits.device))
        return (logits.softmax(dim=-1) / draws).argmax(dim=-1, keepdim=True)

    def bounded(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits, without the tokens that top_k, top_p and min_p leave out, in that order."""
        if 0 < self.decoding.top_k < logits.shape[-1]:
            least = logits.topk(self.decoding.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.decoding.top_p < 1:
            ordered, order = logits.sort(dim=-1, descending=True)
            shares = ordered.softmax(dim=-1)
            # A token stays if the tokens before it have not reached the bound: the first one always does.
            out = (shares.cumsum(dim=-1) - shares) >= self.decoding.top_p
            logits = logits.masked_fill(out.scatter(-1, order, out), -torch.inf)
        if self.decoding.min_p:
            shares = logits.softmax(dim=-1)
            logits = logits.masked_fill(shares < self.decoding.min_p * shares.amax(dim=-1, keepdim=True), -torch.inf)
        return logits


def seen_in(batch, logits: torch.Tensor) -> torch.Tensor:
    """Which tokens [B, V] the prompts of a batch have. What fills up shorter ones does not count."""
    ids = batch.token_ids.to(logits.device)
    if batch.mask is not None:  # the last column has a token of every prompt
        ids = torch.where(batch.mask[:, : ids.shape[1]].to(logits.device) > 0, ids, ids[:, -1:])
    return torch.zeros(logits.shape, dtype=torch.bool, device=logits.device).scatter_(-1, ids, True)


def penalised(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Logits of earlier tokens are divided by the penalty, or multiplied if negative."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
