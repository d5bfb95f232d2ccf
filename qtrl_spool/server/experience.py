"""What this server sees of the jobs that it runs, and what it learns from that about their times.

Every report of the stages is noted at the moment at which it is made, on the thread that makes it, and
taken in on the main loop. What was learnt is kept in ``servers/<name>.timings.json``: small, replaced
whole, and believed only as far as it is numbers of a possible size; without it all is learnt anew.

Called by ``board``; `foresight` asks it. Fails: `StorageError` of the file, which nothing but the next
`save` depends on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool import fs
from qtrl_spool.forecast.kinds import kind_of
from qtrl_spool.forecast.learning import Learnt, Ran, learnt_from
from qtrl_spool.forecast.sums import Deviations, deviations_from
from qtrl_spool.forecast.timetable import Runs
from qtrl_spool.job import State
from qtrl_spool.server import orders
from qtrl_spool.spool.layout import Layout

FORMAT = "qtrl-timings/1"
_SAVED_EVERY_S = 10.0
_MOST_RUNS = 16
_MOST_SEEN = 20_000
_HEARD = (
    orders.Begun,
    orders.Batch,
    orders.Acquired,
    orders.Halted,
    orders.Failed,
    orders.Finished,
    orders.Kept,
)


@dataclass
class _Run:
    """What was seen of a job; times in s by the monotonic clock of this server."""

    began: float
    first: int
    n_batches: int
    lead_s: float | None
    last: float
    done: int
    ended: float | None = None


class Experience:
    """Learns for one server.

    Parameters
    ----------
    layout, server:
        The spool, and this server's name.
    clock:
        Tells monotonic time, s.
    """

    def __init__(self, layout: Layout, server: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = layout.timings(server)
        self._clock = clock
        document = fs.read_json(self._path) or {}
        known = document if document.get("format") == FORMAT else {}
        self.learnt: Learnt = learnt_from(known)
        self.deviations: Deviations = deviations_from(known.get("deviations"))
        self.n_heard = 0
        """Grows with every report that was taken in."""
        self._heard: deque[tuple[float, Any, int]] = deque()
        self._runs: dict[str, _Run] = {}
        self._free_at = clock()
        self._seen_at: dict[str, float] = {}
        self._saved_at = float("-inf")
        self._saved = 0

    # ------------------------------------------------------------ learn

    def hear(self, report: orders.Report) -> None:
        """Take note of a report of a stage, and of when it came; any thread may."""
        if isinstance(report, _HEARD):
            execution = getattr(report, "execution", None)
            self._heard.append((self._clock(), report, 0 if execution is None else execution.data.n_batches))

    def wait(self, job_id: str) -> None:
        """Take note that a job waits, if it was not known to."""
        if job_id not in self._seen_at:
            self._seen_at[job_id] = self._clock()
            if len(self._seen_at) > _MOST_SEEN:
                del self._seen_at[next(iter(self._seen_at))]

    def learn(self, record_of: Callable[[str], Mapping[str, Any]]) -> None:
        """Take in what was heard since; `record_of` returns the status record of a job."""
        while self._heard:
            at, report, done = self._heard.popleft()
            self.n_heard += 1
            self._take(at, report, done, record_of)

    def _take(self, at: float, report: Any, done: int, record_of: Callable[[str], Mapping[str, Any]]) -> None:
        job_id = report.order.job_id
        run = self._runs.get(job_id)
        if isinstance(report, orders.Begun):
            self._begin(job_id, at, done, report.execution.n_batches)
        elif run is None:
            return
        elif isinstance(report, orders.Batch):
            run.last, run.done = at, report.batch
        elif isinstance(report, orders.Finished | orders.Kept):
            del self._runs[job_id]
            self._conclude(job_id, run, at, record_of(job_id))
        elif run.ended is None:
            run.ended = self._free_at = at

    def _begin(self, job_id: str, at: float, first: int, n_batches: int) -> None:
        """Note that a job acquires; what it took to come to that is known if it waited for the instrument."""
        waited = self._seen_at.pop(job_id, at) < self._free_at
        lead = at - self._free_at if waited else None
        self._runs[job_id] = _Run(at, first, n_batches, lead, at, first)
        for old in list(self._runs)[:-_MOST_RUNS]:
            del self._runs[old]

    def _conclude(self, job_id: str, run: _Run, at: float, record: Mapping[str, Any]) -> None:
        timed, ended = run.done - run.first, at if run.ended is None else run.ended
        state = State(record["state"])
        fell_short = state in {State.FAILED, State.CANCELLED} and run.done < run.n_batches
        ran = Ran(
            kind_of(record),
            batch_s=(run.last - run.began) / timed if timed > 0 else None,
            lead_s=run.lead_s,
            tail_s=at - ended if state is State.DONE else None,
            fraction=run.done / run.n_batches if fell_short else 1.0,
        )
        self.learnt.observe(ran)
        if run.first == 0 and run.lead_s is not None and state.final:
            self.deviations.observe(job_id, run.lead_s + ended - run.began)

    # ------------------------------------------------------------ what runs, and what is kept

    def runs(self, job_id: str, record: Mapping[str, Any]) -> Runs | None:
        """Return how far a job of this server is that acquires; None if it has not begun, or has ended."""
        run = self._runs.get(job_id)
        if run is None or run.ended is not None:
            return None
        since = self._clock() - run.began
        timed = run.done - run.first
        return Runs(job_id, kind_of(record), run.done, run.n_batches, since, run.last - run.began, timed)

    def has_acquired(self, job_id: str) -> bool:
        """Return whether a job of this server is being written: the instrument is free of it."""
        run = self._runs.get(job_id)
        return run is not None and run.ended is not None

    def save(self, *, at_once: bool = False) -> None:
        """Keep what was learnt, now and then."""
        now = self._clock()
        if self.learnt.version == self._saved or (now - self._saved_at < _SAVED_EVERY_S and not at_once):
            return
        document = {"format": FORMAT, **self.learnt.to_dict(), "deviations": self.deviations.to_dict()}
        fs.replace_json(self._path, document, durable=False)
        self._saved, self._saved_at = self.learnt.version, now
