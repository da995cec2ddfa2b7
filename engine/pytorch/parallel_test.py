"""Tests of a model that several processes share; here they are on the CPU."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import time
import unittest
from unittest import mock

import torch

from protocol_test import Process
from tinymodels import TINY_GEMMA, TINY_GPT2, TINY_LLAMA, ModelTest, load, prompts, reference, spec, write_model

from llem_worker import failures, loading, parallel, request


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
        self.addCleanup(self.clean, worker)
        options = {"device": self.device, "tensor_parallel_size": size, **changes.pop("options", {})}
        worker.tell(id=1, op="load", load=spec(self.folder, **{"batch_size": 2, **changes}, options=options))
        return worker

    def clean(self, worker: Process) -> None:
        """End what is left, and close the pipes."""
        worker.process.kill()
        worker.process.wait()
        for stream in (worker.commands, worker.replies, worker.process.stdout, worker.process.stderr):
            with contextlib.suppress(BrokenPipeError):  # what was not read any more
                stream.close()

    def loaded(self, *args, **changes) -> Process:
        worker = self.start(*args, **changes)
        worker.about = worker.hear("loaded")["loaded"]
        worker.ranks = children(worker.process.pid)
        return worker

    def run_all(self, worker: Process, requests: list[dict], output_tokens: int, number: int = 2):
        """Run a workload; returns the window, the log of requests and the log of steps."""
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
        until = time.monotonic() + 10
        while any(map(running, pids)):
            self.assertLess(time.monotonic(), until, f"{[pid for pid in pids if running(pid)]} run on")
            time.sleep(0.02)


class ParallelTest(SharedTest):
    def test_outputs_and_end(self):
        """The tokens of one process, with the weights that it would have drawn. No rank
        survives the first one or its parent."""
        requests = prompts(5, 17, 1, 30, 9)
        for config, options, end in (
            ({**TINY_LLAMA, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}, {},
             lambda worker: worker.process.kill()),
            (TINY_GEMMA, {"cache_implementation": "static", "prefill_chunk_size": 8},
             lambda worker: worker.commands.close()),
        ):
            with self.subTest(config["model_type"]):
                write_model(self.folder, config)
                whole = load(self.folder)
                worker = self.loaded(options=options)
                self.assertEqual(self.outputs(worker, requests, 8), reference(whole.model, requests, 8))
                used = worker.about["settings"]
                self.assertEqual((used["tensor_parallel_size"], used["collectives"]), ("2", "gloo"))
                self.assertTrue(0.5 <= float(used["tensor_parallel_share"]) < 0.8, used)
                self.assertEqual(worker.about["parameters"], whole.parameters)
                self.assertEqual(worker.about["threads"], max(1, torch.get_num_threads() // 2))
                worker.tell(id=3, op="run", run={"requests": prompts(*[3] * 500), "output_tokens": 200})
                time.sleep(0.3)
                end(worker)
                self.gone(worker.process.pid, *worker.ranks)

    def test_session(self):
        """A checkpoint; other settings, refused work and a cancel leave the ranks together."""
        whole = load(self.folder)
        whole.model.save_pretrained(self.folder)
        worker = self.loaded(synthetic=False)
        requests = prompts(5, 17, 1)
        expected = reference(whole.model, requests, 8)
        window, log, steps = self.run_all(worker, requests, 8)
        self.assertEqual([entry["output"] for entry in log], expected)
        self.assertEqual(len(steps), 16)
        self.assertEqual((window["step_clock"], window["memory_source"]), ("host", "VmHWM of all ranks"))
        status = pathlib.Path(f"/proc/{worker.process.pid}/status").read_text()
        own = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        self.assertGreater(window["peak_memory_bytes"], 1.5 * own, "the memory of both")

        worker.tell(id=3, op="run", run={"requests": prompts(300), "output_tokens": 8})
        self.assertEqual(self.failure(worker)["class"], "config")
        options = {"device": "cpu", "tensor_parallel_size": 2}
        worker.tell(id=4, op="adapt", load=spec(self.folder, synthetic=False, batch_size=3, options=options))
        worker.hear("loaded")
        for number in (5, 7):
            worker.tell(id=number, op="run", run={"requests": prompts(*[3] * 200), "output_tokens": 200})
            time.sleep(0.5)
            worker.tell(id=number + 1, op="cancel")
            asked = time.monotonic()
            self.assertEqual(self.failure(worker)["class"], "interrupted")
            self.assertLess(time.monotonic() - asked, 1.5)
        _, log, steps = self.run_all(worker, requests, 8)
        self.assertEqual([entry["output"] for entry in log], expected)
        self.assertEqual(len(steps), 8)
        worker.tell(id=9, op="stop")
        worker.hear("bye")
        self.gone(worker.process.pid, *worker.ranks)

    def test_environment(self):
        """Every rank has the variables of the first, unchanged."""
        wanted = {"NCCL_NVLS_ENABLE": "0", "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1", "NVSHMEM_DISABLE_NVLS": "1"}
        with mock.patch.dict(os.environ, wanted):
            worker = self.loaded()
        for pid in (worker.process.pid, *worker.ranks):
            variables = dict(
                entry.partition("=")[::2] for entry in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0")
            )
            self.assertEqual({key: variables.get(key) for key in wanted}, wanted)
        # A rank that is gone in between is told with the next run.
        os.kill(worker.ranks[0], signal.SIGTERM)
        self.gone(*worker.ranks)
        worker.tell(id=2, op="run", run={"requests": prompts(3), "output_tokens": 2})
        failure = self.failure(worker)
        self.assertEqual(failure["class"], "crashed")
        self.assertIn("rank 1 of 2 was ended by signal SIGTERM", failure["message"])

    def test_a_rank_dies_in_a_run(self):
        worker = self.loaded()
        worker.tell(id=2, op="run", run={"requests": prompts(*[3] * 200), "output_tokens": 200})
        time.sleep(0.5)
        os.kill(worker.ranks[0], signal.SIGKILL)
        began = time.monotonic()
        failure = self.failure(worker)
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual((failure["class"], failure["message"]), ("oom_host", "rank 1 of 2 was killed"))
        self.gone(worker.process.pid)

    def test_a_rank_dies_while_loading(self):
        worker = self.start()
        until = time.monotonic() + 20
        while not (ranks := children(worker.process.pid)):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.02)
        os.kill(ranks[0], signal.SIGTERM)
        self.assertIn("rank 1 of 2", self.failure(worker)["message"])
        self.gone(worker.process.pid)

    def test_failures_of_ranks(self):
        """What one rank cannot do is said by its own name and class."""
        broken = self.folder + "/sitecustomize.py"
        pathlib.Path(broken).write_text(
            "import os\nif os.environ.get('LLEM_RANK_TEST') and len(__import__('sys').orig_argv) > 2:\n"
            "    import torch\n"
            "    def broken(*_, **__):\n"
            "        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')\n"
            "    torch.nn.functional.scaled_dot_product_attention = broken\n"
        )
        with mock.patch.dict(os.environ, {"LLEM_RANK_TEST": "1", "PYTHONPATH": self.folder}):
            worker = self.loaded()
        worker.tell(id=2, op="run", run={"requests": prompts(3), "output_tokens": 2})
        failure = self.failure(worker)
        self.assertEqual((failure["class"], failure["message"]),
                         ("oom_gpu", "rank 1 of 2: out of GPU memory: tried to allocate 2.00 GiB"))
        worker.close()
        self.assertIn(b"[rank 1] Traceback", worker.errors)


@unittest.skipUnless(torch.cuda.device_count() > 1, "needs two GPUs")
class CudaParallelTest(SharedTest):
    device = "cuda"

    def test_two_gpus(self):
        """The tokens of one GPU, steps from the device, a cancel, other settings, and a rank that dies."""
        requests = prompts(5, 17, 1, 30, 9)
        worker = self.loaded()
        uuids, used = worker.about["device_uuids"], worker.about["settings"]
        self.assertEqual((len(uuids), len(set(uuids)), worker.about["device"]), (2, 2, "cuda"), uuids)
        self.assertRegex(used["collectives"], r"^nccl \d")
        self.run_all(worker, requests, 12)
        window, log, steps = self.run_all(worker, requests, 12)
        whole = load(self.folder, options={"device": "cuda"})
        self.assertEqual([entry["output"] for entry in log], reference(whole.model, requests, 12))
        self.assertEqual(
            (window["step_clock"], window["memory_source"]), ("cuda events", "torch.cuda.max_memory_allocated")
        )
        self.assertEqual(len(steps), 36)
        self.assertTrue(all(step["end_ns"] > step["start_ns"] for step in steps))

        worker.tell(id=3, op="run", run={"requests": prompts(*[3] * 200), "output_tokens": 200})
        time.sleep(0.5)
        worker.tell(id=4, op="cancel")
        asked = time.monotonic()
        self.assertEqual(self.failure(worker)["class"], "interrupted")
        self.assertLess(time.monotonic() - asked, 1.5)
        options = {"device": "cuda", "tensor_parallel_size": 2, "cache_implementation": "static"}
        worker.tell(id=5, op="adapt", load=spec(self.folder, batch_size=3, options=options))
        worker.hear("loaded")
        self.assertEqual([entry["output"] for entry in self.run_all(worker, requests, 12, 6)[1]],
                         [entry["output"] for entry in log])

        worker.tell(id=7, op="run", run={"requests": prompts(*[3] * 200), "output_tokens": 200})
        time.sleep(0.5)
        os.kill(worker.ranks[0], signal.SIGKILL)
        began = time.monotonic()
        failure = self.failure(worker)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIn("rank 1 of 2 was killed", failure["message"])
        self.gone(worker.process.pid)

    def test_half_precision(self):
        """A larger shape in bfloat16: both ranks choose the same tokens, step by step, or the run fails."""
        write_model(
            self.folder,
            {
                **TINY_LLAMA,
                "hidden_size": 1024,
                "intermediate_size": 2048,
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "initializer_range": 0.05,
                "tie_word_embeddings": True,
            },
        )
        worker = self.loaded(dtype="bfloat16", batch_size=4)
        _, log, _ = self.run_all(worker, prompts(100, 30, 7, 64), 32)
        self.assertEqual([entry["output_tokens"] for entry in log], [32] * 4)
        worker.commands.close()
        self.gone(worker.process.pid, *worker.ranks)


class RefusalTest(ModelTest):
    def refused(self, **options) -> failures.Failure:
        options = {"device": "cpu", "tensor_parallel_size": 2, **options}
        with self.assertRaises(failures.Failure) as caught:
            asked = request.Request.from_spec(spec(self.folder, options=options))
            request.check_options(asked)
            parallel.check(asked)
            parallel.check_sizes(asked, loading.read_config(asked))
        return caught.exception

    def test_options(self):
        for options, word in (
            ({"device_map": "auto", "device": "auto"}, "device_map auto"),
            ({"quantization": "torchao-int8"}, "quantization torchao-int8"),
            ({"batching": "continuous"}, "batching continuous"),
            ({"cache_implementation": "static", "compile": "default"}, "compile default"),
            ({"device": "cuda:0"}, "not on cuda:0 alone"),
            ({"tensor_parallel_size": -1}, "is -1"),
            ({"tensor_parallel_size": 4}, "4 does not divide num_key_value_heads 2"),
            ({"tensor_parallel_size": 3}, "3 does not divide num_attention_heads 4"),
        ):
            with self.subTest(word):
                failure = self.refused(**options)
                self.assertEqual(failure.failure_class, "config")
                self.assertIn(word, failure.message)
        with (
            mock.patch("torch.cuda.is_available", return_value=True),
            mock.patch("torch.cuda.device_count", return_value=1),
        ):
            failure = self.refused(device="cuda")
        self.assertEqual((failure.failure_class, failure.message),
                         ("no_device", "pytorch.tensor_parallel_size 2 needs 2 GPUs, PyTorch sees 1"))

    def test_other_versions(self):
        with mock.patch("transformers.PreTrainedModel.maybe_distribute_model", new=None), \
                mock.patch("transformers.distributed.DistributedConfig", new=dataclasses.make_dataclass("Old", [])):
            failure = self.refused()
        self.assertEqual(failure.failure_class, "version_mismatch")
        self.assertIn("transformers 5", failure.message)

    def test_layers_that_are_not_shared(self):
        """A plan that leaves out what a rank should have a part of is not taken for one."""
        group = parallel.Group(0, 2, 0, None)
        write_model(self.folder, TINY_GPT2)
        with self.assertRaises(failures.Failure) as caught:
            parallel.shard(load(self.folder).model, group, torch.device("cpu"), alike=True)
        self.assertIn("no plan", caught.exception.message)
        write_model(self.folder, TINY_LLAMA)
        with self.assertRaises(failures.Failure) as caught:
            parallel.share(load(self.folder).model, 2)
        self.assertIn("q_proj with 4096 of 4096 weights", caught.exception.message)


if __name__ == "__main__":
    unittest.main()
