"""The worker's answers to commands."""

from __future__ import annotations

import gc
import time

from llem_protocol import serve
from llem_protocol.failures import Cancelled, Failure

from . import environment
from .failures import from_exception


class Worker(serve.Worker):
    """Answers commands one after the other."""

    translate = staticmethod(from_exception)

    def describe(self) -> dict:
        """Version and device."""
        return environment.describe()

    def load(self, command_id: int, command: dict) -> None:
        """Load a model in place of the one before."""
        started_ns = time.monotonic_ns()
        self.describe()  # a Failure if something is missing
        from . import loading

        def progress(phase: str, fraction: float) -> None:
            self.outbox.send(command_id, "progress", phase=phase, fraction=fraction)

        self.engine = None
        self.release_memory()
        self.engine = loading.load(loading.Request.from_spec(command["load"]), progress)
        self.send_loaded(command_id, started_ns)

    def template(self, command_id: int, command: dict) -> None:
        """Refuse: this process has no reader of chat templates, see environment."""
        raise Failure("config", "ctranslate2 has no way to put a prompt into the chat template of its model",
                      "use workload.chat_template: none, or another backend")

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards."""
        from . import run

        try:
            window, results = run.run_workload(self.loaded_engine(), command["run"], self.is_cancelled(command_id),
                                               self.progress(command_id))
        except Cancelled:
            raise serve.interrupted() from None
        self.outbox.send(command_id, "finished", finished=window)
        gc.collect()  # the parent has closed its window and waits for the logs
        self.send_logs(command_id, run.request_log(results), run.step_log(results))
