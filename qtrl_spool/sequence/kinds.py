"""What counts as a number: finite, real, and no bool; numpy's count. And how to copy what can change."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

ATOMS = frozenset((float, int, str, bool, type(None)))
"""Types whose values cannot change; asked by type, as an ``isinstance`` of an abstract class is slow."""

LARGE = 10**300
"""An integer of this size is no number that can be calculated with."""


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, and no bool."""
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return False
    if type(value) is int:
        return -LARGE < value < LARGE
    return (
        value is not True and value is not False and isinstance(value, numbers.Real) and math.isfinite(value)
    )


def is_index(value: Any) -> bool:
    """Whether `value` is an integer, and no bool."""
    if type(value) is int:
        return True
    return value is not True and value is not False and isinstance(value, numbers.Integral)


def detached(value: Any) -> Any:
    """Return a copy of `value` that nobody else can change."""
    if type(value) in ATOMS:
        return value
    if isinstance(value, Mapping):
        return {key: detached(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [detached(entry) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    return value.copy() if isinstance(value, np.ndarray) else value
