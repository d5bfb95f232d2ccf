"""The curves that are fitted, and what their parameters are called.

=============  ======================================================================================
kind           curve
=============  ======================================================================================
``all_xy``     staircase of 0, 1/2 and 1: ``offset + amplitude·staircase``
``rb``         ``offset + amplitude·p^x``: randomized benchmarking, x the number of gates
``rabi``       ``offset - amplitude·exp(-decay·x)·cos(2π·frequency·x)``: from the ground state at x = 0
``exp``        ``offset + amplitude·exp(-(x - x0)/tau)``
``cos``        ``offset + amplitude·cos(2π·frequency·(x - x0) + phase)``
``sin_exp``    ``offset + amplitude·exp(-(x - x0)/tau)·sin(2π·frequency·(x - x0) + phase)``
``beat``       ``sin_exp``, and a second sine with the same tau: ``amplitude_2``, ``frequency_2``, ``phase_2``
=============  ======================================================================================

While it is fitted, a curve is a function of t, x scaled to the span of the data; ``unit`` of a parameter
says how it scales back: ``x``, ``1/x``, ``rad`` or ``y``. `curve` draws what a record tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A curve y(t; parameters).

    Attributes
    ----------
    formula:
        What is fitted, for people.
    units:
        Name and unit of each parameter, in order: ``x`` scales with the span, ``1/x`` against it.
    curve:
        The function.
    determined:
        Names of the parameters that the data have to determine, and the largest relative error.
    waves:
        Names of the frequencies.
    from_zero:
        Whether x counts from 0, instead of from the first point.
    """

    formula: str
    units: Mapping[str, str]
    curve: Callable[..., Floats]
    determined: Mapping[str, float]
    waves: tuple[str, ...] = ()
    from_zero: bool = False

    @property
    def decays(self) -> bool:
        """Whether a time constant is among the parameters."""
        return "tau" in self.units


def _exp(t: Floats, offset: float, amplitude: float, tau: float) -> Floats:
    return np.asarray(offset + amplitude * np.exp(-t / tau))


def _cos(t: Floats, offset: float, amplitude: float, frequency: float, phase: float) -> Floats:
    return np.asarray(offset + amplitude * np.cos(2 * np.pi * frequency * t + phase))


def _sin_exp(
    t: Floats, offset: float, amplitude: float, tau: float, frequency: float, phase: float
) -> Floats:
    return np.asarray(offset + amplitude * np.exp(-t / tau) * np.sin(2 * np.pi * frequency * t + phase))


def _beat(
    t: Floats, offset: float, amplitude: float, tau: float, frequency: float, phase: float,
    amplitude_2: float, frequency_2: float, phase_2: float,
) -> Floats:  # fmt: skip
    second = amplitude_2 * np.exp(-t / tau) * np.sin(2 * np.pi * frequency_2 * t + phase_2)
    return np.asarray(_sin_exp(t, offset, amplitude, tau, frequency, phase) + second)


def _rabi(t: Floats, offset: float, amplitude: float, frequency: float, decay: float) -> Floats:
    return np.asarray(offset - amplitude * np.exp(-decay * t) * np.cos(2 * np.pi * frequency * t))


def _rb(x: Floats, offset: float, amplitude: float, p: float) -> Floats:
    return np.asarray(offset + amplitude * np.power(p, x))


def _all_xy(x: Floats, offset: float, amplitude: float, first_step: float, second_step: float) -> Floats:
    return np.asarray(offset + amplitude * (0.5 * (x > first_step) + 0.5 * (x > second_step)))


_LEVELS = {"offset": "y", "amplitude": "y"}
_WAVE = {"frequency": "1/x", "phase": "rad"}
_SECOND = {"amplitude_2": "y", "frequency_2": "1/x", "phase_2": "rad"}
_TAU, _AMPLITUDE = {"tau": 0.5}, {"amplitude": 0.5}
_FREQUENCY = {"frequency": 0.25}

MODELS: Mapping[str, Model] = {
    "all_xy": Model(
        "offset + amplitude·(0, 1/2 or 1)",
        {**_LEVELS, "first_step": "x", "second_step": "x"},
        _all_xy,
        _AMPLITUDE,
    ),
    "rb": Model("offset + amplitude·p^x", {**_LEVELS, "p": "y"}, _rb, _AMPLITUDE, from_zero=True),
    "rabi": Model(
        "offset - amplitude·exp(-decay·x)·cos(2π·frequency·x)",
        {**_LEVELS, "frequency": "1/x", "decay": "1/x"},
        _rabi,
        {**_FREQUENCY, **_AMPLITUDE},
        waves=("frequency",),
        from_zero=True,
    ),
    "exp": Model(
        "offset + amplitude·exp(-(x - x0)/tau)", {**_LEVELS, "tau": "x"}, _exp, {**_TAU, **_AMPLITUDE}
    ),
    "cos": Model(
        "offset + amplitude·cos(2π·frequency·(x - x0) + phase)",
        {**_LEVELS, **_WAVE},
        _cos,
        {**_FREQUENCY, **_AMPLITUDE},
        waves=("frequency",),
    ),
    "sin_exp": Model(
        "offset + amplitude·exp(-(x - x0)/tau)·sin(2π·frequency·(x - x0) + phase)",
        {**_LEVELS, "tau": "x", **_WAVE},
        _sin_exp,
        {**_TAU, **_FREQUENCY, **_AMPLITUDE},
        waves=("frequency",),
    ),
    "beat": Model(
        "offset + exp(-(x - x0)/tau)·(amplitude·sin(2π·frequency·(x - x0) + phase)"
        " + amplitude_2·sin(2π·frequency_2·(x - x0) + phase_2))",
        {**_LEVELS, "tau": "x", **_WAVE, **_SECOND},
        _beat,
        {**_TAU, **_FREQUENCY, **_AMPLITUDE, "frequency_2": 0.25, "amplitude_2": 0.5},
        waves=("frequency", "frequency_2"),
    ),
}
"""The most specific first: of fits that are equally good, the first is the best."""


def curve(kind: str, parameters: Mapping[str, Any], x: NDArray[Any], *, x0: float = 0.0) -> Floats:
    """Return a fitted curve at `x`.

    Parameters
    ----------
    kind:
        A name of `MODELS`.
    parameters:
        By name, numbers or ``{value, …}`` as a record has them; others than those of the curve are
        not looked at.
    x:
        In the unit of the fit's x axis.
    x0:
        Where x counts from: ``x0`` of the record.
    """
    given = {name: parameters[name] for name in MODELS[kind].units}
    values = {
        name: float(entry["value"] if isinstance(entry, Mapping) else entry) for name, entry in given.items()
    }
    return MODELS[kind].curve(np.asarray(x, np.float64) - x0, **values)


def evaluate(kind: str, record: Mapping[str, Any], x: NDArray[Any]) -> Floats:
    """Return the curve of a record that is ``ok`` at `x`."""
    return curve(kind, record["parameters"], x, x0=record["x0"])
