"""Tests of loading, tokenizers and failures."""

import os
import pathlib
import unittest

import torch

from tinymodels import TINY_GPT2, TINY_LLAMA, VOCAB, ModelTest, execute, load, prompts, spec, write_model

from llem_protocol import tokens
from llem_worker import environment, failures, loading


class LoadingTest(ModelTest):
    def failure(self, **changes) -> failures.Failure:
        try:
            load(self.folder, **changes)
        except Exception as exc:
            return failures.from_exception(exc)
        self.fail("loading succeeded")

    def test_description(self):
        loaded = load(self.folder, dtype="bfloat16").describe()
        self.assertEqual((loaded["dtype"], loaded["attention"], loaded["device"]), ("bfloat16", "sdpa", "cpu"))
        self.assertEqual((loaded["vocab"], loaded["text_vocab"], loaded["device_uuids"]), (VOCAB, 256, []))
        self.assertEqual(loaded["weight_bytes"], 2 * loaded["parameters"])

    def test_context(self):
        self.assertEqual(load(self.folder).longest, 256)
        self.assertEqual(load(self.folder, max_context=100).longest, 100)
        beyond = load(self.folder, max_context=300)
        self.assertEqual((beyond.longest, len(beyond.notes)), (300, 1))
        write_model(self.folder, TINY_GPT2)
        self.assertEqual(load(self.folder, max_context=256).longest, 256)
        self.assertEqual(self.failure(max_context=257).failure_class, "config")

    def test_settings_as_used(self):
        before = torch.get_num_threads()
        self.addCleanup(torch.set_num_threads, before)
        self.addCleanup(torch.set_float32_matmul_precision, "highest")
        used = load(self.folder).describe()
        defaults = {"dtype": "float32", "attn_implementation": "sdpa", "device": "cpu", "batch_size": "1",
                    "batching": "static", "compile": "off", "prefill_chunk_size": "0", "quantization": "none",
                    "device_map": "single", "lora": "none", "threads": str(before), "tensor_parallel_size": "1",
                    "cache_implementation": "dynamic", "matmul_precision": "highest"}
        self.assertEqual(used["settings"], defaults)
        used = load(self.folder, options={"device": "cpu", "threads": before + 1, "matmul_precision": "medium",
                                          "cache_implementation": "static", "prefill_chunk_size": 16}).describe()
        self.assertEqual(used["threads"], before + 1)
        self.assertEqual(
            used["settings"],
            {**defaults, "cache_implementation": "static", "cache_tokens": "256", "prefill_chunk_size": "16",
             "matmul_precision": "medium", "threads": str(before + 1)},
        )
        # Each load reports it again: nothing of an earlier one stays.
        self.assertEqual(load(self.folder).describe()["settings"]["matmul_precision"], "highest")
        self.assertEqual(self.failure(dtype="bfloat16", options={"matmul_precision": "high"}).failure_class, "config")
        self.assertEqual(
            self.failure(options={"device": "cpu", "attn_implementation": "flash_attention_3"}).failure_class, "config"
        )

    def test_adapting(self):
        engine = load(self.folder, batch_size=2)
        requests = prompts(5, 17, 1)
        expected = [entry["output"] for entry in execute(engine, requests, 8)[1]]

        def adapt(**changes):
            loading.adapt(engine, loading.Request.from_spec(spec(self.folder, **changes)))
            return engine.describe()["settings"]

        self.assertEqual(
            adapt(options={"device": "cpu", "cache_implementation": "static"}, max_context=64)["cache_tokens"], "64"
        )
        self.assertEqual([entry["output"] for entry in execute(engine, requests, 8)[1]], expected)
        self.assertEqual(adapt(options={"device": "cpu", "prefill_chunk_size": 4})["prefill_chunk_size"], "4")
        self.assertEqual([entry["output"] for entry in execute(engine, requests, 8)[1]], expected)
        for other in ({"quantization": "torchao-int8"}, {"threads": 3}, {"batching": "continuous"},
                      {"cache_implementation": "static", "compile": "default"}):
            with self.assertRaises(failures.Failure):
                adapt(options={"device": "cpu", **other})

    def test_mistakes_have_classes(self):
        cases = {
            "unsupported_dtype_quant": {"dtype": "int3"},
            "config": {"options": {"attn_implementation": "magic"}},
            "model_not_found": {"path": self.folder + "/absent"},
        }
        for expected, changes in cases.items():
            with self.subTest(expected):
                self.assertEqual(self.failure(**changes).failure_class, expected)
        self.assertEqual(self.failure(options={"device": "abacus"}).failure_class, "config")
        self.assertEqual(self.failure(options={"device": "cpu", "attn_implementation": "flash_attention_2"})
                         .failure_class, "config")

    @unittest.skipIf(torch.cuda.is_available(), "needs a machine without a GPU")
    def test_absent_gpu(self):
        self.assertEqual(self.failure(options={"device": "cuda"}).failure_class, "no_device")
        self.assertEqual(self.failure(options={"device": "cuda:3"}).failure_class, "no_device")

    def test_broken_folders(self):
        self.assertEqual(self.failure(synthetic=False).failure_class, "model_not_found")
        write_model(self.folder, {**TINY_LLAMA, "model_type": "martian"})
        self.assertEqual(self.failure().failure_class, "unsupported_model")
        (pathlib.Path(self.folder) / "config.json").write_text("{")
        self.assertEqual(self.failure().failure_class, "corrupt_model")

    def test_checkpoints(self):
        engine = load(self.folder)
        engine.model.save_pretrained(self.folder)
        stored = load(self.folder, synthetic=False, seed=9)
        requests = prompts(6)
        self.assertEqual(execute(stored, requests, 8)[1][0]["output"], execute(engine, requests, 8)[1][0]["output"])
        self.spoil_weights("model.layers.1.mlp.up_proj.weight")
        self.assertEqual(self.failure(synthetic=False).failure_class, "corrupt_model")
        (pathlib.Path(self.folder) / "model.safetensors").write_bytes(b"\x10" * 64)
        self.assertEqual(self.failure(synthetic=False).failure_class, "corrupt_model")

    def spoil_weights(self, name: str):
        from safetensors.torch import load_file, save_file

        file = os.path.join(self.folder, "model.safetensors")
        weights = load_file(file)
        del weights[name]
        save_file(weights, file, metadata={"format": "pt"})

    def test_replaced_attention_is_an_error(self):
        engine = load(self.folder)
        request = loading.Request.from_spec(spec(self.folder, options={"attn_implementation": "eager"}))
        with self.assertRaises(failures.Failure):
            loading.check_attention(request, engine.model)


class TokenizerTest(ModelTest):
    def test_bytes(self):
        tokenizer = tokens.Tokenizer.from_folder(self.folder)
        self.assertEqual(tokenizer.encode(["Aé\n", ""]), [[0x41, 0xC3, 0xA9, 0x0A], []])

    def test_template(self):
        """In the template is what transformers itself makes of a conversation."""
        import transformers

        template = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}" \
                   "{% if add_generation_prompt %}<assistant>{% endif %}"
        (pathlib.Path(self.folder) / "chat_template.jinja").write_text(template)
        (pathlib.Path(self.folder) / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>", "eos_token": "<|eos|>"}')
        turns = [{"role": "system", "content": "Aé"}, {"role": "user", "content": " x\n"}]
        tokenizer = tokens.Tokenizer.from_folder(self.folder)
        whole = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        got = tokenizer.template([turns, turns[1:]])
        self.assertEqual(got[0], tokens.in_template(whole, turns, tokenize=True))
        self.assertEqual(got[0][0], whole.bos_token_id)
        self.assertEqual(got[0].count(whole.eos_token_id), 2)
        self.assertEqual(bytes(got[1][-11:]), b"<assistant>")
        self.assertLess(len(got[1]), len(got[0]))
        tokenizer.forget_template()
        self.assertIsNone(tokenizer.reader)
        self.assertEqual(tokenizer.template([turns]), got[:1])

    def test_no_template(self):
        with self.assertRaises(failures.Failure) as caught:
            tokens.Tokenizer.from_folder(self.folder).template([[{"role": "user", "content": "x"}]])
        self.assertEqual(caught.exception.failure_class, "config")
        self.assertIn("template", caught.exception.message)

    def test_broken_file(self):
        (pathlib.Path(self.folder) / "tokenizer.json").write_text("{}")
        with self.assertRaises(failures.Failure) as caught:
            tokens.Tokenizer.from_folder(self.folder)
        self.assertEqual(caught.exception.failure_class, "corrupt_model")

    def test_text_vocab(self):
        cases = [
            (1000, {0, 1, 2}, 1000, 1000),        # specials in front
            (128_256, {128_000, 128_001}, 128_256, 128_000),
            (259, {256, 257, 258}, 320, 256),     # the byte-level one
            (150, {0}, 160, 150),                 # padded embedding
        ]
        for size, special, vocab, expected in cases:
            self.assertEqual(tokens.Tokenizer(None, size, special).text_vocab(vocab), expected)


class FailureTest(unittest.TestCase):
    def test_out_of_memory(self):
        text = ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.80 GiB "
                "of which 5.25 GiB is free. Process 1 has 134 GiB memory in use.")
        failure = failures.from_exception(torch.cuda.OutOfMemoryError(text))
        self.assertEqual(failure.failure_class, "oom_gpu")
        self.assertEqual(failure.message, "out of GPU memory: tried to allocate 20.00 GiB, 5.25 GiB of 139.80 GiB free")
        self.assertIn("pytorch.batch_size", failure.next_step)

    def test_classes(self):
        cases = {
            "oom_gpu": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "oom_host": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "version_mismatch": RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "unsupported_dtype_quant": RuntimeError('"addmm_impl_cpu_" not implemented for \'Half\''),
            "not_installed": ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece"),
            "disk_full": OSError(28, "No space left on device"),
            "engine_error": ZeroDivisionError("division by zero"),
        }
        for expected, exc in cases.items():
            with self.subTest(expected):
                self.assertEqual(failures.from_exception(exc).failure_class, expected)
        self.assertEqual(failures.from_exception(MemoryError()).failure_class, "oom_host")
        self.assertIn("ZeroDivisionError: division", failures.from_exception(cases["engine_error"]).message)

    def test_old_libraries_are_refused(self):
        environment.require("torch", "2.11.0+cu130", (2, 5))
        with self.assertRaises(failures.Failure) as caught:
            environment.require("torch", "2.4.1", (2, 5))
        self.assertEqual(caught.exception.failure_class, "version_mismatch")
        with self.assertRaises(failures.Failure) as caught:
            environment.installed_version("a-library-that-nobody-has")
        self.assertEqual(caught.exception.failure_class, "not_installed")


if __name__ == "__main__":
    unittest.main()
