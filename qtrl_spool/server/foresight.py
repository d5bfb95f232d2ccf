"""When jobs are expected to start and to end, as ``queue.json`` tells it: the queue played forward.

The near end of the queue is played whenever something has changed. All of a long one takes long (100,000
jobs some seconds), so it is played a little with each look and begun again after a rest: what is told of its
far end is up to a minute old, of 100,000 jobs some minutes. A time that moved by less than people would
notice stays as it was told.

Called by ``board``. Reads nothing: `experience` knows what jobs took. Known limits: slices among long jobs
are not foreseen, nor what nobody knows yet, such as more urgent jobs. Of a job that another
server runs only its status is known.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from qtrl_spool.forecast.kinds import kind_of
from qtrl_spool.forecast.timetable import Foretold, Runs, Serves, Times, Timetable, Waits
from qtrl_spool.server.experience import Experience
from qtrl_spool.server.roll import Roll
from qtrl_spool.spool.eligible import Facts, moment, stopped_by
from qtrl_spool.spool.snapshot import NO_ETAS, etas
from qtrl_spool.spool.tickets import Place, turn

NEAR = 300
_SHARE = 50.0
_AGAIN_S = 5.0
_LITTLE_S, _LITTLE_EACH_S = 0.01, 1e-6
"""For how long the whole queue is played with one look, s: at least, and for each job in it."""
_EVERY_S = 0.9
_SAME_SHARE, _SAME_S = 0.02, 0.3


class Seen(NamedTuple):
    """The queue as a server sees it.

    Attributes
    ----------
    waiting:
        The tickets in their order.
    running:
        The claimed tickets, with the records of their jobs.
    facts:
        Who takes jobs.
    version:
        Differs when the queue does.
    """

    waiting: Sequence[Place]
    running: Sequence[tuple[Place, Mapping[str, Any]]]
    facts: Facts
    version: object


class Foresight:
    """Foretells for one server.

    Parameters
    ----------
    server:
        Its name.
    experience, roll:
        What it knows.
    preempts:
        Whether a job of that priority makes a less urgent one give way.
    clock, wall, busy:
        Tell monotonic time, the time of day, and for how long this thread has kept a core busy, s.
    """

    def __init__(
        self,
        server: str,
        experience: Experience,
        roll: Roll,
        preempts: Callable[[int], bool] = lambda priority: False,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        busy: Callable[[], float] = time.thread_time,
    ) -> None:
        self._server = server
        self._experience = experience
        self._roll = roll
        self._preempts = preempts
        self._clock, self._wall, self._busy = clock, wall, busy
        self._told: dict[str, tuple[Foretold, str]] = {}
        self._about: object = None
        self._played_at = self._whole_at = self._on_at = float("-inf")
        self._whole: Iterator[dict[str, Foretold]] | None = None
        self._whole_s = 0.0
        self._near: set[str] = set()
        self._far: set[str] = set()
        self._takers: object = None
        self._changed: set[str] = set()
        self.version = 0
        """Grows when anything is told anew."""

    def etas(self, job_id: str) -> str:
        """Return when a job is expected to start and to end, as part of its line in ``queue.json``."""
        known = self._told.get(job_id)
        return NO_ETAS if known is None else known[1]

    def take_changed(self) -> set[str]:
        """Return the jobs of which something else is told than when this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def look(self, seen: Seen) -> None:
        """Play the queue forward if something has changed, and a long one a little further."""
        self._look_near(seen)
        if self._whole is not None and self._clock() >= self._on_at:
            self._on_at = self._clock() + _EVERY_S
            self._go_on(seen)

    def _look_near(self, seen: Seen) -> None:
        about, now = (
            (seen.version, self._experience.n_heard, seen.facts.servers, seen.facts.pauses),
            self._clock(),
        )
        if about == self._about and now - self._played_at < _AGAIN_S:
            return
        near = seen.waiting[:NEAR]
        self._near = {job_id for told in self._played(seen, near) for job_id in self._tell(told)}
        self._forget(place.ticket.job_id for place in near if place.ticket.job_id not in self._near)
        self._about, self._played_at = about, now
        if len(seen.waiting) <= NEAR:
            self._forget(self._told.keys() - self._near)
            self._whole = None
            return
        takers = seen.facts.servers, seen.facts.pauses
        if takers != self._takers or (self._whole is None and now >= self._whole_at):
            self._whole, self._whole_s, self._takers = self._played(seen, list(seen.waiting)), 0.0, takers
            self._far = set()

    def _go_on(self, seen: Seen) -> None:
        """Play the whole queue a little further."""
        began, most = self._busy(), max(_LITTLE_S, _LITTLE_EACH_S * len(seen.waiting))
        while self._whole is not None and self._busy() - began < most:
            told = next(self._whole, None)
            if told is None:
                self._forget(self._told.keys() - self._far - self._near)
                self._whole, self._whole_at = None, self._clock() + _SHARE * self._whole_s
            else:
                self._far.update(self._tell(told))
        self._whole_s += self._busy() - began

    # ------------------------------------------------------------ play

    def _played(self, seen: Seen, waiting: Sequence[Place]) -> Iterator[dict[str, Foretold]]:
        """Play these jobs, a few at a time; return when they start and end, s since 1970."""
        wall = self._wall()
        jobs: Iterable[Waits] = (self._waits(place, seen.facts, wall) for place in waiting)
        serves, learnt = [], self._experience.learnt
        running = {place.server: (place, record) for place, record in seen.running if self._acquires(place)}
        for name, instrument in seen.facts.servers.items():
            runs = self._runs(*running[name], wall) if name in running else None
            if runs is not None and runs.n_timed:
                learnt = learnt.supposing(runs.kind, runs.last / runs.n_timed)
            takes = stopped_by(seen.facts.pauses, [name]) is None
            if runs is not None and takes and self._gives_way(running[name][0], waiting):
                jobs = _put_back(jobs, waiting, running[name][0], runs)
                runs = runs._replace(n_batches=min(runs.done + 1, runs.n_batches))
            serves.append(Serves(instrument, runs, takes))
        table = Timetable(serves, learnt, self._experience.deviations)
        for told in table.played(jobs):
            yield {job_id: _at(wall, each) for job_id, each in told.items()}

    def _waits(self, place: Place, facts: Facts, wall: float) -> Waits:
        self._experience.wait(place.ticket.job_id)
        job = self._roll.known(place)
        wanted = job.facts.get("instrument")
        times = [job.facts[key] for key in ("not_before", "retry_at") if key in job.facts]
        return Waits(
            place.ticket.job_id,
            job.kind,
            facts.servers.get(wanted, wanted) if wanted is not None else None,
            max(1, job.kind.n_batches - job.done),
            max((moment(each).timestamp() - wall for each in times), default=0.0),
            tuple(each for each in job.facts.get("after") or () if self._holds_up(each, facts)),
        )

    def _holds_up(self, job_id: str, facts: Facts) -> bool:
        """Return whether a job has still to run, or to be run to its end, before those that wait for it."""
        return facts.is_open(job_id) and not self._experience.has_acquired(job_id)

    def _acquires(self, place: Place) -> bool:
        return not self._experience.has_acquired(place.ticket.job_id)

    def _runs(self, place: Place, record: Mapping[str, Any], wall: float) -> Runs:
        known = self._experience.runs(place.ticket.job_id, record)
        return known or told_runs(place.ticket.job_id, record, wall)

    def _gives_way(self, place: Place, waiting: Sequence[Place]) -> bool:
        """Return whether a running job will make way for the first one that waits."""
        if not waiting:
            return False
        first = waiting[0].ticket.priority
        return first < place.ticket.priority and self._preempts(first)

    # ------------------------------------------------------------ tell

    def _tell(self, foretold: Mapping[str, Foretold]) -> Iterable[str]:
        """Note what is expected of some jobs, and return their ids."""
        wall = self._wall()
        for job_id, new in foretold.items():
            known = self._told.get(job_id)
            if known is None or not _is_same(known[0], new, wall):
                self._told[job_id] = new, etas(new)
                self._changed.add(job_id)
                self.version += 1
        return foretold.keys()

    def _forget(self, jobs: Iterable[str]) -> None:
        for job_id in jobs:
            if self._told.pop(job_id, None) is not None:
                self._changed.add(job_id)
                self.version += 1


def _at(wall: float, told: Foretold) -> Foretold:
    """Return times from now as times since 1970, s."""
    (a, b, c), (d, e, f) = told
    return Foretold(Times(wall + a, wall + b, wall + c), Times(wall + d, wall + e, wall + f))


def told_runs(job_id: str, record: Mapping[str, Any], wall: float) -> Runs:
    """Return how far a job is that another server runs, by its status; the time of day is `wall`, s."""
    progress, kind = record["progress"], kind_of(record)
    done = int(progress.get("batch") or 0)
    started, updated = (_seconds(record.get(key)) for key in ("started", "updated"))
    if record.get("phase") != "acquiring" or started is None or updated is None:
        return Runs(job_id, kind, done, kind.n_batches, None)
    last = max(0.0, updated - started)
    return Runs(job_id, kind, done, kind.n_batches, max(last, wall - started), last if done else 0.0, done)


def _seconds(time: object) -> float | None:
    return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else None


def _put_back(jobs: Iterable[Waits], waiting: Sequence[Place], place: Place, runs: Runs) -> Iterator[Waits]:
    """Return the jobs with one among them, in its turn, that will pause after its batch."""
    left, jobs = runs.n_batches - runs.done - 1, iter(jobs)
    if left > 0:
        yield from islice(jobs, bisect_right(waiting, turn(place), key=turn))
        yield Waits(runs.job_id, runs.kind, None, left)
    yield from jobs


def _is_same(known: Foretold, new: Foretold, wall: float) -> bool:
    """Return whether nobody would notice the difference."""
    allowed = _SAME_S + _SAME_SHARE * max(0.0, new.start.middle - wall)
    (a, b, c), (d, e, f) = known.start, new.start
    if abs(a - d) > allowed or abs(b - e) > allowed or abs(c - f) > allowed:
        return False
    allowed = _SAME_S + _SAME_SHARE * max(0.0, new.finish.middle - wall)
    (a, b, c), (d, e, f) = known.finish, new.finish
    return abs(a - d) <= allowed and abs(b - e) <= allowed and abs(c - f) <= allowed
