"""Tests of the load with known edges."""

import time
import unittest
from unittest import mock

import torch

from tinymodels import HERE  # noqa: F401: makes the worker importable

from llem_worker import failures, load, serve
from llem_worker.generate import Cancelled

MS = 1_000_000


def never() -> bool:
    return False


class PulseTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.load = load.Load("cpu")

    def test_edges_follow_the_pattern(self):
        pattern = [{"on_ns": 0, "off_ns": 5 * MS}] + [{"on_ns": 8 * MS, "off_ns": 12 * MS}] * 3
        before = time.monotonic_ns()
        edges = self.load.pulse(pattern, never)
        after = time.monotonic_ns()
        self.assertEqual(len(edges), 3, "a pause has no edges")
        stamps = [before, *(edge[key] for edge in edges for key in ("on_ns", "off_ns")), after]
        self.assertEqual(stamps, sorted(stamps))
        for index, edge in enumerate(edges):
            # Nothing begins or ends before its time; how late depends on the machine.
            self.assertGreaterEqual(edge["on_ns"], before + (5 + 20 * index) * MS)
            self.assertGreaterEqual(edge["off_ns"], before + (13 + 20 * index) * MS)
        self.assertGreaterEqual(after, before + 65 * MS, "the last pause is part of the pattern")

    def test_pulses_do_not_drift(self):
        """A pulse that is late does not make the next ones late."""
        pattern = [{"on_ns": 2 * MS, "off_ns": 18 * MS}] * 3
        burn, begins = self.load.burn, []

        def slow_first(end_ns, cancelled):
            begins.append(end_ns - 2 * MS)
            if len(begins) == 1:
                time.sleep(0.005)
            return burn(end_ns, cancelled)

        with mock.patch.object(self.load, "burn", slow_first):
            self.load.pulse(pattern, never)
        self.assertEqual([b - begins[0] for b in begins], [0, 20 * MS, 40 * MS])

    def test_empty_pattern(self):
        self.assertEqual(self.load.pulse([], never), [])

    def test_products_are_small(self):
        product = self.load.products[0]
        self.assertEqual(product.size % load.STEP, 0)
        self.assertTrue(load.SMALLEST <= product.size <= load.LARGEST)
        self.assertGreater(product.a.std().item(), 0.5, "zeros would draw less power")

    def test_cancel(self):
        for pulse in ({"on_ns": 3_600_000 * MS, "off_ns": 0}, {"on_ns": 0, "off_ns": 3_600_000 * MS}):
            calls = iter([False, True])
            with self.subTest(pulse), self.assertRaises(Cancelled):
                self.load.pulse([pulse], lambda: next(calls))

    def test_devices(self):
        self.assertEqual(load.choose_devices("cpu"), [torch.device("cpu")])
        with mock.patch.object(torch.cuda, "is_available", return_value=True), \
                mock.patch.object(torch.cuda, "device_count", return_value=2):
            self.assertEqual([str(d) for d in load.choose_devices("cuda")], ["cuda:0", "cuda:1"])
            self.assertEqual([str(d) for d in load.choose_devices("cuda:1")], ["cuda:1"])
            for name in ("cuda:2", "cuda:", "cuda:x", "tpu"):
                with self.subTest(name), self.assertRaises(failures.Failure) as raised:
                    load.choose_devices(name)
                self.assertEqual(raised.exception.failure_class, "no_device")

    def test_cancel_is_answered_and_the_worker_goes_on(self):
        worker = serve.Worker(mock.Mock(cancelled_run=7), mock.Mock())
        pattern = [{"on_ns": 3_600_000 * MS, "off_ns": 0}]
        worker.answer({"id": 7, "op": "pulse", "pulse": {"device": "cpu", "pattern": pattern}})
        self.assertEqual(worker.outbox.send.call_args.kwargs["failure"]["class"], "interrupted")
        worker.answer({"id": 8, "op": "pulse", "pulse": {"device": "cpu"}})
        self.assertEqual(worker.outbox.send.call_args.args, (8, "pulsed"))


@unittest.skipUnless(torch.cuda.is_available(), "needs a GPU")
class CudaTest(unittest.TestCase):
    def test_pulses_end_in_time(self):
        made = load.Load("cuda")
        made.pulse([{"on_ns": 20 * MS, "off_ns": 0}], never)
        before = time.monotonic_ns()
        edges = made.pulse([{"on_ns": 20 * MS, "off_ns": 20 * MS}] * 10, never)
        for index, edge in enumerate(edges):
            self.assertLess(abs(edge["on_ns"] - before - 40 * index * MS), 2 * MS)
            self.assertLess(abs(edge["off_ns"] - edge["on_ns"] - 20 * MS), 2 * MS)
        self.assertTrue(all(uuid.startswith("GPU-") for uuid in made.describe()["device_uuids"]))


if __name__ == "__main__":
    unittest.main()
