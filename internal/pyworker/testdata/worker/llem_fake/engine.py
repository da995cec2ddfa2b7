"""An engine that computes nothing: static batches whose tokens depend on seed and prompt alone."""

import time
import zlib

from llem_protocol import process, serve, work
from llem_protocol.failures import Cancelled, needs_restart

STEP_S = 0.0005
VOCAB = 256


class Bytes:
    """A tokenizer of bytes."""

    def encode(self, texts):
        return [list(text.encode()) for text in texts]


class Engine:
    """What was loaded."""

    tokenizer = Bytes()

    def __init__(self, spec):
        self.spec = spec

    def describe(self):
        return {"dtype": self.spec["dtype"], "vocab": VOCAB, "text_vocab": VOCAB, "notes": ["of the engine"]}

    def adapt(self, spec):
        if spec["path"] != self.spec["path"]:
            raise needs_restart("another model is loaded")
        self.spec = spec


class Worker(serve.Worker):
    """Answers commands one after the other."""

    def describe(self):
        return {"version": "1", "device": "cpu", "notes": ["of the worker"]}

    def load(self, command_id, command):
        started_ns = time.monotonic_ns()
        self.engine = Engine(command["load"])
        self.outbox.send(command_id, "progress", phase="pretending", fraction=0.5)
        self.send_loaded(command_id, started_ns)

    def run(self, command_id, command):
        spec, job = self.loaded_engine().spec, command["run"]
        requests, output = job["requests"] or [], job["output_tokens"]
        work.check_requests(requests, output, VOCAB, spec["max_context"])
        told, cancelled = work.Reporter(self.progress(command_id)), self.is_cancelled(command_id)
        log, steps = [], []
        process.reset_peak_memory()
        with work.quiet_collector():
            start_ns = time.monotonic_ns()
            try:
                for batch in work.batches(requests, spec["batch_size"] or 1, job.get("round", 0)):
                    one(batch, output, spec["seed"], cancelled, log, steps)
                    told(len(log))
            except Cancelled:
                raise serve.interrupted() from None
            end_ns = time.monotonic_ns()
        peak, source = process.peak_memory()
        self.outbox.send(command_id, "finished", finished={"start_ns": start_ns, "end_ns": end_ns, "step_clock": "host",
                                                           "peak_memory_bytes": peak, "memory_source": source})
        self.send_logs(command_id, log, steps)


def one(batch, output, seed, cancelled, log, steps):
    """One static batch."""
    began = previous = time.monotonic_ns()
    prompts, stamps = sum(len(request["tokens"]) for request in batch), []
    for number in range(output):
        if cancelled():
            raise Cancelled
        time.sleep(STEP_S)
        stamps.append(time.monotonic_ns())
        steps.append({"start_ns": previous, "end_ns": stamps[-1], "sequences": len(batch),
                      "prefill_tokens": 0 if number else prompts, "decode_tokens": len(batch) if number else 0,
                      "context_tokens": prompts + number * len(batch)})
        previous = stamps[-1]
    for request in batch:
        tokens = [
            zlib.crc32(bytes(f"{seed} {number} {request['tokens']}", "ascii")) % VOCAB for number in range(output)
        ]
        log.append({"id": request["id"], "submitted_ns": began, "started_ns": began, "prefill_start_ns": began,
                    "first_token_ns": stamps[0], "end_ns": stamps[-1], "token_ns": stamps,
                    "prompt_tokens": len(request["tokens"]), "prompt_computed": len(request["tokens"]),
                    "output_tokens": output, "finish_reason": "length", "ok": True, "output": tokens})
