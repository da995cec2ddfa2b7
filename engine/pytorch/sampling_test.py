"""Tests of how tokens are chosen."""

import unittest

import torch
from tinymodels import TINY_LLAMA, ModelTest, execute, load, prompts, write_model

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
        ):
            with self.subTest(decoding=decoding):
                ids = Chooser(decoding)(logits)
                self.assertEqual(tuple(ids.shape), (20000, 1))
                for share, want in zip(torch.bincount(ids.flatten(), minlength=3) / 20000, expected):
                    self.assertAlmostEqual(share.item(), want, delta=0.02)


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


if __name__ == "__main__":
    unittest.main()
