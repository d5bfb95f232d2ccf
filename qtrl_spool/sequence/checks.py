"""What can be said about appends without pulses: elements, delays and names of references.

`checked` is the compiler's first look, over whole columns, so that a good sequence pays next to
nothing; `combined` makes one error of many. Append numbers count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qtrl_spool.errors import ElementError, SequenceError
from qtrl_spool.sequence.kinds import is_index, is_number
from qtrl_spool.sequence.records import START, Columns, Extra, Record
from qtrl_spool.sequence.sweep import Elements, is_swept

N_SHOWN = 20
"""How many problems the text of a combined error lists; ``problems`` has them all."""

_PLAIN_NUMBERS = {int, float}
_APPEND = re.compile(r"(?:^|: )append (?P<number>\d+)")
LONG = 2**40
"""A delay of so many samples is refused as a slip."""


def combined(problems: Sequence[SequenceError]) -> SequenceError:
    """Return one error for all `problems`, of their common class."""
    if len(problems) == 1:
        return problems[0]
    problems = sorted(problems, key=_order)
    kinds = {type(problem) for problem in problems}
    kind = kinds.pop() if len(kinds) == 1 else SequenceError
    lines = [f"  {problem}" for problem in problems[:N_SHOWN]]
    if len(problems) > N_SHOWN:
        lines.append(f"  and {len(problems) - N_SHOWN} more")
    text = "\n".join([f"the sequence has {len(problems)} problems:", *lines])
    return kind(text, problems=tuple(problems))


def append_of(problem: SequenceError) -> int | None:
    """Return the number of the append that a problem names, or None if it names none."""
    found = _APPEND.search(problem.where or "")
    return None if found is None else int(found["number"])


def _order(problem: SequenceError) -> float:
    """Sort by appends; what names none comes last."""
    number = append_of(problem)
    return float("inf") if number is None else number


def with_place(error: SequenceError, *appends: int) -> SequenceError:
    """Return `error` placed at the first of `appends`, the number of the others in its message."""
    more = f" (and in {len(appends) - 1} more appends)" if len(appends) > 1 else ""
    return type(error)(error.message + more, where=f"append {appends[0]}", hint=error.hint)


def checked(
    columns: Columns, n_elements: int, sample_rate: float, spoiled: frozenset[int]
) -> tuple[Columns, list[SequenceError], set[int]]:
    """Return the appends, mended where something is wrong, the problems, and those of unknown length.

    Parameters
    ----------
    columns:
        The appends.
    n_elements, sample_rate:
        Of the sequence; samples/s.
    spoiled:
        Appends of unknown length, of which nothing is to be said.
    """
    longest = LONG / sample_rate
    if not spoiled and _all_plain(columns, n_elements, longest):
        return columns, [], set()
    mended, unknown = columns.copy(), set(spoiled)
    problems: list[SequenceError] = []
    for index, record in enumerate(columns):
        found, good = _mended(record, n_elements, longest)
        if found:
            problems += [with_place(error, index) for error in found if index not in spoiled]
            mended.elements[index], mended.starts[index], mended.ends[index] = good[1:4]
            mended.extra[index] = Extra(*good[4:])
            if good[2:6] != record[2:6]:
                unknown.add(index)
    return mended, problems, unknown


def _all_plain(columns: Columns, n_elements: int, longest: float) -> bool:
    """Whether all fields are of the plainest kind, so that nothing can be wrong with them."""
    if not len(columns):
        return True
    elements = columns.elements
    return (
        set(map(type, elements)) == {int}
        and -n_elements <= min(elements) <= max(elements) < n_elements
        and {*map(type, columns.starts), *map(type, columns.ends)} == {str}
        and all(
            type(delay) in _PLAIN_NUMBERS and -longest < delay < longest
            for extra in columns.extra.values()
            for delay in extra[:2]
        )
    )


def _mended(record: Record, n_elements: int, longest: float) -> tuple[list[SequenceError], Record]:
    problems: list[SequenceError] = []
    changes: dict[str, Any] = {}
    element_error = element_problem(record.element, n_elements)
    if element_error:
        problems.append(element_error)
        changes["element"] = None
    for name in ("start", "end"):
        value = getattr(record, name)
        if type(value) is not str:
            problems.append(SequenceError(f"{name} is {value!r}: it must be the name of a reference"))
            changes[name] = START
    for name in ("start_delay", "end_delay"):
        value = getattr(record, name)
        problem = None if is_swept(value) else delay_problem(name, value, longest)
        if problem:
            problems.append(problem)
            changes[name] = 0
    return problems, record._replace(**changes) if changes else record


def delay_problem(name: str, value: Any, longest: float) -> SequenceError | None:
    """Return what is wrong with a delay in s, if anything; `longest` in s is the first that is too long."""
    if not is_number(value):
        return SequenceError(f"{name} is {value!r}: it must be a number of seconds")
    if not -longest < value < longest:
        return SequenceError(f"{name} is {value!r} s: it must be shorter than {longest:.3g} s")
    return None


def element_problem(element: Any, n_elements: int) -> SequenceError | None:
    """Return what is wrong with an append's `element`, if anything; sweeps are checked when they expand."""
    if element is None or isinstance(element, Elements):
        return None
    if isinstance(element, slice):
        parts = (element.start, element.stop, element.step)
        if all(part is None or is_index(part) for part in parts) and element.step != 0:
            return None
        return SequenceError(f"element is {element!r}: a slice must hold integers, its step not 0")
    for entry in element if isinstance(element, tuple) else (element,):
        if not is_index(entry):
            return SequenceError(
                f"element is {entry!r}: it must be an integer, a slice or a list of integers"
            )
        if not -n_elements <= entry < n_elements:
            return ElementError(
                f"element {entry} is not one of the sequence's {n_elements} elements",
                hint=f"elements are 0 to {n_elements - 1}, negative ones count from the end",
            )
    return None
