"""The score of an AllXY experiment: how far its 21 pairs of pulses are from their staircase.

The ideal is 0 for the first 5 pairs, 1/2 for the next 12 and 1 for the last 4, each measured once or several
times in a row. Offset and height of the staircase are fitted, so that a readout that is not corrected does
no harm; ``deviation`` is the root mean square of what is left, in units of the height. What noise alone
would leave, by the errors of the points, is taken off, and the standard error follows from the same errors.
Which pairs deviate tells what is wrong: the deviations are the residuals of the curve.

Called by `qtrl_spool.processing.fitting`. Pure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing import least
from qtrl_spool.processing.least import Points, Solution

N_PAIRS, _STEPS = 21, (5, 17)
_LEAST_R2 = 0.8


def fit(points: Points, max_chance: float) -> tuple[Solution, dict[str, Any]] | str:
    """Return the solution and the parameters of a record, or why there is none."""
    n = len(points.y)
    if n % N_PAIRS:
        return f"{n} points are not {N_PAIRS} pairs"
    edges = [_edge(points.t, step * n // N_PAIRS) for step in _STEPS]
    ideal = sum((points.t > edge).astype(np.float64) for edge in edges) / 2
    found = least.linear(np.stack([np.ones(n), np.asarray(ideal)], axis=-1), points)
    if isinstance(found, str):
        return found
    if least.chance(points, points.y - points.mean, found.residuals, 2, 1) > max_chance:
        return "no better than a constant"
    if least.r2(points, found.residuals) < _LEAST_R2 or found.values[1] <= 0:
        return "no staircase"
    return found, _parameters(points, found, edges)


def _edge(t: NDArray[np.float64], index: int) -> float:
    return float(t[index - 1] + t[index]) / 2


def _parameters(points: Points, found: Solution, edges: list[float]) -> dict[str, Any]:
    (offset, height), (offset_error, height_error) = found.values, found.errors
    deviation, error = _deviation(points, found.residuals)
    first, second = edges
    return {
        "offset": {"value": float(offset), "error": float(offset_error), "unit": "y"},
        "amplitude": {"value": float(height), "error": float(height_error), "unit": "y"},
        "deviation": {"value": deviation / float(height), "error": error / float(height), "unit": "y"},
        "first_step": {"value": first, "error": 0.0, "unit": "x"},
        "second_step": {"value": second, "error": 0.0, "unit": "x"},
    }


def _deviation(points: Points, residuals: NDArray[np.float64]) -> tuple[float, float]:
    """Return the root mean square beyond noise, and its standard error.

    With independent normal errors s, the mean of r² - s² has the variance of (4 s² d² + 2 s⁴) / n², d² being
    what is beyond noise.
    """
    n = len(residuals)
    noise = np.zeros(n) if points.error is None else points.error**2
    square = max(float((residuals**2 - noise).mean()), 0.0)
    variance = float((4 * noise * square + 2 * noise**2).sum()) / n**2
    if points.error is None:
        return float(np.sqrt(square)), float(np.sqrt(square / (2 * n)))
    error = float(np.sqrt(variance))
    return float(np.sqrt(square)), float(np.sqrt(square + error) - np.sqrt(square))
