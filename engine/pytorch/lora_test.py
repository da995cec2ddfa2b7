"""Tests of LoRA adapters: results equal the results with merged weights; refusals."""

import json
import os
import tempfile
import unittest

import safetensors.torch
import torch

from tinymodels import TINY_GPT2, ModelTest, execute, load, prompts, write_model

from llem_worker import failures, lora

RANK, ALPHA = 4, 6
TARGETS = {"q_proj": (64, 64), "down_proj": (96, 64)}


class LoRATest(ModelTest):
    def setUp(self):
        super().setUp()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.adapter = temporary.name
        self.tensors = {}
        generator = torch.Generator().manual_seed(3)
        for layer in range(2):
            for name, (wide, out) in TARGETS.items():
                block = "mlp" if name == "down_proj" else "self_attn"
                key = f"base_model.model.model.layers.{layer}.{block}.{name}.lora_"
                self.tensors[key + "A.weight"] = torch.randn(RANK, wide, generator=generator)
                self.tensors[key + "B.weight"] = torch.randn(out, RANK, generator=generator)
        self.write()

    def write(self, **config):
        safetensors.torch.save_file(self.tensors, os.path.join(self.adapter, "adapter_model.safetensors"))
        with open(os.path.join(self.adapter, "adapter_config.json"), "w", encoding="utf-8") as file:
            json.dump({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": list(TARGETS),
                       "bias": "none", "use_dora": False, **config}, file)

    def load(self, name=None, **options):
        return load(self.folder, options={"device": "cpu", "lora": name or self.adapter, **options})

    def outputs(self, engine):
        return [entry["output"] for entry in execute(engine, prompts(5, 17), 12)[1]]

    def refuses(self, text, kind="config", name=None, **options):
        with self.assertRaises(failures.Failure) as caught:
            self.load(name, **options)
        self.assertIn(text, str(caught.exception))
        self.assertEqual(caught.exception.failure_class, kind)

    def test_outputs_are_those_of_merged_weights(self):
        plain, engine = load(self.folder), self.load()
        self.assertNotEqual(self.outputs(plain), self.outputs(engine))
        self.assertEqual(engine.parameters, plain.parameters)
        settings = engine.describe()["settings"]
        self.assertEqual(settings["lora"], self.adapter)
        self.assertEqual((settings["lora_rank"], settings["lora_scale"], settings["lora_layers"]), ("4", "1.5", "4"))
        self.assertEqual(plain.describe()["settings"]["lora"], "none")
        for key, a in self.tensors.items():
            if key.endswith("lora_A.weight"):
                path = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                b = self.tensors[key.replace("lora_A", "lora_B")]
                plain.model.get_submodule(path).weight += ALPHA / RANK * b @ a
        ids = torch.tensor([prompts(17)[0]["tokens"]])
        with torch.inference_mode():
            torch.testing.assert_close(engine.model(ids).logits, plain.model(ids).logits, rtol=1e-3, atol=1e-3)

    def test_random_adapter_has_no_zero_and_follows_the_seed(self):
        engine = self.load("random:8")
        adapted = [m for m in engine.model.modules() if isinstance(m, lora.Adapted)]
        self.assertEqual(len(adapted), 8)
        for module in adapted:
            self.assertTrue(module.a.all() and module.b.all())
        self.assertEqual(self.outputs(engine), self.outputs(self.load("random:8")))
        for options in ({"cache_implementation": "static"}, {"batching": "continuous"}):
            self.assertEqual(len(self.outputs(self.load("random:8", **options))), 2)

    def test_refused(self):
        self.refuses("has no adapter_config.json", "model_not_found", name="/nowhere")
        self.refuses("inputs and", name="random:999")
        self.refuses("device_map", name="random:4", device="auto", device_map="auto")
        self.refuses("lora random:4", name="random:4", tensor_parallel_size=2)
        for config in ({"use_dora": True}, {"use_rslora": True}, {"bias": "all"}, {"target_modules": "all-linear"},
                       {"target_modules": ["q_proj", "elsewhere"]}, {"target_modules": ["self_attn"]},
                       {"r": 8}, {"r": 0}, {"peft_type": "IA3"}, {"modules_to_save": ["lm_head"]},
                       {"target_modules": ["q_proj"]}, {"target_modules": ["q_proj", "down_proj", "up_proj"]}):
            with self.subTest(config):
                self.write(**config)
                self.refuses("pytorch.lora " + self.adapter)
        self.write()
        with open(os.path.join(self.adapter, "adapter_model.safetensors"), "wb") as file:
            file.write(b"short")
        self.refuses("adapter_model.safetensors", "corrupt_model")

    def test_layers_that_are_not_linear(self):
        write_model(self.folder, TINY_GPT2)
        self.refuses("no layer named q_proj", name="random:4")


if __name__ == "__main__":
    unittest.main()
