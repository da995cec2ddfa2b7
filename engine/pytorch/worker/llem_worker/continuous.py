"""Continuous batching: the scheduler and the paged cache of transformers.

A finished request makes room at once, and a step may hold prompts and decoding side by
side. The library's own loop runs here on the worker's thread, one step after the other,
so that every step is seen: its limits on the host's clock, once the tokens are there,
and what it held. For that the library may not prepare a step while one runs
(use_async_batching), which it does with flash attention only; and without CUDA graphs,
which it would record in the middle of a run. Requests come as the workload says, and are
taken in between two steps. Blocks are not shared between requests: each prompt is computed.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import time

import torch

from llem_protocol.arrivals import Arrival, Schedule
from llem_protocol.failures import Failure

from .sampling import Decoding

# The library's usual block, and the tokens of one step: its usual number on a GPU.
BLOCK = 256
STEP_TOKENS = {"cuda": 8192, "cpu": 2048}
NO_END = -1  # no token ends a request


@dataclasses.dataclass
class Progress:
    """What has been done for one request."""

    arrival: Arrival
    prefill_start_ns: int = 0
    computed: int = 0
    cached: int = 0
    token_ns: list[int] = dataclasses.field(default_factory=list)
    state: object = None  # the library's

    def whole(self, output: list[int]) -> dict:
        """Its entry of the request log."""
        return {
            "id": self.arrival.id,
            **self.arrival.times(),
            "started_ns": self.prefill_start_ns,
            "prefill_start_ns": self.prefill_start_ns,
            "first_token_ns": self.token_ns[0],
            "end_ns": self.token_ns[-1],
            "token_ns": self.token_ns,
            "prompt_tokens": len(self.arrival.tokens),
            "prompt_computed": self.computed,
            "output_tokens": len(output),
            "finish_reason": "length",
            "ok": True,
            "output": output,
        }

    def cut(self, at_ns: int) -> dict:
        """Its entry if it was cut off."""
        output = list(self.state.generated_tokens[: len(self.token_ns)]) if self.state else []
        return self.arrival.cut(at_ns, self.token_ns, output, self.computed, self.prefill_start_ns)


@dataclasses.dataclass
class Log:
    """The requests and steps of one run, in the form of the protocol."""

    requests: list[dict]
    steps: list[dict]


class Scheduler:
    """The library's manager, driven step by step."""

    grad_mode = torch.no_grad
    step_clock = "host"

    def __init__(
        self, model: torch.nn.Module, device: torch.device, attention: str, batch_size: int, longest: int,
        decoding: Decoding = Decoding(),
    ) -> None:
        check_library(device)
        from transformers import ContinuousBatchingConfig, GenerationConfig
        from transformers.generation.continuous_batching import ContinuousBatchingManager
        from transformers.generation.continuous_batching.cache import group_layers_by_attn_type

        # Named in full, the library does not replace it.
        model.set_attn_implementation("paged|" + attention)
        # Each group of layers that attend alike has blocks of its own.
        groups = len(group_layers_by_attn_type(model.config.get_text_config())[0])
        blocks = groups * batch_size * (-(-longest // BLOCK) + 1)
        config = ContinuousBatchingConfig(
            block_size=BLOCK, num_blocks=blocks, max_requests_per_batch=batch_size,
            max_batch_tokens=max(batch_size, min(STEP_TOKENS[device.type], batch_size * longest)),
            allow_block_sharing=False, use_async_batching=False, use_cuda_graph=False, safety_margin=0.0,
        )
        self.decoding = decoding
        generation = GenerationConfig(eos_token_id=NO_END, pad_token_id=0, **chosen(decoding))
        self.manager = ContinuousBatchingManager(model, generation, config)
        with torch.no_grad():
            self.processor = self.manager._create_batch_processor()
        self.used = self.manager.continuous_batching_config
        check_used(self.used, batch_size)

    def run(self, workload: dict, start_ns: int, cancelled, progress, beat=lambda done: None) -> Log:
        """Run all requests to their end, as they come. beat hears of pauses."""
        from .generate import Cancelled

        manager, processor = self.manager, self.processor
        processor.reset()
        manager.background_thread_status.clear()
        if self.decoding.temperature:  # the library draws from the generators of the process
            torch.manual_seed(self.decoding.seed % 2**63)
        schedule = Schedule(workload, start_ns)
        open_requests: dict[str, Progress] = {}
        entries, steps, woken = {}, [], False
        while schedule.left:
            now_ns = time.monotonic_ns()
            if (over := schedule.over(now_ns)) or cancelled():
                processor.reset()
                drop(manager)
                if not over:
                    raise Cancelled
                cut = [entry.cut(now_ns) for entry in open_requests.values()] + schedule.unsent(now_ns)
                entries.update((entry["id"], entry) for entry in cut)
                break
            for arrival in schedule.take(now_ns, woken):
                open_requests[str(arrival.id)] = Progress(arrival)
                manager.add_request(arrival.tokens, request_id=str(arrival.id), max_new_tokens=arrival.output,
                                    eos_token_id=NO_END)
            if woken := not open_requests:
                schedule.rest(cancelled, lambda: beat(len(entries)))
                continue
            start_step_ns = time.monotonic_ns()
            if not processor.prepare_next_batch():
                raise Failure("engine_error",
                              f"the scheduler stopped with {len(open_requests)} requests under way",
                              "the reason is in the engine log")
            batch = list(processor.inputs_and_outputs.requests_in_batch)
            processor._generation_step(manager.model)
            processor.update_batch()
            end_ns = time.monotonic_ns()
            steps.append(self.account(batch, open_requests, start_step_ns, end_ns))
            for request_id, output in self.results():
                entry = open_requests.pop(request_id)
                schedule.end(entry.arrival.id, end_ns, output)
                entries[entry.arrival.id] = entry.whole(output)
                progress(len(entries))
        return Log([entries[request["id"]] for request in workload["requests"]], steps)

    def account(self, batch, open_requests: dict[str, Progress], start_ns: int, end_ns: int) -> dict:
        """One entry of the step log; the requests of the step get their stamps."""
        prefill = decode = context = 0
        for future in batch:
            entry = open_requests[future.state.request_id]
            entry.state = future.state
            if entry.token_ns:
                decode += 1
            else:
                entry.prefill_start_ns = entry.prefill_start_ns or start_ns
                entry.computed += future.query_length
                prefill += future.query_length
            entry.cached += future.query_length
            context += entry.cached
            if future.has_new_token:
                entry.token_ns.append(end_ns)
        return {"start_ns": start_ns, "end_ns": end_ns, "prefill_tokens": prefill, "decode_tokens": decode,
                "sequences": len(batch), "context_tokens": context}

    def results(self):
        """The requests that this step has finished, each with its output."""
        queue = self.manager.output_router.output_queue
        while not queue.empty():
            result = queue.get_nowait()
            if result.error is not None:
                raise Failure("engine_error", f"request {result.request_id}: {result.error}",
                              "the whole text is in the engine log")
            yield result.request_id, list(result.generated_tokens)

    def settings(self) -> dict[str, str]:
        """What the library made of it."""
        used = self.used
        return {"batching": "continuous", "cache_implementation": "paged", "cache_blocks": str(used.num_blocks),
                "block_size": str(used.block_size), "max_requests_per_batch": str(used.max_requests_per_batch),
                "max_batch_tokens": str(used.max_batch_tokens), "async_batching": word(used.use_async_batching),
                "cuda_graphs": word(any(used.use_cuda_graph)),
                "block_sharing": word(self.processor.cache.use_prefix_sharing)}


def chosen(decoding: Decoding) -> dict:
    """How tokens are chosen, in the library's words. Its own defaults would bound the choice."""
    if not decoding.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": decoding.temperature, "top_k": decoding.top_k, "top_p": decoding.top_p,
            "min_p": decoding.min_p or None}


def drop(manager) -> None:
    """Clear the manager's queues."""
    for queue in (manager.input_queue, manager.cancel_queue, manager.output_router.output_queue):
        while not queue.empty():
            queue.get_nowait()


def check_library(device: torch.device) -> None:
    """Refuse versions with a different loop, and a CPU whose memory the library cannot read."""
    import transformers

    version = transformers.__version__
    try:
        from transformers import ContinuousBatchingConfig
        from transformers.generation.continuous_batching import ContinuousBatchingManager
        from transformers.generation.continuous_batching.cache import group_layers_by_attn_type  # noqa: F401
        from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor
    except ImportError as exc:
        raise unknown_loop(version) from exc
    wanted = {"num_blocks", "max_batch_tokens", "max_requests_per_batch", "allow_block_sharing", "use_async_batching",
              "use_cuda_graph", "safety_margin"}
    known = {field.name for field in dataclasses.fields(ContinuousBatchingConfig)}
    parts = [(ContinuousBatchingManager, "_create_batch_processor"), *(
        (ContinuousBatchProcessor, name)
        for name in ("prepare_next_batch", "_generation_step", "update_batch", "reset"))]
    if not wanted <= known or not all(hasattr(owner, name) for owner, name in parts):
        raise unknown_loop(version)
    if device.type == "cpu" and importlib.util.find_spec("psutil") is None:
        raise Failure("not_installed", f"pytorch.batching continuous on a CPU: {sys.executable} has no module psutil",
                      f"{sys.executable} -m pip install psutil")


def unknown_loop(version: str) -> Failure:
    """The library has no continuous batching, or one that works in another way."""
    return Failure("version_mismatch",
                   f"the continuous batching of transformers {version} is not one that this worker knows",
                   "install transformers 5.17, or use pytorch.batching: static")


def check_used(used, batch_size: int) -> None:
    """Requested settings must not be replaced."""
    if used.max_requests_per_batch != batch_size or used.use_async_batching or any(used.use_cuda_graph):
        raise Failure("config",
                      f"pytorch.batching continuous: the library runs {used.max_requests_per_batch} requests per step, "
                      f"not {batch_size}, or steps that cannot be seen", "use pytorch.batching: static")


def word(flag: bool) -> str:
    """A flag in the record."""
    return "true" if flag else "false"
