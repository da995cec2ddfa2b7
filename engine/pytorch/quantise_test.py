"""Tests of quantised weights, with the libraries that are there."""

import importlib.util
import shutil
import unittest
from unittest import mock

import torch

from tinymodels import TINY_LLAMA, ModelTest, execute, load, prompts, write_model

from llem_worker import failures, lora, quantise


def there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def options(name: str, **more) -> dict:
    return {"device": "cpu", "quantization": name, **more}


class QuantisedTest(ModelTest):
    def failure(self, **changes) -> failures.Failure:
        with self.assertRaises(failures.Failure) as caught:
            load(self.folder, **changes)
        return caught.exception

    def check(self, name: str, dtype: str, most: float, **more):
        """The weights shrink, results stay close to the unquantised model's, the engine runs."""
        whole = load(self.folder, dtype=dtype)
        engine = load(self.folder, dtype=dtype, batch_size=2, options=options(name, **more))
        described = engine.describe()
        self.assertEqual(described["parameters"], whole.describe()["parameters"])
        self.assertEqual(described["dtype"], dtype)
        self.assertEqual(described["settings"]["quantization"], name)
        self.assertIn(name.split("-")[0] + " ", described["settings"]["quantization_library"])
        for path, layer in whole.model.named_modules():
            if type(layer) is torch.nn.Linear and "lm_head" not in path:
                x = torch.randn(3, layer.in_features, dtype=layer.weight.dtype)
                with torch.inference_mode():
                    expected, got = layer(x).float(), engine.model.get_submodule(path)(x).float()
                difference = ((got - expected).norm() / expected.norm()).item()
                self.assertTrue(1e-4 < difference < most, (path, difference))
        _, first, steps = execute(engine, prompts(5, 17, 1), 8)
        _, second, _ = execute(engine, prompts(5, 17, 1), 8)
        self.assertEqual([entry["output"] for entry in first], [entry["output"] for entry in second])
        self.assertEqual(len(steps), 16)
        # Also after the first pass: bitsandbytes moves its scales then, and packs 4 bits
        # again on a CPU.
        after, before = engine.describe()["weight_bytes"], described["weight_bytes"]
        self.assertLess(abs(after - before), 0.02 * before)
        return self.layer_bytes(engine, whole)

    def layer_bytes(self, engine, whole) -> float:
        """Bits of a weight in the linear layers, scales included."""
        kept = sum(
            p.numel()
            for e in (whole.model.get_input_embeddings(), whole.model.get_output_embeddings())
            for p in e.parameters()
        )
        norms = sum(p.numel() for name, p in whole.model.named_parameters() if "norm" in name)
        size = whole.model.dtype.itemsize
        linear = whole.parameters - kept - norms
        return 8 * (engine.describe()["weight_bytes"] - (kept + norms) * size) / linear

    @unittest.skipUnless(there("torchao"), "needs torchao")
    def test_torchao(self):
        for dtype in ("float32", "bfloat16"):
            bits = self.check("torchao-int8", dtype, 0.02)
            self.assertTrue(8 < bits < 9, bits)

    @unittest.skipUnless(there("torchao"), "needs torchao")
    def test_adapter(self):
        """A LoRA adapter is beside quantised weights as it is beside whole ones; compiled, too."""
        requests = prompts(5, 17)
        plain, engine = (load(self.folder, dtype="bfloat16", batch_size=2, options=options("torchao-int8", **more))
                         for more in ({}, {"lora": "random:8"}))
        layer = engine.model.get_submodule("model.layers.0.self_attn.q_proj")
        self.assertIsInstance(layer, lora.Adapted)
        self.assertTrue(quantise.is_quantised(layer.base.weight))
        x = torch.randn(3, 64, dtype=torch.bfloat16)
        with torch.inference_mode():
            expected = plain.model.get_submodule("model.layers.0.self_attn.q_proj")(x) + (x @ layer.a.T) @ layer.b.T
            torch.testing.assert_close(layer(x), expected)
        outputs = [entry["output"] for entry in execute(engine, requests, 8)[1]]
        self.assertEqual(outputs, [entry["output"] for entry in execute(engine, requests, 8)[1]])
        self.assertEqual(engine.describe()["settings"]["lora_layers"], "8")
        if shutil.which("g++"):
            compiled = load(self.folder, dtype="bfloat16", batch_size=2, options=options(
                "torchao-int8", lora="random:8", cache_implementation="static", compile="default"))
            self.assertEqual([len(entry["output"]) for entry in execute(compiled, requests, 8)[1]], [8, 8])

    @unittest.skipUnless(there("bitsandbytes"), "needs bitsandbytes")
    def test_adapter_of_bitsandbytes(self):
        engine = load(self.folder, dtype="bfloat16", batch_size=2,
                      options=options("bitsandbytes-8bit", lora="random:8"))
        self.assertEqual([len(entry["output"]) for entry in execute(engine, prompts(5, 17), 8)[1]], [8, 8])

    @unittest.skipUnless(there("bitsandbytes"), "needs bitsandbytes")
    def test_bitsandbytes(self):
        self.assertTrue(8 < self.check("bitsandbytes-8bit", "bfloat16", 0.03) < 9)
        # Its kernels for CPUs want widths that are multiples of a block of 64.
        write_model(self.folder, {**TINY_LLAMA, "intermediate_size": 128})
        self.assertTrue(4 < self.check("bitsandbytes-4bit", "bfloat16", 0.15) < 6)

    @unittest.skipUnless(there("torchao"), "needs torchao")
    def test_checkpoint(self):
        """A checkpoint goes the same way as drawn weights."""
        drawn = load(self.folder)
        drawn.model.save_pretrained(self.folder)
        requests = prompts(6, 9)
        outputs = [
            [
                entry["output"]
                for entry in execute(
                    load(self.folder, synthetic=synthetic, options=options("torchao-int8")), requests, 8
                )[1]
            ]
            for synthetic in (True, False)
        ]
        self.assertEqual(outputs[0], outputs[1])

    def test_refusals(self):
        cases = [
            ("config", "float32", "int3"),
            ("unsupported_dtype_quant", "float32", "torchao-int4"),
            ("unsupported_dtype_quant", "bfloat16", "torchao-int4"),
            ("unsupported_dtype_quant", "bfloat16", "torchao-float8"),
        ]
        for expected, dtype, name in cases:
            with self.subTest(name), mock.patch("importlib.util.find_spec", return_value=True):
                self.assertEqual(self.failure(dtype=dtype, options=options(name)).failure_class, expected)

    def test_missing_package(self):
        with mock.patch.object(quantise.importlib.util, "find_spec", return_value=None):
            failure = self.failure(dtype="bfloat16", options=options("bitsandbytes-8bit"))
        self.assertEqual(failure.failure_class, "not_installed")
        self.assertIn("-m pip install bitsandbytes", failure.next_step)

    def test_layers_that_are_left_out(self):
        """A library that skips layers in silence is an error."""
        idle = quantise.Method("torchao", lambda model, layers, dtype, device: {}, quantise.ALL, (7, 5), True)
        with mock.patch.dict(quantise.METHODS, {"torchao-int8": idle}), \
                mock.patch("importlib.util.find_spec", return_value=True):
            failure = self.failure(options=options("torchao-int8"))
        self.assertEqual(failure.failure_class, "unsupported_dtype_quant")
        self.assertIn("left 14 of 14 layers", failure.message)

    def test_quantised_checkpoint(self):
        engine = load(self.folder)
        engine.model.config.quantization_config = {"quant_method": "gptq"}
        with self.assertRaises(failures.Failure):
            quantise.quantise(engine.model, "torchao-int8", engine.device)


if __name__ == "__main__":
    unittest.main()
