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

from llem_protocol import arrivals, failures, process, serve, spec, tokens, work  # noqa: E402


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


class ScheduleTest(unittest.TestCase):
    """Arrivals on an imagined clock."""

    def schedule(self, requests, **more):
        requests = [{"id": i, "tokens": [i], **request} for i, request in enumerate(requests)]
        return arrivals.Schedule({"requests": requests, "output_tokens": 5, **more}, 1000)

    def ids(self, taken):
        return [arrival.id for arrival in taken]

    def test_rounds(self):
        """A round comes when the one before it has ended; nothing is said of arrivals."""
        s = self.schedule([{}] * 3, round=2)
        first = s.take(1001)
        self.assertEqual((self.ids(first), [a.times() for a in first]), ([0, 1], [{"submitted_ns": 1001}] * 2))
        s.end(0, 2000, [9])
        self.assertEqual(s.take(2001), [])
        s.end(1, 3000, [9])
        self.assertTrue(s.left)
        self.assertEqual(self.ids(s.take(3001)), [2])
        s.end(2, 4000, [9])
        self.assertFalse(s.left)

    def test_due(self):
        """In any order; at work a request is in the queue at its time, after a pause when the engine wakes up."""
        s = self.schedule([{"due_ns": 70}, {"due_ns": 10, "output": 2}, {"due_ns": 70}], open=True, round=1)
        self.assertEqual(s.take(1009), [])
        (one,) = s.take(1050)
        self.assertEqual((one.id, one.output, one.times()), (1, 2, {"arrived_ns": 1010, "submitted_ns": 1010}))
        both = s.take(1090, woken=True)
        self.assertEqual(self.ids(both), [0, 2])
        self.assertEqual(both[0].times(), {"arrived_ns": 1070, "submitted_ns": 1090})

    def test_clients(self):
        """Each client has one request; in an open loop the others have waited for one."""
        for open_loop in (False, True):
            s = self.schedule([{"due_ns": 5}] * 3, concurrency=2, open=open_loop)
            self.assertEqual(self.ids(s.take(1010)), [0, 1])
            s.end(1, 1500, [9])
            (last,) = s.take(1510)
            self.assertEqual((last.arrived_ns, last.submitted_ns, last.capped),
                             (1005, 1510, True) if open_loop else (1500, 1510, False))

    def test_conversation(self):
        """A turn has the history before it, and comes at its time or after its pause, whichever is later."""
        s = self.schedule([{}, {"after": 0, "wait_ns": 50}, {"after": 1, "due_ns": 9000}], open=True)
        s.take(1000)
        s.end(0, 2000, [7, 8])
        self.assertEqual(s.take(2049), [])
        (second,) = s.take(2060)
        self.assertEqual((second.arrived_ns, second.tokens), (2050, [0, 7, 8, 1]))
        s.end(1, 3000, [6])
        self.assertEqual(s.take(9999), [])
        (third,) = s.take(10_000)
        self.assertEqual((third.arrived_ns, third.tokens), (10_000, [0, 7, 8, 1, 6, 2]))

    def test_unsent(self):
        """What had not come at the end has failed, and took no time."""
        s = self.schedule([{"due_ns": 100}, {"after": 0}, {"after": 1}], open=True, drain_ns=400)
        self.assertFalse(s.over(1499))
        self.assertTrue(s.over(1500))
        (first,) = s.take(1100)
        entries = [first.cut(1500, [1200], [7], 1, 1100), *s.unsent(1500)]
        self.assertEqual([(e["ok"], e["cut"], e["end_ns"], e["output_tokens"]) for e in entries],
                         [(False, True, 1500, 1)] + [(False, True, 1500, 0)] * 2)

    def test_rest(self):
        """A pause ends at its time, with a report in between, or with a cancel."""
        clock, naps, beats = [1000], [], []

        def sleep(seconds):
            naps.append(seconds)
            clock[0] += round(seconds * 1e9)

        with mock.patch.object(arrivals.time, "monotonic_ns", lambda: clock[0]), \
                mock.patch.object(arrivals.time, "sleep", sleep):
            s = self.schedule([{"due_ns": 3_500_000_000}], open=True)
            s.rest(lambda: False, lambda: beats.append(1))
            self.assertEqual((clock[0], len(beats)), (3_500_001_000, 3))
            self.assertLessEqual(max(naps), 0.2)
            s = self.schedule([{"due_ns": 10**13}], open=True)
            s.rest(lambda: len(naps) > 20, lambda: None)
            self.assertEqual(len(naps), 21)

    def test_context(self):
        """A conversation needs room for all of it; its first turn comes before it."""
        turns = [{"id": 0, "tokens": [1] * 10}, {"id": 1, "tokens": [1] * 10, "after": 0, "output": 30}]
        work.check_requests(turns, 5, 9, 55)
        with self.assertRaisesRegex(failures.Failure, "request 1 needs 55 tokens"):
            work.check_requests(turns, 5, 9, 54)
        with self.assertRaisesRegex(failures.Failure, "continues request 0"):
            work.check_requests(turns[1:], 5, 9, 55)


if __name__ == "__main__":
    unittest.main()
