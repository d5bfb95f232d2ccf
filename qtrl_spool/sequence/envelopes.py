"""The shapes of pulses: pure functions from parameters to complex samples.

`draw` is called by the compiler, once for each distinct envelope. A shape is a function of the
number of samples ``n``, the sample rate of the sequence in samples/s and its own parameters; unless
its entry in `SHAPES` says otherwise, the result is multiplied by ``A exp(ip)``, where ``A`` is the
product of ``amplitude`` (a number or a list, in full scale) and ``global_amp``, and ``p`` the sum of
``phase`` (a number or a list, in rad) and ``global_phase``.

Arithmetic is float64; only the finished samples are rounded to complex64. No samples (``n = 0``)
give an empty envelope, whatever the shape. A keyword that no shape knows is logged.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import did_you_mean
from qtrl_spool.sequence.kinds import is_number

logger = logging.getLogger(__name__)

Complex = NDArray[np.complex128]
Shape64 = NDArray[Any]
"""A bare shape: float64 where it is real, else complex128."""

Parameters = Mapping[str, Any]


def _square(n: int, rate: float, kw: Parameters) -> Shape64:
    return np.ones(n)


def _rotating(turns: NDArray[np.float64]) -> Complex:
    """Return ``exp(2 pi i turns)``."""
    samples: Complex = np.exp(2j * np.pi * turns)
    return samples


def _sin(n: int, rate: float, kw: Parameters) -> Complex:
    turns = np.arange(n) * (kw["frequency"] / kw["sample_rate"])
    return _rotating(np.remainder(turns, 1.0) - 0.25)


def _bell(n: int, sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian of standard deviation `sigma` samples, centred on n/2."""
    bell: NDArray[np.float64] = np.exp(-((np.arange(n) - n / 2) ** 2) / (2 * sigma**2))
    return bell


def _gaussian(n: int, rate: float, kw: Parameters) -> Shape64:
    return _bell(n, n / (2 * kw["sigmas"]))


def _drag(n: int, rate: float, kw: Parameters) -> Shape64:
    sigma = n / (2 * kw["sigmas"])
    bell = _bell(n, sigma)
    slope = -(np.arange(n) - n / 2) / sigma**2 * bell
    detuning = 2 * np.pi * kw["delta"] / kw["sample_rate"]
    return _shifted(bell - 1j * kw["alpha"] * slope / detuning, kw["df"] / kw["sample_rate"])


def _shifted(shape: Shape64, turns_per_sample: float) -> Shape64:
    """Return `shape` turning by so much from its first sample on."""
    if turns_per_sample == 0:
        return shape
    return shape * _rotating(np.remainder(np.arange(len(shape)) * turns_per_sample, 1.0))


def _with_edges(n: int, edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ones between a rising `edge` and its mirror image."""
    shape = np.empty(n)
    shape[: len(edge)] = edge
    shape[len(edge) : n - len(edge)] = 1.0
    shape[n - len(edge) :] = edge[::-1]
    return shape


def _edge_samples(n: int, kw: Parameters) -> int:
    fraction = min(max(float(kw["ramp_fraction"]), 0.0), 0.5)
    return math.floor(fraction * n)


def _cos_square(n: int, rate: float, kw: Parameters) -> Shape64:
    length = _edge_samples(n, kw)
    edge = np.arange(length, dtype=float)
    edge *= np.pi / max(length, 1)
    np.cos(edge, out=edge)
    edge *= -0.5
    edge += 0.5
    return _shifted(_with_edges(n, edge), -kw["df"] / kw["sample_rate"])


def _gauss_square(n: int, rate: float, kw: Parameters) -> Shape64:
    length = _edge_samples(n, kw)
    sigma = max(length, 1) / kw["sigmas"]
    edge = np.exp(-((np.arange(length) - length) ** 2) / (2 * sigma**2))
    return _with_edges(n, edge)


def _hann(n: int, rate: float, kw: Parameters) -> Shape64:
    return np.hanning(n)


def _cos_env(n: int, rate: float, kw: Parameters) -> Shape64:
    if n == 1:
        return np.ones(1)
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / (n - 1))


def _half_sin(n: int, rate: float, kw: Parameters) -> Shape64:
    if n == 1:
        return np.ones(1)
    return np.sin(np.pi * np.arange(n) / (n - 1))


def points_of(value: Any) -> Complex:
    """Return arbitrary samples: numbers, complex numbers or ``[re, im]`` pairs."""
    points = np.asarray(value)
    if points.ndim == 2 and points.shape[1] == 2:
        points = points[:, 0] + 1j * points[:, 1]
    return points.astype(complex)


def _arb(n: int, rate: float, kw: Parameters) -> Complex:
    shape = np.zeros(n, complex)
    points = points_of(kw["points"])[:n]
    shape[: len(points)] = points
    return shape


@dataclass(frozen=True)
class Shape:
    """One entry of `SHAPES`.

    Attributes
    ----------
    function:
        Draws the bare shape.
    defaults:
        Its own parameters; ``sample_rate: None`` stands for the sequence's (samples/s).
    scaled:
        Whether ``A exp(ip)`` applies.
    clipped:
        Whether ``A`` is kept within [-1, 1].
    """

    function: Callable[[int, float, Parameters], Shape64]
    defaults: Mapping[str, Any]
    scaled: bool = True
    clipped: bool = False


_COS_SQUARE = Shape(_cos_square, {"ramp_fraction": 0.25, "df": 0.0, "sample_rate": None}, clipped=True)

SHAPES: Mapping[str, Shape] = {
    "square": Shape(_square, {}),
    "sin": Shape(_sin, {"frequency": 0.0, "sample_rate": None}),
    "gaussian": Shape(_gaussian, {"sigmas": 3.0}),
    "DRAG": Shape(_drag, {"sigmas": 3.0, "alpha": 0.5, "delta": 260e6, "df": 0.0, "sample_rate": None}),
    "cos_square": _COS_SQUARE,
    "cos_square_fixed": _COS_SQUARE,
    "hann": Shape(_hann, {}),
    "cos_env": Shape(_cos_env, {}),
    "half_sin": Shape(_half_sin, {}),
    "gauss_square": Shape(_gauss_square, {"ramp_fraction": 0.1, "sigmas": 3.0}),
    "arb": Shape(_arb, {"points": ()}),
    "mark": Shape(_square, {}, scaled=False),
}

SCALING = ("amplitude", "phase", "global_amp", "global_phase")
_KNOWN = frozenset((*SCALING, *(name for shape in SHAPES.values() for name in shape.defaults)))
LOUD = 1e9
"""An amplitude or a phase of this size is a slip."""
_NONZERO = ("sigmas", "delta", "sample_rate")


def amplitude_of(kwargs: Parameters) -> float:
    """Return the product of the amplitudes, in full scale."""
    return math.prod(_numbers(kwargs.get("amplitude", 1.0))) * float(kwargs.get("global_amp", 1.0))


def phase_of(kwargs: Parameters) -> float:
    """Return the sum of the phases in rad."""
    return sum(_numbers(kwargs.get("phase", 0.0))) + float(kwargs.get("global_phase", 0.0))


def _numbers(value: Any) -> list[float]:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [float(entry) for entry in value]
    return [float(value)]


def draw(env_func: str, n: int, kwargs: Parameters, sample_rate: float) -> NDArray[np.complex64]:
    """Return the `n` samples of an envelope.

    Parameters
    ----------
    env_func:
        A key of `SHAPES`.
    n:
        Number of samples.
    kwargs:
        Parameters of the shape, as in a pulse.
    sample_rate:
        Of the sequence, in samples/s; a shape may name its own among its parameters.

    Returns
    -------
    samples:
        complex64 [sample].
    """
    samples = np.empty(n, np.complex64)
    np.multiply(
        bare(env_func, n, kwargs, sample_rate), factor_of(env_func, kwargs), out=samples, casting="same_kind"
    )
    return samples


def bare(env_func: str, n: int, kwargs: Parameters, sample_rate: float) -> Shape64:
    """Return the shape of an envelope before its amplitude and phase [sample]; see `draw`."""
    if n == 0:
        return np.zeros(0)
    shape = SHAPES[env_func]
    parameters = {name: kwargs.get(name, value) for name, value in shape.defaults.items()}
    if parameters.get("sample_rate", 0.0) is None:
        parameters["sample_rate"] = sample_rate
    return shape.function(n, sample_rate, parameters)


def unturned(env_func: str, kwargs: Parameters) -> tuple[Parameters, float]:
    """Return the parameters without phase, and the phase in rad: equal shapes with other phases are one."""
    if not SHAPES[env_func].scaled:
        return kwargs, 0.0
    rest = {name: value for name, value in kwargs.items() if name not in ("phase", "global_phase")}
    return rest, phase_of(kwargs)


def factor_of(env_func: str, kwargs: Parameters) -> complex:
    """Return by what the `bare` samples of an envelope are multiplied: its amplitude and phase."""
    shape = SHAPES[env_func]
    if not shape.scaled:
        return 1.0 + 0.0j
    amplitude = amplitude_of(kwargs)
    if shape.clipped:
        amplitude = min(max(amplitude, -1.0), 1.0)
    phase = phase_of(kwargs)
    return amplitude * complex(math.cos(phase), math.sin(phase))


def _are_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple, np.ndarray)):
        return all(is_number(entry) for entry in value)
    return is_number(value)


def envelope_problems(env_func: Any, kwargs: Any) -> Iterator[str]:
    """Yield a sentence for each thing that keeps an envelope from being drawn."""
    if not isinstance(env_func, str) or env_func not in SHAPES:
        near = did_you_mean(str(env_func), SHAPES)
        yield f"there is no envelope {env_func!r}" + (
            f"; {near}" if near else f"; there are {', '.join(SHAPES)}"
        )
        return
    if not isinstance(kwargs, Mapping):
        yield f"kwargs is {kwargs!r}: it must be a mapping"
        return
    fine = True
    for name, value in kwargs.items():
        problem = _parameter_problem(env_func, name, value)
        if problem:
            fine = False
            yield problem
    if fine and not abs(amplitude_of(kwargs)) < LOUD:
        yield f"the amplitudes come to {amplitude_of(kwargs):.3g} of full scale"
    if fine and not abs(phase_of(kwargs)) < LOUD:
        yield f"the phases come to {phase_of(kwargs):.3g} rad"


def _parameter_problem(env_func: str, name: str, value: Any) -> str | None:
    if name == "points":
        return _points_problem(value) if env_func == "arb" else None
    if name not in SHAPES[env_func].defaults and name not in SCALING:
        if name not in _KNOWN:
            logger.warning("no envelope knows the keyword %r (of a %s)", name, env_func)
        return None
    fine = _are_numbers(value) if name in ("amplitude", "phase") else is_number(value)
    if not fine:
        if isinstance(value, str):
            return f"{name} is the text {value!r}: it must be a number, or the name of a variable that exists"
        return f"{name} is {value!r}: it must be a number"
    if name in _NONZERO and value == 0:
        return f"{name} is 0: it must not be"
    return None


def _points_problem(value: Any) -> str | None:
    try:
        points = points_of(value)
    except (TypeError, ValueError):
        return "points must be numbers or [re, im] pairs"
    if points.ndim != 1 or not np.isfinite(points).all():
        return "points must be one row of finite numbers or [re, im] pairs"
    return None
