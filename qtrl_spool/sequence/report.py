"""What to say when references do not fit together.

A contradiction is told with both chains of references, each step with its samples and the append that
makes it, and the difference; a reference that nothing connects to 'Start' with near misses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.place import Constraints, Placed, chain
from qtrl_spool.sequence.records import START, Columns

N_STEPS = 6
"""Longest chain that is told in full."""


def placing_problems(
    placed: Placed, constraints: Constraints, names: Mapping[str, int], columns: Columns
) -> list[SequenceError]:
    """Return what keeps the references from being placed."""
    words = sorted(names, key=names.__getitem__)
    problems = _unconnected(placed, constraints, words, columns)
    told: set[int] = set()
    for number, element, difference in placed.contradictions:
        if constraints.append[number] not in told:
            told.add(constraints.append[number])
            problems.append(_contradiction(placed, constraints, words, number, element, difference))
    return problems


def _unconnected(
    placed: Placed, constraints: Constraints, words: list[str], columns: Columns
) -> list[SequenceError]:
    """Return one problem for each island of references."""
    lost = set(placed.unconnected)
    if not lost:
        return []
    island: dict[int, int] = {number: number for number in lost}
    for start, end in zip(constraints.start, constraints.end, strict=True):
        if start in lost and end in lost:
            _join(island, start, end)
    members: dict[int, list[int]] = {}
    for number in sorted(lost):
        members.setdefault(_root(island, number), []).append(number)
    return [_island(group, constraints, words, columns) for group in members.values()]


def _root(island: dict[int, int], number: int) -> int:
    while island[number] != number:
        island[number] = island[island[number]]
        number = island[number]
    return number


def _join(island: dict[int, int], one: int, other: int) -> None:
    low, high = sorted((_root(island, one), _root(island, other)))
    island[high] = low


def _island(group: list[int], constraints: Constraints, words: list[str], columns: Columns) -> SequenceError:
    inside = set(group)
    first = min(
        append for append, start in zip(constraints.append, constraints.start, strict=True) if start in inside
    )
    made = {f"ref{first + 1}", f"ref{first + 1}.end"}
    record = columns[first]
    name = next((word for word in (record.start, record.end) if word not in made), record.start)
    connected = [word for number, word in enumerate(words) if number not in inside]
    hint = did_you_mean(name, connected, n=2) or f"something must lead from {START!r} to it"
    return SequenceError(
        f"nothing connects the reference {name!r} to {START!r}", where=f"append {first}", hint=hint
    )


def _contradiction(
    placed: Placed,
    constraints: Constraints,
    words: list[str],
    number: int,
    element: int | None,
    difference: int,
) -> SequenceError:
    start, end = constraints.start[number], constraints.end[number]
    where = "" if element is None else f" in element {element}"
    length = _length(constraints, number, element)
    last = f"{words[end]} ({length:+d}, append {constraints.append[number]})"
    wanted = [*_tell(placed, constraints, words, start, element), last]
    found = _tell(placed, constraints, words, end, element)
    return SequenceError(
        f"{words[end]!r} is placed twice{where}, {abs(difference)} samples apart: "
        f"{' → '.join(wanted)}, but {' → '.join(found)}",
        where=f"append {constraints.append[number]}",
        hint="leave out start or end, or change a delay by the difference",
    )


def _length(constraints: Constraints, number: int, element: int | None) -> int:
    n = constraints.n[number]
    value = n[element or 0] if isinstance(n, np.ndarray) else n
    return 0 if np.isnan(value) else int(value)


def _tell(
    placed: Placed, constraints: Constraints, words: list[str], reference: int, element: int | None
) -> list[str]:
    """Return the chain from 'Start' to a reference, the middle of a long one left out."""
    steps = [words[0]]
    for number, before, here in chain(placed, constraints, reference):
        sign = 1 if constraints.start[number] == before else -1
        length = sign * _length(constraints, number, element)
        steps.append(f"{words[here]} ({length:+d}, append {constraints.append[number]})")
    if len(steps) > N_STEPS:
        steps = [*steps[:2], f"… {len(steps) - N_STEPS + 1} more …", *steps[-(N_STEPS - 3) :]]
    return steps
