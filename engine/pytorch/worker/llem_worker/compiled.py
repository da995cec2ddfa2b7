"""The decode step compiled by torch.compile, over a static cache.

A step reads and writes the same tensors every time: ids, positions, mask and cache
of a batch size are made once. Compiled code then meets one shape, and a CUDA graph
one set of addresses. Nothing may be compiled inside of a measured window: the full
batch is compiled when the model is loaded or adapted, a smaller last one in the
first run after that, which is the warm-up. Later, a shape that is not there yet is
refused, and a run in which something was compiled nevertheless has failed.
"""

from __future__ import annotations

import sys
import time

import torch
from llem_protocol.failures import Failure

from .batches import PAD_TOKEN, Batch, pad_left
from .caches import StaticCaches
from .failures import from_exception
from .generate import Forward
from .sampling import Decoding

# Decode steps that compile, record a CUDA graph, and replay it.
WARM_STEPS = 4
WARM_PROMPT = 4
CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")


class Shape:
    """The tensors of one batch size, and its step."""

    def __init__(self, forward: CompiledForward, size: int) -> None:
        device, length = forward.device, forward.caches.length
        self.ids = torch.zeros((size, 1), dtype=torch.int64, device=device)
        self.positions = torch.zeros((size, 1), dtype=torch.int64, device=device)
        self.mask = torch.ones((size, length), dtype=torch.int64, device=device)
        for tensor in (self.ids, self.positions, self.mask):
            torch._dynamo.mark_static_address(tensor)
        self.cache = forward.caches.fresh(size)
        self.step, self.choose = forward.compile(), forward.choose

    def begin(self, ids: torch.Tensor, batch: Batch) -> None:
        """Take over the results of the prefill: the first tokens, and the padding."""
        self.ids.copy_(ids)
        self.positions.copy_(batch.positions[:, batch.width - 1 : batch.width] + 1)
        if batch.mask is None:
            self.mask.fill_(1)
        else:
            self.mask[:, : batch.mask.shape[1]].copy_(batch.mask)

    def decode(self) -> torch.Tensor:
        """One step; the ids change in place."""
        logits = self.step(self.ids, self.positions, self.mask, self.cache)
        if logits is not None:
            self.ids.copy_(self.choose(logits))
        return self.ids


class CompiledForward(Forward):
    """Prefill as the library does it, decoding compiled."""

    # Compiled code and its graphs are recorded without the marks of inference_mode.
    grad_mode = torch.no_grad

    def __init__(
        self, model: torch.nn.Module, caches: StaticCaches, chunk: int, mode: str, device: torch.device,
        decoding: Decoding = Decoding(),
    ) -> None:
        super().__init__(model, caches, chunk, decoding)
        self.mode = mode
        self.device = device
        self.shapes: dict[int, Shape] = {}
        self.shape: Shape | None = None
        self.open = True  # until the first run has been seen
        self.compile_s = 0.0
        if any(caches.make().is_sliding):
            raise Failure("unsupported_model",
                          f"pytorch.compile: {type(model).__name__} has layers with a sliding window, "
                          "whose step changes when the window is full", "set pytorch.compile: off")
        torch.compiler.reset()

    def compile(self):
        """The compiled step. A graph that breaks is an error: part of it would run as before.

        Tokens are sampled from its logits outside of it: a graph cannot contain a generator.
        """
        model, fixed, takes_positions = self.model, self.fixed, self.takes_positions
        likeliest = self.choose.decoding.likeliest

        def step(ids, positions, mask, cache):
            varying = {"position_ids": positions} if takes_positions else {}
            out = model(input_ids=ids, attention_mask=mask, past_key_values=cache, **varying, **fixed)
            positions.add_(1)
            if not likeliest:
                return out.logits[:, -1]
            ids.copy_(out.logits[:, -1].argmax(dim=-1, keepdim=True))
            return None

        return torch.compile(step, mode=self.mode, fullgraph=True, dynamic=False)

    def prepare(self, sizes: set[int]) -> None:
        """Have a compiled step for each batch size, before a run."""
        missing = sorted(sizes - self.shapes.keys(), reverse=True)
        if missing and not self.open:
            raise Failure("config", f"a batch of {missing[0]} was not compiled when the model was warmed up",
                          "set warmup.runs to 1 or more, and workload.prompts to a multiple of pytorch.batch_size")
        for size in missing:
            self.warm(size)
        self.open = False

    def warm(self, size: int) -> None:
        """Compile for a batch size, and run until every step does the same."""
        began = time.monotonic()
        skipped = cuda_graph_skips()
        # Another shape must not disable compilation.
        torch._dynamo.config.recompile_limit = 64
        steps = max(1, min(WARM_STEPS, self.caches.length - 1))
        prompt = [PAD_TOKEN] * max(1, min(WARM_PROMPT, self.caches.length - steps))
        with self.grad_mode():
            batch = pad_left([{"id": 0, "tokens": prompt}] * size, steps + 1).to(self.device)
            try:
                ids, cache = self.prefill(batch, self.fresh(batch))
                for step in range(steps):
                    ids, cache = self.decode(ids, batch, batch.width + step, cache)
            except torch._dynamo.exc.TorchDynamoException as exc:
                raise refused(self.mode, exc) from exc
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        if self.wants_cuda_graphs and cuda_graph_skips() > skipped:
            raise Failure("graph_compile",
                          f"PyTorch {torch.__version__} compiled the decode step without the CUDA graphs "
                          f"that {self.mode} asks for", "set pytorch.compile: default; the reason is in the engine log")
        self.compile_s += time.monotonic() - began

    @property
    def wants_cuda_graphs(self) -> bool:
        """The mode replays a CUDA graph for each step."""
        return self.device.type == "cuda" and self.mode in CUDA_GRAPH_MODES

    def fresh(self, batch: Batch):
        """The cache of the batch's shape, empty."""
        self.shape = self.shapes.get(batch.size)
        if self.shape is None:
            self.shape = self.shapes[batch.size] = Shape(self, batch.size)
            return self.shape.cache
        return self.caches.fresh(batch.size)

    def prefill(self, batch: Batch, cache):
        """The library's prefill; the tensors of the shape then hold its result."""
        ids, cache = super().prefill(batch, cache)
        self.shape.begin(ids, batch)
        return self.shape.ids, cache

    def decode(self, ids, batch: Batch, column: int, cache):
        """One compiled step."""
        return self.shape.decode(), cache

    def settings(self) -> dict[str, str]:
        """What is used."""
        graphs = {"cuda_graphs": "true" if self.wants_cuda_graphs else "false"} if self.device.type == "cuda" else {}
        return {**super().settings(), "compile": self.mode, "compile_s": f"{self.compile_s:.1f}", **graphs}


def compiled_graphs() -> int:
    """How many graphs have been compiled in this process."""
    utils = sys.modules.get("torch._dynamo.utils")  # slow to import, so not if nothing compiles
    return utils.counters["stats"]["unique_graphs"] if utils else 0


def cuda_graph_skips() -> int:
    """How many compiled graphs could not become CUDA graphs."""
    return torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]


def refused(mode: str, exc: Exception) -> Failure:
    """The compiler gave up. The wrapped exception may be more specific."""
    text = " ".join(str(exc).split())
    if "out of memory" in text.lower():
        return from_exception(torch.OutOfMemoryError(text))
    return Failure("graph_compile", f"pytorch.compile {mode}: {type(exc).__name__}: {text[:300]}",
                   "set pytorch.compile: off; the whole text is in the engine log")
