"""The work of a run: rounds of requests, refusals, progress."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

from .failures import Failure

# A progress message at most this often.
PROGRESS_NS = 500_000_000


def rounds(requests: list[dict], size: int) -> list[list[dict]]:
    """The requests as they come: so many, and the next when these have ended; 0 is all at once."""
    size = size or max(1, len(requests))
    return [requests[start : start + size] for start in range(0, len(requests), size)]


def batches(requests: list[dict], size: int, together: int) -> list[list[dict]]:
    """Each round of requests in static batches of at most this size, in the given order."""
    return [batch for part in rounds(requests, together) for batch in rounds(part, size)]


def check_requests(requests: list[dict], output_tokens: int, vocab: int, longest: int | None) -> None:
    """Refuse work that the model cannot do.

    An id outside of the vocabulary is checked here because on a GPU it would be
    an assertion that makes the device unusable for the rest of the process.
    """
    if not requests or output_tokens < 1:
        raise Failure("config", "nothing to run: a workload needs requests and at least one output token")
    lengths: dict[int, int] = {}  # of conversations so far
    for request in requests:
        tokens = request.get("tokens")
        if not tokens:
            raise Failure("config", f"request {request.get('id')} has an empty prompt")
        if min(tokens) < 0 or max(tokens) >= vocab:
            raise Failure("config", f"request {request['id']} has a token id outside of [0, {vocab})")
        length = len(tokens) + (request.get("output") or output_tokens)
        if request.get("after") is not None:
            if request["after"] not in lengths:
                raise Failure("config", f"request {request['id']} continues request {request['after']}, "
                              "which is not before it", "this is a bug in llem")
            length += lengths[request["after"]]
        lengths[request["id"]] = length
        if longest is not None and length > longest:
            raise Failure(
                "config",
                f"request {request['id']} needs {length} tokens of context, the model was loaded for {longest}",
                "shorten workload.input_tokens or workload.output_tokens",
            )


class Reporter:
    """Passes on how many requests are done, at most every half second."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress = progress
        self.told_ns = time.monotonic_ns()

    def __call__(self, done: int) -> None:
        if (now := time.monotonic_ns()) - self.told_ns >= PROGRESS_NS:
            self.progress(done)
            self.told_ns = now


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector out of the steps.

    What exists already is set aside, so that collecting between two batches looks
    at the few objects of the last batch only. Collecting all of it takes longer
    than a batch of a small model: a worker does that after loading and after the
    window, never inside it.
    """
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()
