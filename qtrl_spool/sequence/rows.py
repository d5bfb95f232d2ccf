"""From appends to rows of numbers: what each plays, its delays in samples, its references.

The first half of compiling. Distinct pulses are resolved once; delays are rounded each on its own;
references get numbers: 0 is 'Start', ``i + 1`` the one that append ``i`` makes, others follow. What
cannot be resolved is reported and marked with row -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.checks import LONG, delay_problem, with_place
from qtrl_spool.sequence.records import BY_END, START, SWEEPS, Columns, Record
from qtrl_spool.sequence.resolve import Resolver
from qtrl_spool.sequence.sweep import Elements, is_swept, values_of

Ints = NDArray[np.int64]

UNKNOWN = -1
"""Row of an append that could not be resolved."""


@dataclass(frozen=True)
class Swept:
    """An append that sweeps, as columns over its elements; delays in samples."""

    element: Ints
    row: Ints
    before: Ints
    after: Ints


@dataclass(frozen=True)
class Rows:
    """The appends as columns of numbers.

    Attributes
    ----------
    row, before, after:
        Row of the resolver's table; start and end delay in samples.
    start, end:
        Numbers of the references.
    names:
        Numbers of the references by name.
    by_end:
        Appends whose end the caller named.
    swept:
        The appends that sweep.
    """

    row: Ints
    before: Ints
    after: Ints
    start: Ints
    end: Ints
    names: dict[str, int]
    by_end: list[int]
    swept: dict[int, Swept]


def rows_of(
    columns: Columns,
    n_elements: int,
    sample_rate: float,
    resolver: Resolver,
    unknown: set[int],
    problems: list[SequenceError],
) -> Rows:
    """Return the rows of all appends; those in `unknown` are not looked at, problems are added."""
    row = np.array(_resolved(columns, resolver, unknown, problems), np.int64)
    before, after = _delays(columns, sample_rate)
    swept: dict[int, Swept] = {}
    for index in _sweeping(columns):
        if index in unknown:
            continue
        try:
            swept[index] = _expanded(columns[index], n_elements, sample_rate, resolver)
        except SequenceError as error:
            problems.append(with_place(error, index))
    by_end = [index for index, extra in columns.extra.items() if extra.given & BY_END]
    names, start, end = _references(columns, by_end)
    return Rows(row, before, after, start, end, names, by_end, swept)


def _sweeping(columns: Columns) -> list[int]:
    found = {index for index, extra in columns.extra.items() if extra.given & SWEEPS}
    if Elements in set(map(type, columns.elements)):
        found |= {index for index, element in enumerate(columns.elements) if type(element) is Elements}
    return sorted(found)


def _resolved(
    columns: Columns, resolver: Resolver, unknown: set[int], problems: list[SequenceError]
) -> list[int]:
    """Return the resolver's row for each append; what cannot be resolved is reported once."""
    sweeping = set(_sweeping(columns))
    special = {index for index, extra in columns.extra.items() if extra.overrides} | sweeping | unknown
    rows: dict[Any, int] = {}
    failed: dict[Any, tuple[SequenceError, list[int]]] = {}

    def row(index: int, pulse: Any, overrides: Mapping[str, Any] | None) -> int:
        try:
            return resolver.row(pulse, overrides)
        except SequenceError as error:
            failed.setdefault((type(error), str(error)), (error, []))[1].append(index)
            return UNKNOWN

    plain = columns.pulses
    if special:
        plain = [pulse for index, pulse in enumerate(columns.pulses) if index not in special]
    for pulse in dict.fromkeys(plain):
        rows[pulse] = row(-1, pulse, None)
    found = [rows.get(pulse, UNKNOWN) for pulse in columns.pulses]
    for index in sorted(special):
        given = columns.extra.get(index)
        skip = index in sweeping or index in unknown
        found[index] = UNKNOWN if skip else row(index, columns.pulses[index], given and given.overrides)
    if failed:
        _report(failed, columns, rows, special, problems)
    return found


def _report(
    failed: dict[Any, tuple[SequenceError, list[int]]],
    columns: Columns,
    rows: dict[Any, int],
    special: set[int],
    problems: list[SequenceError],
) -> None:
    """Add the failures to the problems, each at the appends that it concerns."""
    where: dict[Any, list[int]] = {}
    for index, pulse in enumerate(columns.pulses):
        if index not in special and rows[pulse] == UNKNOWN:
            where.setdefault(pulse, []).append(index)
    lost = iter(where.values())
    for error, indices in failed.values():
        named = [index for index in indices if index >= 0]
        for _ in range(len(indices) - len(named)):
            named += next(lost)
        problems.append(with_place(error, *sorted(named)))


def _delays(columns: Columns, sample_rate: float) -> tuple[Ints, Ints]:
    """Return the delays at the start and at the end of each append, in samples; 0 where they are swept."""
    before, after = np.zeros(len(columns), np.int64), np.zeros(len(columns), np.int64)
    for index, (first, last, _, given) in columns.extra.items():
        if given & SWEEPS:
            continue
        if first:
            before[index] = round(float(first) * sample_rate)
        if last:
            after[index] = round(float(last) * sample_rate)
    return before, after


def _references(columns: Columns, by_end: list[int]) -> tuple[dict[str, int], Ints, Ints]:
    """Return the numbers of all names, and those of each append's start and end."""
    n = len(columns)
    made = columns.ends
    if by_end:
        made = columns.ends.copy()
        for index in by_end:
            made[index] = f"ref{index + 1}"
    names = dict(zip(made, range(1, n + 1), strict=True))
    names[START] = 0
    end = np.arange(1, n + 1)
    for index in by_end:
        end[index] = names.setdefault(columns.ends[index], max(len(names), n + 1))
    start = list(map(names.get, columns.starts))
    if None in start:
        start = [names.setdefault(name, len(names)) for name in columns.starts]
    return names, np.array(start, np.int64), end


def _expanded(record: Record, n_elements: int, sample_rate: float, resolver: Resolver) -> Swept:
    elements = elements_of(record.element, n_elements)
    n = len(elements)
    longest = LONG / sample_rate
    for name in ("start_delay", "end_delay"):
        for delay in _values(name, getattr(record, name), n):
            problem = delay_problem(name, delay, longest)
            if problem:
                raise problem
    before = _values("start_delay", record.start_delay, n)
    after = _values("end_delay", record.end_delay, n)
    overrides = record.overrides or {}
    columns = {key: _values(key, value, n) for key, value in overrides.items() if key != "kwargs"}
    inner = overrides.get("kwargs")
    if isinstance(inner, Mapping):
        kwargs = {key: _values(f"kwargs {key}", value, n) for key, value in inner.items()}
        columns["kwargs"] = [{key: values[i] for key, values in kwargs.items()} for i in range(n)]
    elif inner is not None:
        columns["kwargs"] = [inner] * n
    rows = [resolver.row(record.pulse, {key: values[i] for key, values in columns.items()}) for i in range(n)]
    rounded = [np.rint(np.asarray(delay, float) * sample_rate).astype(np.int64) for delay in (before, after)]
    return Swept(elements, np.array(rows, np.int64), *rounded)


def _values(name: str, value: Any, n: int) -> list[Any]:
    """Return the values of one quantity over the `n` elements of a sweep."""
    if not is_swept(value):
        return [value] * n
    values = values_of(value)
    if len(values) != n:
        raise SequenceError(f"{name} has {len(values)} values for {n} elements")
    return values


def n_elements_of(element: Any, n_elements: int) -> int:
    """Return how many elements an append plays in, or more (one may be named twice)."""
    if element is None:
        return n_elements
    if isinstance(element, slice):
        return len(range(n_elements)[element])
    return len(element) if isinstance(element, tuple) else 1


def elements_of(element: Any, n_elements: int) -> Ints:
    """Return the elements that an append plays in, each once."""
    if isinstance(element, Elements):
        return element.indices(n_elements)
    everything = np.arange(n_elements)
    if element is None:
        return everything
    if isinstance(element, slice):
        return np.sort(everything[element])
    return np.unique(everything[np.atleast_1d(np.array(element, np.int64))])
