"""Rank 0's side of the other ranks: starts them, sends them commands, detects their failure.

Each has two pipes and a thread here that waits for its answers. A rank that fails or is
gone leaves rank 0 in a collective operation that never ends, so the thread itself reports
the failure, and the process ends. Ranks end with rank 0: their commands end then, and the
kernel kills them if they do not look.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from llem_protocol.failures import Failure

from .gate import Gate
from .parallel import TIMEOUT, Group

WORKER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a rank says waits for so long: rank 0 may say the same without its name, or another
# that is gone be the reason.
SYMPTOM_S = 0.5
# Failures of rank 0 that may be the consequence of another rank's.
SYMPTOMS = ("engine_error", "nccl")


class Rank:
    """Another rank: its process and its pipes."""

    def __init__(self, start: dict, gate: int, report: Callable[[Failure, bool], None]) -> None:
        self.name = f"rank {start['rank']} of {start['size']}"
        self.rank, self.report = start["rank"], report
        self.answers: queue.SimpleQueue[dict] = queue.SimpleQueue()
        commands, self.commands = os.pipe()
        self.replies, replies = os.pipe()
        argument = json.dumps({**start, "commands": commands, "replies": replies, "gate": gate, "parent": os.getpid()})
        self.process = subprocess.Popen(
            [sys.executable, WORKER, argument], pass_fds=(commands, replies, gate),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.close(commands)
        os.close(replies)
        self.printer = threading.Thread(target=self.pass_on, name=self.name + " output", daemon=True)
        self.printer.start()
        threading.Thread(target=self.watch, name=self.name, daemon=True).start()

    def pass_on(self) -> None:
        """Its output goes to the engine log, with its number."""
        for line in self.process.stdout:
            os.write(2, f"[rank {self.rank}] ".encode() + line)

    def watch(self) -> None:
        """Sort its answers until it is gone."""
        with os.fdopen(self.replies, "rb") as stream:
            for line in stream:
                answer = json.loads(line)
                if answer["event"] == "error":
                    failure = Failure(answer["failure"]["class"], f"{self.name}: {answer['failure']['message']}",
                                      answer["failure"]["next"])
                    self.report(failure, True)
                else:
                    self.answers.put(answer)
        self.report(ended(self.name, self.process.wait()), False)

    def tell(self, command: bytes) -> None:
        """Send a command. One that is gone is its watcher's business."""
        view = memoryview(command)
        try:
            while view:
                view = view[os.write(self.commands, view) :]
        except BrokenPipeError:
            pass

    def next(self, *events: str) -> dict:
        """Its next answer, which must be one of these."""
        answer = self.answers.get()
        if answer["event"] not in events:
            raise Failure(
                "protocol", f"{self.name} says {answer['event']}, not {' or '.join(events)}", "this is a bug in llem"
            )
        return answer


def ended(name: str, status: int) -> Failure:
    """The failure of a rank that is gone."""
    if status == -signal.SIGKILL:
        return Failure("oom_host", f"{name} was killed",
                       "another process killed it, usually the kernel for lack of memory (see `dmesg | tail`): "
                       "use a smaller model, dtype or batch size")
    how = f"was ended by signal {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
    return Failure("crashed", f"{name} {how}", "its last lines are in the engine log")


class Leader(Group):
    """The ranks, as rank 0 sees them."""

    ranks: list[Rank] = []
    busy = False  # the ranks have something to do: a failure now is the end of all
    fail: Callable[[Failure], None]

    @classmethod
    def start(cls, size: int, fail: Callable[[Failure], None]) -> Leader:
        """Start the other ranks. fail is called on another thread, and does not return if busy."""
        import torch.distributed as dist

        store = dist.TCPStore("127.0.0.1", 0, size, is_master=True, timeout=TIMEOUT, wait_for_workers=False)
        gate = Gate.make(size)
        leader = cls(0, size, store.port, Gate(gate, 0, size))
        leader.store, leader.fail, leader.reports = store, fail, threading.Lock()
        leader.lost = None
        leader.ranks = [Rank({"rank": rank, "size": size, "port": store.port}, gate, leader.report)
                        for rank in range(1, size)]
        os.close(gate)
        return leader

    def report(self, failure: Failure, symptom: bool) -> None:
        """A rank failed: called by its watcher."""
        if symptom:
            time.sleep(SYMPTOM_S)
        with self.reports:
            self.lost = self.lost or failure
            if self.busy:
                for rank in self.ranks:
                    if rank.process.poll() is not None:
                        rank.printer.join(1)
                self.fail(self.lost)

    def tell(self, command: dict) -> None:
        """Have all other ranks do something."""
        with self.reports:
            self.busy = True
            if self.lost:
                raise self.lost
        line = json.dumps(command, separators=(",", ":")).encode() + b"\n"
        for rank in self.ranks:
            rank.tell(line)

    def loaded(self) -> None:
        """Wait until all ranks have loaded."""
        answers = [rank.next("loaded") for rank in self.ranks]
        self.uuids = [uuid for answer in answers for uuid in answer["uuids"]]
        self.busy = False

    def begin(self, workload: dict) -> None:
        """All ranks begin this run."""
        self.tell({"id": 0, "op": "run", "run": workload})

    def cancelled(self, asked) -> bool:
        """Decide for all."""
        return self.gate.lead(asked())

    def total(self, peak: int) -> int:
        """Add the memory of the others."""
        return peak + sum(rank.next("finished")["peak"] for rank in self.ranks)

    def agree(self, digest: int) -> None:
        """All ranks must have chosen the same tokens."""
        others = [rank for rank in self.ranks if rank.next("done")["digest"] != digest]
        self.busy = False
        if others:
            raise Failure(
                "engine_error",
                f"rank 0 and {others[0].name} computed different tokens",
                "use GPUs of one kind (`nvidia-smi -L`); if they are, look for errors with `nvidia-smi -q -d ECC`",
            )

    def stopped(self) -> None:
        """Wait until all ranks have stopped a cancelled run."""
        for rank in self.ranks:
            rank.next("stopped")
        self.busy = False

    def cause(self, failure: Failure) -> Failure:
        """The cause of a failure of rank 0: perhaps another rank, whose watcher then ends this process."""
        if failure.failure_class in SYMPTOMS:
            time.sleep(2 * SYMPTOM_S)
        return self.lost or failure
