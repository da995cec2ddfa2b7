"""Tests of batches, the decoding loop, its stamps and the logs."""

import gc
import time
import unittest
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tinymodels import TINY_GEMMA, TINY_GPT2, TINY_LLAMA, ModelTest, execute, load, prompts, reference, write_model

from llem_protocol import work
from llem_worker import batches, failures, generate, loading, run


class PaddingTest(unittest.TestCase):
    def test_left_padding(self):
        batch = batches.pad_left([{"id": 5, "tokens": [7, 8, 9]}, {"id": 6, "tokens": [4]}], 3)
        self.assertEqual(batch.token_ids.tolist(), [[7, 8, 9], [0, 0, 4]])
        self.assertEqual(batch.positions.tolist(), [[0, 1, 2, 3, 4], [0, 0, 0, 1, 2]])
        self.assertEqual(batch.mask.tolist(), [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
        self.assertEqual((batch.lengths, batch.request_ids), ([3, 1], [5, 6]))

    def test_equal_lengths_need_no_mask(self):
        self.assertIsNone(batches.pad_left(prompts(4, 4), 2).mask)

    def test_batches_keep_the_order(self):
        made = batches.make_batches(prompts(1, 2, 3, 4, 5), 2, 1)
        self.assertEqual([batch.request_ids for batch in made], [[0, 1], [2, 3], [4]])

    def test_impossible_work_is_refused(self):
        cases = {
            "empty workload": ([], 1),
            "no output": (prompts(3), 0),
            "empty prompt": ([{"id": 0, "tokens": []}], 1),
            "token too large": ([{"id": 0, "tokens": [10]}], 1),
            "token negative": ([{"id": 0, "tokens": [-1]}], 1),
            "too long": ([{"id": 0, "tokens": [1] * 8}], 2),
        }
        for name, (requests, output_tokens) in cases.items():
            with self.subTest(name), self.assertRaises(failures.Failure):
                work.check_requests(requests, output_tokens, vocab=10, longest=9)


class OutputTest(ModelTest):
    """The loop computes what the library's own generate computes."""

    LENGTHS = (5, 17, 1, 30, 9, 9)
    expected: dict[str, list] = {}  # by kind of model, since it takes long

    def check(self, config: dict, batch_size: int, attention: str, **options):
        write_model(self.folder, config)
        engine = load(self.folder, batch_size=batch_size,
                      options={"device": "cpu", "attn_implementation": attention, **options})
        requests = prompts(*self.LENGTHS)
        kind = config["model_type"]
        if kind not in self.expected:
            self.expected[kind] = reference(engine.model, requests, 12)
        expected = self.expected[kind]
        _, log, _ = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], expected)
        distinct = {token for output in expected for token in output}
        self.assertGreater(len(distinct), 8, "the model is too dull to show a mistake")

    def test_models_batches_and_attentions(self):
        for config in (TINY_LLAMA, TINY_GEMMA, TINY_GPT2):
            for batch_size in (1, 4):
                for attention in ("sdpa", "eager"):
                    with self.subTest(model=config["model_type"], batch_size=batch_size, attention=attention):
                        self.check(config, batch_size, attention)

    def test_static_cache(self):
        for config in (TINY_LLAMA, TINY_GEMMA, TINY_GPT2):
            for batch_size in (1, 4):
                for attention in ("sdpa", "eager"):
                    with self.subTest(model=config["model_type"], batch_size=batch_size, attention=attention):
                        self.check(config, batch_size, attention, cache_implementation="static")

    def test_prefill_in_chunks(self):
        for config in (TINY_LLAMA, TINY_GEMMA, TINY_GPT2):
            for cache in ("dynamic", "static"):
                for chunk in (7, 30):
                    with self.subTest(model=config["model_type"], cache=cache, chunk=chunk):
                        self.check(config, 4, "sdpa", cache_implementation=cache, prefill_chunk_size=chunk)

    def test_seed_decides_the_weights(self):
        first, same, other = (load(self.folder, seed=seed).model.get_input_embeddings().weight for seed in (1, 1, 2))
        self.assertTrue(torch.equal(first, same))
        self.assertFalse(torch.equal(first, other))

    def test_every_weight_is_drawn(self):
        for config in (TINY_LLAMA, TINY_GEMMA, TINY_GPT2):
            write_model(self.folder, config)
            for dtype in ("float32", "bfloat16", "float16"):
                for name, weight in load(self.folder, dtype=dtype).model.named_parameters():
                    if weight.dim() < 2:
                        continue
                    with self.subTest(model=config["model_type"], dtype=dtype, weight=name):
                        spread = weight.float().std().item()  # GPT-2 halves some
                        self.assertTrue(0.1 < spread < 0.6, spread)
                        self.assertTrue(torch.isfinite(weight).all())


class LogTest(ModelTest):
    def test_shape_and_counts(self):
        engine = load(self.folder, batch_size=2)
        window, requests, steps = execute(engine, prompts(5, 3, 4), 4)
        self.assertEqual([(r["id"], r["prompt_tokens"], r["prompt_computed"], r["output_tokens"]) for r in requests],
                         [(0, 5, 5, 4), (1, 3, 3, 4), (2, 4, 4, 4)])
        fields = ("prefill_tokens", "decode_tokens", "sequences", "context_tokens")
        self.assertEqual([tuple(step[field] for field in fields) for step in steps],
                         [(8, 0, 2, 8), (0, 2, 2, 10), (0, 2, 2, 12), (0, 2, 2, 14),
                          (4, 0, 1, 4), (0, 1, 1, 5), (0, 1, 1, 6), (0, 1, 1, 7)])
        self.assertEqual(window["step_clock"], "host")
        self.assertGreater(window["peak_memory_bytes"], 1 << 20)
        self.check_stamps(window, requests, steps)

    def check_stamps(self, window, requests, steps):
        previous = window["start_ns"]
        for step in steps:
            self.assertLessEqual(previous, step["start_ns"])
            self.assertLess(step["start_ns"], step["end_ns"])
            previous = step["end_ns"]
        self.assertLessEqual(previous, window["end_ns"])
        for request in requests:
            stamps = [window["start_ns"], request["submitted_ns"], request["prefill_start_ns"], *request["token_ns"],
                      request["end_ns"], window["end_ns"]]
            self.assertEqual(stamps, sorted(stamps))
            self.assertEqual(len(request["token_ns"]), request["output_tokens"])
            self.assertEqual(request["first_token_ns"], request["token_ns"][0])
            self.assertEqual((request["ok"], request["finish_reason"]), (True, "length"))

    def test_single_output_token_is_prefill_only(self):
        _, requests, steps = execute(load(self.folder), prompts(5), 1)
        self.assertEqual(len(steps), 1)
        self.assertEqual(requests[0]["token_ns"], [requests[0]["end_ns"]])

    def test_three_synchronisations_per_batch(self):
        engine = load(self.folder, batch_size=2)
        for output_tokens, expected in ((1, 2), (2, 3), (40, 3)):
            with mock.patch.object(generate.HostClock, "synchronize") as synchronize:
                execute(engine, prompts(5, 3, 4, 6), output_tokens)
            self.assertEqual(synchronize.call_count, 2 * expected)

    def test_collector_rests_during_steps_and_works_afterwards(self):
        engine, seen = load(self.folder), []
        work = {"requests": prompts(4), "output_tokens": 3}
        run.run_workload(engine, work, lambda: seen.append(gc.isenabled()), lambda done: None)
        self.assertEqual(seen, [False, False, False])
        self.assertTrue(gc.isenabled())
        self.assertEqual(gc.get_freeze_count(), 0)

    def test_cancel_stops_between_steps(self):
        engine, asked = load(self.folder), []
        work = {"requests": prompts(4), "output_tokens": 50}
        with self.assertRaises(generate.Cancelled):
            run.run_workload(engine, work, lambda: asked.append(1) or len(asked) == 3, lambda done: None)
        self.assertEqual(len(asked), 3)
        self.assertTrue(gc.isenabled())

    def test_cancel_stops_between_batches(self):
        engine, asked = load(self.folder), []
        work = {"requests": prompts(4, 4, 4), "output_tokens": 1}
        with self.assertRaises(generate.Cancelled):
            run.run_workload(engine, work, lambda: asked.append(1) or len(asked) == 2, lambda done: None)
        self.assertEqual(len(asked), 2)


class Lookout(TorchDispatchMode):
    """Notes operations that would make the host wait for a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "equal", "lift_fresh", "is_nonzero", "masked_select")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        # The library makes its caches from tensors without content, which no
        # device has to wait for.
        if func.overloadpacket.__name__ in self.WAITING and args[0].numel() > 0:
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class WaitingTest(ModelTest):
    """Whatever looks at a value on a CPU waits for the device on a GPU."""

    def run_batch(self, engine: loading.Engine, requests: list[dict]) -> list[str]:
        batch = batches.pad_left(requests, 4)
        with torch.inference_mode(), Lookout() as lookout:
            generate.run_batch(engine.forward, batch, 4, engine.device, generate.HostClock(4), lambda: False, 0)
        return lookout.seen

    def test_no_value_is_looked_at(self):
        for config in (TINY_LLAMA, TINY_GEMMA, TINY_GPT2):
            write_model(self.folder, config)
            for attention in ("sdpa", "eager"):
                engine = load(self.folder, options={"device": "cpu", "attn_implementation": attention})
                for lengths in ((5,), (5, 9), (7, 7), (20, 3)):
                    with self.subTest(model=config["model_type"], attention=attention, lengths=lengths):
                        # The cache of a sliding layer holds one number on the
                        # device, which the library copies there in the prefill.
                        sliding = config.get("layer_types", []).count("sliding_attention")
                        seen = self.run_batch(engine, prompts(*lengths))
                        self.assertEqual(seen, ["aten.lift_fresh.default"] * sliding)

    def test_no_value_is_looked_at_with_a_static_cache(self):
        for attention in ("sdpa", "eager"):
            engine = load(self.folder, options={"device": "cpu", "attn_implementation": attention,
                                                "cache_implementation": "static"})
            # The first batch brings the caches' counters to the device, once.
            self.run_batch(engine, prompts(5))
            for lengths in ((5,), (7,), (120,)):
                with self.subTest(attention=attention, lengths=lengths):
                    self.assertEqual(self.run_batch(engine, prompts(*lengths)), [])
            self.run_batch(engine, prompts(5, 9))
            self.assertEqual(self.run_batch(engine, prompts(5, 9)), [])


class FakeEvent:
    """An event of a device whose clock runs 1 % fast."""

    def __init__(self, ms: float = 0.0, enable_timing: bool = True):
        self.ms = ms

    def elapsed_time(self, other: "FakeEvent") -> float:
        return (other.ms - self.ms) * 1.01


    def record(self) -> None:
        self.ms = time.monotonic_ns() / 1e6


class StampTest(ModelTest):
    def cuda_clock(self, *times: float) -> generate.CudaClock:
        clock = generate.CudaClock.__new__(generate.CudaClock)
        clock.events = [FakeEvent(ms) for ms in times]
        return clock

    def test_device_time_is_laid_between_the_anchors(self):
        stamps = self.cuda_clock(100.0, 101.0, 103.0).stamps(3, 5_000_000, 8_000_000)
        self.assertEqual(stamps, [5_000_000, 6_000_000, 8_000_000])

    def test_a_run_with_events(self):
        """The whole path of a GPU's stamps, with a CPU for the device."""
        engine = load(self.folder, batch_size=2)
        with mock.patch("torch.cuda.Event", FakeEvent), mock.patch("torch.cuda.synchronize") as synchronize, \
                mock.patch.object(run, "clock_for", lambda device, steps: generate.CudaClock(steps, device)):
            window, requests, steps = execute(engine, prompts(5, 3, 4), 6)
        self.assertEqual(synchronize.call_count, 6)
        self.assertEqual(window["step_clock"], "cuda events")
        self.assertEqual(len(steps), 12)
        for request in requests:
            self.assertEqual(request["token_ns"], sorted(request["token_ns"]))
        self.assertTrue(all(step["end_ns"] > step["start_ns"] for step in steps))

    def test_stamps_ascend_and_end_at_the_last(self):
        stamps = self.cuda_clock(1.0, 2.0, 1.9, 2.0).stamps(4, 0, 10)
        self.assertEqual(stamps, sorted(stamps))
        self.assertEqual(stamps[-1], 10)
        self.assertEqual(self.cuda_clock(1.0, 1.0).stamps(2, 3, 9), [3, 9])
        self.assertEqual(self.cuda_clock(1.0).stamps(1, 3, 3), [3])


if __name__ == "__main__":
    unittest.main()
