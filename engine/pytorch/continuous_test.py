"""Tests of continuous batching."""

import importlib.util
import unittest
from unittest import mock

import torch

from tinymodels import (
    TINY_GEMMA, TINY_LLAMA, ModelTest, carry_out, execute, load, prompts, reference, spec, write_model,
)

from llem_worker import continuous, failures, generate, loading, run


def options(**more) -> dict:
    return {"device": "cpu", "batching": "continuous", **more}


@unittest.skipUnless(importlib.util.find_spec("psutil"), "needs psutil")
class ContinuousTest(ModelTest):
    LENGTHS = (5, 17, 1, 30, 9, 9)

    def test_outputs_and_steps(self):
        requests = prompts(*self.LENGTHS)
        for config, attention in ((TINY_LLAMA, "sdpa"), (TINY_LLAMA, "eager"), (TINY_GEMMA, "sdpa")):
            with self.subTest(model=config["model_type"], attention=attention):
                write_model(self.folder, config)
                expected = reference(load(self.folder).model, requests, 12)
                engine = load(self.folder, batch_size=4, options=options(attn_implementation=attention))
                window, log, steps = execute(engine, requests, 12)
                self.assertEqual([entry["output"] for entry in log], expected)
                self.assertEqual([entry["prompt_computed"] for entry in log], list(self.LENGTHS))
                self.assertEqual(sum(step["prefill_tokens"] for step in steps), sum(self.LENGTHS))
                self.assertEqual(sum(step["decode_tokens"] for step in steps), 6 * 11)
                self.assertEqual(max(step["sequences"] for step in steps), 4)
                self.check_stamps(window, log, steps)
                # The cache is as new: a second run computes everything again.
                self.assertEqual([entry["output"] for entry in execute(engine, requests, 12)[1]], expected)
                self.assertEqual(engine.describe()["attention"], "paged|" + attention)
                used = engine.describe()["settings"]
                self.assertEqual(
                    (used["batching"], used["max_requests_per_batch"], used["async_batching"], used["block_sharing"]),
                    ("continuous", "4", "false", "false"),
                )

    def test_sampling(self):
        """A seed decides on what is drawn; tight bounds leave the most likely token, which no default loosens."""
        requests = prompts(*self.LENGTHS)

        def output(engine):
            return [entry["output"] for entry in execute(engine, requests, 12)[1]]

        greedy = output(load(self.folder, batch_size=4, options=options()))
        engine = load(self.folder, batch_size=4, options=options(), decoding={"temperature": 1.0, "seed": 3})
        drawn = output(engine)
        self.assertNotEqual(drawn, greedy)
        self.assertEqual(output(engine), drawn)
        for more, same in (({"seed": 4}, None), ({"top_k": 1}, greedy), ({"top_p": 0.001}, greedy),
                           ({"min_p": 1.0}, greedy)):
            with self.subTest(more):
                decoding = {"temperature": 1.0, "seed": 3, **more}
                loading.adapt(engine, loading.Request.from_spec(
                    spec(self.folder, batch_size=4, options=options(), decoding=decoding)))
                got = output(engine)
                self.assertNotEqual(got, drawn)
                if same:
                    self.assertEqual(got, same)
        plain = load(self.folder, options=options(), decoding={"temperature": 1.0}).forward.manager
        self.assertEqual(list(plain.logit_processor.logits_processor), [])
        with self.assertRaises(failures.Failure) as caught:
            load(self.folder, options=options(), decoding={"repetition_penalty": 1.2})
        self.assertIn("decoding.repetition_penalty 1.2 does not run", str(caught.exception))

    def check_stamps(self, window, log, steps):
        previous = window["start_ns"]
        for step in steps:
            self.assertLessEqual(previous, step["start_ns"])
            self.assertLess(step["start_ns"], step["end_ns"])
            previous = step["end_ns"]
        self.assertLessEqual(previous, window["end_ns"])
        ends = {step["end_ns"] for step in steps}
        for entry in log:
            self.assertEqual(len(entry["token_ns"]), 12)
            self.assertLessEqual(set(entry["token_ns"]), ends)
            self.assertLess(entry["prefill_start_ns"], entry["first_token_ns"])

    def test_a_finished_request_makes_room(self):
        """With two places and three requests, the third one starts when a place is free."""
        engine = load(self.folder, batch_size=2, options=options())
        _, log, steps = execute(engine, prompts(4, 4, 4), 5)
        self.assertGreaterEqual(log[2]["prefill_start_ns"], min(log[0]["end_ns"], log[1]["end_ns"]))
        self.assertEqual({step["sequences"] for step in steps}, {1, 2})

    def test_long_prompts_are_split(self):
        with mock.patch.dict(continuous.STEP_TOKENS, {"cpu": 16}):
            engine = load(self.folder, batch_size=2, options=options())
        requests = prompts(40, 7)
        _, log, steps = execute(engine, requests, 4)
        self.assertLessEqual(max(step["prefill_tokens"] + step["decode_tokens"] for step in steps), 16)
        self.assertEqual([entry["output"] for entry in log], reference(load(self.folder).model, requests, 4))

    def test_cancel(self):
        engine, asked = load(self.folder, batch_size=2, options=options()), []
        work = {"requests": prompts(4, 4, 4), "output_tokens": 50}
        with self.assertRaises(generate.Cancelled):
            run.run_workload(engine, work, lambda: asked.append(1) or len(asked) == 3, lambda done: None)
        _, log, _ = execute(engine, prompts(4), 5)
        self.assertEqual(len(log[0]["output"]), 5)

    def test_refusals(self):
        def refused(**more):
            with self.assertRaises(failures.Failure) as caught:
                load(self.folder, options=options(**more))
            return caught.exception.failure_class

        self.assertEqual(refused(cache_implementation="static"), "config")
        self.assertEqual(refused(prefill_chunk_size=4), "config")
        with mock.patch.object(continuous.importlib.util, "find_spec", return_value=None):
            self.assertEqual(refused(), "not_installed")
        with mock.patch("transformers.generation.continuous_batching.ContinuousBatchingManager", object):
            self.assertEqual(refused(), "version_mismatch")

    def test_adapting(self):
        engine = load(self.folder, batch_size=2, options=options())
        requests = prompts(*self.LENGTHS)
        expected = [entry["output"] for entry in execute(engine, requests, 6)[1]]
        loading.adapt(engine, loading.Request.from_spec(spec(self.folder, batch_size=3, options=options())))
        _, log, steps = execute(engine, requests, 6)
        self.assertEqual([entry["output"] for entry in log], expected)
        self.assertEqual(max(step["sequences"] for step in steps), 3)

    def open_work(self, *lengths) -> dict:
        """An open loop with outputs of their own, a pause, and a conversation of three turns."""
        requests = prompts(*lengths)
        for request, due_ms, output in zip(requests, (0, 150, 5, 20, 10), (0, 3, 1, 20, 9)):
            request.update(due_ns=due_ms * 1_000_000, output=output)
        requests[2].update(after=0, wait_ns=30_000_000)
        requests[4]["after"] = 2
        return {"requests": requests, "output_tokens": 7, "open": True}

    def test_arrivals(self):
        """Requests come at their times, in an idle engine too; a turn has its history."""
        engine = load(self.folder, batch_size=4, options=options())
        self.assertTrue(engine.describe()["schedules"])
        self.assertFalse(load(self.folder).describe()["schedules"])
        work = self.open_work(5, 17, 3, 9, 4)
        window, log, steps = carry_out(engine, work)
        asked = work["requests"]
        for entry, request in zip(log, asked):
            due = window["start_ns"] + request["due_ns"]
            if "after" in request:
                due = max(due, log[request["after"]]["end_ns"] + request.get("wait_ns", 0))
            self.assertEqual(entry["arrived_ns"], due)
            self.assertLessEqual(due, entry["submitted_ns"])
            self.assertLessEqual(entry["submitted_ns"], entry["started_ns"])
            self.assertEqual(len(entry["output"]), request["output"] or 7)
            self.assertNotIn("capped", entry)
        history = list(asked[0]["tokens"])
        for turn in (0, 2, 4):
            whole = history if turn == 0 else history + asked[turn]["tokens"]
            alone = reference(load(self.folder).model, [{"tokens": whole}], len(log[turn]["output"]))[0]
            self.assertEqual(log[turn]["output"], alone)
            self.assertEqual((log[turn]["prompt_tokens"], log[turn]["prompt_computed"]), (len(whole), len(whole)))
            history = whole + log[turn]["output"]
        self.assertEqual(sum(step["prefill_tokens"] for step in steps), sum(e["prompt_tokens"] for e in log))
        self.assertEqual(sum(step["decode_tokens"] for step in steps), sum(len(e["output"]) - 1 for e in log))

    def test_clients(self):
        """A number of clients; in an open loop it is a cap, and what waits for it says so."""
        engine = load(self.folder, batch_size=4, options=options())
        requests = prompts(4, 4, 4, 4, 4)
        closed = {"requests": requests, "output_tokens": 6, "concurrency": 2}
        _, log, steps = carry_out(engine, closed)
        self.assertEqual(max(step["sequences"] for step in steps), 2)
        self.assertEqual([entry["output"] for entry in log], reference(load(self.folder).model, requests, 6))
        self.assertGreaterEqual(log[2]["arrived_ns"], min(log[0]["end_ns"], log[1]["end_ns"]))
        _, log, _ = carry_out(engine, {**closed, "open": True})
        self.assertEqual([entry.get("capped", False) for entry in log], [False, False, True, True, True])

    def test_cut(self):
        """The end of a run ends its requests with what they have; the next run is whole."""
        engine = load(self.folder, batch_size=2, options=options())
        requests = prompts(4, 4, 4, 4)
        requests[0]["output"], requests[3]["due_ns"] = 2, 3_600_000_000_000
        work = {"requests": requests, "output_tokens": 200, "open": True}
        asked = []
        with mock.patch.object(continuous.Schedule, "over", lambda self, now: asked.append(now) or len(asked) > 20):
            _, log, _ = carry_out(engine, work)
        self.assertEqual([entry["ok"] for entry in log], [True, False, False, False])
        for entry in log[1:]:
            self.assertTrue(entry["cut"])
            self.assertEqual(entry["output_tokens"], len(entry["token_ns"]))
            self.assertEqual(entry["output_tokens"], len(entry["output"]))
        self.assertTrue(log[1]["output"])
        self.assertEqual([entry["output"] for entry in execute(engine, requests[1:3], 5)[1]],
                         reference(load(self.folder).model, requests[1:3], 5))


if __name__ == "__main__":
    unittest.main()
