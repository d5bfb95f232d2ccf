"""The x axis of a sequence: as it was given, and its values.

None means 0, 1, …; a number the step; a list, tuple or array the values; a form that sweeps its values;
a mapping ``{name, unit, values}`` says what the axis shows too. A two-dimensional sweep has ``rows`` in it,
``{name, unit, values}`` of the slow axis: as many elements in a row as there are rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import SequenceError, did_you_mean
from qtrl_spool.sequence.kinds import detached
from qtrl_spool.sequence.sweep import is_swept, values_of

_KEYS = ("name", "unit", "values", "rows")


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
            if kept.get("rows") is not None:
                kept["rows"] = _plain_rows(kept["rows"])
                _check_rows(kept["rows"], n_elements)
            return Axis(kept, values, given.get("name"), given.get("unit"))
        values = _axis_values(given, n_elements)
        return Axis(_plain(given), values)


def _check_axis(given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if key not in _KEYS:
            raise SequenceError(f"x_axis has no {key!r}", hint=did_you_mean(key, _KEYS))
        if key in ("name", "unit") and value is not None and not isinstance(value, str):
            raise SequenceError(f"the {key} of x_axis is {value!r}: it must be text")


def _check_rows(rows: Any, n_elements: int) -> None:
    if not isinstance(rows, Mapping) or not set(rows) <= {"name", "unit", "values"} or "values" not in rows:
        raise SequenceError(
            f"rows of x_axis is {rows!r:.80}: it must be a mapping", hint="write {name, unit, values}"
        )
    for key in ("name", "unit"):
        if rows.get(key) is not None and not isinstance(rows[key], str):
            raise SequenceError(f"the {key} of the rows of x_axis is {rows[key]!r}: it must be text")
    values = rows["values"]
    n_rows = len(values_of(values)) if is_swept(values) else len(values) if isinstance(values, list) else 0
    if n_rows < 1 or n_elements % n_rows:
        raise SequenceError(
            f"the rows of x_axis have {n_rows} values for {n_elements} elements",
            hint="every row has as many elements as the others",
        )
    _axis_values(values, n_rows)


def _plain_rows(rows: Any) -> Any:
    return {key: _plain(entry) for key, entry in rows.items()} if isinstance(rows, Mapping) else rows


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
