"""A rank other than 0: repeats the actions of rank 0, and communicates only with it."""

from __future__ import annotations

import gc
import sys
import time
import traceback

from llem_protocol.failures import Cancelled, Failure
from llem_protocol.serve import Inbox, Outbox

from . import loading, parallel, run
from .failures import from_exception
from .gate import Gate
from .serve import release_memory


class Member(parallel.Group):
    """The ranks, as one beside rank 0 sees them."""

    outbox: Outbox | None = None
    command_id = 0

    def cancelled(self, asked) -> bool:
        """The commands of rank 0."""
        return self.gate.follow()

    def total(self, peak: int) -> int:
        """Tell rank 0."""
        self.outbox.send(self.command_id, "finished", peak=peak)
        return peak

    def agree(self, digest: int) -> None:
        """Tell rank 0."""
        self.outbox.send(self.command_id, "done", digest=digest)


class Follower:
    """Answers rank 0's commands one after the other; the first failure is the last answer."""

    def __init__(self, group: Member) -> None:
        self.group = group
        self.engine: loading.Engine | None = None

    def answer(self, command: dict) -> None:
        """Repeat an action of rank 0."""
        self.group.command_id = command["id"]
        {"load": self.load, "adapt": self.adapt, "run": self.run}[command["op"]](command)

    def load(self, command: dict) -> None:
        """Load this rank's part."""
        self.engine = loading.load(loading.Request.from_spec(command["load"]), lambda phase, fraction: None, self.group)
        gc.collect()
        self.say_loaded()

    def adapt(self, command: dict) -> None:
        """Take other settings."""
        loading.adapt(self.engine, loading.Request.from_spec(command["load"]))
        release_memory()
        self.say_loaded()

    def say_loaded(self) -> None:
        """Say which GPU this is."""
        self.group.outbox.send(self.group.command_id, "loaded", uuids=self.engine.describe()["device_uuids"])

    def run(self, command: dict) -> None:
        """Run the workload in step with rank 0."""
        try:
            _, results = run.run_workload(self.engine, command["run"], lambda: False, lambda done: None)
        except Cancelled:
            self.engine.synchronize()
            self.group.outbox.send(self.group.command_id, "stopped")
            return
        gc.collect()
        self.group.agree(run.digest(results))


def follow(start: dict) -> None:
    """Follow rank 0 until it is gone: the end of its commands ends this process."""
    inbox, outbox = Inbox(start["commands"]), Outbox(start["replies"])
    rank, size = start["rank"], start["size"]
    group = Member(rank, size, start["port"], Gate(start["gate"], rank, size))
    group.outbox = outbox
    follower = Follower(group)
    while True:
        command = inbox.commands.get()
        try:
            follower.answer(command)
        except Exception as exc:  # noqa: BLE001: rank 0 decides what a failure means
            traceback.print_exc(file=sys.stderr)
            failure: Failure = from_exception(exc)
            outbox.send(command["id"], "error", failure=failure.as_reply())
            time.sleep(60)  # rank 0 ends this process; its exit would hide the reason
            sys.exit(1)
