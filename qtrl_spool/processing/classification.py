"""IQ points to states: rotation, and a Gaussian mixture with known means and covariances.

The most likely level wins: each level is a two-dimensional normal distribution with its own
covariance and, if given, its own weight (quadratic discriminant). A point that is not finite
belongs to no level: its label is `DISCARDED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import Labelled
from qtrl_spool.errors import ProcessingError

DISCARDED = -1
_BLOCK = 2**14


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture for each readout.

    Attributes
    ----------
    means:
        Centres, in the units of the IQ points; axes: readout, level, quadrature.
    precisions:
        Inverses of the covariances; axes: readout, level, quadrature, quadrature.
    log_weights:
        Logarithms of the prior probabilities, up to a constant; axes: readout, level.
    """

    means: NDArray[np.float64]
    precisions: NDArray[np.float64]
    log_weights: NDArray[np.float64]

    @property
    def n_levels(self) -> int:
        """Number of levels told apart."""
        return int(self.means.shape[1])


def mixture(means: list[Any], covariances: list[Any] | None, weights: list[Any] | None) -> Mixture:
    """Make the `Mixture` of what a configuration says, one row for each readout.

    Parameters
    ----------
    means:
        Rows ``[I0, Q0, I1, Q1, …]``.
    covariances:
        Rows of one entry per level: a variance, a pair of variances (I, Q) or a 2 x 2 matrix.
        Without it all levels are equally wide, and the nearest mean wins.
    weights:
        Rows of one prior probability per level; without it all levels are equally likely.
    """
    flat = _regular(means, "means")
    if flat.ndim != 2 or flat.shape[1] % 2 or flat.shape[1] < 4:
        raise ProcessingError("means need rows of I and Q of at least two levels: [I0, Q0, I1, Q1]")
    centres = flat.reshape(len(flat), -1, 2)
    shape = centres.shape[:2]
    matrices = np.broadcast_to(np.eye(2), (*shape, 2, 2))
    if covariances is not None:
        matrices = _matrices(_regular(covariances, "covariances"))
    priors = np.ones(shape) if weights is None else _regular(weights, "weights")
    _check(shape, matrices, priors)
    return Mixture(centres, np.asarray(np.linalg.inv(matrices), np.float64), np.log(priors))


def _regular(rows: list[Any], parameter: str) -> NDArray[np.float64]:
    try:
        return np.asarray(rows, dtype=np.float64)
    except ValueError as error:
        raise ProcessingError(f"{parameter} differ in length from readout to readout") from error


def _matrices(widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return variances or pairs of variances as 2 x 2 matrices."""
    if widths.ndim == 2:
        return widths[..., None, None] * np.eye(2)
    return widths[..., None, :] * np.eye(2) if widths.ndim == 3 else widths


def _check(shape: tuple[int, ...], matrices: NDArray[np.float64], priors: NDArray[np.float64]) -> None:
    if matrices.shape != (*shape, 2, 2):
        raise ProcessingError(
            f"covariances have the shape {matrices.shape}, means tell {(*shape, 2, 2)}",
            hint="one variance, pair of variances (I, Q) or 2 x 2 matrix for each readout and level",
        )
    if priors.shape != shape:
        raise ProcessingError(f"weights have the shape {priors.shape}, means tell {shape} [readout, level]")
    if not (np.linalg.eigvalsh(matrices) > 0).all():
        raise ProcessingError("covariances hold one that is not positive: a width must be above zero")
    if not (priors > 0).all():
        raise ProcessingError("weights hold one that is not positive", hint="leave the level out instead")


def rotate(iq: Labelled, angles: NDArray[np.float64]) -> Labelled:
    """Turn the IQ plane: (I, Q) -> (cos I - sin Q, sin I + cos Q).

    Parameters
    ----------
    iq:
        Axes `IQ_AXES`.
    angles:
        In rad; axis: readout.
    """
    shape = (-1,) + (1,) * (iq.values.ndim - 2)
    cos = np.cos(angles).astype(np.float32).reshape(shape)
    sin = np.sin(angles).astype(np.float32).reshape(shape)
    i, q = iq.values[..., 0], iq.values[..., 1]
    return Labelled(np.stack([cos * i - sin * q, sin * i + cos * q], axis=-1), iq.axes)


def classify(iq: Labelled, blobs: Mixture) -> Labelled:
    """Give each IQ point the label of its most likely level.

    Returns
    -------
    Labelled
        Labels 0, 1, … or `DISCARDED` (int8); the axes of `iq` without quadrature.
    """
    labels = np.empty(iq.values.shape[:-1], np.int8)
    with np.errstate(invalid="ignore", over="ignore"):
        for row, (points, out) in enumerate(zip(iq.values, labels, strict=True)):
            flat, found = points.reshape(-1, 2), out.reshape(-1)
            for first in range(0, len(flat), _BLOCK):
                block = slice(first, first + _BLOCK)
                found[block] = _most_likely(flat[block], blobs, row)
    return Labelled(labels, iq.axes[:-1])


def _most_likely(points: NDArray[Any], blobs: Mixture, row: int) -> NDArray[np.int8]:
    """Return the labels of points [point, quadrature] of one readout."""
    i, q = np.ascontiguousarray(points.T, np.float32)
    best = _log_likelihood(i, q, blobs, row, 0)
    labels = np.zeros(i.shape, np.int8)
    for level in range(1, blobs.n_levels):
        score = _log_likelihood(i, q, blobs, row, level)
        labels[score > best] = level
        best = np.maximum(score, best)
    labels[~(np.isfinite(i) & np.isfinite(q))] = DISCARDED
    return labels


def _log_likelihood(
    i: NDArray[np.float32], q: NDArray[np.float32], blobs: Mixture, row: int, level: int
) -> NDArray[np.float32]:
    precision, mean = blobs.precisions[row, level], blobs.means[row, level]
    a, b, c = (np.float32(value) for value in (-precision[0, 0] / 2, -precision[0, 1], -precision[1, 1] / 2))
    offset = 0.5 * np.log(np.linalg.det(precision)) + blobs.log_weights[row, level]
    di, dq = i - np.float32(mean[0]), q - np.float32(mean[1])
    return np.asarray(di * (a * di + b * dq) + c * dq * dq + np.float32(offset))
