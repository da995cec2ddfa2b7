"""One run: static batches, each one call of generate_batch, and the log of what happened.

CTranslate2 runs a batch in these passes, with S the shortest prompt:

1. S-1 tokens of every prompt at once;
2. one token of every sequence, again and again: a token of the prompt as long as there are
   any, then the token that was generated before. A sequence that has its tokens leaves.

The callback is called in each pass of the second kind for every sequence that has got a
token, when the token is on the host: the device has finished the pass by then. Passes of
the first and second kind up to the first token of the shortest prompts are one step, the
prefill; no callback comes in between. Where prompts differ in length, passes in which no
sequence gets a token are not seen: they are one step with the pass behind them.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable, Iterator

from llem_protocol import process, work
from llem_protocol.failures import Cancelled, Failure

from .loading import Engine


@dataclasses.dataclass
class Batch:
    """What one batch did."""

    requests: list[dict]
    submitted_ns: int
    # For each pass that was seen its number and its end.
    passes: list[tuple[int, int]]
    # For each request its tokens and their stamps.
    tokens: list[list[int]]
    stamps: list[list[int]]

    @property
    def shortest(self) -> int:
        """The length of the shortest prompt."""
        return min(len(request["tokens"]) for request in self.requests)


def run_workload(engine: Engine, workload: dict, cancelled: Callable[[], bool],
                 progress: Callable[[int], None]) -> tuple[dict, list[Batch]]:
    """Run everything. Returns the window, and the input of request_log and step_log."""
    requests, output = workload["requests"] or [], workload["output_tokens"]
    work.check_requests(requests, output, engine.vocab, engine.request.max_context or None)
    batches = work.batches(requests, engine.request.batch_size, workload.get("round", 0))
    told, results, done = work.Reporter(progress), [], 0
    process.reset_peak_memory()
    with work.quiet_collector():
        start_ns = time.monotonic_ns()
        for batch in batches:
            results.append(run_batch(engine.generator, batch, output, cancelled, dict(engine.request.sampling)))
            gc.collect()
            done += len(batch)
            told(done)
        end_ns = time.monotonic_ns()
    window = {"start_ns": start_ns, "end_ns": end_ns, "step_clock": "host"}
    if engine.generator.device == "cpu":  # CTranslate2 does not report GPU memory
        window["peak_memory_bytes"], window["memory_source"] = process.peak_memory()
    return window, results


def run_batch(generator, requests: list[dict], output: int, cancelled: Callable[[], bool],
              sampling: dict | None = None) -> Batch:
    """One static batch, stamped by the callback."""
    if cancelled():
        raise Cancelled
    lengths = [len(request["tokens"]) for request in requests]
    prompts = [[str(token) for token in request["tokens"]] for request in requests]
    spare = [length - min(lengths) for length in lengths]  # passes before the first token
    batch = Batch(requests, 0, [], [[] for _ in requests], [[] for _ in requests])
    stopped, now_ns = False, 0

    def on_token(result) -> bool:
        nonlocal stopped, now_ns
        if not batch.passes or batch.passes[-1][0] != result.step:
            now_ns = time.monotonic_ns()
            batch.passes.append((result.step, now_ns))
            stopped = stopped or cancelled()
        row = result.batch_id
        # If the shortest prompt has one token, tokens of the other prompts arrive here too.
        if result.step >= spare[row]:
            batch.tokens[row].append(result.token_id)
            batch.stamps[row].append(now_ns)
        return stopped or len(batch.tokens[row]) == output

    batch.submitted_ns = time.monotonic_ns()
    # The length is the longest sequence's; the callback ends each sequence. No token ends one.
    generator.generate_batch(prompts, max_length=max(spare) + output, end_token=[], include_prompt_in_result=False,
                             callback=on_token, **(sampling or {}))
    if stopped:
        raise Cancelled
    if any(len(tokens) != output for tokens in batch.tokens):
        raise Failure("engine_error", f"CTranslate2 gave {[len(tokens) for tokens in batch.tokens]} tokens, "
                      f"{output} were asked for", "report this as a bug of llem, with the engine log")
    return batch


def request_log(results: list[Batch]) -> Iterator[dict]:
    """One entry per request."""
    for batch in results:
        for request, tokens, stamps in zip(batch.requests, batch.tokens, batch.stamps):
            yield {
                "id": request["id"],
                "submitted_ns": batch.submitted_ns,
                "started_ns": batch.submitted_ns,
                "prefill_start_ns": batch.submitted_ns,
                "first_token_ns": stamps[0],
                "end_ns": stamps[-1],
                "token_ns": stamps,
                "prompt_tokens": len(request["tokens"]),
                "prompt_computed": len(request["tokens"]),
                "output_tokens": len(tokens),
                "finish_reason": "length",
                "ok": True,
                "output": tokens,
            }


def step_log(results: list[Batch]) -> Iterator[dict]:
    """The steps of every batch, with the tokens that each has computed."""
    for batch in results:
        lengths = [len(request["tokens"]) for request in batch.requests]
        lasts = [length + len(tokens) - 1 for length, tokens in zip(lengths, batch.tokens)]
        before, began = 0, batch.submitted_ns  # tokens in the cache of a sequence that is as long as all
        for number, ended in batch.passes:
            after = batch.shortest + number
            prefill = decode = sequences = context = 0
            for length, last in zip(lengths, lasts):
                if before >= last:
                    continue
                new = min(after, last)
                prompt = max(0, min(new, length) - before)
                prefill, decode = prefill + prompt, decode + new - before - prompt
                sequences, context = sequences + 1, context + new
            yield {"start_ns": began, "end_ns": ended, "prefill_tokens": prefill, "decode_tokens": decode,
                   "sequences": sequences, "context_tokens": context}
            before, began = after, ended
