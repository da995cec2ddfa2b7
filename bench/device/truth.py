"""Prefill and decode of a model, apart and together, for a check of the phase split.

For every configuration (batch, prompt, output tokens) this runs windows of
prefills with pauses between them, of prefills back to back, of decode steps alone
(the KV cache is cropped back to the prompt, so that the steps equal the steps of a normal
run), of normal batches, and of nothing, in turn. A second process samples the GPU's sensors meanwhile. Raw data go to
$OUT/truth.json.gz; `go run ./bench/truth FILE` makes the table:

    OUT=/tmp/out python3 bench/device/truth.py [--configs 8,512,48 ...] [--seconds 8]
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "backend", "pytorch", "worker"))

from kernel import Nvml, offset  # noqa: E402

CONFIGS = ["8,512,48", "1,256,24", "16,2048,16", "1,128,128", "32,128,64"]


def sample(pipe) -> None:
    """The second process: samples until told to stop."""
    import ctypes

    nvml = Nvml()
    milliwatts = ctypes.c_uint()

    def average() -> int:
        nvml.check(nvml.lib.nvmlDeviceGetPowerUsage(nvml.device, ctypes.byref(milliwatts)))
        return milliwatts.value

    ring, counter, offsets = [], [], []
    polled = {"instant": [], "average": []}
    calls = {"instant": nvml.instant, "average": average}
    last = dict.fromkeys(polled)
    before = dict.fromkeys(polled, time.monotonic_ns())
    last_ring = int(time.time() * 1e6)
    next_ring = next_counter = next_poll = time.monotonic_ns()
    while not pipe.poll():
        now = time.monotonic_ns()
        if now >= next_poll:
            for name, call in calls.items():
                began = time.monotonic_ns()
                value = call()
                if value != last[name]:
                    polled[name].append((before[name], time.monotonic_ns(), value))
                    last[name] = value
                before[name] = began
            next_poll = now + 5_000_000
        if now >= next_counter:
            began = time.monotonic_ns()
            value = nvml.energy()
            counter.append((began, time.monotonic_ns(), value))
            next_counter = now + 20_000_000
        if now >= next_ring:
            o = offset()
            offsets.append((now, *o))
            for stamp, value in sorted(nvml.ring(last_ring)):
                last_ring = max(last_ring, stamp)
                ring.append((stamp * 1000 - o[0], value))
            next_ring = now + 1_000_000_000
        time.sleep(max(0, min(next_poll, next_counter, next_ring) - time.monotonic_ns()) / 1e9)
    time.sleep(0.2)
    o = offset()
    for stamp, value in sorted(nvml.ring(last_ring)):
        ring.append((stamp * 1000 - o[0], value))
    pipe.send({"ring": ring, "counter": counter, "offsets": offsets, **polled})


class Bench:
    """A model with random weights, and windows of its work."""

    def __init__(self, tiny: bool) -> None:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        self.torch = torch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        shape = dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
                     num_key_value_heads=8, vocab_size=128256, rope_theta=500000.0, max_position_embeddings=8192)
        if tiny:
            shape = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=512, max_position_embeddings=8192)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(self.device):
            self.model = LlamaForCausalLM(LlamaConfig(**shape, attn_implementation="sdpa")).eval()
        torch.set_default_dtype(torch.float32)
        self.vocab = shape["vocab_size"]
        from llem_worker.generate import Forward

        self.forward = Forward(self.model)

    def batch(self, size: int, prompt: int, output: int):
        """One static batch of random prompts."""
        import random

        from llem_worker.batches import make_batches

        rng = random.Random(size * 7919 + prompt)
        requests = [{"id": i, "tokens": [rng.randrange(self.vocab) for _ in range(prompt)]} for i in range(size)]
        return make_batches(requests, size, output)[0]

    def normal(self, batch, output: int, seconds: float) -> list:
        """Batches as the worker runs them."""
        from llem_worker.generate import clock_for, run_batch

        clock, steps, end = clock_for(self.device, output), [], time.monotonic_ns() + int(seconds * 1e9)
        while not steps or time.monotonic_ns() < end:
            r = run_batch(self.forward, batch, output, self.device, clock, lambda: False, time.monotonic_ns())
            tokens = sum(batch.lengths)
            steps.append((r.start_ns, r.token_ns[0], tokens, 0, batch.size, tokens))
            steps += [(a, b, 0, batch.size, batch.size, tokens + (i + 1) * batch.size)
                      for i, (a, b) in enumerate(zip(r.token_ns, r.token_ns[1:]))]
        return steps

    def spaced(self, batch, pause: float, seconds: float) -> list:
        """Prefills with pauses: alone, but as hot and as fast as after decoding."""
        steps, end = [], time.monotonic_ns() + int(seconds * 1e9)
        while time.monotonic_ns() < end:
            steps += self.normal(batch, 1, 0)
            time.sleep(pause)
        return steps

    def decode(self, host_batch, output: int, seconds: float) -> tuple[list, int]:
        """The decode steps of one batch again and again, and when they began."""
        from llem_worker.generate import clock_for

        clock, steps = clock_for(self.device, output), []
        batch = host_batch.to(self.device)
        first, cache = self.forward(batch.token_ids, batch, 0, batch.width, None)
        clock.synchronize()
        began = time.monotonic_ns()
        while time.monotonic_ns() < began + int(seconds * 1e9):
            cache.crop(batch.width)
            ids = first
            clock.mark(0)
            clock.synchronize()
            start = time.monotonic_ns()
            for step in range(1, output):
                column = batch.width + step - 1
                ids, cache = self.forward(ids, batch, column, column + 1, cache)
                clock.mark(step)
            clock.synchronize()
            stamps = clock.stamps(output, start, time.monotonic_ns())
            tokens = sum(host_batch.lengths)
            steps += [(a, b, 0, batch.size, batch.size, tokens + (i + 1) * batch.size)
                      for i, (a, b) in enumerate(zip(stamps, stamps[1:]))]
        return steps, began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--configs", nargs="*", default=CONFIGS)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the script")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=sample, args=(there,), daemon=True)
    child.start()
    bench, windows = Bench(args.tiny), []
    import gc

    with bench.torch.inference_mode():
        for config in args.configs:
            size, prompt, output = (int(v) for v in config.split(","))
            batch = bench.batch(size, prompt, output)
            bench.normal(batch, output, 2)
            bench.decode(batch, output, 0.5)
            gc.collect()
            gc.freeze()
            gc.disable()

            def window(kind, run):
                time.sleep(0.6)
                start = time.monotonic_ns()
                steps = run()
                end = time.monotonic_ns()
                if isinstance(steps, tuple):
                    steps, start = steps
                windows.append(
                    {"config": [size, prompt, output], "kind": kind, "start": start, "end": end, "steps": steps}
                )
                if not steps:
                    return
                mean = (steps[-1][1] - steps[0][0]) / 1e6 / len(steps)
                print(
                    f"{config} {kind}: {len(steps)} steps, {(end - start) / 1e9:.1f} s, {mean:.1f} ms a step",
                    flush=True,
                )
                time.sleep(0.6)

            # About as long as decoding takes.
            pause = min(1.0, max(0.4, 0.02 * output))
            for repeat in range(args.repeats):
                window("spaced", lambda: bench.spaced(batch, pause, 1.5 * args.seconds))
                window("mixed", lambda: bench.normal(batch, output, 1.5 * args.seconds))
                window("decode", lambda: bench.decode(batch, output, args.seconds))
                window("idle", lambda: time.sleep(args.seconds / 2) or [])
            window("prefill", lambda: bench.normal(batch, 1, args.seconds / 2))
            gc.enable()
            gc.unfreeze()
    time.sleep(2.5)
    here.send("stop")
    data = here.recv()
    data["windows"] = windows
    out = os.environ.get("OUT", ".")
    os.makedirs(out, exist_ok=True)
    with gzip.open(os.path.join(out, "truth.json.gz"), "wt") as f:
        json.dump(data, f, separators=(",", ":"))


if __name__ == "__main__":
    main()
