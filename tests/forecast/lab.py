"""A lab that is played: users, their kinds of jobs, and what those really take. The clock is a number.

What makes times hard to foretell is all in it: kinds that never ran before, jobs a hundred times as long as
others, repeats that differ by some percent, hiccups of the instrument that double a time, a slow drift of
everything, and jobs that fail or are cancelled on the way.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from qtrl_spool.forecast.kinds import Kind
from qtrl_spool.forecast.learning import Learnt, Ran
from qtrl_spool.forecast.sums import Deviations
from qtrl_spool.forecast.timetable import Runs, Serves, Times, Timetable, Waits

USERS = ("ada", "bob", "eve", "joe", "kim", "lee")
NAMES = ("rabi", "ramsey", "t1", "echo", "spectroscopy", "rb", "tomography", "allxy", "readout", "chevron")


@dataclass
class Job:
    """A job, and what it will really take."""

    job_id: str
    kind: Kind
    lead_s: float
    batches: list[float]
    tail_s: float
    stops_after: int
    start: float = 0.0
    came: float = 0.0

    @property
    def acquires_s(self) -> float:
        return sum(self.batches[: self.stops_after])


@dataclass
class Lab:
    """Makes jobs."""

    random: random.Random
    speeds: dict[str, float] = field(default_factory=dict)
    drift: float = 0.0
    n: int = 0
    known: list[Kind] = field(default_factory=list)

    def job(self) -> Job:
        """Return the next job: mostly one of a kind that ran before, sometimes of a new kind."""
        self.n += 1
        self.drift += -0.02 * self.drift + self.random.gauss(0.0, 0.01)
        if not self.known or self.random.random() < 0.15:
            self.known.append(self._new_kind())
        recent = self.known[-12:] if self.random.random() < 0.7 else self.known
        kind = self.random.choice(recent)
        if self.random.random() < 0.2:
            kind = kind._replace(n_batches=self._n_batches())
        return self._played(kind)

    def _new_kind(self) -> Kind:
        return Kind(
            name=self.random.choice(NAMES),
            user=self.random.choice(USERS),
            n_reps=self.random.choice((50, 100, 250, 500, 1000)),
            n_elements=self.random.choice((1, 11, 21, 51, 101, 201)),
            n_triggers=self.random.choice((1, 1, 2)),
            n_readouts=self.random.choice((1, 1, 2, 4)),
            n_batches=self._n_batches(),
        )

    def _n_batches(self) -> int:
        return min(200, int(self.random.paretovariate(1.1)))

    def _played(self, kind: Kind) -> Job:
        for name, spread in ((kind.name, 0.5), (kind.keys[1], 0.25)):
            self.speeds.setdefault(name, self.random.gauss(0.0, spread))
        log = self.speeds[kind.name] + self.speeds[kind.keys[1]] + self.drift + self.random.gauss(0.0, 0.04)
        if self.random.random() < 0.03:
            log += abs(self.random.gauss(0.5, 0.3))
        shots = kind.n_reps * kind.n_elements * kind.n_triggers
        batch = (0.15 + shots * 300e-6) * math.exp(log)
        batches = [batch * math.exp(self.random.gauss(0.0, 0.03)) for _ in range(kind.n_batches)]
        stops = kind.n_batches if self.random.random() > 0.05 else self.random.randint(1, kind.n_batches)
        lead = 0.05 * math.exp(self.random.gauss(0.0, 0.3)) * (1.0 + kind.n_elements / 100)
        return Job(f"job-{self.n}", kind, lead, batches, 0.5 * math.exp(self.random.gauss(0, 0.3)), stops)


@dataclass
class Day:
    """Jobs that come, and one instrument that runs them in the order in which they came."""

    learnt: Learnt = field(default_factory=Learnt)
    deviations: Deviations = field(default_factory=Deviations)
    free_at: float = 0.0
    waiting: list[Job] = field(default_factory=list)
    running: Job | None = None

    def come(self, now: float, jobs: list[Job]) -> dict[str, Times]:
        """Let jobs come now; return when each of them is told to start, s on the clock of the day."""
        self.run_until(now)
        self.waiting += jobs
        if self.running is None:
            self._next(now)
        told = self._timetable(now)
        return {
            job.job_id: Times(*(now + each for each in told[job.job_id].start))
            for job in jobs
            if job.job_id in told and job is not self.running
        }

    def run_until(self, now: float) -> None:
        """Run what would have run until then."""
        while self.running is not None and self.free_at <= now:
            self._end(self.running)
            self._next(self.free_at)

    def _next(self, now: float) -> None:
        self.running = self.waiting.pop(0) if self.waiting else None
        if self.running is not None:
            self.running.start = now + self.running.lead_s
            self.free_at = self.running.start + self.running.acquires_s
        else:
            self.deviations.forget()

    def _end(self, job: Job) -> None:
        n = job.stops_after
        self.learnt.observe(Ran(job.kind, job.acquires_s / n, job.lead_s, job.tail_s, n / len(job.batches)))
        self.deviations.observe(job.job_id, job.lead_s + job.acquires_s)

    def _timetable(self, now: float) -> dict[str, object]:
        runs = None if self.running is None else self._seen(self.running, now)
        table = Timetable([Serves("lab", runs)], self.learnt, self.deviations)
        return table.play([Waits(job.job_id, job.kind, left=job.kind.n_batches) for job in self.waiting])

    @staticmethod
    def _seen(job: Job, now: float) -> Runs:
        if now < job.start:
            return Runs(job.job_id, job.kind, 0, len(job.batches), None)
        done, last = 0, 0.0
        for each in job.batches[: job.stops_after]:
            if job.start + last + each > now:
                break
            done, last = done + 1, last + each
        return Runs(job.job_id, job.kind, done, len(job.batches), now - job.start, last, done)


def arrivals(random_: random.Random, n: int, per_s: float) -> Iterator[float]:
    """Yield when `n` jobs come, several at once now and then."""
    now = 0.0
    for _ in range(n):
        if random_.random() < 0.6:
            now += random_.expovariate(per_s)
        yield now
