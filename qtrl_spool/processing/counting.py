"""States to populations: selecting, heralding, averaging, binning and readout correction.

Discarded shots stay where they are, marked as `DISCARDED` in labels and NaN in numbers, so that
every array keeps its shape and no shot is preferred for being early or late; everything here that
counts or averages leaves them out. An element without any shot left is NaN, never a silent zero.

Standard errors are those of the multinomial distribution, carried through the correction: for
corrected = A · fractions, variance = (A∘A · fractions - corrected²) / n. There the fractions are taken
as if each level had been found half a time more: what was never found in n shots has an error of about
0.7 / n, not of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import POPULATION_AXES, STATE_AXES, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing.classification import DISCARDED

Estimate = tuple[Labelled, Labelled]
_BLOCK = 2**16


def passing(heralds: Labelled, target: int) -> Labelled:
    """Return which shots [repetition, element] have every readout's herald label at `target`."""
    require(heralds, STATE_AXES, "the herald labels")
    return Labelled((heralds.values == target).all(axis=0), STATE_AXES[1:])


def discard(data: Labelled, kept: Labelled) -> Labelled:
    """Return `data` with the shots marked that are not in `kept` [repetition, element]."""
    mask = kept.values
    for position, name in enumerate(data.axes):
        if name not in kept.axes:
            mask = np.expand_dims(mask, position)
    if np.issubdtype(data.values.dtype, np.integer):
        return Labelled(np.where(mask, data.values, data.values.dtype.type(DISCARDED)), data.axes)
    return Labelled(np.where(mask, data.values, data.values.dtype.type(np.nan)), data.axes)


def average(data: Labelled, axis: str) -> Estimate:
    """Return mean and standard error of the shots that were not discarded, along `axis`."""
    at = data.axis(axis)
    return mean_and_error(moments(data, axis), data.axes[:at] + data.axes[at + 1 :])


def moments(data: Labelled, axis: str) -> NDArray[np.float64]:
    """Return number, sum and sum of squares of the shots that were not discarded, along `axis`.

    Moments of several batches are added. Axes: moment, and those of `data` without `axis`.
    """
    at = data.axis(axis)
    if np.issubdtype(data.values.dtype, np.integer):
        levels = range(int(data.values.max(initial=0)) + 1)
        counts = np.array([(data.values == level).sum(axis=at) for level in levels])
        return np.stack([np.tensordot(np.arange(len(counts)) ** n, counts, axes=1) for n in range(3)])
    values = data.values.astype(np.float64)
    valid = np.isfinite(values)
    values[~valid] = 0.0
    return np.stack([valid.sum(axis=at), values.sum(axis=at), (values * values).sum(axis=at)])


def mean_and_error(of: NDArray[np.float64], axes: tuple[str, ...]) -> Estimate:
    """Return what `moments` tell; `axes` are theirs without the first."""
    n, total, squares = of
    mean = divide(total, n)
    variance = np.maximum(divide(squares, n) - mean**2, 0.0)
    return Labelled(_f4(mean), axes), Labelled(_f4(np.sqrt(divide(variance, n))), axes)


def individual(labels: Labelled, matrices: NDArray[np.float64] | None, n_levels: int) -> Estimate:
    """Return populations and standard errors of every readout on its own.

    Parameters
    ----------
    labels:
        Axes `STATE_AXES`.
    matrices:
        Probabilities M[measured, prepared]; axes: readout, level, level. None corrects nothing.
    n_levels:
        Number of levels the classifier tells apart.

    Returns
    -------
    tuple of Labelled
        Axes `POPULATION_AXES`, float32.
    """
    require(labels, STATE_AXES, "the labels")
    counts = np.stack([(labels.values == level).sum(axis=1) for level in range(n_levels)], axis=1)
    n = counts.sum(axis=1, keepdims=True)
    fractions = divide(counts, n)
    if matrices is None:
        matrices = np.broadcast_to(np.eye(n_levels), (len(counts), n_levels, n_levels))
    inverse = np.linalg.inv(matrices)
    corrected = inverse @ fractions
    likely = _likely(fractions, n, axis=1)
    error = _error(inverse @ likely, inverse**2 @ likely, n)
    return Labelled(_f4(corrected), POPULATION_AXES), Labelled(_f4(error), POPULATION_AXES)


def joint_bins(labels: Labelled, rows: Sequence[int], n_levels: int, axis: str) -> tuple[Labelled, Labelled]:
    """Count how often the readouts `rows` were found together in each combination of levels.

    Returns
    -------
    tuple of Labelled
        Fractions [`axis`, element], the first of `rows` the most significant digit, and the number
        of shots [element] in which none of them was discarded.
    """
    require(labels, STATE_AXES, "the labels")
    n_bins, n_elements = n_levels ** len(rows), labels.size("element")
    digits = n_levels ** np.arange(len(rows) - 1, -1, -1)
    first_bins = n_bins * np.arange(n_elements)
    counts = np.zeros(n_bins * n_elements, np.int64)
    step = max(1, _BLOCK // max(n_elements, 1))
    for first in range(0, labels.size("repetition"), step):
        chosen = labels.values[list(rows), first : first + step].astype(np.int64)
        index = np.tensordot(digits, chosen, axes=1) + first_bins
        counts += np.bincount(index[(chosen >= 0).all(axis=0)], minlength=counts.size)
    counts = counts.reshape(n_elements, n_bins).T
    n = counts.sum(axis=0)
    return Labelled(_f4(divide(counts, n)), (axis, "element")), Labelled(n, ("element",))


def joint(bins: Labelled, n: Labelled, matrices: NDArray[np.float64] | None) -> Estimate:
    """Correct joint populations; the first matrix belongs to the most significant digit of the bins.

    Parameters
    ----------
    bins, n:
        What `joint_bins` returned.
    matrices:
        M[measured, prepared] of the readouts, in the order of the bins; axes: readout, level, level.
        None only gives the standard errors.
    """
    fractions = bins.values.astype(np.float64)
    likely = _likely(fractions, n.values, axis=0)
    if matrices is None:
        return bins, Labelled(_f4(_error(likely, likely, n.values)), bins.axes)
    inverse = np.asarray(np.linalg.inv(matrices), np.float64)
    corrected = _along(inverse, fractions)
    error = _error(_along(inverse, likely), _along(inverse**2, likely), n.values)
    return Labelled(_f4(corrected), bins.axes), Labelled(_f4(error), bins.axes)


def _along(matrices: NDArray[np.float64], bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply one matrix to each digit of the bins: the Kronecker product, never formed."""
    n_digits, n_levels = matrices.shape[:2]
    cube = bins.reshape((n_levels,) * n_digits + bins.shape[1:])
    for digit, matrix in enumerate(matrices):
        cube = np.moveaxis(np.tensordot(matrix, cube, axes=(1, digit)), 0, digit)
    return np.asarray(cube.reshape(bins.shape))


def _likely(fractions: NDArray[np.float64], n: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """Return the fractions as if each along `axis` had been counted half a time more."""
    return np.asarray((fractions * n + 0.5) / (n + 0.5 * fractions.shape[axis]))


def _error(corrected: NDArray[Any], second: NDArray[Any], n: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.sqrt(divide(np.maximum(second - corrected**2, 0.0), n)))


def divide(numerator: NDArray[Any], n: NDArray[Any]) -> NDArray[np.float64]:
    """Return numerator / n, NaN where there is no shot to divide by."""
    some = np.broadcast_to(n > 0, numerator.shape)
    missing = np.full(numerator.shape, np.nan)
    return np.asarray(np.divide(numerator, n, out=missing, where=some))


def require(data: Labelled, axes: tuple[str, ...], what: str) -> None:
    """Refuse data whose axes are not `axes`."""
    if data.axes != axes:
        raise ProcessingError(f"{what} have the axes [{', '.join(data.axes)}], expected [{', '.join(axes)}]")


def _f4(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32)
