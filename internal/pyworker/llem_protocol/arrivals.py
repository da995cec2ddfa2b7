"""When each request of a run comes: all at once, at its time, or after the answer before it.

A request moves from left to right:

    later ──the answer that it continues──▶ due ──its time, and a free client──▶ taken

The loop of an engine asks between two steps what has come, and sleeps in a pause. Times
are nanoseconds of CLOCK_MONOTONIC, and each is computed from the start of the run, so
that delays do not add up.
"""

from __future__ import annotations

import bisect
import dataclasses
import gc
import time
from collections.abc import Callable

CUT_FAILURE = "cut: the time after the last arrival is over"
# A pause is slept in parts: a cancel must be seen, and the parent must hear of the worker.
NAP_NS, BEAT_NS = 200_000_000, 1_000_000_000
# Collecting garbage takes milliseconds: there is time for it in a longer pause.
TIDY_NS = 500_000_000


@dataclasses.dataclass
class Arrival:
    """One request and its times. arrived_ns is 0 if it comes with its whole round."""

    id: int
    tokens: list[int]  # with the whole history of its conversation
    output: int
    at_ns: int = 0
    arrived_ns: int = 0
    submitted_ns: int = 0
    capped: bool = False
    continues: bool = False  # another request

    def times(self) -> dict:
        """Its part of an entry of the request log."""
        stamps = {"submitted_ns": self.submitted_ns}
        if self.arrived_ns:
            stamps["arrived_ns"] = self.arrived_ns
        if self.capped:
            stamps["capped"] = True
        return stamps

    def cut(self, at_ns: int, token_ns: list[int], output: list[int], computed: int, begun_ns: int = 0) -> dict:
        """The entry of a request that was cut off, with what it has got so far."""
        return {"id": self.id, **self.times(), "started_ns": begun_ns, "prefill_start_ns": begun_ns or at_ns,
                "first_token_ns": token_ns[0] if token_ns else 0, "end_ns": at_ns, "token_ns": token_ns,
                "prompt_tokens": len(self.tokens), "prompt_computed": computed, "output_tokens": len(output),
                "finish_reason": "", "ok": False, "cut": True, "failure": CUT_FAILURE, "output": output}


class Schedule:
    """What of a workload has come, and what is still to come."""

    def __init__(self, workload: dict, start_ns: int) -> None:
        requests, output = workload["requests"], workload["output_tokens"]
        self.start_ns, self.open = start_ns, bool(workload.get("open"))
        self.cut_ns = 0
        if self.open and workload.get("drain_ns"):
            last = max((request.get("due_ns") or 0 for request in requests), default=0)
            self.cut_ns = start_ns + last + workload["drain_ns"]
        size = 0 if self.open else workload.get("round") or 0
        size = size or max(1, len(requests))
        self.rounds = [requests[first : first + size] for first in range(0, len(requests), size)]
        self.output = output
        self.most = workload.get("concurrency") or 0
        self.waits = any(request.get("after") is not None for request in requests)
        self.due: list[Arrival] = []
        self.later: dict[int, list[tuple[Arrival, int]]] = {}
        self.slots: list[int] = []
        self.in_flight: dict[int, Arrival] = {}
        self.begin(start_ns)

    def begin(self, at_ns: int) -> None:
        """Begin the next round."""
        requests = self.rounds.pop(0)
        if self.most:
            self.slots = [at_ns] * min(self.most, len(requests))
        for request in requests:
            arrival = Arrival(request["id"], request["tokens"], request.get("output") or self.output,
                              at_ns + (request.get("due_ns") or 0 if self.open else 0))
            if request.get("after") is None:
                self.due.append(arrival)
            else:
                arrival.continues = True
                self.later.setdefault(request["after"], []).append((arrival, request.get("wait_ns") or 0))
        self.due.sort(key=lambda arrival: arrival.at_ns)

    @property
    def left(self) -> bool:
        """Whether something is still to come, or under way."""
        return bool(self.due or self.later or self.in_flight or self.rounds)

    def take(self, now_ns: int, woken: bool = False) -> list[Arrival]:
        """The requests that have come.

        One that fell due while the engine was at work has been in its queue since then.
        One that ended a pause was there when the engine woke up, and one that waited for
        a free client when this has been seen.
        """
        if not (self.due or self.later or self.in_flight) and self.rounds:
            self.begin(now_ns)
        found = []
        while self.due and self.due[0].at_ns <= now_ns and (not self.most or self.slots):
            arrival = self.due.pop(self.first(now_ns))
            free_ns = self.slots.pop(0) if self.most else 0
            arrival.capped = self.open and free_ns > arrival.at_ns
            if self.open:
                arrival.arrived_ns = arrival.at_ns
            elif self.most or self.waits:
                arrival.arrived_ns = max(arrival.at_ns, free_ns)
            in_queue = self.open and not woken and not arrival.capped
            arrival.submitted_ns = arrival.at_ns if in_queue else now_ns
            self.in_flight[arrival.id] = arrival
            found.append(arrival)
        return found

    def first(self, now_ns: int) -> int:
        """The place of the request that goes next.

        The first one that is due, or in a closed loop the first one that continues another:
        a client ends a conversation before it begins one.
        """
        if self.open or not (self.most and self.waits):
            return 0
        for place, arrival in enumerate(self.due):
            if arrival.at_ns > now_ns:
                break
            if arrival.continues:
                return place
        return 0

    def end(self, request_id: int, end_ns: int, output: list[int]) -> None:
        """An answer is whole: a client is free, and requests that continue it are due."""
        done = self.in_flight.pop(request_id)
        if self.most:
            self.slots.append(end_ns)
        for arrival, wait_ns in self.later.pop(request_id, ()):
            arrival.tokens = done.tokens + output + arrival.tokens
            arrival.at_ns = max(arrival.at_ns, end_ns + wait_ns)
            bisect.insort_right(self.due, arrival, key=lambda other: other.at_ns)

    def over(self, now_ns: int) -> bool:
        """Whether the time of the run has come to its end."""
        return bool(self.cut_ns) and now_ns >= self.cut_ns

    def unsent(self, at_ns: int) -> list[dict]:
        """The entries of requests that did not come before the end of the run."""
        waiting = self.due + [arrival for later in self.later.values() for arrival, _ in later]
        for arrival in waiting:
            arrival.submitted_ns = at_ns
            arrival.arrived_ns = min(at_ns, arrival.at_ns)
        return [arrival.cut(at_ns, [], [], 0) for arrival in waiting]

    def rest(self, cancelled: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Sleep until the next request is due. It ends earlier if the run is cancelled or over."""
        until = min([arrival.at_ns for arrival in self.due[:1]] + [self.cut_ns] * bool(self.cut_ns))
        told = now = time.monotonic_ns()
        if until - now > TIDY_NS:
            gc.collect()
        while (now := time.monotonic_ns()) < until and not cancelled():
            time.sleep(min(until - now, NAP_NS) / 1e9)
            if now - told >= BEAT_NS:
                told = now
                beat()
