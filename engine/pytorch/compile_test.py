"""Tests of the compiled decode step. The compiler for a CPU is g++."""

import shutil
import unittest
from unittest import mock

import torch

from tinymodels import TINY_GEMMA, TINY_GPT2, ModelTest, execute, load, prompts, reference, spec, write_model

from llem_worker import compiled, failures, loading, run


def options(**more) -> dict:
    return {"device": "cpu", "cache_implementation": "static", "compile": "default", **more}


@unittest.skipUnless(shutil.which("g++"), "needs g++")
class CompileTest(ModelTest):
    def failure(self, action, *args, **kwargs) -> failures.Failure:
        with self.assertRaises(failures.Failure) as caught:
            action(*args, **kwargs)
        return caught.exception

    def test_outputs(self):
        """Compiled, padded and not, with an incomplete last batch: what the library's generate gives."""
        engine = load(self.folder, batch_size=4, options=options())
        requests = prompts(5, 17, 1, 30, 9, 9)
        _, log, steps = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], reference(engine.model, requests, 12))
        self.assertEqual(len(steps), 24)
        used = engine.describe()["settings"]
        self.assertEqual(
            (used["compile"], used["cache_implementation"], used["cache_tokens"]), ("default", "static", "256")
        )
        self.assertGreater(float(used["compile_s"]), 0)
        # Again, in another order: nothing is compiled, the shapes are known.
        graphs = compiled.compiled_graphs()
        _, log, _ = execute(engine, requests[::-1], 12)
        self.assertEqual([entry["output"] for entry in log], reference(engine.model, requests[::-1], 12))
        self.assertEqual(compiled.compiled_graphs(), graphs)
        # A shape that comes after the warm-up is refused, and the engine lives on.
        self.assertEqual(self.failure(execute, engine, requests[:3], 12).failure_class, "config")
        execute(engine, requests[:4], 12)
        # After Adapt it may be warmed up again.
        loading.adapt(
            engine, loading.Request.from_spec(spec(self.folder, batch_size=3, options=options(prefill_chunk_size=8)))
        )
        _, log, _ = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], reference(engine.model, requests, 12))

    def test_choices(self):
        """Sampled or with a penalty, tokens equal the tokens of uncompiled steps."""
        requests = prompts(5, 17, 9)
        for decoding in ({"temperature": 0.9, "top_p": 0.9, "min_p": 0.01, "seed": 3, "repetition_penalty": 1.2},
                         {"temperature": 0, "repetition_penalty": 1.4}):
            with self.subTest(decoding):
                plain = load(self.folder, batch_size=3, decoding=decoding,
                             options={"device": "cpu", "cache_implementation": "static"})
                engine = load(self.folder, batch_size=3, decoding=decoding, options=options())
                expected = [entry["output"] for entry in execute(plain, requests, 12)[1]]
                for _ in range(2):
                    self.assertEqual([entry["output"] for entry in execute(engine, requests, 12)[1]], expected)

    def test_adapter(self):
        """A LoRA adapter is compiled with the layers that it is beside."""
        requests = prompts(5, 17)
        plain = load(self.folder, batch_size=2, options=options(compile="off", lora="random:8"))
        engine = load(self.folder, batch_size=2, options=options(lora="random:8"))
        self.assertEqual(engine.describe()["settings"]["lora_layers"], "8")
        self.assertEqual([entry["output"] for entry in execute(engine, requests, 12)[1]],
                         [entry["output"] for entry in execute(plain, requests, 12)[1]])

    def test_compilation_within_a_run_fails_it(self):
        engine = load(self.folder, options=options())
        with mock.patch.object(run, "compiled_graphs", side_effect=[4, 5]):
            self.assertEqual(self.failure(execute, engine, prompts(4), 2).failure_class, "graph_compile")

    def test_one_token_needs_no_step(self):
        engine = load(self.folder, batch_size=2, options=options())
        execute(engine, prompts(4, 4), 2)
        execute(engine, prompts(4), 1)

    def test_what_cannot_be_compiled_is_refused(self):
        def refused(**more):
            return self.failure(load, self.folder, options=options(**more)).failure_class

        self.assertEqual(refused(cache_implementation="dynamic"), "config")
        self.assertEqual(refused(compile="reduce-overhead"), "config")
        self.assertEqual(refused(compile="fast"), "config")
        write_model(self.folder, TINY_GEMMA)
        self.assertEqual(refused(), "unsupported_model")

    def test_a_compiler_that_fails(self):
        def broken(*args, **kwargs):
            raise torch._dynamo.exc.InternalTorchDynamoError("no compiler\nis here")

        with mock.patch.object(torch, "compile", return_value=broken):
            failure = self.failure(load, self.folder, options=options())
        self.assertEqual(failure.failure_class, "graph_compile")
        self.assertIn("no compiler is here", failure.message)
        error = torch._dynamo.exc.InternalTorchDynamoError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.assertEqual(compiled.refused("default", error).failure_class, "oom_gpu")

    def test_missing_cuda_graphs_are_noticed(self):
        engine = load(self.folder, options=options())
        engine.forward.shapes.clear()
        with mock.patch.object(compiled.CompiledForward, "wants_cuda_graphs", True), \
                mock.patch.object(compiled, "cuda_graph_skips", side_effect=[0, 1]):
            self.assertEqual(self.failure(engine.forward.warm, 1).failure_class, "graph_compile")

    def test_gpt2(self):
        write_model(self.folder, TINY_GPT2)
        engine = load(self.folder, batch_size=2, options=options(attn_implementation="eager"))
        requests = prompts(5, 17)
        _, log, _ = execute(engine, requests, 12)
        self.assertEqual([entry["output"] for entry in log], reference(engine.model, requests, 12))


if __name__ == "__main__":
    unittest.main()
