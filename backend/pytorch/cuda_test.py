"""Tests that need a GPU; without one they are skipped."""

import unittest
from unittest import mock

import torch

from tinymodels import ModelTest, execute, load, prompts, reference, spec

from llem_worker import generate, loading, run, serve


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
