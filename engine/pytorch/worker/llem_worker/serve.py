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
from collections.abc import Iterable, Iterator

from . import environment
from .failures import Failure, from_exception, missing_module

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
    """Answers commands one after the other."""

    def __init__(self, inbox: Inbox, outbox: Outbox) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self.info: dict | None = None
        self.engine = None
        self.pulses = None
        self.ranks = None  # those that share the model with this process
        self.current = 0

    def answer(self, command: dict) -> None:
        """Answer one command; every failure becomes a reply."""
        operations = {"hello": self.hello, "load": self.load, "adapt": self.adapt, "tokenize": self.tokenize,
                      "run": self.run, "pulse": self.pulse}
        command_id, name = command.get("id", 0), command.get("op")
        self.current = command_id
        try:
            operation = operations.get(name)
            if operation is None:
                raise Failure("protocol", f"unknown command {name!r}", "use the worker that belongs to this llem")
            operation(command_id, command)
            return
        except Exception as exc:  # noqa: BLE001: the parent decides what a failure means
            traceback.print_exc(file=sys.stderr)
            failure = from_exception(exc)
            # The traceback holds the frames, and they hold the tensors.
            failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        if self.ranks and self.ranks.busy:
            self.give_up(self.ranks.cause(failure))
        self.outbox.send(command_id, "error", failure=failure.as_reply())
        release_memory()  # before the next command, but the parent need not wait for it

    def give_up(self, failure: Failure) -> None:
        """End with a failure: ranks that are not at one step any more cannot be brought back."""
        with self.outbox.lock:  # for ever: nothing is said after this
            self.outbox.send(self.current, "error", failure=failure.as_reply())
            sys.stderr.flush()
            os._exit(1)

    def hello(self, command_id: int, command: dict) -> None:
        """Say who this is and what time it is."""
        if command.get("v") != PROTOCOL_VERSION:
            raise Failure("protocol", f"the parent speaks protocol {command.get('v')}, this worker {PROTOCOL_VERSION}",
                          "use the worker that belongs to this llem")
        if self.info is None:
            self.info = environment.describe()
        self.outbox.send(command_id, "hello", v=PROTOCOL_VERSION, clock_ns=time.monotonic_ns(), info=self.info)

    def load(self, command_id: int, command: dict) -> None:
        """Load a model in place of the one before."""
        started_ns = time.monotonic_ns()
        self.info = self.info or environment.describe()
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
        """Take other settings, with the model left as it is and nothing of the runs before kept."""
        from . import loading

        started_ns = time.monotonic_ns()
        loading.adapt(self.loaded_engine(), loading.Request.from_spec(command["load"]))
        release_memory()
        if self.ranks:
            self.ranks.tell({"id": command_id, "op": "adapt", "load": command["load"]})
            self.ranks.loaded()
        self.send_loaded(command_id, started_ns)

    def send_loaded(self, command_id: int, started_ns: int) -> None:
        """Say how the engine runs."""
        loaded = {**self.info, **self.engine.describe(), "load_ns": time.monotonic_ns() - started_ns}
        loaded["notes"] = self.info.get("notes", []) + self.engine.notes
        self.outbox.send(command_id, "loaded", loaded=loaded)

    def tokenize(self, command_id: int, command: dict) -> None:
        """Turn texts into token ids."""
        tokenizer = self.loaded_engine().tokenizer
        if tokenizer is None:
            raise Failure("model_not_found", "the model's folder holds no tokenizer",
                          "use workload.dataset: synthetic, which needs none")
        self.outbox.send(command_id, "tokens", tokens=tokenizer.encode(command.get("texts") or []))

    def run(self, command_id: int, command: dict) -> None:
        """Run a workload and send its logs afterwards."""
        from . import generate, run

        try:
            window, results = run.run_workload(
                self.loaded_engine(),
                command["run"],
                cancelled=lambda: self.inbox.cancelled_run == command_id,
                progress=lambda done: self.outbox.send(command_id, "progress", done=done),
            )
        except generate.Cancelled:
            self.engine.synchronize()
            if self.ranks:
                self.ranks.stopped()
            raise Failure("interrupted", "the run was cancelled") from None
        self.outbox.send(command_id, "finished", finished=window)
        gc.collect()  # the parent has closed its window and waits for the logs
        if self.ranks:
            self.ranks.agree(run.digest(results))
        for requests in chunks(run.request_log(results)):
            self.outbox.send(command_id, "requests", requests=requests)
        for steps in chunks(run.step_log(results)):
            self.outbox.send(command_id, "steps", steps=steps)
        self.outbox.send(command_id, "done")

    def pulse(self, command_id: int, command: dict) -> None:
        """Run a pattern of pulses; an empty one prepares the device."""
        from . import generate, load

        work = command["pulse"]
        if self.pulses is None or self.pulses.requested != work["device"]:
            self.pulses = None
            self.pulses = load.Load(work["device"])
        try:
            edges = self.pulses.pulse(work.get("pattern") or [],
                                      cancelled=lambda: self.inbox.cancelled_run == command_id)
        except generate.Cancelled:
            self.pulses.synchronize()
            raise Failure("interrupted", "the load was cancelled") from None
        self.outbox.send(command_id, "pulsed", pulsed={**self.pulses.describe(), "pid": os.getpid(), "edges": edges})

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


def release_memory() -> None:
    """Give back what a failed or replaced model held, so that the next fits."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    try:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    except RuntimeError:  # a broken device: the failure itself is on its way
        traceback.print_exc(file=sys.stderr)


def serve(commands_fd: int, replies_fd: int) -> None:
    """Answer commands until stop."""
    worker = Worker(Inbox(commands_fd), Outbox(replies_fd))
    while True:
        command = worker.inbox.commands.get()
        if command.get("op") == "stop":
            worker.outbox.send(command.get("id", 0), "bye")
            sys.stderr.flush()
            # Libraries may take their time to shut down; nothing is left to save.
            os._exit(0)
        worker.answer(command)
