"""How far off sums of expected times were: the spread of a start is that of all that runs before. Pure.

Errors of one kind of jobs are shared by all that wait (five scans of a kind that never ran are all longer
or all shorter than expected), others are each job's own. `Sum` adds both up. How wide the
interval then has to be is not believed but counted: whenever a job ends, the last 1, 2, 4, … jobs
together are compared with what was expected of them when they were first seen waiting, and of the
deviations, in units of the spread, the middle 80 % is the interval.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

from qtrl_spool.forecast.learning import Expected, numbers

INTERVAL = 0.8
LENGTHS = (1, 2, 4, 8, 16, 32, 64)
_MOST_DEVIATIONS = 100
_MOST_FIRST = 5_000
_FAR = 20.0
_SHORT = 0.5
"""Relative spread of leads and tails."""
_COMMON = 0.05
"""Relative spread that all jobs have in common: a slow drift of the laboratory."""
_FIRST = [1.1 * NormalDist().inv_cdf((n + 0.5) / 10) for n in range(10)]
"""Deviations that are taken for seen before anything was: those of honest errors, and a little more."""


class Item(NamedTuple):
    """What a job is expected to take of its server's time.

    Attributes
    ----------
    mean:
        s.
    alone:
        Variance of its own, s².
    shared:
        Standard deviation that it shares with its group, s.
    group:
        Which that is.
    """

    mean: float
    alone: float
    shared: float
    group: str


def item_of(expected: Expected, n_batches: float, early: tuple[float, float], lead_s: float = 0.0) -> Item:
    """Return what a job with so many batches left takes, some of which end early."""
    share, reached = early
    whole = n_batches * expected.batch_s * expected.mean
    mean = whole * (1.0 - share * (1.0 - reached))
    ends_early = share * (1.0 - share) * (whole * (1.0 - reached)) ** 2
    alone = (whole * expected.alone) ** 2 + ends_early
    return Item(mean + lead_s, alone, whole * expected.shared, expected.group)


@dataclass(slots=True)
class Sum:
    """What several jobs take one after another.

    Attributes
    ----------
    mean:
        Of all of them, s.
    n:
        How many they are.
    """

    mean: float = 0.0
    n: int = 0
    _alone: float = 0.0
    _shared: float = 0.0
    _groups: dict[str, float] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        """Add one more job."""
        self.mean += item.mean
        self.n += 1
        self._alone += item.alone
        before = self._groups.get(item.group, 0.0)
        self._groups[item.group] = before + item.shared
        self._shared += item.shared * (2.0 * before + item.shared)

    @property
    def spread(self) -> float:
        """Standard deviation, s."""
        return math.sqrt(self._alone + self._shared + (_COMMON * self.mean) ** 2)


class Deviations:
    """What was seen of sums, in units of the spread that was expected."""

    def __init__(self) -> None:
        self._first: OrderedDict[str, Item] = OrderedDict()
        self._ended: deque[tuple[Item, float]] = deque(maxlen=LENGTHS[-1])
        self._seen: list[deque[float]] = [deque(maxlen=_MOST_DEVIATIONS) for _ in LENGTHS]
        self._n_ended = 0
        self._factors: list[tuple[float, float, float]] | None = None

    def expect(self, job_id: str, item: Item) -> None:
        """Remember what is expected of a job, if it is the first time."""
        if job_id not in self._first:
            self._first[job_id] = item
            if len(self._first) > _MOST_FIRST:
                self._first.popitem(last=False)

    def observe(self, job_id: str, took_s: float) -> None:
        """Compare a job that ended, and the last ones together, with what was expected of them."""
        item = self._first.pop(job_id, None)
        if item is None:
            return
        self._ended.append((item, took_s))
        self._n_ended += 1
        self._factors = None
        total, actual = Sum(), 0.0
        for n, (each, took) in enumerate(reversed(self._ended), start=1):
            total.add(each)
            actual += took
            if n in LENGTHS and self._n_ended % n == 0:
                deviation = (actual - total.mean) / max(total.spread, 1e-6)
                self._seen[LENGTHS.index(n)].append(max(-_FAR, min(_FAR, deviation)))

    def forget(self) -> None:
        """End the row of jobs: the server stood still, or a job was taken back."""
        self._ended.clear()
        self._n_ended = 0

    def interval(self, total: Sum, more_s: float) -> tuple[float, float, float]:
        """Return the low end, the middle and the high end of what jobs and something short take, s."""
        if self._factors is None:
            self._factors = self._counted()
        low, middle, high = self._factors[min(total.n, LENGTHS[-1])]
        mean, spread = total.mean + more_s, math.hypot(total.spread, _SHORT * more_s)
        return mean + low * spread, mean + middle * spread, mean + high * spread

    def _counted(self) -> list[tuple[float, float, float]]:
        """Return the ends and the middle of the interval, in units of the spread, for 0, 1, … jobs."""
        known = [_middle([*_FIRST, *each]) for each in self._seen]
        return [_between(known, math.log2(max(n, 1))) for n in range(LENGTHS[-1] + 1)]

    # ------------------------------------------------------------ keep

    def to_dict(self) -> dict[str, Any]:
        """Return the deviations as JSON can hold them."""
        return {
            str(n): [float(f"{z:.4g}") for z in seen] for n, seen in zip(LENGTHS, self._seen, strict=True)
        }


def deviations_from(document: object) -> Deviations:
    """Return what `Deviations.to_dict` returned once; what in it cannot be is left out."""
    found = Deviations()
    told: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    for n, seen in zip(LENGTHS, found._seen, strict=True):
        seen.extend(each for each in numbers(told.get(str(n))) if abs(each) <= _FAR)
    return found


def _between(known: list[tuple[float, float, float]], at: float) -> tuple[float, float, float]:
    below = min(int(at), len(known) - 1)
    above = min(below + 1, len(known) - 1)
    pairs = zip(known[below], known[above], strict=True)
    low, middle, high = (a + (at - below) * (b - a) for a, b in pairs)
    return low, middle, high


def _middle(deviations: list[float]) -> tuple[float, float, float]:
    """Return the ends and the middle of the middle 80 %."""
    ordered = sorted(deviations)
    tail = (1.0 - INTERVAL) / 2.0
    return _quantile(ordered, tail), _quantile(ordered, 0.5), _quantile(ordered, 1.0 - tail)


def _quantile(ordered: list[float], share: float) -> float:
    at = share * (len(ordered) + 1) - 1.0
    below = min(max(math.floor(at), 0), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + min(max(at - below, 0.0), 1.0) * (ordered[above] - ordered[below])
