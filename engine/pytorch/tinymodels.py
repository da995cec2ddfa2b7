"""What the worker's tests share: tiny models and short ways to run them."""

import json
import os
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "internal" / "pyworker"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch  # noqa: E402
from assembled import assembled  # noqa: E402

WORKER = assembled(HERE / "worker")

from llem_worker import loading, run  # noqa: E402

VOCAB = 320
TINY_LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
    "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    # Wide, untied weights: otherwise a random model repeats one token, and a
    # wrong mask would go unnoticed.
    "initializer_range": 0.4,
    "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258,
}
TINY_GEMMA = {
    "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": VOCAB,
    "max_position_embeddings": 256, "sliding_window": 8, "initializer_range": 0.4, "tie_word_embeddings": False,
    "sliding_window_pattern": 3,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258,
}
TINY_GPT2 = {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4,
    "vocab_size": VOCAB, "n_positions": 256, "initializer_range": 0.4, "tie_word_embeddings": False,
    "bos_token_id": 256, "eos_token_id": 257,
}


def byte_level_tokenizer() -> dict:
    """A tokenizer.json with one token per byte and three special tokens."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    special = [{"id": 256 + i, "content": f"<|{name}|>", "special": True, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False} for i, name in enumerate(("bos", "eos", "pad"))]
    vocab = {letters[byte]: byte for byte in range(256)}
    return {
        "version": "1.0", "added_tokens": special, "normalizer": None, "truncation": None, "padding": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }


def write_model(folder: str, config: dict = TINY_LLAMA) -> str:
    """Write a folder with config and tokenizer, without weights."""
    path = pathlib.Path(folder)
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text(json.dumps(byte_level_tokenizer()))
    return folder


def spec(folder: str, **changes) -> dict:
    """A Spec for the tiny model."""
    return {"model": "random:tiny", "path": folder, "synthetic": True, "dtype": "float32", "seed": 1,
            "batch_size": 1, "options": {"device": "cpu"}, **changes}


def load(folder: str, **changes) -> loading.Engine:
    """Load the tiny model."""
    return loading.load(loading.Request.from_spec(spec(folder, **changes)), lambda phase, fraction: None)


def prompts(*lengths: int) -> list[dict]:
    """Requests of the given lengths with varied token ids."""
    generator = torch.Generator().manual_seed(7)
    return [{"id": index, "tokens": torch.randint(0, 256, (length,), generator=generator).tolist()}
            for index, length in enumerate(lengths)]


def execute(engine: loading.Engine, requests: list[dict], output_tokens: int):
    """Run a workload; returns the window and both logs."""
    return carry_out(engine, {"requests": requests, "output_tokens": output_tokens})


def carry_out(engine: loading.Engine, work: dict):
    """Run a workload in the form of the protocol; returns the window and both logs."""
    window, results = run.run_workload(engine, work, lambda: False, lambda done: None)
    return window, list(run.request_log(results)), list(run.step_log(results))


def reference(model, requests: list[dict], output_tokens: int, **more) -> list[list[int]]:
    """What the library's own generate gives for every prompt alone."""
    outputs = []
    for request in requests:
        ids = torch.tensor([request["tokens"]], device=model.device)
        model.generation_config.eos_token_id = None
        model.generation_config.pad_token_id = 0
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                             min_new_tokens=output_tokens, max_new_tokens=output_tokens, **more)
        outputs.append(out[0, ids.shape[1]:].tolist())
    return outputs


class ModelTest(unittest.TestCase):
    """A test with a folder for a model."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = write_model(self.temporary.name)
