"""Every (append, element) that plays, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.records import Columns
from qtrl_spool.sequence.rows import UNKNOWN, Ints, Rows, elements_of, n_elements_of

MAX_INSTANCES = 4_000_000
"""Most (append, element) of a sequence; some hundred bytes each."""


@dataclass(frozen=True)
class Instances:
    """One entry for each append and element.

    Attributes
    ----------
    append, element:
        Which.
    row, before, after:
        Row of the resolver's table; start and end delay in samples.
    at:
        Where the append begins, its start delay not counted, in samples of the element.
    """

    append: Ints
    element: Ints
    row: Ints
    before: Ints
    after: Ints
    at: Ints


def instances_of(
    columns: Columns, rows: Rows, at: Any, n_elements: int, shift: int, problems: list[SequenceError]
) -> Instances:
    """Return all instances that have a place.

    Parameters
    ----------
    columns, rows:
        The appends.
    at:
        Where the references lie, in samples from 'Start'; nan where it is not known.
    n_elements:
        Of the sequence.
    shift:
        What is added to `at`, in samples.
    problems:
        What is found wrong is added.
    """
    elements = columns.elements
    if not rows.swept and set(map(type, elements)) <= {int}:
        append = np.arange(len(elements))
        element = np.array(elements, np.int64)
        spread = [rows.row, rows.before, rows.after]
    else:
        append, element, spread = _spread(elements, rows, n_elements)
    element = np.where(element < 0, element + n_elements, element)
    starts = rows.start[append]
    if isinstance(at, np.ndarray):
        begin = at[starts]
    else:
        where = _by_element(at, starts, element)
        problems += _undefined(where, append, element, columns, _left_out(at)[starts])
        known = ~np.isnan(where) & (spread[0] != UNKNOWN)
        append, element, where = append[known], element[known], where[known]
        spread = [column[known] for column in spread]
        begin = where.astype(np.int64)
    return Instances(append, element, spread[0], spread[1], spread[2], begin + shift)


def _left_out(at: list[Any]) -> NDArray[np.bool_]:
    """Return for each reference whether a sweep places it in some elements and leaves others out."""
    return np.array(
        [isinstance(where, np.ndarray) and 0 < int(np.isnan(where).sum()) < len(where) for where in at]
    )


def _check_number(elements: list[Any], rows: Rows, n_elements: int) -> None:
    known = {index: len(swept.element) for index, swept in rows.swept.items()}
    number = sum(
        known[index] if index in known else n_elements_of(element, n_elements)
        for index, element in enumerate(elements)
    )
    if number > MAX_INSTANCES:
        raise SequenceError(
            f"{len(elements)} appends in up to {n_elements} elements play {number} times",
            hint=f"split the sequence: at most {MAX_INSTANCES} are compiled",
        )


def _spread(elements: list[Any], rows: Rows, n_elements: int) -> tuple[Ints, Ints, list[Ints]]:
    """Return append, element, and row and delays of each instance."""
    _check_number(elements, rows, n_elements)
    sets: list[Any] = []
    for index, element in enumerate(elements):
        if index in rows.swept:
            sets.append(rows.swept[index].element)
        else:
            sets.append((element,) if type(element) is int else elements_of(element, n_elements))
    counts = np.array([len(entry) for entry in sets], np.int64)
    append = np.repeat(np.arange(len(sets)), counts)
    first = np.cumsum(counts) - counts
    element = np.concatenate([np.asarray(entry, np.int64) for entry in sets])
    spread = [column[append] for column in (rows.row, rows.before, rows.after)]
    for index, swept in rows.swept.items():
        mine = slice(first[index], first[index] + counts[index])
        for column, values in zip(spread, (swept.row, swept.before, swept.after), strict=True):
            column[mine] = values
    return append, element, spread


def _by_element(at: list[Any], starts: Ints, element: Ints) -> NDArray[np.float64]:
    """Return where each instance begins; nan where its reference has no place in its element."""
    numbers = np.array([np.nan if isinstance(where, np.ndarray) else where for where in at], float)
    begin = numbers[starts]
    for reference, where in enumerate(at):
        if isinstance(where, np.ndarray):
            mine = starts == reference
            begin[mine] = where[element[mine]]
    return begin


def _undefined(
    at: NDArray[np.float64], append: Ints, element: Ints, columns: Columns, left_out: NDArray[np.bool_]
) -> list[SequenceError]:
    missing = np.flatnonzero(np.isnan(at) & left_out)
    problems = []
    for index in dict.fromkeys(append[missing].tolist()):
        where = element[missing[append[missing] == index]].tolist()
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        problems.append(
            SequenceError(
                f"the reference {columns.starts[index]!r} has no place in element {where[0]}{more}",
                where=f"append {index}",
                hint="the sweep that makes it leaves these elements out",
            )
        )
    return problems
