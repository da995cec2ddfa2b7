"""Tests of the offline worker, with parts of vLLM's own form in place of vLLM."""

import enum
import pathlib
import sys
import types
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "internal" / "pyworker"))

from assembled import assembled  # noqa: E402

assembled(HERE / "worker")

from llem_protocol.failures import Failure  # noqa: E402

from llem_vllm import effective, engine, serve  # noqa: E402


class Mode(enum.Enum):
    """As CUDAGraphMode: some values are pairs."""

    FULL_AND_PIECEWISE = (2, 1)


class Level(enum.IntEnum):
    """As CompilationMode."""

    VLLM_COMPILE = 3


class Scheduler:
    def schedule(self):
        raise AssertionError("nothing is to run")


def part(**values):
    return types.SimpleNamespace(**values)


def config(**values):
    """A configuration as vLLM 0.19 makes it, as far as the worker reads it."""
    layer = part(attn_backend=part(get_name=lambda: "FLASH_ATTN"))
    return part(**{
        "model_config": part(dtype="bfloat16", max_model_len=64, quantization=None, enforce_eager=False,
                             get_vocab_size=lambda: 300),
        "cache_config": part(cache_dtype="auto", gpu_memory_utilization=0.5, block_size=16,
                             enable_prefix_caching=False),
        "parallel_config": part(tensor_parallel_size=1, world_size=1),
        "scheduler_config": part(max_num_seqs=8, max_num_batched_tokens=2048, enable_chunked_prefill=True,
                                 policy="fcfs", async_scheduling=False),
        "compilation_config": part(cudagraph_mode=Mode.FULL_AND_PIECEWISE, cudagraph_capture_sizes=[1, 2],
                                   mode=Level.VLLM_COMPILE, static_forward_context={"a": layer, "b": layer}),
        **values})


def fake(loads=True, vllm_config=None):
    """The modules of vLLM, with an engine that notes what it is given."""
    given = {"llm": None, "adapters": [], "requests": []}

    class LLM:
        def __init__(self, **arguments):
            given["llm"] = arguments
            self.llm_engine = part(vllm_config=vllm_config or config(), add_lora=self.add, add_request=self.request,
                                   engine_core=part(engine_core=part(scheduler=Scheduler())))

        def add(self, request):
            given["adapters"].append(request)
            return loads

        def request(self, name, prompt, sampling, lora_request=None):
            given["requests"].append((name, lora_request))

        def get_tokenizer(self):
            return part(all_special_ids=[])

    class LoRARequest:
        def __init__(self, lora_name, lora_int_id, lora_path):
            self.name, self.path = lora_name, lora_path

    torch = part(cuda=part(is_available=lambda: False))
    return given, {"vllm": part(LLM=LLM, __version__="0"), "vllm.lora": part(), "torch": torch,
                   "vllm.lora.request": part(LoRARequest=LoRARequest)}


SPEC = {"path": "/m", "max_context": 64, "seed": 1}
ADAPTED = {"mode": "offline", "lora": "random:4", "lora_path": "/tmp/a", "lora_rank": 4, "max_lora_rank": 8}


class EngineTest(unittest.TestCase):
    def test_settings(self):
        _, modules = fake()
        with mock.patch.dict(sys.modules, modules):
            loaded = engine.Engine(SPEC).describe()
        self.assertEqual(loaded["attention"], "FLASH_ATTN")
        self.assertEqual(loaded["settings"], {
            "mode": "offline", "dtype": "bfloat16", "max_model_len": "64", "enforce_eager": "false",
            "kv_cache_dtype": "auto", "gpu_memory_utilization": "0.5", "block_size": "16",
            "enable_prefix_caching": "false", "tensor_parallel_size": "1", "max_num_seqs": "8",
            "max_num_batched_tokens": "2048", "enable_chunked_prefill": "true", "scheduling_policy": "fcfs",
            "async_scheduling": "false", "cudagraph_mode": "FULL_AND_PIECEWISE", "cudagraph_capture_sizes": "1,2",
            "compilation_mode": "3", "attention_backend": "FLASH_ATTN", "scheduler": "Scheduler"})

    def test_other_version(self):
        """What a version does not have, or has in another form, is not read back."""
        other = config(scheduler_config=part(chunked_prefill_enabled=True, max_num_seqs=object()),
                       compilation_config=None)
        read = effective.settings(part(vllm_config=other, engine_core=None))
        self.assertEqual(read["enable_chunked_prefill"], "true")
        for key in ("max_num_seqs", "cudagraph_mode", "attention_backend", "scheduler"):
            self.assertNotIn(key, read)
        self.assertEqual(effective.settings(part(engine_core=None)), {"mode": "offline"})

    def test_adapter(self):
        given, modules = fake()
        with mock.patch.dict(sys.modules, modules):
            made = engine.Engine({**SPEC, "options": ADAPTED})
            settings = made.describe()["settings"]
        arguments = given["llm"]
        self.assertEqual({k: arguments.get(k) for k in ("enable_lora", "max_loras", "max_lora_rank")},
                         {"enable_lora": True, "max_loras": 1, "max_lora_rank": 8})
        self.assertFalse({"lora", "lora_path", "lora_rank", "mode"} & set(arguments))
        self.assertEqual([(a.name, a.path) for a in given["adapters"]], [("llem-lora", "/tmp/a")])
        self.assertEqual((settings["lora"], settings["lora_rank"]), ("random:4", "4"))
        made.submit([engine.Arrival(1, [1], 2)], lambda output: None, {})
        self.assertEqual(given["requests"], [("1", given["adapters"][0])])
        # The study's section has the key alone; the adapter stays as it was loaded.
        made.adapt({**SPEC, "options": {"mode": "offline", "lora": "random:4"}})
        self.assertEqual(made.spec["options"], ADAPTED)
        with self.assertRaises(Failure):
            made.adapt({**SPEC, "options": {"mode": "offline", "lora": "random:8"}})

    def test_adapter_refused(self):
        _, modules = fake(loads=False)
        with mock.patch.dict(sys.modules, modules), self.assertRaises(Failure) as raised:
            engine.Engine({**SPEC, "options": ADAPTED})
        self.assertIn("vllm.lora random:4", str(raised.exception))

    def test_no_adapter(self):
        given, modules = fake()
        with mock.patch.dict(sys.modules, modules):
            engine.Engine(SPEC).submit([engine.Arrival(1, [1], 2)], lambda output: None, {})
        self.assertEqual(given["requests"], [("1", None)])
        self.assertEqual(given["adapters"], [])
        self.assertNotIn("enable_lora", given["llm"])


class Stepped:
    """vLLM's loop in small: a step computes the prompts that have not been, or a token for each request."""

    def __init__(self, caching=False):
        self.given, self.requests, self.resets = [], {}, 0
        owner = self

        class LLM:
            def __init__(self, **arguments):
                cache = part(cache_dtype="auto", gpu_memory_utilization=0.5, block_size=16,
                             enable_prefix_caching=caching)
                self.llm_engine = part(
                    vllm_config=config(cache_config=cache), engine_core=part(engine_core=part(scheduler=owner)),
                    add_request=owner.add, step=owner.step, abort_request=owner.abort,
                    has_unfinished_requests=lambda: bool(owner.requests))

            def get_tokenizer(self):
                return part(all_special_ids=[])

            def reset_prefix_cache(self):
                owner.resets += 1
                return True

        torch = part(cuda=part(is_available=lambda: False))
        params = part(RequestOutputKind=part(DELTA=1))
        self.modules = {"vllm": part(LLM=LLM, SamplingParams=part, __version__="0"), "torch": torch,
                        "vllm.sampling_params": params}

    def add(self, name, prompt, sampling, lora_request=None):
        self.given.append((name, prompt["prompt_token_ids"], sampling.max_tokens))
        self.requests[name] = part(tokens=prompt["prompt_token_ids"], wanted=sampling.max_tokens, got=0)

    def abort(self, names):
        for name in names:
            self.requests.pop(name, None)

    def schedule(self):
        return part(num_scheduled_tokens={n: 1 if r.got else len(r.tokens) for n, r in self.requests.items()})

    def step(self):
        self.schedule()
        outputs = []
        for name, request in list(self.requests.items()):
            request.got += 1
            ended = request.got == request.wanted
            if ended:
                del self.requests[name]
            one = part(token_ids=[100 + request.got], finish_reason="length" if ended else None)
            outputs.append(part(request_id=name, outputs=[one], finished=ended, num_cached_tokens=0))
        return outputs

    def run(self, workload, cancelled=lambda: False):
        windows = []
        with mock.patch.dict(sys.modules, self.modules):
            log = engine.Engine(SPEC).run(workload, cancelled, lambda done: None, windows.append)
        return windows[0], log["requests"], log["steps"]


class ArrivalsTest(unittest.TestCase):
    def test_open_loop(self):
        """Requests come when they are due, with outputs of their own, and turns with their history."""
        requests = [{"id": 5, "tokens": [1, 2], "due_ns": 0, "output": 3},
                    {"id": 6, "tokens": [3], "due_ns": 60_000_000},
                    {"id": 7, "tokens": [4], "after": 5, "wait_ns": 20_000_000}]
        stepped = Stepped()
        window, log, steps = stepped.run({"requests": requests, "output_tokens": 2, "open": True})
        self.assertEqual(stepped.given, [("1", [1, 2], 3), ("2", [1, 2, 101, 102, 103, 4], 2), ("3", [3], 2)])
        self.assertEqual([entry["id"] for entry in log], [5, 6, 7])
        self.assertEqual([len(entry["output"]) for entry in log], [3, 2, 2])
        self.assertEqual([entry["prompt_computed"] for entry in log], [2, 1, 6])
        start = window["start_ns"]
        self.assertEqual([entry["arrived_ns"] for entry in log],
                         [start, start + 60_000_000, log[0]["end_ns"] + 20_000_000])
        for entry in log:
            self.assertTrue(entry["ok"])
            self.assertLessEqual(entry["arrived_ns"], entry["submitted_ns"])
            self.assertLessEqual(entry["submitted_ns"], entry["started_ns"])
        self.assertEqual(sum(step["prefill_tokens"] for step in steps), 9)
        self.assertEqual(sum(step["decode_tokens"] for step in steps), 4)

    def test_rounds_and_clients(self):
        requests = [{"id": i, "tokens": [i + 1]} for i in range(4)]
        for more, most in (({}, 4), ({"round": 2}, 2), ({"concurrency": 3}, 3)):
            _, log, steps = Stepped().run({"requests": requests, "output_tokens": 3, **more})
            self.assertEqual(max(step["sequences"] for step in steps), most)
            self.assertEqual([entry["output"] for entry in log], [[101, 102, 103]] * 4)

    def test_cut(self):
        """What has no whole answer at the end is taken back."""
        stepped, asked = Stepped(), []
        requests = [{"id": 0, "tokens": [1], "output": 1}, {"id": 1, "tokens": [2, 3]},
                    {"id": 2, "tokens": [4], "after": 1}]
        with mock.patch.object(engine.Schedule, "over", lambda self, now: asked.append(now) or len(asked) > 3):
            _, log, _ = stepped.run({"requests": requests, "output_tokens": 20, "open": True})
        self.assertEqual([(e["ok"], e.get("cut", False), e["output_tokens"], e["prompt_computed"]) for e in log],
                         [(True, False, 1, 1), (False, True, 3, 2), (False, True, 0, 0)])
        self.assertEqual(stepped.requests, {})

    def test_prefix_cache(self):
        """A run begins with an empty cache, where the study has one."""
        for caching in (False, True):
            stepped = Stepped(caching)
            stepped.run({"requests": [{"id": 0, "tokens": [1]}], "output_tokens": 2})
            self.assertEqual(stepped.resets, int(caching))


class TemplateTest(unittest.TestCase):
    def worker(self, apply):
        worker = serve.Worker(mock.Mock(cancelled_run=0), mock.Mock())
        worker.engine = engine.Engine.__new__(engine.Engine)
        worker.engine.llm = mock.Mock()
        worker.engine.llm.get_tokenizer.return_value.apply_chat_template.side_effect = apply
        return worker, worker.outbox.send

    def test_conversations(self):
        turns = [[{"role": "user", "content": "a"}], [{"role": "user", "content": "bc"}]]
        asked = []

        def apply(conversation, **options):
            asked.append(options)
            return (len(conversation[0]["content"]), 7)

        worker, send = self.worker(apply)
        worker.answer({"id": 3, "op": "template", "chats": turns})
        send.assert_called_with(3, "tokens", tokens=[[1, 7], [2, 7]])
        self.assertEqual(asked, 2 * [{"add_generation_prompt": True, "tokenize": True, "return_dict": False}])

    def test_refusal(self):
        worker, send = self.worker(ValueError("no template"))
        worker.answer({"id": 3, "op": "template", "chats": [[]]})
        failure = send.call_args.kwargs["failure"]
        self.assertEqual(failure["class"], "config")
        self.assertIn("no template", failure["message"])
        with self.assertRaises(Failure):
            worker.engine.template([[]])


class ChoiceTest(unittest.TestCase):
    def test_choice(self):
        """Every setting of a study is an argument; what it leaves out bounds nothing."""
        greedy = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "seed": 5}
        self.assertEqual(engine.choice({"seed": 5}), greedy)
        asked = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1, "seed": 11}
        self.assertEqual(engine.choice({"seed": 5, "decoding": asked}), asked)


if __name__ == "__main__":
    unittest.main()
