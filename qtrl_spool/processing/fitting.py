"""Fits of populations against the x axis, each with standard errors, or an honest reason why there is none.

Least squares (scipy), weighted by the errors of the points (`qtrl_spool.processing.least`), from starts
that are found without help (`qtrl_spool.processing.starts`). A fit is only reported when it deserves it; else
``ok`` is False and ``reason`` says why:

- ``no better than a constant``: an F test, once for each frequency that was tried, at a chance of 1e-3;
- ``the data do not determine …``: a parameter whose error is too large a part of it;
- ``less than half a period in the data``, ``faster than the points can tell``;
- ``one frequency is enough`` for a beat, ``no staircase`` for AllXY;
- ``the data have another shape``: what the curve leaves over is no noise, and no small part either.

A record is plain data (it goes into the result file as JSON)::

    {kind, ok, reason, model, x0, parameters: {name: {value, error, unit}}, r2, chi2, bic, n_points}

``error`` is the standard error; ``unit`` is ``x``, ``1/x``, ``rad`` or ``y``; ``x0`` is where x counts from;
``chi2`` is for each degree of freedom, None where the points have no errors.
`qtrl_spool.processing.models.curve` draws the curve. Known limit: one decay time per curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing import least, staircase, starts
from qtrl_spool.processing.least import Points, Solution
from qtrl_spool.processing.models import MODELS, Model, curve, evaluate

__all__ = ["MODELS", "curve", "evaluate", "fit", "with_best"]

Floats = NDArray[np.float64]

_MAX_CHANCE, _HOPELESS = 1e-3, 0.3
_NOISE = "no better than a constant"
_LEAST_PERIODS = 0.4
_ALIKE = 2.0
_STARTS = {
    "exp": starts.exponential,
    "rb": starts.exponential,
    "cos": starts.cosine,
    "rabi": starts.rabi,
    "sin_exp": starts.decaying_sine,
}


def fit(kind: str, x: NDArray[Any], y: NDArray[Any], error: NDArray[Any] | None = None) -> dict[str, Any]:
    """Fit one curve.

    Parameters
    ----------
    kind:
        A name of `MODELS`.
    x, y, error:
        The points and the standard errors of y; those that are not finite are left out.
    """
    model, points = MODELS[kind], Points.of(x, y, error)
    if len(points.t) <= len(model.units):
        return _no_fit(kind, f"{len(points.t)} points are too few for {len(model.units)} parameters")
    span = float(np.ptp(points.t))
    if span == 0:
        return _no_fit(kind, "all points have the same x")
    if kind == "all_xy":
        return _of_a_staircase(points, _MAX_CHANCE)
    start = 0.0 if model.from_zero else float(points.t[0])
    scaled = points.scaled(start, span)
    found = _beat(scaled) if kind == "beat" else _fitted(_fitted_as(kind), scaled)
    if isinstance(found, str):
        return _no_fit(kind, found.replace(" tau", " p") if kind == "rb" else found)
    parameters = _gates(found, span) if kind == "rb" else _parameters(model, found, span)
    return _record(kind, points, found, parameters, start)


def with_best(fits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fits of one readout with the name of the best under ``best`` (None if none is good)."""
    good = {kind: fits[kind]["bic"] for kind in MODELS if kind in fits and fits[kind]["ok"]}
    least_bic = min(good.values(), default=0.0)
    best = next((kind for kind, bic in good.items() if bic <= least_bic + _ALIKE), None)
    return {**fits, "best": best}


def _fitted_as(kind: str) -> str:
    """Return the kind whose parameters are fitted: a decay of p^x is an exponential."""
    return "exp" if kind == "rb" else kind


def _fitted(kind: str, points: Points) -> Solution | str:
    """Return the solution if it should be believed, else why not."""
    model = MODELS[kind]
    found = _solved(model, points, _STARTS[kind](points))
    return found if isinstance(found, str) else _doubt(model, points, found) or found


def _solved(model: Model, points: Points, first: list[Floats]) -> Solution | str:
    """Return the solution, however good; noise whose best start is hopeless is not looked at further."""
    begins = [points.y - model.curve(points.t, *start) for start in first]
    if min(_chance(model, points, residuals) for residuals in begins) > _HOPELESS:
        return _NOISE
    found = least.solve(model.curve, points, first, *_bounds(model, points))
    return found if isinstance(found, str) else _tidy(model, found)


def _beat(points: Points) -> Solution | str:
    """Return two sines where one decaying sine is not enough."""
    model, single = MODELS["beat"], MODELS["sin_exp"]
    one = _solved(single, points, starts.decaying_sine(points))
    if isinstance(one, str):
        return one
    if _chance(single, points, one.residuals) > _MAX_CHANCE:
        return _NOISE
    first = starts.beat(points, tau=float(one.values[2]), frequency=float(one.values[3]))
    if not first:
        return "the points cannot tell two frequencies"
    found = _solved(model, points, first)
    if isinstance(found, str):
        return found
    chance = least.chance(points, one.residuals, found.residuals, len(model.units), 3)
    names = list(model.units)
    apart = abs(found.values[names.index("frequency")] - found.values[names.index("frequency_2")])
    if chance * len(points.t) / 2 > _MAX_CHANCE or apart < _LEAST_PERIODS:
        return _doubt(single, points, one) or "one frequency is enough"
    return _doubt(model, points, found) or found


def _bounds(model: Model, points: Points) -> tuple[Floats, Floats]:
    size = 10 * float(np.ptp(points.y)) + 1e-12
    middle = float(np.median(points.y))
    limits = {
        "offset": (middle - size, middle + size),
        "amplitude": (-size, size),
        "tau": (1e-3, 1e3),
        "frequency": (0.0, 1.1 * starts.highest(points.t)),
        "phase": (-np.inf, np.inf),
        "decay": (-1.0, 1e3),
    }
    lower, upper = zip(*(limits[name.removesuffix("_2")] for name in model.units), strict=True)
    return np.asarray(lower), np.asarray(upper)


def _tidy(model: Model, found: Solution) -> Solution:
    """Make amplitudes of sines positive, bring phases to (-pi, pi], and put the larger sine first."""
    names, values, sign = list(model.units), found.values.copy(), np.ones(len(found.values))
    for suffix in ("", "_2"):
        if f"phase{suffix}" not in names:
            continue
        amplitude, phase = names.index(f"amplitude{suffix}"), names.index(f"phase{suffix}")
        if values[amplitude] < 0:
            values[amplitude] *= -1
            values[phase] += np.pi
            sign[amplitude] = -1
        values[phase] = -((-values[phase] + np.pi) % (2 * np.pi) - np.pi)
    order = np.arange(len(values))
    if "amplitude_2" in names and values[names.index("amplitude_2")] > values[names.index("amplitude")]:
        for name in ("amplitude", "frequency", "phase"):
            order[[names.index(name), names.index(f"{name}_2")]] = order[
                [names.index(f"{name}_2"), names.index(name)]
            ]
    covariance = found.covariance * np.outer(sign, sign)
    return Solution(values[order], covariance[np.ix_(order, order)], found.residuals)


def _doubt(model: Model, points: Points, found: Solution) -> str | None:
    """Return why a solution should not be believed, or None."""
    if _chance(model, points, found.residuals) > _MAX_CHANCE:
        return _NOISE
    named = dict(zip(model.units, zip(found.values, found.errors, strict=True), strict=True))
    top = starts.highest(points.t)
    for name in model.waves:
        if named[name][0] < _LEAST_PERIODS:
            return "less than half a period in the data"
        if named[name][0] > top:
            return "faster than the points can tell"
    for name, most in model.determined.items():
        value, error = named[name]
        if not error <= most * abs(value):
            return f"the data do not determine {'the ' if name != 'tau' else ''}{name}"
    return _misfit(points, found)


def _chance(model: Model, points: Points, residuals: Floats) -> float:
    """Return the probability that noise alone is fitted as well, once for each frequency that is tried."""
    n_trials = len(points.t) / 2 if model.waves else 1.0
    n_more = len(model.units) - 1
    return n_trials * least.chance(points, points.y - points.mean, residuals, n_more + 1, n_more)


def _misfit(points: Points, found: Solution) -> str | None:
    """Return a reason if the residuals are no noise and no small part of the signal either.

    The Durbin-Watson statistic of white noise is 2 with a deviation of 2/sqrt(n).
    """
    if least.r2(points, found.residuals) >= 0.95:
        return None
    power = float((found.residuals**2).sum())
    smooth = power > 0 and (np.diff(found.residuals) ** 2).sum() / power < 2 - 7 / np.sqrt(len(points.t))
    far = least.chi2(points, found.residuals, len(found.values))
    return "the data have another shape" if smooth or (far is not None and far > 10) else None


def _parameters(model: Model, found: Solution, span: float) -> dict[str, Any]:
    scale = {"x": span, "1/x": 1 / span, "y": 1.0, "rad": 1.0}
    named = zip(model.units.items(), found.values, found.errors, strict=True)
    return {
        name: {"value": float(value) * scale[unit], "error": float(error) * scale[unit], "unit": unit}
        for (name, unit), value, error in named
    }


def _gates(found: Solution, span: float) -> dict[str, Any]:
    """Return offset, amplitude, p and the error of a gate, (1 - p) / 2, of a fitted exponential."""
    parameters = _parameters(MODELS["exp"], found, span)
    tau = parameters.pop("tau")
    p = float(np.exp(-1 / tau["value"]))
    error = p * tau["error"] / tau["value"] ** 2
    parameters["p"] = {"value": p, "error": error, "unit": "y"}
    parameters["error_per_gate"] = {"value": (1 - p) / 2, "error": error / 2, "unit": "y"}
    return parameters


def _of_a_staircase(points: Points, max_chance: float) -> dict[str, Any]:
    found = staircase.fit(points, max_chance)
    if isinstance(found, str):
        return _no_fit("all_xy", found)
    solution, parameters = found
    return _record("all_xy", points, solution, parameters, 0.0)


def _no_fit(kind: str, reason: str) -> dict[str, Any]:
    return {"kind": kind, "ok": False, "reason": reason, "model": MODELS[kind].formula, "parameters": {}}


def _record(
    kind: str, points: Points, found: Solution, parameters: dict[str, Any], start: float
) -> dict[str, Any]:
    n_parameters = len(found.values)
    return {
        "kind": kind,
        "ok": True,
        "reason": None,
        "model": MODELS[kind].formula,
        "x0": start,
        "parameters": parameters,
        "r2": least.r2(points, found.residuals),
        "chi2": least.chi2(points, found.residuals, n_parameters),
        "bic": least.bic(points, found.residuals, n_parameters),
        "n_points": len(points.t),
    }
