"""One run: all batches of a workload, the log of what happened, peak memory."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

import torch

from .batches import Batch, check_requests, make_batches
from .compiled import compiled_graphs
from .failures import Failure
from .generate import BatchResult, clock_for, run_batch
from .loading import Engine

# A progress message at most this often.
PROGRESS_NS = 500_000_000


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector out of the steps.

    What exists already is set aside, so that collecting between two batches looks
    at the few objects of the last batch only. Collecting all of it takes longer
    than a batch of a small model: the worker does that after loading and after the
    window, never inside it.
    """
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def run_workload(
    engine: Engine,
    workload: dict,
    cancelled: Callable[[], bool],
    progress: Callable[[int], None],
) -> tuple[dict, list[BatchResult]]:
    """Run every batch. Returns the window and the batches' results."""
    requests, output_tokens = workload["requests"] or [], workload["output_tokens"]
    check_requests(requests, output_tokens, engine.vocab, engine.longest)
    forward = engine.forward
    clock = clock_for(engine.device, output_tokens)
    batches = make_batches(requests, engine.batch_size, output_tokens)
    if output_tokens > 1:
        forward.prepare({batch.size for batch in batches})
    graphs = compiled_graphs()
    results, done, told_ns = [], 0, time.monotonic_ns()
    with quiet_collector(), forward.grad_mode():
        reset_peak_memory(engine.device)
        start_ns = time.monotonic_ns()
        for batch in batches:
            submitted_ns = time.monotonic_ns()
            results.append(run_batch(forward, batch, output_tokens, engine.device, clock, cancelled, submitted_ns))
            gc.collect()
            done += batch.size
            if (now := time.monotonic_ns()) - told_ns >= PROGRESS_NS:
                progress(done)
                told_ns = now
        end_ns = time.monotonic_ns()
    if compiled_graphs() > graphs:
        raise Failure("graph_compile", "PyTorch compiled within the run: its times and energy are not those of the model",
                      "report this as a bug of llem, with the engine log; set pytorch.compile: off")
    peak, source = peak_memory(engine.device)
    window = {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "peak_memory_bytes": peak,
        "memory_source": source,
        "step_clock": clock.name,
    }
    return window, results


def request_log(results: list[BatchResult]) -> Iterator[dict]:
    """One entry per request. Requests of a static batch share their stamps."""
    for result in results:
        outputs = result.tokens.tolist()
        for row, request_id in enumerate(result.batch.request_ids):
            yield {
                "id": request_id,
                "submitted_ns": result.submitted_ns,
                "prefill_start_ns": result.start_ns,
                "first_token_ns": result.token_ns[0],
                "end_ns": result.token_ns[-1],
                "token_ns": result.token_ns,
                "prompt_tokens": result.batch.lengths[row],
                "prompt_computed": result.batch.lengths[row],
                "output_tokens": len(outputs[row]),
                "finish_reason": "length",
                "ok": True,
                "output": outputs[row],
            }


def step_log(results: list[BatchResult]) -> Iterator[dict]:
    """One prefill step and the decode steps of every batch. Padding is not counted."""
    for result in results:
        prompts = sum(result.batch.lengths)
        yield step(result.start_ns, result.token_ns[0], result.batch, prompts, 0, prompts)
        for index in range(1, len(result.token_ns)):
            context = prompts + index * result.batch.size
            yield step(result.token_ns[index - 1], result.token_ns[index],
                       result.batch, 0, result.batch.size, context)


def step(start_ns: int, end_ns: int, batch: Batch, prefill: int, decode: int, context: int) -> dict:
    """One entry of the step log."""
    return {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "prefill_tokens": prefill,
        "decode_tokens": decode,
        "sequences": batch.size,
        "context_tokens": context,
    }


def reset_peak_memory(device: torch.device) -> None:
    """Start a new peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak_memory(device: torch.device) -> tuple[int, str]:
    """The peak since the reset, and what it counts."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "torch.cuda.max_memory_allocated"
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, "VmHWM"
    return 0, ""
