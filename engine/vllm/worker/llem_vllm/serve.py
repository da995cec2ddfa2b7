"""The worker's side of the protocol: commands in, replies out, one JSON per line."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator

from .failures import Failure

PROTOCOL_VERSION = 1
# A part of a log holds at most about this many numbers: a line stays short.
PART_NUMBERS = 200_000


class Inbox:
    """Reads commands on a thread of its own, which sleeps unless one arrives.

    The end of the command stream means that the parent is gone: the process exits
    at once, whatever it is doing. A cancel concerns the run that was read last.
    """

    def __init__(self, fd: int) -> None:
        self.commands: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self.cancelled_run = self.last_run = 0
        self.stream = os.fdopen(fd, "rb")
        threading.Thread(target=self.read, name="commands", daemon=True).start()

    def read(self) -> None:
        """Sort commands until the stream ends."""
        status = 1
        try:
            for line in self.stream:
                command = json.loads(line)
                if command.get("op") == "cancel":
                    self.cancelled_run = self.last_run
                    continue
                if command.get("op") == "run":
                    self.last_run = command["id"]
                self.commands.put(command)
            status = 0
        except Exception:  # noqa: BLE001: a thread that ends silently would hang the parent
            traceback.print_exc()
        finally:
            os._exit(status)


class Worker:
    """Answers commands one after the other."""

    def __init__(self, inbox: Inbox, replies_fd: int) -> None:
        self.inbox = inbox
        self.out = os.fdopen(replies_fd, "wb")
        self.engine = None

    def send(self, command_id: int, event: str, **content) -> None:
        """Write one reply; a parent that does not listen any more ends the worker."""
        try:
            self.out.write(json.dumps({"id": command_id, "event": event, **content}, separators=(",", ":")).encode() + b"\n")
            self.out.flush()
        except BrokenPipeError:
            os._exit(0)

    def answer(self, command: dict) -> None:
        """Answer one command; every failure becomes a reply."""
        operations = {"hello": self.hello, "load": self.load, "adapt": self.adapt, "tokenize": self.tokenize, "run": self.run}
        command_id, name = command.get("id", 0), command.get("op")
        try:
            if name not in operations:
                raise Failure("config", f"the vllm worker has no {name!r}", "start the engine anew")
            operations[name](command_id, command)
        except Failure as failure:
            self.fail(command_id, failure)
        except Exception as exc:  # noqa: BLE001: the parent decides what a failure means
            traceback.print_exc()
            self.fail(command_id, Failure("engine_error", f"{type(exc).__name__}: {exc}", "the whole traceback is in engine.log"))

    def fail(self, command_id: int, failure: Failure) -> None:
        """Reply with a failure."""
        self.send(command_id, "error",
                  failure={"class": failure.failure_class, "message": failure.message, "hint": failure.hint})

    def hello(self, command_id: int, command: dict) -> None:
        """Say who this is and what time it is."""
        if command.get("v") != PROTOCOL_VERSION:
            raise Failure("protocol", f"the parent speaks protocol {command.get('v')}, this worker {PROTOCOL_VERSION}",
                          "use the worker that belongs to this llem")
        from . import engine

        self.send(command_id, "hello", v=PROTOCOL_VERSION, clock_ns=time.monotonic_ns(), info=engine.describe())

    def load(self, command_id: int, command: dict) -> None:
        """Load the model."""
        from . import engine

        self.engine = engine.Engine(command["load"])
        self.send(command_id, "loaded", loaded={**engine.describe(), **self.engine.loaded()})

    def adapt(self, command_id: int, command: dict) -> None:
        """Take a specification that differs in nothing but the requests."""
        from . import engine

        self.loaded().adapt(command["load"])
        self.send(command_id, "loaded", loaded={**engine.describe(), **self.engine.loaded()})

    def tokenize(self, command_id: int, command: dict) -> None:
        """Turn texts into token ids."""
        self.send(command_id, "tokens", tokens=self.loaded().tokenize(command.get("texts") or []))

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards."""
        log = self.loaded().run(
            command["run"],
            cancelled=lambda: self.inbox.cancelled_run == command_id,
            progress=lambda done: self.send(command_id, "progress", done=done),
            finished=lambda window: self.send(command_id, "finished", finished=window),
        )
        for requests in parts(log["requests"]):
            self.send(command_id, "requests", requests=requests)
        for steps in parts(log["steps"]):
            self.send(command_id, "steps", steps=steps)
        self.send(command_id, "done")

    def loaded(self):
        """The engine; a command that came too early is a protocol error."""
        if self.engine is None:
            raise Failure("protocol", "no model is loaded", "this is a bug in llem")
        return self.engine


def parts(entries: list[dict]) -> Iterator[list[dict]]:
    """Cut a log into parts of bounded size."""
    part, numbers = [], 0
    for entry in entries:
        weight = 8 + 2 * len(entry.get("token_ns", ()))
        if part and numbers + weight > PART_NUMBERS:
            yield part
            part, numbers = [], 0
        part.append(entry)
        numbers += weight
    if part:
        yield part


def serve(commands_fd: int, replies_fd: int) -> None:
    """Answer commands until stop."""
    worker = Worker(Inbox(commands_fd), replies_fd)
    while True:
        command = worker.inbox.commands.get()
        if command.get("op") == "stop":
            worker.send(command.get("id", 0), "bye")
            sys.stderr.flush()
            # Libraries may take their time to shut down; nothing is left to save.
            os._exit(0)
        worker.answer(command)
