"""vLLM's engine, stepped by hand.

With its engine core in this process, one call of step() is one iteration of the
engine, and what the scheduler has put into it can be seen. A step ends when its
tokens are on the host: the device has finished it by then.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable

from llem_protocol import process
from llem_protocol.arrivals import CUT_FAILURE, Arrival, Schedule
from llem_protocol.failures import Failure, needs_restart
from llem_protocol.serve import interrupted
from llem_protocol.tokens import in_template
from llem_protocol.work import Reporter, check_requests

from . import effective

# Keys of the section that are parts of one argument.
SPECULATIVE = {
    "speculative_method": "method",
    "speculative_model": "model",
    "num_speculative_tokens": "num_speculative_tokens",
}

# The launcher's further keys of the adapter besides lora; max_lora_rank is an argument of vLLM.
ADAPTER = ("lora_path", "lora_rank", "lora_sha256")
MADE = (*ADAPTER, "max_lora_rank")


def describe() -> dict:
    """Version and device."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        import torch
        import vllm
    except ModuleNotFoundError as exc:
        # The next step is the launcher's.
        raise Failure("not_installed", f"{sys.executable} cannot import vllm: {exc}") from exc
    except (ImportError, OSError) as exc:
        raise Failure("version_mismatch", f"{sys.executable} cannot load vllm: {exc}",
                      "install vllm in an environment of its own") from exc
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"version": vllm.__version__, "device": device,
            "versions": {"vllm": vllm.__version__, "torch": torch.__version__, "python": sys.version.split()[0]}}


def arguments(spec: dict) -> dict:
    """The arguments of vllm.LLM: the names of the section are its own."""
    options = {k: v for k, v in (spec.get("options") or {}).items() if v is not None}
    options.pop("mode", None)
    if options.pop("lora", None):
        options.update(enable_lora=True, max_loras=1)
    for key in ADAPTER:
        options.pop(key, None)
    compilation = {}
    if "compilation_mode" in options:
        compilation["mode"] = int(options.pop("compilation_mode"))
    if "cudagraph_mode" in options:
        compilation["cudagraph_mode"] = options.pop("cudagraph_mode")
    if "cudagraph_capture_sizes" in options:
        compilation["cudagraph_capture_sizes"] = [
            int(n) for n in str(options.pop("cudagraph_capture_sizes")).split(",")
        ]
    draft = {name: options.pop(key) for key, name in SPECULATIVE.items() if key in options}
    if draft:
        options["speculative_config"] = draft
    if compilation:
        options["compilation_config"] = compilation
    options.setdefault("enable_prefix_caching", False)
    options.setdefault("max_model_len", spec["max_context"])
    if spec.get("synthetic"):
        options["load_format"] = "dummy"
    # One step is to be one call: a scheduler that runs ahead would blur their limits.
    options["async_scheduling"] = False
    return {"model": spec["path"], "dtype": spec.get("dtype") or "bfloat16", "seed": int(spec.get("seed") or 0),
            "generation_config": "vllm", **options}


def asked(spec: dict, key: str):
    """The study's settings, without the launcher's additions."""
    value = spec.get(key)
    return {k: v for k, v in value.items() if k not in MADE} if key == "options" and value else value


class Engine:
    """One loaded model."""

    def __init__(self, spec: dict) -> None:
        import vllm

        self.spec = spec
        try:
            self.llm = vllm.LLM(**arguments(spec))
        except TypeError as exc:
            raise Failure("version_mismatch", f"vLLM {vllm.__version__} does not take these settings: {exc}",
                          "leave the key out of the vllm section, or install a version that has it") from exc
        self.engine = self.llm.llm_engine
        core = getattr(self.engine.engine_core, "engine_core", None)
        self.scheduler = getattr(core, "scheduler", None)
        if self.scheduler is None:
            raise Failure("version_mismatch", f"vLLM {vllm.__version__} does not keep its engine core in this process",
                          "use vllm.mode: serve")
        self.scheduled: list = []
        schedule = self.scheduler.schedule

        def noted(*args, **kwargs):
            out = schedule(*args, **kwargs)
            self.scheduled.append(out.num_scheduled_tokens)
            return out

        self.scheduler.schedule = noted
        self.config = self.engine.vllm_config.model_config
        self.vocab = self.config.get_vocab_size()
        self.last_id = 0
        cache_config = getattr(self.engine.vllm_config, "cache_config", None)
        self.caches = bool(getattr(cache_config, "enable_prefix_caching", False))
        self.adapter = self.load_adapter()

    def load_adapter(self):
        """Load the adapter of the study: every request names it. None: there is none."""
        options = self.spec.get("options") or {}
        if not options.get("lora"):
            return None
        from vllm.lora.request import LoRARequest

        request = LoRARequest("llem-lora", 1, options["lora_path"])
        try:
            loaded = self.engine.add_lora(request)
        except Exception as exc:  # noqa: BLE001: vLLM raises many kinds
            raise Failure("config", f"vllm.lora {options['lora']}: vLLM does not load it: {exc}",
                          "use an adapter of this model, or leave vllm.lora out") from exc
        if not loaded:
            raise Failure("config", f"vllm.lora {options['lora']}: vLLM did not load it",
                          "look into the engine's log, or leave vllm.lora out")
        return request

    def adapt(self, spec: dict) -> None:
        """The engine keeps the settings of its start; only decoding may change."""
        fixed = ("path", "synthetic", "dtype", "seed", "batch_size", "max_context", "options")
        if any(asked(spec, key) != asked(self.spec, key) for key in fixed):
            raise needs_restart("the engine was started with other settings")
        self.spec = {**spec, "options": self.spec.get("options")}

    def describe(self) -> dict:
        """The engine as it runs, without what hello already reported."""
        import torch

        used = effective.settings(self.engine)
        if self.adapter:
            options = self.spec["options"]
            used.update({"lora": options["lora"], "lora_rank": str(options["lora_rank"])})
            if options.get("lora_sha256"):
                used["lora_sha256"] = options["lora_sha256"]

        uuids = []
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                uuid = str(getattr(torch.cuda.get_device_properties(index), "uuid", ""))
                uuids.append(uuid if uuid.startswith(("GPU-", "MIG-")) else "GPU-" + uuid)
            uuids = uuids[: self.engine.vllm_config.parallel_config.world_size]
        return {"dtype": str(self.config.dtype).removeprefix("torch."), "vocab": self.vocab,
                "text_vocab": self.text_vocab(), "device_uuids": uuids, "schedules": True,
                "attention": used.get("attention_backend", ""),
                "settings": used}

    def text_vocab(self) -> int:
        """Below it lie the ids of ordinary text."""
        try:
            special = [i for i in self.llm.get_tokenizer().all_special_ids if i >= self.vocab // 2]
        except Exception:  # noqa: BLE001: a model may have no tokenizer
            special = []
        return min([*special, self.vocab])

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        tokenizer = self.llm.get_tokenizer()
        return [tokenizer.encode(text, add_special_tokens=False) for text in texts]

    def template(self, conversations: list[list[dict]]) -> list[list[int]]:
        """Token ids in the chat template of the model."""
        tokenizer = self.llm.get_tokenizer()
        return [list(in_template(tokenizer, turns, tokenize=True)) for turns in conversations]

    def submit(self, arrivals: list[Arrival], sampling: Callable[[int], object], log: dict) -> dict:
        """Give requests to the engine, and begin their entries in the log. Returns these."""
        begun = {}
        for arrival in arrivals:
            self.last_id += 1
            name = str(self.last_id)
            begun[name] = {"id": arrival.id, **arrival.times(), "prefill_start_ns": 0,
                           "prompt_tokens": len(arrival.tokens), "token_ns": [], "output": []}
            given = {"lora_request": self.adapter} if self.adapter else {}
            self.engine.add_request(name, {"prompt_token_ids": arrival.tokens}, sampling(arrival.output), **given)
        log.update(begun)
        return begun

    def empty(self, log: dict) -> None:
        """Take back all requests, whole or not."""
        self.engine.abort_request(list(log))
        while self.engine.has_unfinished_requests():
            self.engine.step()

    def run(self, workload: dict, cancelled: Callable[[], bool], progress: Callable[[int], None],
            finished: Callable[[dict], None]) -> dict:
        """Run the requests as they come; the engine schedules them.

        What has come is given to the engine between two steps, which is when its own
        loop would look for requests too.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        workload = {**workload, "requests": workload["requests"] or []}
        check_requests(workload["requests"], workload["output_tokens"], self.vocab, self.spec["max_context"])

        @functools.cache
        def sampling(output: int):
            return SamplingParams(max_tokens=output, ignore_eos=True, detokenize=False,
                                  output_kind=RequestOutputKind.DELTA, **choice(self.spec))

        log, raw, open_requests, woken = {}, [], {}, False
        self.forget()
        reset_peak_memory()
        self.scheduled.clear()
        start = time.monotonic_ns()
        schedule, done, told, cut_ns = Schedule(workload, start), 0, Reporter(progress), 0
        while schedule.left:
            now = time.monotonic_ns()
            if (over := schedule.over(now)) or cancelled():
                self.empty(log)
                if not over:
                    raise interrupted()
                cut_ns = now
                break
            open_requests.update(self.submit(schedule.take(now, woken), sampling, log))
            if woken := not open_requests:
                schedule.rest(cancelled, lambda: progress(done))
                continue
            begun = time.monotonic_ns()
            outputs = self.engine.step()
            ended = time.monotonic_ns()
            raw.append((begun, ended, self.scheduled[-1] if self.scheduled else {}))
            self.scheduled.clear()
            for out in outputs:
                name = external(out.request_id, log)
                entry = open_requests.get(name)
                if entry is None:
                    continue
                for part in out.outputs:
                    entry["output"].extend(part.token_ids)
                    entry["token_ns"].extend([ended] * len(part.token_ids))
                    entry["finish_reason"] = part.finish_reason or ""
                entry["cached"] = out.num_cached_tokens or 0
                if out.finished:
                    done += 1
                    del open_requests[name]
                    schedule.end(entry["id"], ended, entry["output"])
            told(done)
        end = time.monotonic_ns()
        # Of several devices each has a process of its own: this one knows nothing of them.
        alone = self.engine.vllm_config.parallel_config.world_size == 1
        peak, source = peak_memory() if alone else (0, "")
        finished(
            {"start_ns": start, "end_ns": end, "peak_memory_bytes": peak, "memory_source": source, "step_clock": "host"}
        )
        steps = step_log(raw, log)
        for entry in open_requests.values():  # after the steps, which say what was computed of them
            entry["cut_ns"] = cut_ns
        entries = {entry["id"]: finish(entry) for entry in log.values()}
        if cut_ns:
            entries.update((entry["id"], entry) for entry in schedule.unsent(cut_ns))
        return {"steps": steps, "requests": [entries[request["id"]] for request in workload["requests"]]}

    def forget(self) -> None:
        """Begin with an empty prefix cache, if there is one: a run does not depend on the ones before it."""
        if not self.caches:
            return
        reset = getattr(self.llm, "reset_prefix_cache", None)
        if reset is None or reset() is False:
            raise Failure("engine_error", "vLLM did not empty its prefix cache before the run",
                          "leave vllm.enable_prefix_caching out, or use another version of vLLM")


def external(name: str, log: dict) -> str:
    """The id that was given: newer versions append a suffix of their own."""
    return name if name in log else name.split("-", 1)[0]


def step_log(raw: list[tuple], log: dict) -> list[dict]:
    """Steps with their scheduled tokens; the stamp of each request's first step."""
    computed: dict[str, int] = {}
    steps = []
    for begun, ended, scheduled in raw:
        prefill = decode = context = 0
        for internal, tokens in scheduled.items():
            name = external(internal, log)
            entry = log.get(name)
            if entry is None:
                continue
            if not entry["prefill_start_ns"]:
                entry["started_ns"] = entry["prefill_start_ns"] = begun
                computed[name] = entry.get("cached", 0)
            before = computed[name]
            part = max(0, min(tokens, entry["prompt_tokens"] - before))
            prefill, decode = prefill + part, decode + tokens - part
            entry["fed"] = entry.get("fed", 0) + part
            computed[name] = before + tokens
            context += computed[name]
        if prefill + decode:
            steps.append({"start_ns": begun, "end_ns": ended, "prefill_tokens": prefill, "decode_tokens": decode,
                          "sequences": len(scheduled), "context_tokens": context})
    return steps


def finish(entry: dict) -> dict:
    """A request in the form of the log."""
    cached, fed, cut_ns = entry.pop("cached", 0), entry.pop("fed", 0), entry.pop("cut_ns", 0)
    some = bool(entry["token_ns"])
    entry.update(
        ok=some and not cut_ns, failure="" if some else "the engine generated nothing",
        first_token_ns=entry["token_ns"][0] if some else 0, end_ns=entry["token_ns"][-1] if some else
        entry["submitted_ns"], prompt_computed=entry["prompt_tokens"] - cached, output_tokens=len(entry["output"]))
    if cut_ns:
        entry.update(cut=True, failure=CUT_FAILURE, end_ns=cut_ns, prompt_computed=fed,
                     prefill_start_ns=entry["prefill_start_ns"] or cut_ns)
    return entry


def reset_peak_memory() -> None:
    """Start a new peak."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    process.reset_peak_memory()


def peak_memory() -> tuple[int, str]:
    """The peak since the reset, and its source. vLLM takes its pool at start."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(), "torch.cuda.max_memory_allocated, with the pool of the KV cache"
    return process.peak_memory()


def choice(spec: dict) -> dict:
    """How tokens are chosen, as arguments of SamplingParams. vLLM's defaults for what is absent set no bound."""
    decoding = spec.get("decoding") or {}
    return {"temperature": decoding.get("temperature") or 0.0, "top_p": decoding.get("top_p") or 1.0,
            "top_k": decoding.get("top_k") or 0, "min_p": decoding.get("min_p") or 0.0,
            "repetition_penalty": decoding.get("repetition_penalty") or 1.0,
            "seed": int(decoding.get("seed") or spec.get("seed") or 0)}
