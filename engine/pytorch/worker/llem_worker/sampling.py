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

    @classmethod
    def from_spec(cls, spec: dict) -> Decoding:
        """Read a Spec; absent values have their defaults."""
        asked = spec.get("decoding") or {}
        if not asked.get("temperature"):
            return cls()
        return cls(float(asked["temperature"]), float(asked.get("top_p") or 1.0), int(asked.get("top_k") or 0),
                   int(asked.get("seed") or spec.get("seed") or 0))


class Chooser:
    """Chooses tokens from logits."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.generators: dict[torch.device, torch.Generator] = {}

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
        if not self.decoding.temperature:
            return logits.argmax(dim=-1, keepdim=True)
        logits = self.bounded(logits.float() / self.decoding.temperature)
        # The largest of p / e, with e from an exponential distribution, is drawn with probability p.
        draws = torch.empty_like(logits).exponential_(generator=self.generator(logits.device))
        return (logits.softmax(dim=-1) / draws).argmax(dim=-1, keepdim=True)

    def bounded(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits, without the tokens that top_k and top_p leave out."""
        if 0 < self.decoding.top_k < logits.shape[-1]:
            least = logits.topk(self.decoding.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.decoding.top_p < 1:
            ordered, order = logits.sort(dim=-1, descending=True)
            shares = ordered.softmax(dim=-1)
            # A token stays if the tokens before it have not reached the bound: the first one always does.
            out = (shares.cumsum(dim=-1) - shares) >= self.decoding.top_p
            logits = logits.masked_fill(out.scatter(-1, order, out), -torch.inf)
        return logits
