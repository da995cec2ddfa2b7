"""Peak memory and step times of the PyTorch worker at six shapes and batches.

Models with random weights, loaded and run by the worker's own code, each once to warm
up and once to measure. A JSON array goes to standard output; internal/estimate is
tested against it:

    python3 bench/device/peaks.py > internal/estimate/testdata/peaks.json

About a minute on an H200 and 23 GiB of its memory at most. --tiny tries the script
without a GPU; its numbers are not peaks of a device.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "backend", "pytorch", "worker"))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def shape(model_type, cls, hidden, layers, heads, kv, dim, ffn, vocab, context, tied, theta, eps, **more) -> dict:
    """config.json of a shape of internal/model."""
    return {"architectures": [cls], "model_type": model_type, "hidden_size": hidden, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": dim, "intermediate_size": ffn,
            "vocab_size": vocab, "max_position_embeddings": context, "tie_word_embeddings": tied, "rope_theta": theta,
            "rms_norm_eps": eps, "initializer_range": 0.02, "bos_token_id": 256, "eos_token_id": 257,
            "pad_token_id": 258, **more}


SHAPES = {
    "llama-3.1-8b": shape("llama", "LlamaForCausalLM", 4096, 32, 32, 8, 128, 14336, 128256, 131072, False, 5e5, 1e-5),
    "llama-3.2-1b": shape("llama", "LlamaForCausalLM", 2048, 16, 32, 8, 64, 8192, 128256, 131072, True, 5e5, 1e-5),
    "qwen2.5-7b": shape("qwen2", "Qwen2ForCausalLM", 3584, 28, 28, 4, 128, 18944, 152064, 131072, False, 1e6, 1e-6),
    "gemma-3-1b": shape("gemma3_text", "Gemma3ForCausalLM", 1152, 26, 4, 1, 256, 6912, 262144, 32768, True, 1e6, 1e-6,
                        hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=256, rope_local_base_freq=1e4,
                        sliding_window=512, sliding_window_pattern=6, attn_logit_softcapping=None,
                        final_logit_softcapping=None),
    "tiny": shape("llama", "LlamaForCausalLM", 64, 2, 4, 2, 16, 192, 512, 2048, True, 1e4, 1e-5),
}

CASES = [  # shape, attention, batch, input tokens, output tokens
    ("llama-3.1-8b", "sdpa", 1, 512, 64),
    ("llama-3.1-8b", "sdpa", 32, 512, 64),
    ("llama-3.1-8b", "eager", 8, 1024, 16),
    ("qwen2.5-7b", "sdpa", 16, 2048, 16),
    ("llama-3.2-1b", "sdpa", 64, 128, 256),
    ("gemma-3-1b", "sdpa", 8, 1024, 64),
]
TINY = [("tiny", "sdpa", 2, 64, 8), ("tiny", "sdpa", 1, 32, 4), ("tiny", "eager", 2, 32, 1)]


def load(name: str, attention: str, folder: str, longest: int):
    """The worker's engine with random weights."""
    from llem_worker import loading

    path = os.path.join(folder, name)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
        json.dump(SHAPES[name], file)
    return loading.load(loading.Request(
        model="random:" + name, path=path, synthetic=True, dtype="bfloat16", seed=1, batch_size=1,
        max_context=longest, attention=attention, device="auto"), lambda phase, fraction: None)


def measure(engine, case) -> dict:
    """One batch, after the same batch as a warm-up."""
    import torch
    from llem_worker import run

    name, attention, batch, prompt, output = case
    rng = random.Random(1)
    requests = [{"id": i, "tokens": [rng.randrange(engine.vocab) for _ in range(prompt)]} for i in range(batch)]
    engine.batch_size = batch
    for _ in range(2):
        window, results = run.run_workload(
            engine, {"requests": requests, "output_tokens": output}, lambda: False, lambda done: None)
    result = results[-1]
    row = {
        "model": name, "dtype": str(engine.model.dtype).removeprefix("torch."), "attention": attention, "batch": batch,
        "input": prompt, "output": output, "max_memory_allocated": window["peak_memory_bytes"],
        "source": window["memory_source"],
        "prefill_s": (result.token_ns[0] - result.start_ns) / 1e9,
        "decode_s": (result.token_ns[-1] - result.token_ns[0]) / 1e9,
        "torch": torch.__version__,
    }
    if engine.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(engine.device)
        row |= {
            "device": torch.cuda.get_device_name(engine.device), "device_used": total - free, "device_total": total,
            "memory_allocated": torch.cuda.memory_allocated(engine.device),
            "max_memory_reserved": torch.cuda.max_memory_reserved(engine.device),
        }
    return row


def release() -> None:
    """Give back what the last model held, so that rows do not add up."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true", help="tiny models, to try the script")
    cases = TINY if parser.parse_args().tiny else CASES
    began, rows, engine, loaded = time.monotonic(), [], None, None
    # Libraries print: only the result may reach standard output.
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        for case in cases:
            if loaded != case[:2]:
                engine = None
                release()
                engine, loaded = load(*case[:2], folder, max(c[3] + c[4] for c in cases)), case[:2]
            else:
                release()
            rows.append(measure(engine, case))
            print(f"{time.monotonic() - began:.1f} s: {rows[-1]}", file=sys.stderr, flush=True)
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


if __name__ == "__main__":
    main()
