"""Fits of populations against the x axis: exponential, decaying sine, cosine.

Least squares (scipy) from a start that is found by a deterministic scan, with
standard errors from the residuals. A fit is only reported when it deserves it; else ``ok`` is False
and ``reason`` says why: no better than a constant, a parameter that the data do not determine, a
shape that the data do not have.

A record is plain data (it goes into the result file as JSON)::

    {ok, reason, model, x0, parameters: {name: {value, error, unit}}, r2, bic}

``unit`` is ``x``, ``1/x``, ``rad`` or ``y``; ``x0`` is the first value of the x axis, where the
amplitude and the phase are told. Known limit: one frequency and one decay time per curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MAX_CHANCE = 1e-3
_DECAY_GUESSES = (0.1, 0.3, 1.0, 3.0)
_MAX_FREQUENCIES = 1000


@dataclass(frozen=True)
class Model:
    """A curve y(t; parameters), t from 0 at the first point to 1 at the last.

    Attributes
    ----------
    formula:
        What is fitted, for people.
    units:
        Name and unit of each parameter, in order: ``x`` scales with the span, ``1/x`` against it.
    curve:
        The function.
    oscillates, decays:
        Which parameters have to be determined by the data.
    """

    formula: str
    units: Mapping[str, str]
    curve: Callable[..., Floats]
    oscillates: bool
    decays: bool


def _exp(t: Floats, offset: float, amplitude: float, tau: float) -> Floats:
    return np.asarray(offset + amplitude * np.exp(-t / tau))


def _sin_exp(
    t: Floats, offset: float, amplitude: float, tau: float, frequency: float, phase: float
) -> Floats:
    return np.asarray(offset + amplitude * np.exp(-t / tau) * np.sin(2 * np.pi * frequency * t + phase))


def _cos(t: Floats, offset: float, amplitude: float, frequency: float, phase: float) -> Floats:
    return np.asarray(offset + amplitude * np.cos(2 * np.pi * frequency * t + phase))


_LEVELS = {"offset": "y", "amplitude": "y"}
_WAVE = {"frequency": "1/x", "phase": "rad"}
MODELS: Mapping[str, Model] = {
    "exp": Model(
        "offset + amplitude·exp(-(x - x0)/tau)", {**_LEVELS, "tau": "x"}, _exp, oscillates=False, decays=True
    ),
    "sin_exp": Model(
        "offset + amplitude·exp(-(x - x0)/tau)·sin(2π·frequency·(x - x0) + phase)",
        {**_LEVELS, "tau": "x", **_WAVE},
        _sin_exp,
        oscillates=True,
        decays=True,
    ),
    "cos": Model(
        "offset + amplitude·cos(2π·frequency·(x - x0) + phase)",
        {**_LEVELS, **_WAVE},
        _cos,
        oscillates=True,
        decays=False,
    ),
}


def fit(kind: str, x: NDArray[Any], y: NDArray[Any]) -> dict[str, Any]:
    """Fit one curve.

    Parameters
    ----------
    kind:
        A name of `MODELS`.
    x, y:
        The points; those that are not finite are left out.
    """
    model = MODELS[kind]
    good = np.isfinite(x) & np.isfinite(y)
    xs, ys = np.asarray(x, np.float64)[good], np.asarray(y, np.float64)[good]
    if len(xs) <= len(model.units):
        return _no_fit(model, f"{len(xs)} points are too few for {len(model.units)} parameters")
    start, span = float(xs.min()), float(np.ptp(xs))
    if span == 0:
        return _no_fit(model, "all points have the same x")
    t = (xs - start) / span
    found = _solve(model, t, ys)
    if isinstance(found, str):
        return _no_fit(model, found)
    values, covariance = _tidy(model, *found)
    reason = _doubt(model, t, ys, values, np.sqrt(np.diag(covariance)))
    if reason is not None:
        return _no_fit(model, reason)
    return _record(model, t, ys, values, covariance, start, span)


def with_best(fits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fits of one readout with the name of the best under ``best`` (None if none is good)."""
    good = {name: fits[name]["bic"] for name in MODELS if name in fits and fits[name]["ok"]}
    return {**fits, "best": min(good, key=good.__getitem__) if good else None}


def evaluate(kind: str, record: Mapping[str, Any], x: NDArray[Any]) -> Floats:
    """Return the fitted curve of a record that is ``ok`` at `x`."""
    values = {name: record["parameters"][name]["value"] for name in MODELS[kind].units}
    return MODELS[kind].curve(np.asarray(x, np.float64) - record["x0"], **values)


def _solve(model: Model, t: Floats, y: Floats) -> tuple[Floats, Floats] | str:
    """Return parameters and covariance, or why there are none.

    `scipy.optimize.curve_fit` without its warning, which would need the process-wide filters.
    """
    from scipy.optimize import least_squares

    lower, upper = _bounds(model, t, y)
    start = np.clip(_start(model, t, y), lower, upper)

    def residuals(values: Floats) -> Floats:
        return model.curve(t, *values) - y

    with np.errstate(all="ignore"):
        found: Any = least_squares(residuals, start, bounds=(lower, upper), max_nfev=500)
    if not found.success:
        return "the fit did not converge"
    normal = found.jac.T @ found.jac
    if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e14:
        return "the data do not determine the parameters"
    return found.x, np.linalg.inv(normal) * 2 * found.cost / (len(t) - len(start))


def _start(model: Model, t: Floats, y: Floats) -> Floats:
    """Scan decay times and frequencies; for each, the rest is a linear problem."""
    taus = _DECAY_GUESSES if model.decays else (np.inf,)
    scans = [_scan(model, t, y, tau) for tau in taus]
    _, tau, frequency, weights = min(scans, key=lambda scan: scan[0])
    if not model.oscillates:
        return np.array([weights[0], weights[1], tau])
    size = float(np.hypot(weights[1], weights[2]))
    if model.decays:
        return np.array([weights[0], size, tau, frequency, np.arctan2(weights[1], weights[2])])
    return np.array([weights[0], size, frequency, np.arctan2(-weights[2], weights[1])])


def _scan(model: Model, t: Floats, y: Floats, tau: float) -> tuple[float, float, float, Floats]:
    """Return (squared residual, tau, frequency, linear weights) of the best frequency."""
    frequencies = _frequencies(t) if model.oscillates else np.zeros(1)
    decay = np.exp(-t / tau)
    angle = 2 * np.pi * frequencies[:, None] * t
    columns = [np.broadcast_to(1.0, angle.shape), decay * np.cos(angle)]
    if model.oscillates:
        columns.append(decay * np.sin(angle))
    design = np.stack(columns, axis=-1)
    transposed = np.swapaxes(design, 1, 2)
    ridge = 1e-9 * len(t) * np.eye(len(columns))
    weights = np.linalg.solve(transposed @ design + ridge, (transposed @ y)[..., None])[..., 0]
    residuals = ((np.einsum("fnc,fc->fn", design, weights) - y) ** 2).sum(axis=1)
    best = int(residuals.argmin())
    return float(residuals[best]), tau, float(frequencies[best]), weights[best]


def _frequencies(t: Floats) -> Floats:
    """Return the frequencies to try, in periods per span: up to what the spacing can tell."""
    highest = _highest(t)
    return np.linspace(0.25, highest, min(_MAX_FREQUENCIES, int(8 * highest) + 8))


def _highest(t: Floats) -> float:
    steps = np.diff(np.unique(t))
    return max(0.5 / float(np.median(steps)), 1.0)


def _bounds(model: Model, t: Floats, y: Floats) -> tuple[Floats, Floats]:
    size = 10 * float(np.ptp(y)) + 1e-12
    middle = float(np.median(y))
    limits = {
        "offset": (middle - size, middle + size),
        "amplitude": (-size, size),
        "tau": (1e-3, 1e3),
        "frequency": (0.0, 1.1 * _highest(t)),
        "phase": (-np.inf, np.inf),
    }
    lower, upper = zip(*(limits[name] for name in model.units), strict=True)
    return np.asarray(lower), np.asarray(upper)


def _tidy(model: Model, values: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Make an oscillation's amplitude positive and bring its phase to (-pi, pi]."""
    if not model.oscillates:
        return values, covariance
    names = list(model.units)
    amplitude, phase = names.index("amplitude"), names.index("phase")
    tidy = values.copy()
    sign = np.ones(len(values))
    if tidy[amplitude] < 0:
        tidy[amplitude] *= -1
        tidy[phase] += np.pi
        sign[amplitude] = -1
    tidy[phase] = -((-tidy[phase] + np.pi) % (2 * np.pi) - np.pi)
    return tidy, covariance * np.outer(sign, sign)


def _doubt(model: Model, t: Floats, y: Floats, values: Floats, errors: Floats) -> str | None:
    """Return why the fit should not be believed, or None."""
    named = dict(zip(model.units, zip(values, errors, strict=True), strict=True))
    residuals = y - model.curve(t, *values)
    if _chance(model, y, residuals) > _MAX_CHANCE:
        return "no better than a constant"
    if model.decays and named["tau"][1] > 0.5 * named["tau"][0]:
        return "the data do not determine tau"
    if model.oscillates:
        frequency, error = named["frequency"]
        if frequency < 0.4:
            return "less than half a period in the data"
        if frequency > _highest(t):
            return "faster than the points can tell"
        if error > 0.25 * frequency:
            return "the data do not determine the frequency"
    if named["amplitude"][1] > 0.5 * abs(named["amplitude"][0]):
        return "the data do not determine the amplitude"
    return _misfit(t, y, residuals)


def _chance(model: Model, y: Floats, residuals: Floats) -> float:
    """Return the probability that noise alone fits as well: an F test, once for each frequency tried."""
    from scipy.special import fdtrc

    n, n_more = len(y), len(model.units) - 1
    n_free = n - n_more - 1
    before, after = float(((y - y.mean()) ** 2).sum()), float((residuals**2).sum())
    ratio = (before - after) / n_more / (after / n_free + 1e-30)
    n_trials = n / 2 if model.oscillates else 1.0
    return n_trials * float(fdtrc(n_more, n_free, max(ratio, 0.0)))


def _misfit(t: Floats, y: Floats, residuals: Floats) -> str | None:
    """Return a reason if the residuals are no noise and no small part of the signal either.

    The Durbin-Watson statistic of white noise is 2 with a deviation of 2/sqrt(n).
    """
    ordered = residuals[np.argsort(t, kind="stable")]
    power = float((ordered**2).sum())
    smooth = power > 0 and (np.diff(ordered) ** 2).sum() / power < 2 - 7 / np.sqrt(len(t))
    if smooth and _r2(y, residuals) < 0.95:
        return "the data have another shape"
    return None


def _bic(residuals: Floats, n_parameters: int) -> float:
    n = len(residuals)
    return float(n * np.log((residuals**2).mean() + 1e-20) + n_parameters * np.log(n))


def _r2(y: Floats, residuals: Floats) -> float:
    total = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float((residuals**2).sum()) / total if total > 0 else 0.0


def _no_fit(model: Model, reason: str) -> dict[str, Any]:
    return {"ok": False, "reason": reason, "model": model.formula, "parameters": {}}


def _record(
    model: Model, t: Floats, y: Floats, values: Floats, covariance: Floats, start: float, span: float
) -> dict[str, Any]:
    scale = {"x": span, "1/x": 1 / span, "y": 1.0, "rad": 1.0}
    parameters = {}
    for (name, unit), value, variance in zip(model.units.items(), values, np.diag(covariance), strict=True):
        error = float(np.sqrt(variance))
        parameters[name] = {"value": float(value) * scale[unit], "error": error * scale[unit], "unit": unit}
    residuals = y - model.curve(t, *values)
    return {
        "ok": True,
        "reason": None,
        "model": model.formula,
        "x0": start,
        "parameters": parameters,
        "r2": _r2(y, residuals),
        "bic": _bic(residuals, len(values)),
    }
