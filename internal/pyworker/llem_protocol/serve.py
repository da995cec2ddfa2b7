"""The worker's side of the protocol: commands in, replies out, one JSON per line."""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator

from .failures import Failure, from_exception
from .process import COMMANDS_FD, REPLIES_FD

PROTOCOL_VERSION = 1
# A part of a log: at most this many entries, and at most about this many numbers,
# so that a line stays far below the parent's limit.
CHUNK_ENTRIES = 512
CHUNK_NUMBERS = 500_000


class Inbox:
    """Reads commands on a thread of its own, which sleeps unless one arrives.

    The end of the command stream means that the parent is gone: the process exits
    at once, whatever it is doing. A cancel concerns the run that was read last.
    """

    def __init__(self, fd: int) -> None:
        self.commands: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self.cancelled_run = 0
        self.last_run = 0
        self.stream = os.fdopen(fd, "rb")
        threading.Thread(target=self.read, name="commands", daemon=True).start()

    def read(self) -> None:
        """Sort commands until the stream ends."""
        status = 1
        try:
            for line in self.stream:
                if line.strip():
                    self.sort(json.loads(line))
            status = 0
        except Exception:  # noqa: BLE001: a thread that ends silently would hang the parent
            traceback.print_exc()
        finally:
            os._exit(status)

    def sort(self, command: dict) -> None:
        """A cancel takes effect now, everything else waits for its turn."""
        if command.get("op") == "cancel":
            self.cancelled_run = self.last_run
            return
        if command.get("op") in ("run", "pulse"):
            self.last_run = command["id"]
        self.commands.put(command)


class Outbox:
    """Writes replies. Only the main thread uses it, and who reports that a rank is gone."""

    def __init__(self, fd: int) -> None:
        self.stream = os.fdopen(fd, "wb")
        self.lock = threading.RLock()

    def send(self, command_id: int, event: str, **content) -> None:
        """Write one reply; a parent that does not listen any more ends the worker."""
        reply = {"id": command_id, "event": event, **content}
        line = json.dumps(reply, separators=(",", ":")).encode() + b"\n"
        try:
            with self.lock:
                self.stream.write(line)
                self.stream.flush()
        except BrokenPipeError:
            os._exit(0)


class Worker:
    """Answers commands one after the other.

    An engine's worker implements describe, load and run, and what else it can: adapt and
    tokenize ask self.engine. It may add operations.
    """

    def __init__(self, inbox: Inbox, outbox: Outbox) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self.engine = None
        self.current = 0

    def describe(self) -> dict:
        """The content of the reply to hello: version, device, versions. A Failure names what is missing."""
        raise NotImplementedError

    def load(self, command_id: int, command: dict) -> None:
        """Load the model of command["load"] and send_loaded."""
        raise NotImplementedError

    def adapt(self, command_id: int, command: dict) -> None:
        """Change settings while the model stays loaded."""
        started_ns = time.monotonic_ns()
        self.loaded_engine().adapt(command["load"])
        self.send_loaded(command_id, started_ns)

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards: see send_logs."""
        raise NotImplementedError

    def operations(self) -> dict[str, Callable[[int, dict], None]]:
        """What is done for each command."""
        return {"hello": self.hello, "load": self.load, "adapt": self.adapt, "tokenize": self.tokenize,
                "template": self.template, "run": self.run}

    def translate(self, exc: Exception) -> Failure:
        """The failure that an exception of the engine's libraries means."""
        return from_exception(exc)

    def failed(self, failure: Failure) -> None:
        """Called before a failure is sent."""

    def release_memory(self) -> None:
        """Free the memory of a failed or replaced model, so that the next one fits."""
        gc.collect()

    def answer(self, command: dict) -> None:
        """Answer one command; every failure becomes a reply."""
        command_id, name = command.get("id", 0), command.get("op")
        self.current = command_id
        try:
            operation = self.operations().get(name)
            if operation is None:
                raise Failure("protocol", f"unknown command {name!r}", "use the worker that belongs to this llem")
            operation(command_id, command)
            return
        except Exception as exc:  # noqa: BLE001: the parent decides what a failure means
            traceback.print_exc(file=sys.stderr)
            failure = self.translate(exc)
            # The traceback references the frames, and they reference the tensors.
            failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        self.failed(failure)
        self.outbox.send(command_id, "error", failure=failure.as_reply())
        self.release_memory()  # before the next command, but the parent need not wait for it

    def hello(self, command_id: int, command: dict) -> None:
        """Send the protocol version and the clock."""
        if command.get("v") != PROTOCOL_VERSION:
            raise Failure("protocol", f"the parent speaks protocol {command.get('v')}, this worker {PROTOCOL_VERSION}",
                          "use the worker that belongs to this llem")
        info = self.describe()
        self.outbox.send(command_id, "hello", v=PROTOCOL_VERSION, clock_ns=time.monotonic_ns(), info=info)

    def send_loaded(self, command_id: int, started_ns: int) -> None:
        """Say how the engine runs."""
        info, engine = self.describe(), self.engine.describe()
        notes = info.get("notes", []) + engine.get("notes", [])
        loaded = {**info, **engine, "notes": notes, "pid": os.getpid(), "load_ns": time.monotonic_ns() - started_ns}
        self.outbox.send(command_id, "loaded", loaded=loaded)

    def tokenize(self, command_id: int, command: dict) -> None:
        """Turn texts into token ids."""
        tokenizer = self.loaded_engine().tokenizer
        if tokenizer is None:
            raise Failure("model_not_found", "the model's folder holds no tokenizer",
                          "use workload.dataset: synthetic, which needs none")
        self.outbox.send(command_id, "tokens", tokens=tokenizer.encode(command.get("texts") or []))

    def template(self, command_id: int, command: dict) -> None:
        """Turn conversations into token ids, in the chat template of the model."""
        tokenizer = self.loaded_engine().tokenizer
        if tokenizer is None:
            raise Failure("model_not_found", "the model's folder holds no tokenizer",
                          "use workload.dataset: synthetic, which needs none")
        self.outbox.send(command_id, "tokens", tokens=tokenizer.template(command.get("chats") or []))

    def is_cancelled(self, command_id: int) -> Callable[[], bool]:
        """A function that reports whether the parent has cancelled a run."""
        return lambda: self.inbox.cancelled_run == command_id

    def progress(self, command_id: int) -> Callable[[int], None]:
        """A function that reports how many requests are done."""
        return lambda done: self.outbox.send(command_id, "progress", done=done)

    def send_logs(self, command_id: int, requests: Iterable[dict], steps: Iterable[dict]) -> None:
        """Send the logs of a run whose end was sent as the event finished."""
        for part in chunks(requests):
            self.outbox.send(command_id, "requests", requests=part)
        for part in chunks(steps):
            self.outbox.send(command_id, "steps", steps=part)
        self.outbox.send(command_id, "done")

    def loaded_engine(self):
        """The engine; a command that came too early is a protocol error."""
        if self.engine is None:
            raise Failure("protocol", "no model is loaded", "this is a bug in llem")
        return self.engine


def chunks(entries: Iterable[dict]) -> Iterator[list[dict]]:
    """Cut a log into parts of bounded size."""
    part, numbers = [], 0
    for entry in entries:
        weight = 2 * len(entry.get("token_ns", ()))
        if part and (len(part) == CHUNK_ENTRIES or numbers + weight > CHUNK_NUMBERS):
            yield part
            part, numbers = [], 0
        part.append(entry)
        numbers += weight
    if part:
        yield part


def interrupted() -> Failure:
    """The failure of a run that was cancelled."""
    return Failure("interrupted", "the run was cancelled")


def serve(worker_class: type[Worker]) -> None:
    """Answer commands until stop."""
    worker = worker_class(Inbox(COMMANDS_FD), Outbox(REPLIES_FD))
    while True:
        command = worker.inbox.commands.get()
        if command.get("op") == "stop":
            worker.outbox.send(command.get("id", 0), "bye")
            sys.stderr.flush()
            # Libraries may take their time to shut down; nothing is left to save.
            os._exit(0)
        worker.answer(command)
