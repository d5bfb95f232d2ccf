"""What counts as a number: finite, real, and no bool; numpy's count."""

from __future__ import annotations

import math
import numbers
from typing import Any


def is_number(value: Any) -> bool:
    """Whether `value` is a finite real number, and no bool."""
    if type(value) is float:
        return math.isfinite(value)
    return (
        value is not True and value is not False and isinstance(value, numbers.Real) and math.isfinite(value)
    )


def is_index(value: Any) -> bool:
    """Whether `value` is an integer, and no bool."""
    if type(value) is int:
        return True
    return value is not True and value is not False and isinstance(value, numbers.Integral)
