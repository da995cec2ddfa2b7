"""The vLLM worker's answers to commands."""

from __future__ import annotations

import time

from llem_protocol import serve


class Worker(serve.Worker):
    """Answers commands one after the other."""

    def describe(self) -> dict:
        """Version and device."""
        from . import engine

        return engine.describe()

    def load(self, command_id: int, command: dict) -> None:
        """Load the model."""
        from . import engine

        started_ns = time.monotonic_ns()
        self.engine = engine.Engine(command["load"])
        self.send_loaded(command_id, started_ns)

    def tokenize(self, command_id: int, command: dict) -> None:
        """Turn texts into token ids."""
        self.outbox.send(command_id, "tokens", tokens=self.loaded_engine().tokenize(command.get("texts") or []))

    def template(self, command_id: int, command: dict) -> None:
        """Turn conversations into token ids, in the chat template of the model."""
        self.outbox.send(command_id, "tokens", tokens=self.loaded_engine().template(command.get("chats") or []))

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards."""
        log = self.loaded_engine().run(
            command["run"],
            cancelled=self.is_cancelled(command_id),
            progress=self.progress(command_id),
            finished=lambda window: self.outbox.send(command_id, "finished", finished=window),
        )
        self.send_logs(command_id, log["requests"], log["steps"])
