"""Weighted least squares: points, their weights, a solution with its standard errors, how good it is.

Points are weighed by their standard errors, tempered: half of each variance is the median of all. A
counted fraction near 0 or 1 has a small error that is itself badly known; taken at its word it would
pull the curve towards the points that are low by chance. Standard errors of the parameters come from
the errors of the points all the same (the sandwich formula, right for any weights), and are made larger
where the points scatter more than their errors tell, never smaller. Points without errors are weighed
alike and tell their own scatter.

Called by `qtrl_spool.processing.fitting`. Pure; scipy is imported when a fit is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST_ERROR = 0.1


@dataclass(frozen=True)
class Points:
    """What is fitted, in the order of t.

    Attributes
    ----------
    t, y:
        The points.
    width:
        What each residual is divided by.
    error:
        Standard error of each y, or None.
    """

    t: Floats
    y: Floats
    width: Floats
    error: Floats | None

    @classmethod
    def of(cls, x: NDArray[Any], y: NDArray[Any], error: NDArray[Any] | None) -> Points:
        """Return the points that are finite; errors count if more than half of them say something."""
        good = np.isfinite(x) & np.isfinite(y)
        if error is not None:
            good &= np.isfinite(error)
        at = np.flatnonzero(good)[np.argsort(np.asarray(x)[good], kind="stable")]
        t, ys = np.asarray(x, np.float64)[at], np.asarray(y, np.float64)[at]
        middle = float(np.median(np.asarray(error)[at])) if error is not None and at.size else 0.0
        if error is None or not middle > 0:
            return cls(t, ys, np.ones(len(t)), None)
        errors = np.maximum(np.asarray(error, np.float64)[at], _LEAST_ERROR * middle)
        return cls(t, ys, np.sqrt((errors**2 + middle**2) / 2), errors)

    @property
    def mean(self) -> float:
        """The best constant."""
        return float(np.average(self.y, weights=self.width**-2))

    def scaled(self, start: float, span: float) -> Points:
        """Return the points along (x - start) / span."""
        return Points((self.t - start) / span, self.y, self.width, self.error)


@dataclass(frozen=True)
class Solution:
    """The parameters that are nearest to the points.

    Attributes
    ----------
    values, covariance:
        Of the parameters.
    residuals:
        Points minus curve, not divided by anything.
    """

    values: Floats
    covariance: Floats
    residuals: Floats

    @property
    def errors(self) -> Floats:
        """Standard errors of the parameters."""
        return np.sqrt(np.diag(self.covariance))


def solve(
    curve: Callable[..., Floats], points: Points, starts: list[Floats], lower: Floats, upper: Floats
) -> Solution | str:
    """Return the best solution from several starts, or why there is none.

    `scipy.optimize.curve_fit` without its warning, which would need the process-wide filters.
    """
    from scipy.optimize import least_squares

    def residuals(values: Floats) -> Floats:
        return np.asarray((curve(points.t, *values) - points.y) / points.width)

    with np.errstate(all="ignore"):
        ends: list[Any] = [
            least_squares(residuals, np.clip(start, lower, upper), bounds=(lower, upper), max_nfev=300)
            for start in starts
        ]
    found = min(ends, key=lambda end: end.cost)
    if not found.success:
        return "the fit did not converge"
    return _solution(found.x, found.jac, -found.fun * points.width, points)


def _solution(values: Floats, jacobian: Floats, residuals: Floats, points: Points) -> Solution | str:
    """Return the solution with its covariance; `jacobian` is that of the weighted residuals."""
    normal = jacobian.T @ jacobian
    if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e14:
        return "the data do not determine the parameters"
    inverse = np.linalg.inv(normal)
    if points.error is None:
        n_free = len(points.y) - len(values)
        return Solution(values, inverse * float((residuals**2).sum()) / n_free, residuals)
    spread = jacobian * (points.error / points.width)[:, None]
    excess = max(1.0, chi2(points, residuals, len(values)) or 1.0)
    return Solution(values, inverse @ (spread.T @ spread) @ inverse * excess, residuals)


def linear(columns: Floats, points: Points) -> Solution | str:
    """Return the best sum of `columns` [point, parameter]."""
    weighted = columns / points.width[:, None]
    if np.linalg.matrix_rank(weighted) < columns.shape[1]:
        return "the data do not determine the parameters"
    values = np.asarray(np.linalg.lstsq(weighted, points.y / points.width, rcond=None)[0], np.float64)
    return _solution(values, weighted, points.y - columns @ values, points)


def chi2(points: Points, residuals: Floats, n_parameters: int) -> float | None:
    """Return the sum of squares in units of the errors for each degree of freedom; None without errors."""
    if points.error is None:
        return None
    return float(((residuals / points.error) ** 2).sum() / (len(residuals) - n_parameters))


def chance(points: Points, before: Floats, after: Floats, n_parameters: int, n_more: int) -> float:
    """Return the probability that noise alone makes residuals as much smaller: an F test.

    Parameters
    ----------
    before, after:
        Residuals of the curve without and with the `n_more` parameters that are tried.
    n_parameters:
        Of the curve with them.
    """
    from scipy.special import fdtrc

    n_free = len(after) - n_parameters
    first, last = (float(((each / points.width) ** 2).sum()) for each in (before, after))
    ratio = (first - last) / n_more / (last / n_free + 1e-30)
    return float(fdtrc(n_more, n_free, max(ratio, 0.0)))


def r2(points: Points, residuals: Floats) -> float:
    """Return which share of the scatter of the points the curve explains."""
    total = float((((points.y - points.mean) / points.width) ** 2).sum())
    rest = float(((residuals / points.width) ** 2).sum())
    return 1.0 - rest / total if total > 0 else 0.0


def bic(points: Points, residuals: Floats, n_parameters: int) -> float:
    """Return the Bayesian information criterion, smaller for a better curve, up to a constant."""
    n, scale = len(residuals), float(np.median(points.width))
    mean_square = float(((residuals / points.width) ** 2).mean()) * scale**2
    return float(n * np.log(mean_square + 1e-20) + n_parameters * np.log(n))
