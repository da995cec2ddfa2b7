"""Decoding of one static batch, with stamps.

The loop asks the device to finish at three points only: before the batch, at the
first token and at the end. In between it launches work ahead of the device and
never looks at a value: no .item(), no end-of-sequence check. The step limits in
between come from CUDA events on a GPU and from the host's clock on a CPU.

The prefill step contains the copy of the token ids to the device: it is work that
a request costs.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable

import torch

from llem_protocol.failures import Cancelled, Failure

from . import masks
from .batches import Batch
from .sampling import Chooser, Decoding

class HostClock:
    """Step limits from the host: the device computes before it returns."""

    name = "host"

    def __init__(self, steps: int) -> None:
        self.limits = [0] * steps

    def synchronize(self) -> None:
        """A CPU has nothing to wait for."""

    def mark(self, step: int) -> None:
        """Note that the work of a step has been launched."""
        self.limits[step] = time.monotonic_ns()

    def stamps(self, steps: int, first_ns: int, last_ns: int) -> list[int]:
        """The end of every step, the first and the last as they were seen."""
        return fit_stamps([first_ns, *self.limits[1 : steps - 1], last_ns][:steps], last_ns)


class CudaClock:
    """Step limits from events in the device's queue, read after the last step."""

    name = "cuda events"

    def __init__(self, steps: int, device: torch.device) -> None:
        self.device = device
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(steps)]

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        torch.cuda.synchronize(self.device)

    def mark(self, step: int) -> None:
        """Queue an event behind the work of a step."""
        self.events[step].record()

    def stamps(self, steps: int, first_ns: int, last_ns: int) -> list[int]:
        """The end of every step.

        The device's time is laid linearly between the two instants at which the
        host saw the first and the last event done, so both clocks agree there.
        """
        if steps == 1:
            return [first_ns]
        first = self.events[0]
        elapsed = [0.0] + [first.elapsed_time(self.events[step]) for step in range(1, steps)]
        scale = (last_ns - first_ns) / elapsed[-1] if elapsed[-1] > 0 else 0.0
        return fit_stamps([first_ns + round(ms * scale) for ms in elapsed], last_ns)


def fit_stamps(stamps: list[int], last_ns: int) -> list[int]:
    """Make stamps ascend and end at last_ns: rounding must not reorder them."""
    previous = stamps[0]
    for index, stamp in enumerate(stamps):
        previous = stamps[index] = min(max(stamp, previous), last_ns)
    stamps[-1] = last_ns
    return stamps


def clock_for(device: torch.device, steps: int) -> HostClock | CudaClock:
    """The clock that suits a device."""
    return CudaClock(steps, device) if device.type == "cuda" else HostClock(steps)


@dataclasses.dataclass
class BatchResult:
    """What one batch did. tokens stays on the device until the run is over."""

    batch: Batch
    submitted_ns: int
    start_ns: int
    token_ns: list[int]
    tokens: torch.Tensor


class Forward:
    """Runs the steps: calls the model with the arguments of its forward method.

    Without caches the library makes one that grows. A prefill of more than chunk
    columns goes in several passes.
    """

    grad_mode = torch.inference_mode

    def __init__(self, model: torch.nn.Module, caches=None, chunk: int = 0, decoding: Decoding = Decoding()) -> None:
        self.model = model
        self.choose = Chooser(decoding)
        self.caches = caches
        self.chunk = chunk
        accepted = inspect.signature(model.forward).parameters
        self.takes_positions = "position_ids" in accepted
        self.fixed = {"use_cache": True}
        if "logits_to_keep" in accepted:
            # Logits of the last position only: a prefill that computes them for
            # the whole prompt does unrequested work.
            self.fixed["logits_to_keep"] = 1

    def prepare(self, sizes: set[int]) -> None:
        """Be ready for batches of these sizes, before a run."""

    def fresh(self, batch: Batch):
        """The cache that a batch begins with."""
        return None if self.caches is None else self.caches.fresh(batch.size)

    def prefill(self, batch: Batch, cache):
        """The prompts. Returns the first ids [B, 1] and the cache."""
        self.choose.start(batch)
        width = self.chunk or batch.width
        for begin in range(0, batch.width, width):
            end = min(begin + width, batch.width)
            ids, cache = self(batch.token_ids[:, begin:end], batch, begin, end, cache)
        return ids, cache

    def decode(self, ids, batch: Batch, column: int, cache):
        """One further step. Returns the next ids [B, 1] and the cache."""
        return self(ids, batch, column, column + 1, cache)

    def __call__(self, ids, batch: Batch, begin: int, end: int, cache):
        """One pass over the columns [begin, end)."""
        varying = {}
        if self.takes_positions:
            varying["position_ids"] = batch.positions[:, begin:end]
        if batch.mask is not None:
            varying["attention_mask"] = batch.mask[:, :end]
        with masks.columns_before(begin):
            out = self.model(input_ids=ids, past_key_values=cache, **varying, **self.fixed)
        if end < batch.width:  # within the prompt no token is chosen
            return None, out.past_key_values
        # Of a model over several devices the last one has the logits.
        return self.choose(out.logits[:, -1]).to(ids.device, non_blocking=True), out.past_key_values

    def settings(self) -> dict[str, str]:
        """What is used, by the names of the keys."""
        used = {"cache_implementation": "dynamic"}
        if self.caches is not None:
            used = {"cache_implementation": "static", "cache_tokens": str(self.caches.length)}
        if self.chunk:
            used["prefill_chunk_size"] = str(self.chunk)
        return used


def run_batch(
    forward: Forward,
    batch: Batch,
    output_tokens: int,
    device: torch.device,
    clock: HostClock | CudaClock,
    cancelled: Callable[[], bool],
    submitted_ns: int,
) -> BatchResult:
    """Prefill, then output_tokens - 1 decode steps."""
    if cancelled():
        raise Cancelled
    host_batch = batch
    tokens = torch.empty((batch.size, output_tokens), dtype=torch.int64, device=device)
    cache = forward.fresh(batch)
    clock.synchronize()
    start_ns = time.monotonic_ns()

    batch = host_batch.to(device)
    ids, cache = forward.prefill(batch, cache)
    tokens[:, 0:1] = ids
    clock.mark(0)
    clock.synchronize()
    first_ns = last_ns = time.monotonic_ns()
    if cache is None and output_tokens > 1:
        raise Failure("unsupported_model", "the model returns no key-value cache",
                      "choose a model with a past_key_values output, or another backend")

    for step in range(1, output_tokens):
        if cancelled():
            raise Cancelled
        column = batch.width + step - 1
        ids, cache = forward.decode(ids, batch, column, cache)
        tokens[:, step : step + 1] = ids
        clock.mark(step)
    if output_tokens > 1:
        clock.synchronize()
        last_ns = time.monotonic_ns()
    return BatchResult(
        host_batch, submitted_ns, start_ns, clock.stamps(output_tokens, first_ns, last_ns), tokens
    )
