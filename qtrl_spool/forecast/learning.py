"""What jobs took, so that it can be said what like ones will take, and how far off that may be. Pure.

Learnt of every job that ran, as logarithms of ratios to a first guess: what a batch took; the *lead*, from
when the instrument was free for it until it acquired; the *tail*, from its last batch until it was
published. Of jobs that ended early: how often, and how far they had come.

An expectation is drawn from the general to the special: that of all jobs is corrected by those of the
same name, this one by those of the same shape, and this one by those of the same user. Older
observations fade. Before an observation is taken in, it is compared with what was expected: these errors,
kept apart by how much was known, are the spread that is stated with the next expectation. So it is as
wide as one was wrong, not as one believes.

Small and bounded. `Learnt.to_dict` is what a server keeps in a file; `learnt_from` believes nothing in it
that is no number of a possible size.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from qtrl_spool.forecast.kinds import Kind
from qtrl_spool.forecast.sizes import Sizes, sizes_from

MOST_KEYS = 500
MOST_ERRORS = 80
N_LEVELS = 5
_FADES_TO, _EARLY_FADES_TO = 12.0, 100.0
_HOLD = 0.5
_CLIP, _LARGEST = 2.5, 30.0
_FIRST_SPREAD = (1.0, 0.7, 0.25, 0.2, 0.12)
_FIRST_WEIGHT = 4.0
_FIRST_EARLY, _EARLY_WEIGHT = 0.03, 10.0
_LEAD_S, _TAIL_S = 0.1, 0.2
_BATCH, _LEAD, _TAIL = "batch", "lead", "tail"


class Tally(NamedTuple):
    """A mean of observations of which older ones fade.

    Attributes
    ----------
    n:
        How many observations it stands for.
    mean:
        Of them.
    """

    n: float = 0.0
    mean: float = 0.0

    def with_one(self, value: float, fades_to: float = _FADES_TO) -> Tally:
        """Return the tally with one more observation."""
        n = min(self.n + 1.0, fades_to)
        return Tally(n, self.mean + (value - self.mean) / n)


@dataclass(frozen=True)
class Ran:
    """What was seen of a job that ran; what is None was not seen.

    Attributes
    ----------
    kind:
        Of the job.
    batch_s:
        What one of its batches took, on the average, s.
    lead_s:
        From when the instrument was free for it until it acquired, s.
    tail_s:
        From its last batch until it was published, s.
    fraction:
        Of its batches that were acquired.
    """

    kind: Kind
    batch_s: float | None = None
    lead_s: float | None = None
    tail_s: float | None = None
    fraction: float = 1.0


class Expected(NamedTuple):
    """What a job is expected to take.

    Attributes
    ----------
    batch_s:
        A batch, the median, s.
    lead_s, tail_s:
        Before and after them, s.
    level:
        How much is known of like jobs: 0 nothing, 1 the name, 2, 3, 4 one, some, many of the same shape.
    shared:
        Relative spread that all waiting jobs of its group have in common.
    alone:
        Relative spread of this job by itself.
    mean:
        Between median (1) and mean of what such jobs took: a sum of a few of them is between the two.
    group:
        Names the jobs with which it shares.
    """

    batch_s: float
    lead_s: float
    tail_s: float
    level: int
    shared: float
    alone: float
    mean: float
    group: str


class Learnt:
    """What one server has learnt."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self._errors: list[deque[float]] = [deque(maxlen=MOST_ERRORS) for _ in range(N_LEVELS)]
        self._early, self._stopped_at = Tally(), Tally()
        self._sizes = Sizes()
        self._expected: dict[Kind, Expected] = {}
        self.version = 0
        """Grows with every observation."""

    # ------------------------------------------------------------ learn

    def observe(self, ran: Ran) -> None:
        """Take in what was seen of a job."""
        if ran.batch_s is not None and ran.batch_s > 0:
            log = math.log(ran.batch_s)
            self._errors[self._level(ran.kind.keys)].append(_clipped(log - self._batch(ran.kind)))
            self._take_batch(ran.kind, log)
            if ran.kind.n_batches > 1:
                self._early = self._early.with_one(float(ran.fraction < 1.0), _EARLY_FADES_TO)
            if ran.fraction < 1.0:
                self._stopped_at = self._stopped_at.with_one(ran.fraction)
        for what, seen, guess in ((_LEAD, ran.lead_s, _LEAD_S), (_TAIL, ran.tail_s, _TAIL_S)):
            if seen is not None:
                self._take(what, ran.kind.keys, math.log(max(seen, 1e-3) / guess))
        self._expected.clear()
        self.version += 1

    def _take_batch(self, kind: Kind, log: float) -> None:
        """Learn a batch: of its shape what it took, of its name how that was to what its size let expect."""
        if kind.least_batch_s == 0.0:
            self._sizes.observe(kind.shots, math.exp(log))
        guess = math.log(self._sizes.size.guess_s(kind.shots, kind.least_batch_s))
        self._take(_BATCH, kind.keys[:2], log)
        self._take(_BATCH, kind.keys[2:], log - guess)

    def _batch(self, kind: Kind) -> float:
        """Return the logarithm of what a batch is expected to take, the median, s."""
        keys = kind.keys
        guess = math.log(self._sizes.size.guess_s(kind.shots, kind.least_batch_s))
        general = guess + self._mean(_BATCH, keys[2:])
        return self._mean(_BATCH, keys[:2], general)

    def _take(self, what: str, keys: Iterable[str], value: float) -> None:
        for key in keys:
            name = f"{what}:{key}"
            self._tallies[name] = self._tallies.get(name, Tally()).with_one(value)
            self._tallies.move_to_end(name)
        while len(self._tallies) > 3 * MOST_KEYS:
            self._tallies.popitem(last=False)

    # ------------------------------------------------------------ expect

    def expected(self, kind: Kind) -> Expected:
        """Return what a job of that kind is expected to take."""
        if kind not in self._expected:
            self._expected[kind] = self._expectation(kind)
        return self._expected[kind]

    def _expectation(self, kind: Kind) -> Expected:
        keys = kind.keys
        level = self._level(keys)
        repeatable = self._spread(N_LEVELS - 1)
        alone = min(repeatable, self._spread(level))
        shared = math.sqrt(max(self._spread(level) ** 2 - alone**2, alone**2 / _FADES_TO))
        return Expected(
            batch_s=math.exp(self._batch(kind)),
            lead_s=_LEAD_S * math.exp(self._mean(_LEAD, keys)),
            tail_s=_TAIL_S * math.exp(self._mean(_TAIL, keys)),
            level=level,
            shared=shared,
            alone=alone,
            mean=math.sqrt(self._mean_over_median(level)),
            group=keys[1] if level else keys[2],
        )

    @property
    def early(self) -> tuple[float, float]:
        """The share of jobs that end early, and the share of the batches that those acquire."""
        n, share = self._early
        return (n * share + _EARLY_WEIGHT * _FIRST_EARLY) / (n + _EARLY_WEIGHT), _held(0.5, self._stopped_at)

    def _mean(self, what: str, keys: Sequence[str], mean: float = 0.0) -> float:
        for key in reversed(keys):
            mean = _held(mean, self._tallies.get(f"{what}:{key}", Tally()))
        return mean

    def _level(self, keys: Sequence[str]) -> int:
        n = self._tallies.get(f"{_BATCH}:{keys[1]}", Tally()).n
        if n >= 1:
            return 2 + (n >= 2) + (n >= 5)
        return 1 if f"{_BATCH}:{keys[2]}" in self._tallies else 0

    def _spread(self, level: int) -> float:
        errors = self._errors[level]
        first = _FIRST_WEIGHT * _FIRST_SPREAD[level] ** 2
        return math.sqrt((first + sum(each**2 for each in errors)) / (_FIRST_WEIGHT + len(errors)))

    def _mean_over_median(self, level: int) -> float:
        errors = self._errors[level]
        return (_FIRST_WEIGHT + sum(map(math.exp, errors))) / (_FIRST_WEIGHT + len(errors))

    def supposing(self, kind: Kind, batch_s: float) -> Learnt:
        """Return a copy that knows what a job takes which still runs; it says nothing of how wrong it was."""
        copy = Learnt()
        copy._tallies, copy._errors = self._tallies.copy(), self._errors
        copy._early, copy._stopped_at, copy._sizes = self._early, self._stopped_at, self._sizes.copy()
        if batch_s > 0:
            copy._take_batch(kind, math.log(batch_s))
        return copy

    # ------------------------------------------------------------ keep

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "tallies": {key: _rounded(each) for key, each in self._tallies.items()},
            "errors": [_rounded(each) for each in self._errors],
            "early": _rounded(self._early),
            "stopped_at": _rounded(self._stopped_at),
            "sizes": self._sizes.to_list(),
        }


def learnt_from(document: Mapping[str, Any]) -> Learnt:
    """Return what `Learnt.to_dict` returned once; whatever in it cannot be is left out."""
    learnt = Learnt()
    tallies = document.get("tallies")
    for key, told in list(tallies.items() if isinstance(tallies, Mapping) else ())[-3 * MOST_KEYS :]:
        tally = _tally(told, _FADES_TO)
        if tally is not None:
            learnt._tallies[str(key)] = tally
    errors = document.get("errors")
    for known, told in zip(learnt._errors, errors if isinstance(errors, list) else (), strict=False):
        known.extend(map(_clipped, numbers(told)))
    learnt._early = _tally(document.get("early"), _EARLY_FADES_TO) or Tally()
    learnt._stopped_at = _tally(document.get("stopped_at"), _FADES_TO) or Tally()
    learnt._sizes = sizes_from(document.get("sizes"))
    return learnt


def _held(general: float, special: Tally) -> float:
    """Return a general mean, corrected by a special one as far as that is known."""
    return (special.n * special.mean + _HOLD * general) / (special.n + _HOLD)


def _clipped(error: float) -> float:
    return max(-_CLIP, min(_CLIP, error))


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{each:.6g}") for each in values]


def numbers(told: object) -> Iterator[float]:
    """Yield the finite numbers of a list that was read."""
    for each in told if isinstance(told, list) else ():
        if isinstance(each, int | float) and math.isfinite(each):
            yield float(each)


def _tally(told: object, most: float) -> Tally | None:
    found = list(numbers(told))
    if len(found) != 2 or not 0 <= found[0] <= most or abs(found[1]) > _LARGEST:
        return None
    return Tally(*found)
