"""Which step the ranks may begin, in memory that they share.

Every rank asks before each step. Rank 0 answers by itself and says so in one word; the
others wait for it. So a cancel stops all of them before the same step: one that went on
alone would wait for the others in a collective operation for ever. No message is
sent and no device is involved.
"""

from __future__ import annotations

import mmap
import os
import time

WORD = 8
GO, STOP, ARRIVED = 0, 1, 2
# A rank looks for so long before it sleeps in between: ranks are microseconds apart.
SPIN_NS, NAP_S = 300_000, 20e-6


class Gate:
    """One rank's view: the step that may begin, the one that may not, and who is there."""

    def __init__(self, fd: int, rank: int, size: int) -> None:
        self.words = memoryview(mmap.mmap(fd, WORD * (ARRIVED + size))).cast("q")
        self.rank, self.size = rank, size
        self.steps = self.meetings = 0

    @staticmethod
    def make(size: int) -> int:
        """The descriptor of a new gate for so many ranks."""
        fd = os.memfd_create("llem-gate")
        os.truncate(fd, WORD * (ARRIVED + size))
        return fd

    def lead(self, cancelled: bool) -> bool:
        """Rank 0 lets all ranks begin the next step, or none. Returns cancelled."""
        self.steps += 1
        self.words[STOP if cancelled else GO] = self.steps
        return cancelled

    def follow(self) -> bool:
        """Wait for rank 0's word on the next step. Returns whether there is none."""
        self.steps += 1
        wait(lambda: self.words[GO] >= self.steps or self.words[STOP] == self.steps)
        return self.words[STOP] == self.steps

    def meet(self) -> None:
        """Announce this rank; rank 0 waits for all."""
        self.meetings += 1
        self.words[ARRIVED + self.rank] = self.meetings
        if self.rank == 0:
            wait(lambda: min(self.words[ARRIVED : ARRIVED + self.size]) >= self.meetings)


def wait(reached) -> None:
    """Poll until the condition holds."""
    began = time.monotonic_ns()
    while not reached():
        if time.monotonic_ns() - began > SPIN_NS:
            time.sleep(NAP_S)
