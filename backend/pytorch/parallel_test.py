"""Tests of a model that several processes share; here they are on the CPU."""

import json
import os
import pathlib
import signal
import time
import unittest

import torch

from protocol_test import Process
from tinymodels import TINY_GEMMA, TINY_GPT2, TINY_LLAMA, ModelTest, load, prompts, reference, spec, write_model

from llem_worker import failures, loading, request


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def running(pid: int) -> bool:
    """Whether a process does anything."""
    try:
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class SharedTest(ModelTest):
    """A worker that shares a model with further ranks."""

    device = "cpu"

    def start(self, size: int = 2, **changes) -> Process:
        worker = Process()
        self.addCleanup(lambda: worker.process.poll() is None and worker.close())
        options = {"device": self.device, "tensor_parallel_size": size, **changes.pop("options", {})}
        worker.tell(id=1, op="load", load=spec(self.folder, **{"batch_size": 2, **changes}, options=options))
        return worker

    def loaded(self, *args, **changes) -> Process:
        worker = self.start(*args, **changes)
        worker.about = worker.hear("loaded")["loaded"]
        worker.ranks = children(worker.process.pid)
        return worker

    def run_all(self, worker: Process, requests: list[dict], output_tokens: int, number: int = 2):
        """Run a workload; returns the window, the log of requests and that of steps."""
        worker.tell(id=number, op="run", run={"requests": requests, "output_tokens": output_tokens})
        window, log, steps = worker.hear("finished")["finished"], [], []
        while (reply := worker.hear("requests", "steps", "done"))["event"] != "done":
            log += reply.get("requests", [])
            steps += reply.get("steps", [])
        return window, log, steps

    def outputs(self, worker: Process, requests: list[dict], output_tokens: int) -> list[list[int]]:
        return [entry["output"] for entry in self.run_all(worker, requests, output_tokens)[1]]

    def failure(self, worker: Process) -> dict:
        return worker.hear("error")["failure"]

    def gone(self, *pids: int) -> None:
        """Wait until processes are gone, for not long."""
        until = time.monotonic() + 5
        while any(map(running, pids)):
            self.assertLess(time.monotonic(), until, f"{[pid for pid in pids if running(pid)]} run on")
            time.sleep(0.02)


class ParallelTest(SharedTest):
    def test_outputs(self):
        """The tokens of one process, with the weights that it would have drawn."""
        requests = prompts(5, 17, 1, 30, 9)
        for config in (TINY_LLAMA, {**TINY_LLAMA, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
                       {**TINY_GEMMA, "tie_word_embeddings": True}):
            for options in ({}, {"cache_implementation": "static", "prefill_chunk_size": 8}):
                with self.subTest(config["model_type"], tied=config["tie_word_embeddings"], **options):
                    write_model(self.folder, config)
                    whole = load(self.folder)
                    worker = self.loaded(options=options)
                    self.assertEqual(self.outputs(worker, requests, 8), reference(whole.model, requests, 8))
                    used = worker.about["settings"]
                    self.assertEqual((used["tensor_parallel_size"], used["collectives"]), ("2", "gloo"))
                    self.assertLess(float(used["tensor_parallel_share"]), 0.8)
                    self.assertEqual(worker.about["parameters"], whole.parameters)
                    worker.close()


if __name__ == "__main__":
    unittest.main()
