"""Tests that need a GPU; without one they are skipped."""

import importlib.util
import unittest
from unittest import mock

import torch

from tinymodels import TINY_LLAMA, ModelTest, execute, load, prompts, reference, spec, write_model

from llem_worker import generate, loading, quantise, run, serve


@unittest.skipUnless(torch.cuda.is_available(), "needs a GPU")
class CudaTest(ModelTest):
    def engine(self, **changes) -> loading.Engine:
        attention = changes.pop("attention", "sdpa")
        return load(self.folder, options={"device": "cuda", "attn_implementation": attention}, **changes)

    def test_outputs_and_stamps(self):
        for attention in ("sdpa", "eager"):
            engine = self.engine(batch_size=3, attention=attention)
            requests = prompts(5, 17, 1, 30, 9, 9)
            execute(engine, requests, 12)
            window, log, steps = execute(engine, requests, 12)
            self.assertEqual([entry["output"] for entry in log], reference(engine.model, requests, 12))
            self.assertEqual(window["step_clock"], "cuda events")
            self.assertEqual(len(steps), 24)
            self.assertTrue(all(step["end_ns"] > step["start_ns"] for step in steps))

    def test_no_hidden_synchronisation(self):
        """Nothing between the two stamps of a batch waits for the device."""
        for attention in ("sdpa", "eager"):
            for lengths in ((5, 9), (7, 7)):
                engine = self.engine(batch_size=2, attention=attention)
                execute(engine, prompts(*lengths), 4)
                torch.cuda.set_sync_debug_mode("error")
                try:
                    with self.subTest(attention=attention, lengths=lengths):
                        work = {"requests": prompts(*lengths), "output_tokens": 4}
                        run.run_workload(engine, work, lambda: False, lambda done: None)
                finally:
                    torch.cuda.set_sync_debug_mode("default")

    def test_choices(self):
        """Drawn or with a penalty, compiled or not, tokens are the same, and nothing waits for the device."""
        requests = prompts(5, 17, 9, 9)
        for decoding in ({"temperature": 0.9, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.2},
                         {"temperature": 0, "repetition_penalty": 1.4}):
            outputs = []
            for mode in ("off", "default", "reduce-overhead"):
                engine = load(self.folder, batch_size=4, decoding=decoding, options={
                    "device": "cuda", "cache_implementation": "static", "compile": mode})
                execute(engine, requests, 12)
                torch.cuda.set_sync_debug_mode("error")
                try:
                    work = {"requests": requests, "output_tokens": 12}
                    results = run.run_workload(engine, work, lambda: False, lambda done: None)[1]
                finally:
                    torch.cuda.set_sync_debug_mode("default")
                outputs.append([entry["output"] for entry in run.request_log(results)])
            with self.subTest(decoding):
                self.assertEqual(outputs[1:], [outputs[0]] * 2)

    def test_static_compiled_and_graphs(self):
        """The library's outputs, step limits from the device, and nothing that waits for it."""
        requests = prompts(5, 17, 1, 30, 9, 9)
        for mode in ("off", "default", "reduce-overhead"):
            with self.subTest(compile=mode):
                engine = load(self.folder, batch_size=4, options={
                    "device": "cuda", "cache_implementation": "static", "compile": mode})
                execute(engine, requests, 12)
                torch.cuda.set_sync_debug_mode("error")
                try:
                    work = {"requests": requests, "output_tokens": 12}
                    window, results = run.run_workload(engine, work, lambda: False, lambda done: None)
                finally:
                    torch.cuda.set_sync_debug_mode("default")
                outputs = [entry["output"] for entry in run.request_log(results)]
                self.assertEqual(outputs, reference(engine.model, requests, 12))
                self.assertEqual(window["step_clock"], "cuda events")
                if mode != "off":
                    graphs = "true" if mode == "reduce-overhead" else "false"
                    self.assertEqual(engine.describe()["settings"]["cuda_graphs"], graphs)

    def test_continuous(self):
        requests = prompts(5, 17, 1, 30, 9, 9)
        expected = reference(self.engine().model, requests, 12)
        engine = load(self.folder, batch_size=4, options={"device": "cuda", "batching": "continuous"})
        _, log, _ = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], expected)

    def test_quantised(self):
        """Whatever is installed: it runs, and the weights take less."""
        write_model(self.folder, {**TINY_LLAMA, "hidden_size": 256, "intermediate_size": 512})
        whole = self.engine(dtype="bfloat16").describe()["weight_bytes"]
        for name, method in quantise.METHODS.items():
            with self.subTest(name):
                if importlib.util.find_spec(method.package) is None:
                    self.skipTest(f"needs {method.package}")
                if torch.cuda.get_device_capability() < method.capability:
                    self.skipTest("the GPU is too old")
                engine = load(
                    self.folder, dtype="bfloat16", batch_size=2, options={"device": "cuda", "quantization": name}
                )
                self.assertLess(engine.describe()["weight_bytes"], whole)
                _, log, _ = execute(engine, prompts(5, 17), 8)
                self.assertEqual([entry["output_tokens"] for entry in log], [8, 8])

    @unittest.skipUnless(torch.cuda.device_count() > 1, "needs two GPUs")
    def test_several_gpus(self):
        requests = prompts(5, 17, 1)
        expected = reference(self.engine().model, requests, 12)
        engine = load(self.folder, batch_size=2, options={"device": "cuda", "device_map": "auto"})
        _, log, _ = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], expected)
        self.assertEqual(len(engine.describe()["device_uuids"]), min(2, torch.cuda.device_count()))

    def test_worker_survives_out_of_memory(self):
        worker = serve.Worker(mock.Mock(cancelled_run=0), mock.Mock())
        options = {"device": "cuda"}
        worker.answer({"id": 1, "op": "load", "load": spec(self.folder, batch_size=2, options=options)})
        work = {"requests": prompts(3, 4), "output_tokens": 2}
        with mock.patch.object(generate.Forward, "__call__",
                               side_effect=lambda *_: torch.empty(1 << 50, device="cuda")):
            worker.answer({"id": 2, "op": "run", "run": work})
        failure = worker.outbox.send.call_args.kwargs["failure"]
        self.assertEqual(failure["class"], "oom_gpu")
        worker.answer({"id": 3, "op": "run", "run": work})
        self.assertEqual(worker.outbox.send.call_args.args[1], "done")

    def test_device_is_named(self):
        described = self.engine(dtype="bfloat16").describe()
        self.assertRegex(described["device_uuids"][0], r"^GPU-[0-9a-f-]{36}$")
        self.assertEqual(described["device"], "cuda")


if __name__ == "__main__":
    unittest.main()
