"""Tests of the worker as a process, and of how it recovers."""

import fcntl
import json
import os
import subprocess
import sys
import time
import unittest
import weakref
from unittest import mock

import torch

from tinymodels import WORKER, ModelTest, prompts, spec

from llem_worker import generate, serve


class RecoveryTest(ModelTest):
    def test_a_failed_run_frees_its_tensors(self):
        worker = serve.Worker(mock.Mock(cancelled_run=0), mock.Mock())
        worker.answer({"id": 1, "op": "load", "load": spec(self.folder)})
        work, held = {"requests": prompts(3), "output_tokens": 2}, []

        def run_out(*_):
            tensor = torch.zeros(10)
            held.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        with mock.patch.object(generate.Forward, "__call__", side_effect=run_out):
            worker.answer({"id": 2, "op": "run", "run": work})
        failure = worker.outbox.send.call_args.kwargs["failure"]
        self.assertEqual((failure["class"], failure["message"]),
                         ("oom_gpu", "out of GPU memory: tried to allocate 2.00 GiB"))
        self.assertIsNone(held[0]())
        worker.answer({"id": 3, "op": "run", "run": work})
        self.assertEqual(worker.outbox.send.call_args.args, (3, "done"))


class Process:
    """A worker process on descriptors 3 and 4, as the parent starts it."""

    def __init__(self, *python_flags: str):
        command_read, command_write = os.pipe()
        reply_read, reply_write = os.pipe()

        def place() -> None:
            """Put the pipes on 3 and 4, whatever numbers they have here."""
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (command_read, reply_write)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [sys.executable, *python_flags, WORKER],
            preexec_fn=place, pass_fds=(3, 4), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        os.close(command_read)
        os.close(reply_write)
        self.commands, self.replies = os.fdopen(command_write, "w"), os.fdopen(reply_read)

    def tell(self, **command) -> None:
        self.commands.write(json.dumps(command) + "\n")
        self.commands.flush()

    def hear(self, *events: str) -> dict:
        """The next reply other than progress; its event must be one of the given events."""
        while True:
            reply = json.loads(self.replies.readline())
            if reply["event"] == "progress":
                continue
            assert reply["event"] in events, reply
            return reply

    def close(self) -> int:
        self.commands.close()
        self.output, self.errors = self.process.communicate(timeout=20)
        self.replies.close()
        return self.process.returncode


class ProtocolTest(ModelTest):
    def start(self, *flags: str) -> Process:
        process = Process(*flags)
        self.addCleanup(lambda: process.process.poll() is None and process.close())
        return process

    def test_session(self):
        worker = self.start()
        before = time.monotonic_ns()
        worker.tell(v=1, id=1, op="hello")
        hello = worker.hear("hello")
        self.assertTrue(before < hello["clock_ns"] < time.monotonic_ns())
        self.assertEqual((hello["v"], hello["info"]["version"]), (1, torch.__version__))
        worker.tell(id=2, op="run", run={"requests": prompts(3), "output_tokens": 2})
        self.assertEqual(worker.hear("error")["failure"]["class"], "protocol")
        worker.tell(id=3, op="load", load=spec(self.folder, batch_size=2))
        self.assertEqual(worker.hear("loaded")["loaded"]["pid"], worker.process.pid)
        worker.tell(id=4, op="tokenize", texts=["ab", ""])
        self.assertEqual(worker.hear("tokens")["tokens"], [[97, 98], []])
        worker.tell(id=5, op="run", run={"requests": prompts(3, 4, 5), "output_tokens": 2})
        self.assertEqual(worker.hear("finished")["finished"]["step_clock"], "host")
        self.assertEqual(len(worker.hear("requests")["requests"]), 3)
        self.assertEqual(len(worker.hear("steps")["steps"]), 4)
        self.assertEqual(worker.hear("done")["id"], 5)
        worker.tell(id=6, op="stop")
        worker.hear("bye")
        self.assertEqual(worker.close(), 0)
        self.assertEqual(worker.output, b"", "standard output belongs to the log")

    def test_cancel(self):
        worker = self.start()
        worker.tell(id=1, op="load", load=spec(self.folder))
        worker.hear("loaded")
        worker.tell(id=2, op="run", run={"requests": prompts(*[3] * 200), "output_tokens": 200})
        time.sleep(0.5)
        worker.tell(id=3, op="cancel")
        asked = time.monotonic()
        reply = worker.hear("error")
        self.assertEqual((reply["id"], reply["failure"]["class"]), (2, "interrupted"))
        self.assertLess(time.monotonic() - asked, 1)
        worker.tell(id=4, op="run", run={"requests": prompts(3), "output_tokens": 2})
        worker.hear("finished")

    def test_end_of_commands_ends_the_worker_in_a_run(self):
        worker = self.start()
        worker.tell(id=1, op="load", load=spec(self.folder))
        worker.hear("loaded")
        worker.tell(id=2, op="run", run={"requests": prompts(*[3] * 500), "output_tokens": 200})
        time.sleep(0.3)
        began = time.monotonic()
        worker.close()
        self.assertLess(time.monotonic() - began, 2)

    def test_missing_torch(self):
        worker = self.start("-S", "-I")
        worker.tell(v=1, id=1, op="hello")
        failure = worker.hear("error")["failure"]
        self.assertEqual(failure["class"], "not_installed")
        self.assertIn("cannot import torch", failure["message"])
        # How to install an engine is in its descriptor, which adds the next step.
        self.assertEqual(failure["next"], "")

    def test_other_protocol_version(self):
        worker = self.start("-S", "-I")
        worker.tell(v=2, id=1, op="hello")
        self.assertEqual(worker.hear("error")["failure"]["class"], "protocol")

    def test_interrupt_is_ignored(self):
        worker = self.start("-S", "-I")
        worker.tell(v=2, id=1, op="hello")
        worker.hear("error")
        worker.process.send_signal(2)
        worker.tell(v=2, id=2, op="hello")
        worker.hear("error")


if __name__ == "__main__":
    unittest.main()
