"""The PyTorch worker's answers to commands."""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback

from llem_protocol import serve
from llem_protocol.failures import Cancelled, Failure, missing_module

from . import environment
from .failures import from_exception


class Worker(serve.Worker):
    """Answers commands, on its own or as the first of several ranks."""

    translate = staticmethod(from_exception)

    def __init__(self, inbox: serve.Inbox, outbox: serve.Outbox) -> None:
        super().__init__(inbox, outbox)
        self.info: dict | None = None
        self.pulses = None
        self.ranks = None  # ranks that share the model with this process

    def operations(self):
        """A load with known edges is one more."""
        return {**super().operations(), "pulse": self.pulse}

    def describe(self) -> dict:
        """Versions and device; determined once."""
        self.info = self.info or environment.describe()
        return self.info

    def failed(self, failure: Failure) -> None:
        """Ranks that were at work cannot be brought back to one step."""
        if self.ranks and self.ranks.busy:
            self.give_up(self.ranks.cause(failure))

    def release_memory(self) -> None:
        """Give back the device's memory too."""
        release_memory()

    def give_up(self, failure: Failure) -> None:
        """End with a failure: ranks that are not at one step any more cannot be brought back."""
        with self.outbox.lock:  # for ever: nothing is said after this
            self.outbox.send(self.current, "error", failure=failure.as_reply())
            sys.stderr.flush()
            os._exit(1)

    def load(self, command_id: int, command: dict) -> None:
        """Load a model in place of the one before."""
        started_ns = time.monotonic_ns()
        self.describe()
        self.engine = None
        release_memory()
        try:
            from . import loading
        except ModuleNotFoundError as exc:
            raise missing_module(exc) from exc

        def progress(phase: str, fraction: float) -> None:
            self.outbox.send(command_id, "progress", phase=phase, fraction=fraction)

        request = loading.Request.from_spec(command["load"])
        self.start_ranks(request, command)
        self.engine = loading.load(request, progress, self.ranks)
        gc.collect()
        if self.ranks:
            self.ranks.loaded()
        self.send_loaded(command_id, started_ns)

    def start_ranks(self, request, command: dict) -> None:
        """Start the processes that share the model, and have them load it too."""
        if self.ranks:
            raise Failure("protocol", "this worker shares a model with other ranks and loads no further one",
                          "this is a bug in llem")
        if request.tensor_parallel == 1:
            return
        from . import loading, parallel, ranks
        from .request import check_options

        check_options(request)
        parallel.check(request)
        parallel.check_sizes(request, loading.read_config(request).get_text_config())
        self.ranks = ranks.Leader.start(request.tensor_parallel, self.give_up)
        self.ranks.tell({"id": command.get("id", 0), "op": "load", "load": command["load"]})

    def adapt(self, command_id: int, command: dict) -> None:
        """Change settings while the model stays loaded; nothing of earlier runs is kept."""
        from . import loading

        started_ns = time.monotonic_ns()
        loading.adapt(self.loaded_engine(), loading.Request.from_spec(command["load"]))
        release_memory()
        if self.ranks:
            self.ranks.tell({"id": command_id, "op": "adapt", "load": command["load"]})
            self.ranks.loaded()
        self.send_loaded(command_id, started_ns)

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards."""
        from . import run

        engine = self.loaded_engine()
        if engine.tokenizer is not None:
            engine.tokenizer.forget_template()
        try:
            window, results = run.run_workload(
                engine,
                command["run"],
                cancelled=self.is_cancelled(command_id),
                progress=self.progress(command_id),
            )
        except Cancelled:
            self.engine.synchronize()
            if self.ranks:
                self.ranks.stopped()
            raise serve.interrupted() from None
        self.outbox.send(command_id, "finished", finished=window)
        gc.collect()  # the parent has closed its window and waits for the logs
        if self.ranks:
            self.ranks.agree(run.digest(results))
        self.send_logs(command_id, run.request_log(results), run.step_log(results))

    def pulse(self, command_id: int, command: dict) -> None:
        """Run a pattern of pulses; an empty one prepares the device."""
        from . import load

        work = command["pulse"]
        if self.pulses is None or self.pulses.requested != work["device"]:
            self.pulses = None
            self.pulses = load.Load(work["device"])
        try:
            edges = self.pulses.pulse(work.get("pattern") or [],
                                      cancelled=self.is_cancelled(command_id))
        except Cancelled:
            self.pulses.synchronize()
            raise Failure("interrupted", "the load was cancelled") from None
        self.outbox.send(command_id, "pulsed", pulsed={**self.pulses.describe(), "pid": os.getpid(), "edges": edges})


def release_memory() -> None:
    """Free the memory of a failed or replaced model, so that the next one fits."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    try:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    except RuntimeError:  # a broken device: the failure itself is on its way
        traceback.print_exc(file=sys.stderr)
