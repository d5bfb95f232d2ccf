"""What a chain has made so far, and how a step reads its parameters.

A step is a function from one `Work` to the next. Results that are as large as the IQ points are
`Batches`, changed when they are asked for; labels and whatever is smaller is held. Rows of
per-readout parameters (angles, means, corr_matrix, …) belong to the ``freq_labels`` of the
Heterodyne step; `rows_of` picks those of the readouts that the sequence reads. Axis *numbers* in a
configuration mean the arrays of 2019, which were kept per readout: `numbered_axes` gives the name
for each number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import STATE_AXES, Batches, Labelled
from qtrl_spool.errors import ProcessingError, did_you_mean
from qtrl_spool.processing.streams import Data, Memory


@dataclass(frozen=True)
class Bins:
    """What a joint result was counted from.

    Attributes
    ----------
    readouts:
        In the order of the bins, the most significant first.
    n:
        Number of shots; axes: element.
    """

    readouts: tuple[str, ...]
    n: Labelled


@dataclass(frozen=True)
class Work:
    """All that a chain has made so far; a step returns a changed copy.

    Attributes
    ----------
    readouts:
        Labels of the readouts in the data, in the order of ``freq_labels``.
    labels:
        All ``freq_labels`` of the chain.
    x_axis:
        Value of each element.
    n_triggers:
        Triggers per element in the data.
    results:
        Every intermediate result under its name.
    memory:
        What was gathered of the batches, at this call and at earlier ones.
    step:
        The step that is at work and what it was told, as the key of what it gathers.
    errors:
        Standard errors of the results that have them.
    bins:
        For each joint result what it was counted from.
    n_levels:
        Levels the classifier tells apart.
    rotations:
        By how much the points that were turned were turned in all, rad; axes: readout.
    classifier:
        For each readout the record of the last classifier.
    kept:
        Which shots heralding selects, or None; axes: repetition, element.
    corrected:
        Populations and their standard errors of the last correction, or None.
    heralds:
        Names that were used as heralds.
    stand_ins:
        Names that a skipped step was to make, and that hold its input instead.
    left_out:
        Names that a skipped step was to make, and that do not exist.
    fits:
        For each readout, each kind of fit.
    notes:
        What was left out, and why.
    rehearsal:
        Whether the data are none: the chain is only tried, and nothing is fitted.
    """

    readouts: tuple[str, ...]
    labels: tuple[str, ...]
    x_axis: NDArray[np.float64]
    n_triggers: int
    results: Mapping[str, Data]
    memory: Memory = field(default_factory=Memory)
    step: str = ""
    errors: Mapping[str, Labelled] = field(default_factory=dict)
    bins: Mapping[str, Bins] = field(default_factory=dict)
    n_levels: int = 2
    rotations: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    classifier: Mapping[str, Any] = field(default_factory=dict)
    kept: Labelled | None = None
    corrected: tuple[Labelled, Labelled] | None = None
    heralds: frozenset[str] = frozenset()
    stand_ins: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    fits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rehearsal: bool = False


def look_up(work: Work, name: Any, parameter: str = "input_name") -> Data:
    """Return the result called `name`; the error names the near misses."""
    key = str(name)
    if key not in work.results:
        raise ProcessingError(
            f"{parameter} is {key!r}, which no step before this one makes",
            hint=did_you_mean(key, work.results) or f"there are {', '.join(sorted(work.results))}",
        )
    return work.results[key]


def held(work: Work, name: Any, axes: tuple[str, ...], what: str, parameter: str = "input_name") -> Labelled:
    """Return the result called `name`, which has to be in memory and to have the `axes`."""
    data = look_up(work, name, parameter)
    if data.axes != axes or not isinstance(data, Labelled):
        raise ProcessingError(
            f"{parameter} is {str(name)!r} with the axes [{', '.join(data.axes)}], "
            f"expected [{', '.join(axes)}] of {what}"
        )
    return data


def levels_of(work: Work, name: Any, parameter: str = "input_name") -> Labelled:
    """Return the labels of levels called `name`, one for each shot."""
    data = held(work, name, STATE_AXES, "labels of levels", parameter)
    if not is_labels(data):
        raise ProcessingError(f"{parameter} is {str(name)!r}, which holds numbers, not labels of levels")
    return data


def points_of(work: Work, name: Any, parameter: str = "input_name") -> Batches:
    """Return the IQ points called `name`, batch by batch."""
    data = look_up(work, name, parameter)
    if isinstance(data, Labelled) or data.axes[:1] != ("readout",) or data.axes[-1:] != ("quadrature",):
        raise ProcessingError(
            f"{parameter} is {str(name)!r}, whose axes are [{', '.join(data.axes)}], not IQ points"
        )
    return data


def put(work: Work, name: Any, data: Data, error: Labelled | None = None) -> Work:
    """Return `work` with the result `name`, the last one made."""
    key = str(name)
    results = {other: value for other, value in work.results.items() if other != key} | {key: data}
    errors = {other: value for other, value in work.errors.items() if other != key}
    if error is not None:
        errors[key] = error
    return replace(work, results=results, errors=errors, stand_ins=work.stand_ins - {key})


def note(work: Work, sentence: str) -> Work:
    """Return `work` with one more note, unless it says so already."""
    return work if sentence in work.notes else replace(work, notes=(*work.notes, sentence))


def leave_out(work: Work, name: Any, sentence: str) -> Work:
    """Return `work` in which the result `name` does not exist, and the note why."""
    return note(replace(work, left_out=work.left_out | {str(name)}), sentence)


def is_labels(data: Data) -> TypeGuard[Labelled]:
    """Tell whether `data` are labels of levels, one for each shot."""
    if not isinstance(data, Labelled) or data.axes != STATE_AXES:
        return False
    return bool(np.issubdtype(data.values.dtype, np.integer))


def readout_label(label: Any) -> str:
    """Return ``R6`` for ``6``, ``'6'`` and ``'R6'``."""
    return label if isinstance(label, str) and label.startswith("R") else f"R{label}"


def labels_in(freq_labels: Any) -> tuple[str, ...]:
    """Return the labels that a Heterodyne step's ``freq_labels`` name."""
    if isinstance(freq_labels, str) or not isinstance(freq_labels, Sequence) or not freq_labels:
        raise ProcessingError(f"freq_labels is {freq_labels!r}, expected a list such as [5, 6]")
    labels = tuple(readout_label(label) for label in freq_labels)
    if len(set(labels)) != len(labels):
        raise ProcessingError(f"freq_labels names one twice: {', '.join(labels)}")
    return labels


def numbers(value: Any, parameter: str) -> Any:
    """Return nested lists of floats; the error names the entry that is no number."""
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return [numbers(entry, f"{parameter}[{index}]") for index, entry in enumerate(value)]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        hint = "no variable has that name" if isinstance(value, str) else None
        raise ProcessingError(f"{parameter} is {value!r}, expected a number", hint=hint)
    if not np.isfinite(float(value)):
        raise ProcessingError(f"{parameter} is {value!r}, expected a finite number")
    return float(value)


def number(value: Any, parameter: str) -> float:
    """Return one number."""
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        raise ProcessingError(f"{parameter} is a list, expected one number")
    return float(numbers(value, parameter))


def rows_of(work: Work, value: Any, parameter: str, readouts: Sequence[str] | None = None) -> list[Any]:
    """Return the rows of a per-readout parameter that belong to `readouts`."""
    rows = numbers(value, parameter)
    if not isinstance(rows, list) or len(rows) != len(work.labels):
        given = f"{len(rows)} rows" if isinstance(rows, list) else "no rows"
        raise ProcessingError(
            f"{parameter} has {given}, freq_labels has {len(work.labels)}: {', '.join(work.labels)}"
        )
    return [rows[work.labels.index(label)] for label in readouts or work.readouts]


def matrices_of(
    work: Work, value: Any, parameter: str, readouts: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """Return the readout matrices M[measured, prepared] of `readouts`; axes: readout, level, level.

    A row of the parameter is ``[p00, p01, p10, p11]``, or n x n of it for n levels.
    """
    rows, n = rows_of(work, value, parameter, readouts), work.n_levels
    for index, row in enumerate(rows):
        if np.size(row) != n * n:
            raise ProcessingError(
                f"{parameter} has {np.size(row)} entries for {(readouts or work.readouts)[index]}, "
                f"the classifier tells {n} levels apart: expected {n * n}"
            )
    matrices = np.asarray(rows, dtype=np.float64).reshape(-1, n, n)
    singular = np.linalg.cond(matrices) > 1e6
    if singular.any():
        label = (readouts or work.readouts)[int(np.flatnonzero(singular)[0])]
        raise ProcessingError(f"{parameter} of {label} cannot be inverted", hint="its columns must differ")
    return matrices


def numbered_axes(data: Data) -> tuple[str, ...]:
    """Return the axes in the order that a configuration numbers them: per readout, quadrature first."""
    rest = tuple(name for name in data.axes if name not in ("readout", "quadrature"))
    return ("quadrature", *rest) if "quadrature" in data.axes else rest


def named_axis(data: Data, axis: Any, parameter: str = "axis") -> str:
    """Return the name of the axis that a configuration gives by number or by name."""
    names = numbered_axes(data)
    if isinstance(axis, str) and axis in names:
        return axis
    if isinstance(axis, int) and not isinstance(axis, bool) and -len(names) <= axis < len(names):
        return names[axis]
    known = ", ".join(f"{index} = {name}" for index, name in enumerate(names))
    raise ProcessingError(f"{parameter} is {axis!r}, the data have {known}")


Run = Callable[..., Work]
