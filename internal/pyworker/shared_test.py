"""Tests of what all workers share, with the standard library alone."""

import gc
import json
import os
import pathlib
import sys
import time
import unittest
import weakref
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from llem_protocol import failures, process, serve, spec, tokens, work  # noqa: E402


class SpecTest(unittest.TestCase):
    def test_what_is_absent_has_its_default(self):
        usual = {"model": "/m", "path": "/m", "synthetic": False, "dtype": "auto", "seed": 0, "batch_size": 1,
                 "max_context": 0}
        self.assertEqual(spec.common({"path": "/m"}, "auto"), usual)
        self.assertEqual(spec.common({"path": "/m", "options": None, "dtype": ""}, "auto"), usual)

    def test_the_batch_size_of_the_spec_comes_before_that_of_the_section(self):
        asked = {"path": "/m", "model": "org/m", "synthetic": True, "dtype": "float16", "seed": "7", "max_context": 64,
                 "options": {"batch_size": 4}}
        self.assertEqual(spec.common(asked, "auto"), {"model": "org/m", "path": "/m", "synthetic": True,
                         "dtype": "float16", "seed": 7, "batch_size": 4, "max_context": 64})
        self.assertEqual(spec.common({**asked, "batch_size": 2}, "auto")["batch_size"], 2)


class Thing:
    """Something that can be referred to weakly."""


class WorkerTest(unittest.TestCase):
    def worker(self, **methods):
        worker = type("Some", (serve.Worker,), methods)(mock.Mock(cancelled_run=0), mock.Mock())
        return worker, worker.outbox.send

    def failure(self, send):
        self.assertEqual(send.call_args.args[1], "error")
        return send.call_args.kwargs["failure"]

    def test_unknown_commands_and_too_early_ones(self):
        worker, send = self.worker(run=lambda self, *_: self.loaded_engine())
        for op in ("run", "adapt", "tokenize", "template", "dance", None):
            worker.answer({"id": 1, "op": op})
            self.assertEqual(self.failure(send)["class"], "protocol")

    def test_another_protocol(self):
        worker, send = self.worker(describe=lambda self: {"version": "1"})
        worker.answer({"id": 1, "op": "hello", "v": 2})
        self.assertEqual(self.failure(send)["class"], "protocol")
        worker.answer({"id": 2, "op": "hello", "v": 1})
        self.assertEqual(send.call_args.kwargs["info"], {"version": "1"})

    def test_a_failure_keeps_no_frames(self):
        held = []

        def run(self, *_):
            thing = Thing()
            held.append(weakref.ref(thing))
            raise failures.Failure("config", "no", "yes")

        worker, send = self.worker(run=run)
        worker.answer({"id": 1, "op": "run"})
        self.assertEqual(self.failure(send), {"class": "config", "message": "no", "next": "yes"})
        self.assertIsNone(held[0]())

    def test_a_model_without_a_tokenizer(self):
        worker, send = self.worker()
        worker.engine = mock.Mock(tokenizer=None)
        worker.answer({"id": 1, "op": "tokenize", "texts": ["a"]})
        self.assertEqual(self.failure(send)["class"], "model_not_found")

    def test_conversations(self):
        worker, send = self.worker()
        worker.engine = mock.Mock()
        worker.engine.tokenizer.template.return_value = [[1, 2]]
        worker.answer({"id": 1, "op": "template", "chats": [[{"role": "user", "content": "a"}]]})
        send.assert_called_with(1, "tokens", tokens=[[1, 2]])
        worker.engine.tokenizer.template.assert_called_with([[{"role": "user", "content": "a"}]])
        worker.engine = mock.Mock(tokenizer=None)
        worker.answer({"id": 2, "op": "template", "chats": []})
        self.assertEqual(self.failure(send)["class"], "model_not_found")

    def test_a_template_speaks_for_itself(self):
        tokenizer = mock.Mock()
        tokenizer.apply_chat_template.side_effect = ValueError("roles must alternate")
        with self.assertRaises(failures.Failure) as caught:
            tokens.in_template(tokenizer, [], tokenize=True)
        self.assertEqual(caught.exception.failure_class, "config")
        self.assertIn("roles must alternate", caught.exception.message)

    def test_exceptions(self):
        cases = {"oom_host": MemoryError("x"), "disk_full": OSError(28, "No space left"), "engine_error": KeyError("y"),
                 "not_installed": ModuleNotFoundError("no", name="torch.nn")}
        for name, exc in cases.items():
            self.assertEqual(failures.from_exception(exc).failure_class, name)
        self.assertIn("pip install torch", failures.from_exception(cases["not_installed"]).next_step)


class InboxTest(unittest.TestCase):
    def test_blank_lines_and_cancels(self):
        read, write = os.pipe()
        with mock.patch("os._exit") as ended:
            inbox = serve.Inbox(read)
            for command in ({"id": 1, "op": "run"}, None, {"id": 2, "op": "cancel"}, {"id": 3, "op": "tokenize"}):
                os.write(write, (json.dumps(command) if command else " ").encode() + b"\n")
            self.assertEqual([inbox.commands.get(timeout=5)["id"] for _ in range(2)], [1, 3])
            self.assertEqual((inbox.last_run, inbox.cancelled_run), (1, 1))
            os.close(write)
            for _ in range(500):
                if ended.called:
                    break
                time.sleep(0.01)
        ended.assert_called_with(0)


class WorkTest(unittest.TestCase):
    def test_long_logs_are_cut(self):
        entries = [{"token_ns": [0] * 100_000}] * 7
        self.assertEqual([len(part) for part in serve.chunks(entries)], [2, 2, 2, 1])
        self.assertEqual([len(part) for part in serve.chunks([{}] * 1025)], [512, 512, 1])
        self.assertEqual(list(serve.chunks([])), [])

    def test_batches_do_not_reach_over_rounds(self):
        requests = [{"id": number} for number in range(7)]
        for size, together, expected in ((3, 0, [3, 3, 1]), (3, 4, [3, 1, 3]), (9, 2, [2, 2, 2, 1]), (1, 0, [1] * 7)):
            self.assertEqual([len(batch) for batch in work.batches(requests, size, together)], expected)

    def test_impossible_work(self):
        for requests, output in (([], 1), ([{"id": 0, "tokens": []}], 1), ([{"id": 0, "tokens": [10]}], 1),
                                 ([{"id": 0, "tokens": [-1]}], 1), ([{"id": 0, "tokens": [1]}], 0),
                                 ([{"id": 0, "tokens": [1] * 8}], 2)):
            with self.assertRaises(failures.Failure):
                work.check_requests(requests, output, vocab=10, longest=9)
        work.check_requests([{"id": 0, "tokens": [1] * 8}], 1, vocab=10, longest=9)

    def test_collector_rests(self):
        with work.quiet_collector():
            self.assertFalse(gc.isenabled())
        self.assertTrue(gc.isenabled())

    def test_peak_memory(self):
        process.reset_peak_memory()
        peak, source = process.peak_memory()
        self.assertEqual((peak > 1 << 20, source), (True, "VmHWM"))


if __name__ == "__main__":
    unittest.main()
