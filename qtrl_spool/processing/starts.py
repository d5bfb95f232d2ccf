"""Where a fit begins: frequencies from a Fourier transform, decay times from a list, the rest is linear.

For each decay time the spectrum of the points, weighted by that decay, has its peaks near the
frequencies of the curve; a few low frequencies, which a spectrum does not tell apart, are tried besides.
For each candidate the offset and the amplitudes are a linear problem, and the one with the least squares
is the start.

Times are in units of the span of the data. Called by `qtrl_spool.processing.fitting`. Pure.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.processing.least import Points

Floats = NDArray[np.float64]

_TAUS = (0.1, 0.3, 1.0, 3.0)
_LOW = np.linspace(0.25, 2.0, 8)
_N_PEAKS, _PADDING, _MAX_FREQUENCIES = 3, 4, 2000
_RIDGE = 1e-9


def highest(t: Floats) -> float:
    """Return the largest frequency that the spacing of the points can tell, periods per span."""
    return max(0.5 / float(np.median(np.diff(np.unique(t)))), 1.0)


def exponential(points: Points) -> list[Floats]:
    """Return offset, amplitude, tau."""
    taus = np.array([0.03, *_TAUS])
    weights, squares = _linear(points, [np.exp(-points.t / taus[:, None])])
    best = int(squares.argmin())
    return [np.array([*weights[best], taus[best]])]


def cosine(points: Points) -> list[Floats]:
    """Return offset, amplitude, frequency, phase."""
    frequencies = _candidates(points, np.inf)
    weights, squares = _linear(points, _waves(points.t, frequencies, np.inf))
    (offset, c, s), f = (each[int(squares.argmin())] for each in (weights, frequencies))
    return [np.array([offset, np.hypot(c, s), f, np.arctan2(-s, c)])]


def rabi(points: Points) -> list[Floats]:
    """Return offset, amplitude, frequency, decay."""
    found = []
    for tau in (np.inf, 1.0, 0.3):
        frequencies = _candidates(points, tau)
        cosines, _ = _waves(points.t, frequencies, tau)
        weights, squares = _linear(points, [cosines])
        best = int(squares.argmin())
        offset, amplitude = weights[best]
        found.append((squares[best], np.array([offset, -amplitude, frequencies[best], 1 / tau])))
    return [min(found, key=lambda entry: entry[0])[1]]


def decaying_sine(points: Points) -> list[Floats]:
    """Return offset, amplitude, tau, frequency, phase, twice: for the two best decay times."""
    found = []
    for tau in _TAUS:
        frequencies = _candidates(points, tau)
        weights, squares = _linear(points, _waves(points.t, frequencies, tau))
        best = int(squares.argmin())
        offset, c, s = weights[best]
        values = np.array([offset, np.hypot(c, s), tau, frequencies[best], np.arctan2(c, s)])
        found.append((squares[best], values))
    return [values for _, values in sorted(found, key=lambda entry: entry[0])[:2]]


def beat(points: Points, tau: float, frequency: float) -> list[Floats]:
    """Return the parameters of two sines with one decay, from pairs of frequencies about `frequency`.

    Parameters
    ----------
    points:
        The points.
    tau, frequency:
        Of the best single decaying sine.
    """
    around = frequency + np.arange(-6.0, 6.01, 0.5)
    pairs = np.array([pair for pair in product(around, around) if 0.1 < pair[0] < pair[1] - 0.4])
    found = []
    for each in (tau, 2 * tau):
        if not len(pairs):
            break
        columns = [*_waves(points.t, pairs[:, 0], each), *_waves(points.t, pairs[:, 1], each)]
        weights, squares = _linear(points, columns)
        best = int(squares.argmin())
        offset, c1, s1, c2, s2 = weights[best]
        first = [np.hypot(c1, s1), each, pairs[best, 0], np.arctan2(c1, s1)]
        second = [np.hypot(c2, s2), pairs[best, 1], np.arctan2(c2, s2)]
        found.append((squares[best], np.array([offset, *first, *second])))
    return [values for _, values in sorted(found, key=lambda entry: entry[0])]


def _waves(t: Floats, frequencies: Floats, tau: float) -> list[Floats]:
    """Return decaying cosines and sines [candidate, point]."""
    angle, decay = 2 * np.pi * frequencies[:, None] * t, np.exp(-t / tau)
    return [decay * np.cos(angle), decay * np.sin(angle)]


def _linear(points: Points, columns: list[Floats]) -> tuple[Floats, Floats]:
    """Return the weights [candidate, column] of a constant and `columns`, and the squares that are left."""
    design = np.stack([np.ones_like(columns[0]), *columns], axis=-1) / points.width[:, None]
    y = points.y / points.width
    transposed = np.swapaxes(design, 1, 2)
    normal = transposed @ design
    normal += _RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(design.shape[-1])
    weights = np.asarray(np.linalg.solve(normal, (transposed @ y)[..., None]), np.float64)
    return weights[..., 0], np.asarray((((design @ weights)[..., 0] - y) ** 2).sum(axis=1), np.float64)


def _candidates(points: Points, tau: float) -> Floats:
    """Return the frequencies to try, in periods per span: low ones, and the peaks of the spectrum."""
    t = points.t - points.t[0]
    signal = (points.y - points.mean) * np.exp(-t / tau) / points.width**2
    frequencies, power = _spectrum(t, signal)
    inner = (power[1:-1] >= power[:-2]) & (power[1:-1] >= power[2:])
    peaks = np.flatnonzero(inner) + 1
    best = peaks[np.argsort(-power[peaks])[:_N_PEAKS]]
    top = highest(t)
    return np.unique(np.concatenate([_LOW[top >= _LOW], np.clip(frequencies[best], 0.1, top)]))


def _spectrum(t: Floats, signal: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return frequencies and the power there: by FFT where the points are evenly spaced."""
    steps, n = np.diff(t), len(t)
    if np.allclose(steps, steps.mean(), rtol=1e-3, atol=0.0):
        power = np.abs(np.fft.rfft(signal, _PADDING * n)) ** 2
        return np.fft.rfftfreq(_PADDING * n, float(steps.mean())), power
    top = highest(t)
    frequencies = np.arange(0.0, top, max(top / _MAX_FREQUENCIES, 0.5 / _PADDING))
    return frequencies, np.abs(np.exp(-2j * np.pi * frequencies[:, None] * t) @ signal) ** 2
