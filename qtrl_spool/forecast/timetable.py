"""The queue played forward: when each job is expected to start and to end, with an interval. Pure.

Each server takes, whenever it is free, the first job in order that it may take. Nobody comes later,
nobody is cancelled: what is said holds for the queue as it is. Jobs that give way to more urgent
ones, and slices among long ones, are not played.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from qtrl_spool.forecast.kinds import Kind
from qtrl_spool.forecast.learning import Expected, Learnt
from qtrl_spool.forecast.sums import Deviations, Item, Sum, item_of

NEVER = math.inf
_PIECE = 100
_WITHIN = 0.1
"""Relative spread of single batches of one job."""
_OVERDUE = 0.2
"""What is left of a batch that takes longer than expected, as a share of what it took already."""


class Waits(NamedTuple):
    """A job that waits.

    Attributes
    ----------
    job_id, kind:
        Which one.
    instrument:
        Which one it wants; None: any.
    left:
        Batches that it has still to acquire.
    not_before:
        When it may start at the earliest, s on the clock of the timetable.
    after:
        The jobs that have to end before, none of which has; of one that is neither given nor running nobody
        knows when it ends, and so of those that wait for it, such as a job that is held.
    """

    job_id: str
    kind: Kind
    instrument: str | None = None
    left: int = 1
    not_before: float = 0.0
    after: tuple[str, ...] = ()


class Runs(NamedTuple):
    """A job that runs.

    Attributes
    ----------
    job_id, kind:
        Which one.
    done, n_batches:
        How many batches were acquired, of how many.
    since:
        For how long it has acquired, s; None if it does not yet.
    last:
        When, since then, its last batch ended, s.
    n_timed:
        Over how many batches that was.
    """

    job_id: str
    kind: Kind
    done: int
    n_batches: int
    since: float | None
    last: float = 0.0
    n_timed: int = 0


class Serves(NamedTuple):
    """A server.

    Attributes
    ----------
    instrument:
        What it drives.
    runs:
        What it runs, if it does.
    takes:
        Whether it takes another job; a paused one only ends what it runs.
    """

    instrument: str
    runs: Runs | None = None
    takes: bool = True


class Times(NamedTuple):
    """When something is expected, s from now: the middle and the ends of the interval of 80 %."""

    middle: float
    low: float
    high: float


class Foretold(NamedTuple):
    """When a job is expected to start and to end."""

    start: Times
    finish: Times


def remaining(runs: Runs, learnt: Learnt) -> Item:
    """Return what is left of a running job, corrected by how it has gone so far."""
    expected = learnt.expected(runs.kind)
    if runs.since is None:
        return item_of(expected, runs.n_batches - runs.done, learnt.early, expected.lead_s)
    batch_s, spread = _corrected(expected, runs)
    waited = max(0.0, runs.since - runs.last)
    left = max((runs.n_batches - runs.done) * batch_s - waited, _OVERDUE * waited)
    if runs.n_timed == 0:
        whole = (runs.n_batches - runs.done) * batch_s
        return Item(left, (whole * expected.alone) ** 2, whole * expected.shared, expected.group)
    return Item(left, (left * spread) ** 2 + (_WITHIN * batch_s) ** 2, 0.0, expected.group)


def _corrected(expected: Expected, runs: Runs) -> tuple[float, float]:
    """Return what a batch of a running job takes, and the relative spread of that.

    What is seen of this job counts the more, the further it is from what was expected: such a job is another.
    """
    if runs.n_timed == 0:
        return expected.batch_s * expected.mean, 0.0
    noise = _WITHIN**2 / runs.n_timed
    seen, guess = math.log(max(runs.last / runs.n_timed, 1e-9)), math.log(expected.batch_s)
    believed = max(expected.shared**2 + expected.alone**2, (seen - guess) ** 2 - noise)
    weight = believed / (believed + noise)
    log = weight * seen + (1.0 - weight) * guess
    return math.exp(log), math.sqrt(weight * noise)


@dataclass(slots=True)
class _Free:
    """When a server is free: at a fixed time, and after a sum of jobs."""

    instrument: str
    floor: float = 0.0
    jobs: Sum = field(default_factory=Sum)

    @property
    def at(self) -> float:
        return self.floor + self.jobs.mean


class _End(NamedTuple):
    """When something is expected to be over."""

    at: float = 0.0
    variance: float = 0.0


class Timetable:
    """Plays a queue forward.

    Parameters
    ----------
    servers:
        Those that take jobs or run one.
    learnt, deviations:
        What is known.
    """

    def __init__(self, servers: Sequence[Serves], learnt: Learnt, deviations: Deviations) -> None:
        self._deviations = deviations
        self._learnt = learnt
        self._early = learnt.early
        free_ones = [_Free(each.instrument) for each in servers]
        self._servers = [free for each, free in zip(servers, free_ones, strict=True) if each.takes]
        self._ends: dict[str, _End] = {}
        self._behind: dict[str, list[tuple[int, Waits]]] = {}
        self._parked: list[tuple[float, int, Waits, _End]] = []
        self._told: dict[str, Foretold] = {}
        for each, free in zip(servers, free_ones, strict=True):
            if each.runs is not None:
                self._run(each.runs, free)

    def _run(self, runs: Runs, free: _Free) -> None:
        expected = self._learnt.expected(runs.kind)
        since = self._times(_Free(""), expected.lead_s)
        if runs.since is not None:
            since = Times(-runs.since, -runs.since, -runs.since)
        free.jobs.add(remaining(runs, self._learnt))
        self._tell(runs.job_id, since, free, expected.tail_s)

    # ------------------------------------------------------------ play

    def play(self, waiting: Sequence[Waits]) -> dict[str, Foretold]:
        """Play all waiting jobs, given in their order; return what is expected."""
        told: dict[str, Foretold] = {}
        for some in self.played(waiting):
            told |= some
        return told

    def played(self, waiting: Iterable[Waits]) -> Iterator[dict[str, Foretold]]:
        """Play them a few at a time, and return what is expected of those."""
        for order, job in enumerate(waiting):
            if self._parked:
                self._let_in()
            self._put(order, job)
            if len(self._told) >= _PIECE:
                yield self._take()
        while self._parked:
            _, _, job, end = heapq.heappop(self._parked)
            self._start(job, end)
        yield self._take()

    def _take(self) -> dict[str, Foretold]:
        told, self._told = self._told, {}
        return told

    def _put(self, order: int, job: Waits) -> None:
        end = _End(job.not_before)
        for each in job.after:
            if each in self._ends:
                end = max(end, self._ends[each])
            else:
                self._behind.setdefault(each, []).append((order, job))
                return
        free = self._first_free(job)
        if free is not None and end.at > free.at:
            heapq.heappush(self._parked, (end.at, order, job, end))
        elif free is not None:
            self._start(job, end)

    def _let_in(self) -> None:
        """Start those that had to wait for something which will have come by then."""
        while self._parked:
            at, _, job, end = self._parked[0]
            free = self._first_free(job)
            if free is None or at > free.at:
                return
            heapq.heappop(self._parked)
            self._start(job, end)

    def _first_free(self, job: Waits) -> _Free | None:
        if len(self._servers) == 1 and job.instrument is None:
            return self._servers[0]
        fitting = [each for each in self._servers if job.instrument in (None, each.instrument)]
        return min(fitting, key=_at, default=None)

    def _start(self, job: Waits, end: _End) -> None:
        free = self._first_free(job)
        if free is None:
            return
        if end.at > free.at:
            free.floor, free.jobs = end.at, Sum()
            free.jobs.add(Item(0.0, end.variance, 0.0, ""))
        expected = self._learnt.expected(job.kind)
        start = self._times(free, expected.lead_s)
        item = item_of(expected, job.left, self._early, expected.lead_s)
        self._deviations.expect(job.job_id, item)
        free.jobs.add(item)
        self._tell(job.job_id, start, free, expected.tail_s)

    def _tell(self, job_id: str, start: Times, free: _Free, tail_s: float) -> None:
        self._told[job_id] = Foretold(start, self._times(free, tail_s))
        self._ends[job_id] = _End(free.at + tail_s, free.jobs.spread**2)
        for order, job in self._behind.pop(job_id, ()):
            self._put(order, job)

    def _times(self, free: _Free, more_s: float) -> Times:
        """Return when a server is free and has done something short besides."""
        low, middle, high = self._deviations.interval(free.jobs, more_s)
        floor = free.floor
        return Times(floor + max(0.0, middle), floor + max(0.0, low), floor + max(0.0, high))


def _at(free: _Free) -> float:
    return free.at
