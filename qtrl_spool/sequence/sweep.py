"""A whole sweep in one append: how swept values are written and read.

Four forms sweep, each a mapping of one key: ``{sweep: [a, b]}`` (elements a to b-1, a step may
follow), ``{linspace: [first, last, n]}``, ``{arange: [start, stop, step]}`` (stop excluded; value i is
``start + i*step``) and ``{values: […]}``. A plain list never sweeps. `spelled` finds the shortest form
that gives back the same floats to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence.kinds import ATOMS, is_index, is_number

FORMS = ("sweep", "linspace", "arange", "values")
N_MAX = 1_000_000
"""Largest number of values in one sweep: a typing error, not a measurement."""

HUGE = 1e100
COUNT_TOLERANCE = 1e-9
"""How far, in steps, a range may miss a whole number of steps and still end before it."""


@dataclass(frozen=True)
class Elements:
    """Elements that an append sweeps over, spelled as in the file."""

    form: str
    numbers: tuple[Any, ...]

    def indices(self, n_elements: int) -> NDArray[np.int64]:
        """Return the elements, in the order of the swept values."""
        values = values_of({self.form: list(self.numbers)})
        if not all(is_index(value) for value in values):
            raise SequenceError(f"element {{{self.form}: …}} must give integers")
        found = np.array(values, np.int64)
        wrong = found[(found < -n_elements) | (found >= n_elements)]
        if len(wrong):
            raise SequenceError(f"element {wrong[0]} of the sweep is not one of 0 to {n_elements - 1}")
        found = np.where(found < 0, found + n_elements, found)
        if len(np.unique(found)) != len(found):
            raise SequenceError("an element appears twice in the sweep")
        return found


def is_swept(value: Any) -> bool:
    """Whether `value` is written in one of the forms that sweep."""
    return (
        type(value) not in ATOMS
        and isinstance(value, Mapping)
        and len(value) == 1
        and next(iter(value)) in FORMS
    )


def values_of(tree: Mapping[str, Any]) -> list[Any]:
    """Return the values of a swept quantity, one for each element."""
    form, numbers = next(iter(tree.items()))
    if not isinstance(numbers, (list, tuple)):
        raise SequenceError(f"{{{form}: …}} needs a list, not {numbers!r}")
    if form == "values":
        return list(numbers)
    if not all(is_number(number) for number in numbers):
        raise SequenceError(f"{{{form}: {list(numbers)}}} must hold numbers only")
    if form == "linspace":
        return _linspace(*_exactly(form, numbers, "first, last, n", 3))
    if form == "sweep":
        return _range(_integers(form, numbers))
    return _arange(*numbers) if 1 <= len(numbers) <= 3 else _exactly(form, numbers, "start, stop, step", 3)


def _range(numbers: list[int]) -> list[int]:
    found = range(*numbers)
    if abs(numbers[1] - numbers[0]) > N_MAX * abs(numbers[2] if len(numbers) == 3 else 1):
        raise SequenceError(f"{{sweep: {numbers}}} has more than {N_MAX} values")
    return list(found)


def _exactly(form: str, numbers: Any, what: str, n: int) -> list[Any]:
    if len(numbers) != n:
        raise SequenceError(f"{{{form}: …}} is [{what}], not {list(numbers)}")
    return list(numbers)


def _integers(form: str, numbers: Any) -> list[int]:
    if len(numbers) not in (2, 3) or not all(is_index(number) for number in numbers):
        raise SequenceError(
            f"{{{form}: …}} is [first, end] or [first, end, step], integers, not {list(numbers)}"
        )
    if len(numbers) == 3 and numbers[2] == 0:
        raise SequenceError(f"{{{form}: {list(numbers)}}} has a step of 0")
    return list(numbers)


def _linspace(first: float, last: float, n: Any) -> list[float]:
    if not is_index(n) or not 0 <= n <= N_MAX:
        raise SequenceError(f"{{linspace: [{first}, {last}, {n}]}}: n must be an integer from 0 to {N_MAX}")
    with np.errstate(over="ignore", invalid="ignore"):
        values: list[float] = np.linspace(first, last, n).tolist()
    return values


def _arange(start: float, stop: float | None = None, step: float = 1) -> list[float]:
    first, end = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise SequenceError("{arange: …} has a step of 0")
    steps = (end - first) / step - COUNT_TOLERANCE
    if not steps <= N_MAX:
        raise SequenceError(f"{{arange: …}} has {steps:.3g} values, more than {N_MAX}")
    n = max(0, math.ceil(max(steps, -1.0)))
    return [first + i * step for i in range(n)]


def spelled(values: Any) -> dict[str, list[Any]]:
    """Return the shortest form that gives the same values back, floats to the bit."""
    listed = np.asarray(values).tolist()
    if len(listed) > 3 and all(isinstance(value, float) and abs(value) < HUGE for value in listed):
        for form in _short_forms(listed):
            if values_of(form) == listed:
                return form
    return {"values": listed}


def _short_forms(values: list[float]) -> Iterator[dict[str, list[Any]]]:
    first, last, n = values[0], values[-1], len(values)
    yield {"linspace": [first, last, n]}
    mean = (last - first) / (n - 1)
    for step in (values[1] - first, mean, float(f"{mean:.12g}")):
        if abs(last - first) / N_MAX < abs(step):
            yield {"arange": [first, float(f"{first + n * step:.12g}"), step]}


def spelled_elements(elements: Any) -> dict[str, list[int]]:
    """Return how a sweep over `elements` is written."""
    listed = [int(element) for element in elements]
    if listed and listed == list(range(listed[0], listed[0] + len(listed))):
        return {"sweep": [listed[0], listed[0] + len(listed)]}
    return {"values": listed}
