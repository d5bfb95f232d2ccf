"""Where the references lie: propagation along the appends, no matrix.

Every append says ``at[end] = at[start] + n`` in samples, in each element; ``at['Start'] = 0``. A
reference is one number as long as no sweep is involved, else an array [element] with nan where no
sweep defines it. `place` walks the appends once in order, which settles nearly every sequence, and
goes over what is left as a graph.

What does not fit together comes back as data: `Placed.contradictions` and `Placed.unconnected`.
A length of nan (an append that could not be resolved) makes everything behind it unknown, silently.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Length = Any
"""Samples: a number, or an array [element] with nan where it says nothing."""


@dataclass
class Constraints:
    """``at[end] - at[start] = n`` as columns, references by number, 'Start' being 0.

    Attributes
    ----------
    start, end:
        Numbers of the references.
    n:
        Lengths in samples.
    append:
        Number of the append that says so.
    """

    start: list[int]
    end: list[int]
    n: list[Length]
    append: list[int]
    has_sweeps: bool = False


@dataclass
class Placed:
    """Where the references lie, in samples from 'Start'.

    Attributes
    ----------
    at:
        For each reference a number, an array [element], or None where nothing connects it.
    parent:
        For each reference the number of the constraint that placed it, -1 for 'Start', None if none did.
    contradictions:
        ``(constraint, element, difference)``: constraints that do not hold, the first element where
        not (None where references are numbers), and by how many samples.
    """

    at: list[Any]
    parent: list[int | None]
    contradictions: list[tuple[int, int | None, int]] = field(default_factory=list)

    @property
    def unconnected(self) -> list[int]:
        """Numbers of the references that nothing connects to 'Start'."""
        return [number for number, where in enumerate(self.at) if where is None]


def place(constraints: Constraints, n_references: int) -> Placed:
    """Return where all references lie."""
    placed = Placed([None] * n_references, [None] * n_references)
    placed.at[0], placed.parent[0] = 0, -1
    if constraints.has_sweeps:
        _settle(placed, constraints, deque([0]))
        _check_all(placed, constraints)
        return placed
    if _in_order(placed, constraints):
        known = [number for number, where in enumerate(placed.at) if where is not None]
        _settle(placed, constraints, deque(known))
        _check_all(placed, constraints)
    return placed


def _in_order(placed: Placed, constraints: Constraints) -> bool:
    """Go through the constraints once; return whether any is left open."""
    at, parent, left = placed.at, placed.parent, False
    for number, (start, end, n) in enumerate(
        zip(constraints.start, constraints.end, constraints.n, strict=True)
    ):
        begin, finish = at[start], at[end]
        if begin is not None:
            if finish is None:
                at[end], parent[end] = begin + n, number
            elif finish != begin + n:
                _contradiction(placed, number, begin + n - finish)
        elif finish is not None:
            at[start], parent[start] = finish - n, number
        else:
            left = True
    if left:
        placed.contradictions.clear()
    return left


def _settle(placed: Placed, constraints: Constraints, waiting: deque[int]) -> None:
    """Spread from the known references along the constraints, until nothing changes."""
    around: list[list[tuple[int, int, Length]]] = [[] for _ in placed.at]
    for number, (start, end, n) in enumerate(
        zip(constraints.start, constraints.end, constraints.n, strict=True)
    ):
        around[start].append((number, end, n))
        around[end].append((number, start, -n))
    while waiting:
        here = waiting.popleft()
        for number, other, n in around[here]:
            merged = _merged(placed.at[other], placed.at[here] + n)
            if merged is None:
                continue
            placed.at[other] = merged
            if placed.parent[other] is None:
                placed.parent[other] = number
            waiting.append(other)


def _merged(known: Any, found: Any) -> Any:
    """Return `known` completed by what was `found`, or None if it says nothing new."""
    if known is None:
        return found
    if not isinstance(known, np.ndarray):
        return None
    new = np.isnan(known) & ~np.isnan(found)
    return np.where(new, found, known) if new.any() else None


def _check_all(placed: Placed, constraints: Constraints) -> None:
    for number, (start, end, n) in enumerate(
        zip(constraints.start, constraints.end, constraints.n, strict=True)
    ):
        if placed.at[start] is not None and placed.at[end] is not None:
            _contradiction(placed, number, placed.at[start] + n - placed.at[end])


def _contradiction(placed: Placed, number: int, difference: Any) -> None:
    wrong = np.atleast_1d(np.nan_to_num(difference))
    if wrong.any():
        element = int(np.flatnonzero(wrong)[0])
        placed.contradictions.append((number, element if np.ndim(difference) else None, int(wrong[element])))


def chain(placed: Placed, constraints: Constraints, reference: int) -> list[tuple[int, int, int]]:
    """Return how `reference` was placed: ``(constraint, from, to)`` from 'Start' on."""
    steps: list[tuple[int, int, int]] = []
    here = reference
    while (number := placed.parent[here]) is not None and number >= 0 and len(steps) <= len(placed.at):
        start, end = constraints.start[number], constraints.end[number]
        before = start if end == here else end
        steps.append((number, before, here))
        here = before
    return steps[::-1]
