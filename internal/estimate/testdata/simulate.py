"""Peaks of the PyTorch worker's path without a GPU: simulated.json.

The model runs on the meta device, where tensors have shapes and lifetimes but no
storage, through the worker's own Forward. Every storage is booked in a model of the
CUDA caching allocator (blocks of 512 bytes, 2 and 20 MiB segments, splitting), so that
the peak is what torch.cuda.max_memory_allocated would be. On an H200 it was, to 50 kB
of 17 GB (llama-3.1-8b, bfloat16, sdpa, batch 1 and 8). Fused attention is stubbed: its
output, the logarithms of its sums, and a mask turned into numbers.

    go test ./internal/estimate -run Simulated -shapes /tmp/shapes
    python internal/estimate/testdata/simulate.py /tmp/shapes > internal/estimate/testdata/simulated.json
"""

from __future__ import annotations

import bisect
import gc
import json
import multiprocessing
import os
import sys
import weakref

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "backend", "pytorch", "worker"))
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

MIB = 1 << 20
WORKSPACE = 32 * MIB  # cuBLAS on Hopper
CASES = [  # model, dtype, attention, batch, input, output, padded
    ("llama-3.1-8b", "bfloat16", "sdpa", 1, 512, 128, False),
    ("llama-3.1-8b", "bfloat16", "sdpa", 8, 512, 48, False),
    ("llama-3.1-8b", "bfloat16", "sdpa", 32, 512, 64, False),
    ("llama-3.1-8b", "bfloat16", "sdpa", 4, 512, 3, True),
    ("llama-3.1-8b", "bfloat16", "sdpa", 2, 4096, 3, True),
    ("llama-3.1-8b", "bfloat16", "eager", 4, 512, 3, False),
    ("llama-3.1-8b", "bfloat16", "eager", 1, 2048, 3, False),
    ("llama-3.2-1b", "bfloat16", "sdpa", 64, 128, 128, False),
    ("qwen2.5-7b", "float16", "sdpa", 16, 2048, 3, False),
    ("qwen2.5-0.5b", "bfloat16", "sdpa", 1, 512, 8, False),
    ("qwen3-1.7b", "bfloat16", "sdpa", 32, 128, 32, False),
    ("qwen3-4b", "bfloat16", "eager", 4, 1024, 3, False),
    ("qwen3-30b-a3b", "bfloat16", "sdpa", 8, 512, 3, False),
    ("smollm2-135m", "bfloat16", "sdpa", 64, 32, 256, False),
    ("smollm2-1.7b", "bfloat16", "sdpa", 16, 64, 300, False),
    ("llama-2-7b", "float32", "sdpa", 4, 256, 8, False),
    ("gemma-2-2b", "bfloat16", "eager", 4, 512, 3, False),
    ("gemma-2-2b", "bfloat16", "sdpa", 4, 1024, 16, False),
    ("gemma-3-1b", "bfloat16", "sdpa", 4, 1024, 3, False),
    ("gemma-3-1b", "bfloat16", "sdpa", 16, 64, 400, False),
]


class Arena:
    """The caching allocator: what it counts as allocated."""

    def __init__(self) -> None:
        self.free: dict[bool, list] = {True: [], False: []}
        self.now = self.peak = self.reserved = self.segments = 0

    def take(self, size: int):
        size = max(512, (size + 511) // 512 * 512)
        small = size <= MIB
        pool = self.free[small]
        at = bisect.bisect_left(pool, (size, -1, -1))
        if at < len(pool):
            length, segment, offset = pool.pop(at)
        else:
            length = 2 * MIB if small else 20 * MIB if size < 10 * MIB else (size + 2 * MIB - 1) // (2 * MIB) * 2 * MIB
            segment, offset = self.segments, 0
            self.segments += 1
            self.reserved += length
        rest = length - size
        if rest >= 512 if small else rest > MIB:
            bisect.insort(pool, (rest, segment, offset + size))
            length = size
        self.now += length
        self.peak = max(self.peak, self.now)
        return length, segment, offset, small

    def give(self, block) -> None:
        length, segment, offset, small = block
        self.now -= length
        pool = self.free[small]
        for other in [b for b in pool if b[1] == segment]:
            if other[2] + other[0] == offset:
                offset = other[2]
            elif offset + length != other[2]:
                continue
            pool.remove(other)
            length += other[0]
        bisect.insort(pool, (length, segment, offset))


class Book(TorchDispatchMode):
    """Books every storage that an operation makes."""

    def __init__(self, arena: Arena) -> None:
        super().__init__()
        self.arena, self.known = arena, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._can_decompose():
            with self:
                out = func.decompose(*args, **(kwargs or {}))
            if out is not NotImplemented:
                return out
        out = func(*args, **(kwargs or {}))
        for leaf in torch.utils._pytree.tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.note(leaf.untyped_storage())
        return out

    def note(self, storage) -> None:
        key = storage._cdata
        if key not in self.known:
            self.known[key] = self.arena.take(storage.nbytes())
            weakref.finalize(storage, lambda: self.arena.give(self.known.pop(key)))


def fused(query, key, value, attn_mask=None, **_):
    """What a fused kernel allocates."""
    batch, heads, length, width = query.shape
    sums = torch.empty((batch, heads, length), dtype=torch.float32, device=query.device)
    bias = None if attn_mask is None else torch.empty(attn_mask.shape, dtype=query.dtype, device=query.device)
    out = torch.empty((batch, length, heads, width), dtype=query.dtype, device=query.device)
    del sums, bias
    return out.transpose(1, 2)


def simulate(job) -> dict:
    """One case in a process of its own."""
    folder, (name, dtype, attention, batch, prompt, output, padded) = job
    import transformers
    from llem_worker import masks
    from llem_worker.batches import Batch
    from llem_worker.generate import Forward

    masks.install()
    config = transformers.AutoConfig.from_pretrained(os.path.join(folder, name))
    torch.nn.functional.scaled_dot_product_attention = fused
    arena = Arena()
    with Book(arena), torch.inference_mode():
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(
                config, dtype=getattr(torch, dtype), attn_implementation=attention).eval()
        gc.collect()
        load, weights = arena.peak, sum(p.numel() * p.element_size() for p in model.parameters())
        arena.take(WORKSPACE)
        arena.peak = arena.now

        def ids(*shape):
            return torch.zeros(shape, dtype=torch.int64, device="meta")

        total = prompt + output - 1
        mask = ids(batch, total) if padded else None
        forward = Forward(model)
        work = Batch([0] * batch, [prompt] * batch, ids(batch, prompt), ids(batch, total), mask)
        tokens = ids(batch, output)
        last, cache = forward(work.token_ids, work, 0, prompt, None)
        tokens[:, 0:1] = last
        prefill = arena.peak
        for step in range(1, output):
            last, cache = forward(last, work, prompt + step - 1, prompt + step, cache)
            tokens[:, step : step + 1] = last
    return {"model": name, "dtype": dtype, "attention": attention, "batch": batch, "input": prompt, "output": output,
            "padded": padded, "weights": weights, "load": load, "peak": arena.peak,
            "phase": "decode" if arena.peak > prefill else "prefill", "reserved": arena.reserved}


def main(folder: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        rows = pool.imap(simulate, [(folder, case) for case in CASES], chunksize=1)
        print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


if __name__ == "__main__":
    main(sys.argv[1])
