"""Tests of how tokens are chosen."""

import unittest

import torch
from tinymodels import TINY_LLAMA, ModelTest, execute, load, prompts, reference, write_model
from transformers.generation import logits_process

from llem_worker.batches import pad_left
from llem_worker.sampling import Chooser, Decoding


class SamplingTest(unittest.TestCase):
    """Tokens are chosen in the proportions of the softmax, within the bounds."""

    def test_shares(self):
        probabilities = torch.tensor([0.1, 0.6, 0.3])
        logits = probabilities.log().expand(20000, 3)
        for decoding, expected in (
            (Decoding(), (0, 1, 0)),
            (Decoding(1.0), (0.1, 0.6, 0.3)),
            (Decoding(0.5), (0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46)),
            (Decoding(1.0, top_k=2), (0, 0.6 / 0.9, 0.3 / 0.9)),
            (Decoding(1.0, top_p=0.5), (0, 1, 0)),
            (Decoding(1.0, top_p=0.7), (0, 0.6 / 0.9, 0.3 / 0.9)),
            (Decoding(1.0, min_p=0.4), (0, 0.6 / 0.9, 0.3 / 0.9)),
        ):
            with self.subTest(decoding=decoding):
                ids = Chooser(decoding)(logits)
                self.assertEqual(tuple(ids.shape), (20000, 1))
                for share, want in zip(torch.bincount(ids.flatten(), minlength=3) / 20000, expected):
                    self.assertAlmostEqual(share.item(), want, delta=0.02)


    def test_bounds_are_those_of_the_library(self):
        logits = 3 * torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
        for decoding, warpers in (
            (Decoding(0.7, top_p=0.9, top_k=20, min_p=0.1),
             [logits_process.TopKLogitsWarper(20), logits_process.TopPLogitsWarper(0.9),
              logits_process.MinPLogitsWarper(0.1)]),
            (Decoding(1.5, min_p=0.05), [logits_process.MinPLogitsWarper(0.05)]),
        ):
            expected = logits / decoding.temperature
            for warper in warpers:
                expected = warper(None, expected)
            torch.testing.assert_close(Chooser(decoding).bounded(logits / decoding.temperature), expected)

    def test_penalty_is_that_of_the_library(self):
        batch = pad_left([{"id": 0, "tokens": [5, 7, 7]}, {"id": 1, "tokens": [9]}], 4)
        generator = torch.Generator().manual_seed(1)
        for penalty in (1.3, 0.8):
            chooser = Chooser(Decoding(repetition_penalty=penalty))
            chooser.start(batch)
            library = logits_process.RepetitionPenaltyLogitsProcessor(penalty)
            texts = [torch.tensor([[5, 7, 7]]), torch.tensor([[9]])]
            for _ in range(20):
                logits = torch.randn(2, 12, generator=generator)
                expected = [library(text, logits[row : row + 1].clone()).argmax(-1, keepdim=True)
                            for row, text in enumerate(texts)]
                ids = chooser(logits)
                self.assertEqual(ids.tolist(), torch.cat(expected).tolist())
                texts = [torch.cat([text, ids[row : row + 1]], 1) for row, text in enumerate(texts)]


class SampledRunTest(ModelTest):
    """Runs of a model."""

    def test_seeds(self):
        write_model(self.folder, TINY_LLAMA)
        requests = prompts(5, 9, 7)

        def output(engine):
            return [entry["output"] for entry in execute(engine, requests, 16)[1]]

        sampled = load(self.folder, batch_size=2, decoding={"temperature": 1.0, "seed": 1})
        first = output(sampled)
        self.assertEqual(output(sampled), first)
        greedy = output(load(self.folder, batch_size=2))
        self.assertNotEqual(first, greedy)
        self.assertNotEqual(output(load(self.folder, batch_size=2, decoding={"temperature": 1.0, "seed": 2})), first)

    def test_penalty_of_a_run(self):
        """Outputs equal the library's, in an uneven batch with chunked prompts."""
        write_model(self.folder, TINY_LLAMA)
        requests = prompts(5, 9, 7)
        for options in ({}, {"prefill_chunk_size": 4}, {"cache_implementation": "static"}):
            with self.subTest(options):
                engine = load(self.folder, batch_size=3, max_context=64, options={"device": "cpu", **options},
                              decoding={"temperature": 0, "repetition_penalty": 1.4})
                outputs = [entry["output"] for entry in execute(engine, requests, 16)[1]]
                self.assertEqual(outputs, reference(engine.model, requests, 16, repetition_penalty=1.4))
        self.assertNotEqual(outputs, reference(engine.model, requests, 16))


if __name__ == "__main__":
    unittest.main()
