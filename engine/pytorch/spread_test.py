"""Tests of a model over several devices; here they are all one CPU."""

import unittest
from unittest import mock

import torch

from tinymodels import TINY_GPT2, TINY_LLAMA, ModelTest, execute, load, prompts, reference, spec, write_model

from llem_worker import failures, loading, request, spread

CPU = torch.device("cpu")


class SpreadTest(ModelTest):
    def test_outputs(self):
        """The library's own outputs, with every part called through its hook."""
        for tied in (False, True):
            write_model(self.folder, {**TINY_LLAMA, "tie_word_embeddings": tied})
            expected = reference(load(self.folder).model, prompts(5, 17, 1), 8)
            asked = request.Request.from_spec(spec(self.folder, batch_size=2, options={"device_map": "auto"}))
            with mock.patch.object(spread, "devices_for", return_value=[CPU, CPU]), \
                    mock.patch.object(spread, "move", wraps=spread.move) as move:
                engine = loading.load(asked, lambda phase, fraction: None)
                _, log, _ = execute(engine, prompts(5, 17, 1), 8)
            self.assertEqual([entry["output"] for entry in log], expected)
            self.assertGreater(move.call_count, 16 * 2 * 5)
            self.assertEqual(engine.describe()["settings"]["device_map"], "cpu: 2 layers")

    def test_places(self):
        """Half of the layers on each device; a tied output matrix stays with the embedding."""
        for tied, output in ((False, "last"), (True, "first")):
            write_model(self.folder, {**TINY_LLAMA, "num_hidden_layers": 5, "tie_word_embeddings": tied})
            model, places = load(self.folder).model, {}
            with mock.patch.object(spread, "place", lambda module, device: places.__setitem__(module, device)), \
                    mock.patch.object(spread, "count", return_value=0), self.assertRaises(failures.Failure) as caught:
                spread.spread(model, ["first", "last"])
            self.assertIn("does not know where", caught.exception.message)
            self.assertEqual([places[layer] for layer in model.model.layers], ["first"] * 3 + ["last"] * 2)
            self.assertEqual(
                [
                    places[part]
                    for part in (model.model.embed_tokens, model.model.rotary_emb, model.model.norm, model.lm_head)
                ],
                ["first", "first", "last", output],
            )

    def test_refusals(self):
        def refused(**options):
            with self.assertRaises(failures.Failure) as caught:
                load(self.folder, options={"device_map": "auto", **options})
            return caught.exception.failure_class

        self.assertEqual(refused(device="cpu"), "config")
        self.assertEqual(refused(cache_implementation="static"), "config")
        self.assertEqual(refused(batching="continuous"), "config")
        self.assertEqual(refused(quantization="torchao-int8"), "config")
        self.assertEqual(refused(device_map="balanced"), "config")
        if torch.cuda.device_count() < 2:
            self.assertEqual(refused(), "no_device")
        write_model(self.folder, TINY_GPT2)
        with self.assertRaises(failures.Failure):
            spread.spread(load(self.folder).model, [CPU, CPU])


if __name__ == "__main__":
    unittest.main()
