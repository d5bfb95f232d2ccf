"""The x axis of a sequence: as it was given, and its values.

None means 0, 1, …; a number the step; a list, tuple or array the values; a form that sweeps its values;
a mapping ``{name, unit, values}`` says what the axis shows too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.kinds import detached
from qtrl_spool.sequence.sweep import is_swept, values_of


class Axis(NamedTuple):
    """The x axis as it was given, and its values [element]."""

    given: Any
    values: NDArray[np.float64]
    name: str | None = None
    unit: str | None = None

    @staticmethod
    def of(given: Any, n_elements: int) -> Axis:
        """Return the axis that `given` describes."""
        if isinstance(given, Mapping) and ("values" in given or not is_swept(given)):
            _check_axis(given)
            values = _axis_values(given.get("values"), n_elements)
            kept = {key: _plain(entry) for key, entry in given.items()}
            return Axis(kept, values, given.get("name"), given.get("unit"))
        values = _axis_values(given, n_elements)
        return Axis(_plain(given), values)


def _check_axis(given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if key not in ("name", "unit", "values"):
            raise SequenceError(f"x_axis has no {key!r}", hint=did_you_mean(key, ("name", "unit", "values")))
        if key != "values" and value is not None and not isinstance(value, str):
            raise SequenceError(f"the {key} of x_axis is {value!r}: it must be text")


def _plain(given: Any) -> Any:
    return (
        np.asarray(given).tolist() if isinstance(given, (list, tuple, range, np.ndarray)) else detached(given)
    )


def _axis_values(given: Any, n_elements: int) -> NDArray[np.float64]:
    if given is None:
        return np.arange(n_elements, dtype=float)
    if is_swept(given):
        given = values_of(given)
    try:
        values = np.asarray(given)
    except ValueError as error:
        raise SequenceError(f"x_axis is {given!r:.80}: it must be numbers") from error
    if values.dtype.kind not in "iuf" and values.size:
        raise SequenceError(f"x_axis is {given!r:.80}: it must be numbers")
    values = values.astype(float)
    if values.ndim == 0:
        with np.errstate(over="ignore"):
            values = values * np.arange(n_elements)
    if not np.isfinite(values).all():
        raise SequenceError(f"x_axis is {given!r:.80}: its values must be finite")
    if values.shape != (n_elements,):
        raise SequenceError(f"x_axis has {values.size} values for {n_elements} elements")
    return values
