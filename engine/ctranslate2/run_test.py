"""Tests of the worker, with CTranslate2 itself or with the fake in testdata."""

import pathlib
import sys
import tempfile
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "internal" / "pyworker"))

from assembled import assembled  # noqa: E402

assembled(HERE / "worker")

from llem_protocol.failures import Cancelled, Failure  # noqa: E402

from llem_ctranslate2 import binary, environment, failures, loading, run, shapes  # noqa: E402

environment.describe()  # before the package is imported: torch stays out

import ctranslate2  # noqa: E402

TINY = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320, "initializer_range": 0.4,
        "bos_token_id": 256, "eos_token_id": 257}


def requests(*lengths):
    return [{"id": 10 + row, "tokens": [(row * 31 + at * 7) % 90 + 32 for at in range(length)]}
            for row, length in enumerate(lengths)]


class RunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            shapes.write(TINY, 1, "float32", folder)
            cls.sizes = binary.sizes(folder + "/model.bin", "float32")
            cls.int8 = binary.sizes(folder + "/model.bin", "int8_float32")
            cls.generator = ctranslate2.Generator(folder, device="cpu", compute_type="float32", intra_threads=1)

    def execute(self, output, *lengths):
        batch = run.run_batch(self.generator, requests(*lengths), output, lambda: False)
        return list(run.request_log([batch])), list(run.step_log([batch]))

    def test_sizes(self):
        layer = 64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 96 + 2 * 64
        self.assertEqual(self.sizes, (2 * layer + 2 * 320 * 64 + 64, 4 * (2 * layer + 2 * 320 * 64 + 64)))
        self.assertLess(self.int8[1] * 3, self.sizes[1])

    def test_equal_prompts_are_one_prefill_and_steps(self):
        log, steps = self.execute(4, 5, 5)
        self.assertEqual([(step["prefill_tokens"], step["decode_tokens"], step["sequences"], step["context_tokens"])
                          for step in steps], [(10, 0, 2, 10), (0, 2, 2, 12), (0, 2, 2, 14), (0, 2, 2, 16)])
        for request in log:
            self.assertEqual(request["token_ns"], [step["end_ns"] for step in steps])

    def test_longer_prompts_come_token_by_token(self):
        log, steps = self.execute(2, 3, 7)
        # Passes 2 and 3 give nobody a token: they are part of the one that does.
        self.assertEqual([(step["prefill_tokens"], step["decode_tokens"], step["sequences"], step["context_tokens"])
                          for step in steps], [(6, 0, 2, 6), (1, 1, 2, 8), (3, 0, 1, 7), (0, 1, 1, 8)])
        self.assertEqual(log[1]["first_token_ns"], steps[2]["end_ns"])
        self.assertEqual(log[0]["end_ns"], steps[1]["end_ns"])

    def test_a_prompt_of_one_token(self):
        log, steps = self.execute(2, 1, 4)
        self.assertEqual([(step["prefill_tokens"], step["decode_tokens"]) for step in steps],
                         [(2, 0), (1, 1), (1, 0), (1, 0), (0, 1)])
        self.assertEqual([request["output_tokens"] for request in log], [2, 2])

    def test_a_batch_computes_what_its_prompts_do_alone(self):
        for lengths in ((5, 17), (1, 9), (3, 1, 2)):
            together, _ = self.execute(6, *lengths)
            for request, entry in zip(requests(*lengths), together):
                alone = run.run_batch(self.generator, [request], 6, lambda: False)
                self.assertEqual(entry["output"], alone.tokens[0], lengths)

    def test_sampling(self):
        """The seed decides on what a new generator draws; a tight top_p leaves the most likely token."""
        def drawn(seed, **decoding):
            request = loading.Request.from_spec({
                "path": "/m", "decoding": {"temperature": 1.0, "seed": seed, **decoding}})
            with tempfile.TemporaryDirectory() as folder:
                shapes.write(TINY, 1, "float32", folder)
                ctranslate2.set_random_seed(request.sample_seed)
                generator = ctranslate2.Generator(folder, device="cpu", compute_type="float32", intra_threads=1)
            first, second = (run.run_batch(generator, requests(4, 6), 12, lambda: False, dict(request.sampling))
                             for _ in range(2))
            self.assertEqual([len(tokens) for tokens in first.tokens], [12, 12])
            return first.tokens, second.tokens

        self.assertEqual(drawn(5), drawn(5))
        self.assertNotEqual(drawn(5), drawn(6))
        first, second = drawn(5)
        self.assertNotEqual(first, second)
        if hasattr(ctranslate2, "Translator"):  # not the fake
            greedy = [entry["output"] for entry in self.execute(12, 4, 6)[0]]
            self.assertEqual(drawn(5, top_p=0.001)[0], greedy)
            self.assertEqual(drawn(5, top_k=1)[0], greedy)

    def test_penalty(self):
        """A penalty on repetition changes a long output, which has to repeat itself without."""
        asked = loading.Request.from_spec({"path": "/m", "decoding": {"temperature": 0, "repetition_penalty": 1.9}})
        self.assertEqual(dict(asked.sampling), {"repetition_penalty": 1.9})
        plain, other = (run.run_batch(self.generator, requests(4), 300, lambda: False, dict(sampling)).tokens[0]
                        for sampling in ((), asked.sampling))
        if hasattr(ctranslate2, "Translator"):  # not the fake
            self.assertGreater(len(set(other)), len(set(plain)))

    def test_other_seeds_need_another_engine(self):
        spec = {"path": "/m", "decoding": {"temperature": 1.0, "seed": 5}}
        engine = loading.Engine(loading.Request.from_spec(spec), unittest.mock.Mock(device="cpu"), None, 320, (1, 1),
                                [])
        with unittest.mock.patch.object(loading, "settled", lambda request, device: request):
            engine.adapt({**spec, "decoding": {"temperature": 0.5, "top_k": 3, "seed": 5}})
            self.assertEqual(dict(engine.request.sampling)["sampling_topk"], 3)
            for other in ({"temperature": 1.0, "seed": 6}, {}):
                with self.assertRaises(Failure):
                    engine.adapt({**spec, "decoding": other})

    def test_nothing_ends_a_sequence(self):
        log, steps = self.execute(700, 4)
        self.assertEqual((len(log[0]["output"]), len(steps)), (700, 700))

    def test_cancel_stops_between_passes(self):
        asked = []
        with self.assertRaises(Cancelled):
            run.run_batch(self.generator, requests(4, 6), 500, lambda: asked.append(1) or len(asked) == 4)
        self.assertEqual(len(asked), 4)

    def test_the_same_seed_gives_the_same_model(self):
        first, _ = self.execute(8, 5)
        for seed, same in ((1, True), (2, False)):
            with tempfile.TemporaryDirectory() as folder:
                shapes.write(TINY, seed, "float32", folder)
                generator = ctranslate2.Generator(folder, device="cpu", compute_type="float32", intra_threads=1)
            tokens = run.run_batch(generator, requests(5), 8, lambda: False).tokens[0]
            self.assertEqual(tokens == first[0]["output"], same)


class FailureTest(unittest.TestCase):
    def test_shapes_that_cannot_be_built(self):
        shapes.check(TINY, "tiny")
        for change in ({"model_type": "gemma3_text"}, {"rope_scaling": {"rope_type": "yarn", "factor": 2}},
                       {"hidden_act": "gelu"}):
            with self.assertRaises(Failure) as caught:
                shapes.check({**TINY, **change}, "tiny")
            self.assertEqual(caught.exception.failure_class, "unsupported_model")

    def test_exceptions(self):
        for text, expected in (
            ("CUDA failed with error out of memory", "oom_gpu"),
            ("std::bad_alloc", "oom_host"),
            ("Library libcublas.so.12 is not found or cannot be loaded", "version_mismatch"),
            ("Requested float16 compute type, but the target device or backend do not support efficient float16 "
             "computation.", "unsupported_dtype_quant"),
            ("This CTranslate2 package was not compiled with CUDA support", "no_device"),
            ("something else", "engine_error"),
        ):
            self.assertEqual(failures.from_exception(RuntimeError(text)).failure_class, expected)


if __name__ == "__main__":
    unittest.main()
