"""One run: all batches of a workload, the log of what happened, peak memory."""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Callable, Iterator

import torch
from llem_protocol import process
from llem_protocol.failures import Failure
from llem_protocol.work import Reporter, check_requests, quiet_collector

from . import continuous, parallel
from .batches import Batch, make_batches
from .compiled import compiled_graphs
from .generate import BatchResult, clock_for, run_batch
from .loading import Engine

def run_workload(
    engine: Engine,
    workload: dict,
    cancelled: Callable[[], bool],
    progress: Callable[[int], None],
) -> tuple[dict, list[BatchResult] | continuous.Log]:
    """Run everything. Returns the window, and the input of request_log and step_log."""
    requests, output_tokens, together = workload["requests"] or [], workload["output_tokens"], workload.get("round", 0)
    check_requests(requests, output_tokens, engine.vocab, engine.longest)
    group = engine.group
    if group:
        group.begin(workload)  # from here on all ranks do the same
        cancelled = functools.partial(group.cancelled, cancelled)
    told = Reporter(progress)
    if isinstance(engine.forward, continuous.Scheduler):
        clock_name = engine.forward.step_clock
        work = functools.partial(engine.forward.run, {**workload, "requests": requests}, cancelled=cancelled,
                                 progress=told, beat=progress)
    else:
        clock = clock_for(engine.device, output_tokens)
        clock_name = clock.name
        batches = make_batches(requests, engine.batch_size, output_tokens, together)
        if output_tokens > 1:
            engine.forward.prepare({batch.size for batch in batches})
        engine.forward.choose.begin()
        work = functools.partial(run_batches, engine, batches, output_tokens, clock, cancelled=cancelled, told=told)
    graphs = compiled_graphs()
    with quiet_collector(), engine.forward.grad_mode():
        reset_peak_memory(engine.devices)
        start_ns = time.monotonic_ns()
        results = work(start_ns=start_ns)
        end_ns = time.monotonic_ns()
    if compiled_graphs() > graphs:
        raise Failure("graph_compile",
                      "PyTorch compiled within the run: its times and energy include more than the model",
                      "report this as a bug of llem, with the engine log; set pytorch.compile: off")
    peak, source = peak_memory(engine.devices)
    if group:
        peak = group.total(peak)
        source += " of all ranks" if source == "VmHWM" else ""
    window = {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "peak_memory_bytes": peak,
        "memory_source": source,
        "step_clock": clock_name,
    }
    return window, results


def run_batches(
    engine: Engine, batches: list[Batch], output_tokens: int, clock, *, start_ns: int, cancelled, told,
) -> list[BatchResult]:
    """Static batches, one after the other; the first one is there at the start."""
    results, done = [], 0
    for batch in batches:
        if engine.group:  # a rank that is late would make this one's prefill wait
            engine.group.gate.meet()
        submitted_ns = time.monotonic_ns()
        results.append(run_batch(engine.forward, batch, output_tokens, engine.device, clock, cancelled, submitted_ns))
        gc.collect()
        done += batch.size
        told(done)
    return results


def request_log(results: list[BatchResult] | continuous.Log) -> Iterator[dict]:
    """One entry per request. Requests of a static batch share their stamps."""
    if isinstance(results, continuous.Log):
        yield from results.requests
        return
    for result in results:
        outputs = result.tokens.tolist()
        for row, request_id in enumerate(result.batch.request_ids):
            yield {
                "id": request_id,
                "submitted_ns": result.submitted_ns,
                "started_ns": result.submitted_ns,
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


def digest(results: list[BatchResult]) -> int:
    """A number that differs where the tokens differ."""
    return parallel.digest([result.tokens.tolist() for result in results])


def step_log(results: list[BatchResult] | continuous.Log) -> Iterator[dict]:
    """One prefill step and the decode steps of every batch. Padding is not counted."""
    if isinstance(results, continuous.Log):
        yield from results.steps
        return
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


def reset_peak_memory(devices: list[torch.device]) -> None:
    """Start a new peak."""
    if devices[0].type == "cuda":
        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
        return
    process.reset_peak_memory()


def peak_memory(devices: list[torch.device]) -> tuple[int, str]:
    """The peak since the reset, and its source; for several devices the sum."""
    if devices[0].type == "cuda":
        return sum(map(torch.cuda.max_memory_allocated, devices)), "torch.cuda.max_memory_allocated"
    return process.peak_memory()
