"""What a fit found, by names that a calibration can use: ``fit.pi_amplitude``, ``fit.R6.tau``.

==========================  ===========================================================================
name                        what it is
==========================  ===========================================================================
``frequency``, ``period``   of an oscillation; Hz and s where the x axis is a time, else 1/x and x
``tau``                     of a decay, as the x axis
``pi_width``                half a period along a time: the width of a pi pulse, s
``pi_amplitude``            half a period along an amplitude: the amplitude of a pi pulse, full scale
``amplitude``, ``offset``   of the population
``phase``                   rad
==========================  ===========================================================================

They are those of a readout's best fit, each with its standard error. An x axis is a time by its unit,
and an amplitude if it has no unit and its name says ``amp``.

Called by: `Result.fitted`, ``config apply --from``. Pure.
Fails: `NotFoundError` for a quantity that there is not; the message names those that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool.errors import NotFoundError, did_you_mean

PREFIX = "fit."
_SI = {
    "ns": (1e-9, "s"), "us": (1e-6, "s"), "µs": (1e-6, "s"), "ms": (1e-3, "s"), "s": (1.0, "s"),
    "GHz": (1e9, "Hz"), "MHz": (1e6, "Hz"), "kHz": (1e3, "Hz"), "Hz": (1.0, "Hz"),
}  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """One quantity that was found.

    Attributes
    ----------
    value, error:
        The value and its standard error, in `unit`.
    unit:
        ``s``, ``Hz``, ``rad``, ``1``, or that of the x axis.
    """

    value: float
    error: float
    unit: str


def fitted(fits: Mapping[str, Any], x_axis: tuple[str, str]) -> dict[str, dict[str, Fitted]]:
    """Return the quantities of each readout's best fit, by name; none where no fit is good.

    Parameters
    ----------
    fits:
        As the result file has them.
    x_axis:
        Name and unit.
    """
    return {label: dict(_quantities(kinds, x_axis)) for label, kinds in fits.items()}


def _quantities(kinds: Mapping[str, Any], x_axis: tuple[str, str]) -> Iterator[tuple[str, Fitted]]:
    best = kinds.get("best")
    parameters = kinds[best]["parameters"] if best else {}
    for name, entry in parameters.items():
        factor, unit = _SI.get(entry["unit"], (1.0, entry["unit"]))
        yield name, Fitted(entry["value"] * factor, entry["error"] * factor, unit)
    if "frequency" in parameters:
        yield from _of_an_oscillation(parameters["frequency"], *x_axis)


def _of_an_oscillation(
    frequency: Mapping[str, Any], x_name: str, x_unit: str
) -> Iterator[tuple[str, Fitted]]:
    factor, unit = _SI.get(x_unit, (1.0, x_unit))
    period = factor / frequency["value"]
    error = period * frequency["error"] / frequency["value"]
    yield "period", Fitted(period, error, unit)
    if unit == "s":
        yield "pi_width", Fitted(period / 2, error / 2, unit)
    elif unit in ("", "1") and "amp" in x_name.casefold():
        yield "pi_amplitude", Fitted(period / 2, error / 2, "1")


def quantity(found: Mapping[str, Mapping[str, Fitted]], word: str, where: str) -> Fitted:
    """Return the quantity that a word such as ``fit.R6.tau`` names; ``fit.tau`` if there is one readout.

    Parameters
    ----------
    found:
        See `fitted`.
    word:
        Beginning with ``fit.``.
    where:
        The job, for messages.

    Raises
    ------
    NotFoundError
        If there is no such quantity.
    """
    known = {
        f"{PREFIX}{label}.{name}": each for label, kinds in found.items() for name, each in kinds.items()
    }
    if len(found) == 1:
        known |= {f"{PREFIX}{name}": each for name, each in next(iter(found.values())).items()}
    if word not in known:
        raise NotFoundError(f"it found no {word!r}", where=where, hint=_hint(found, word, list(known)))
    return known[word]


def _hint(found: Mapping[str, Mapping[str, Fitted]], word: str, known: list[str]) -> str:
    if not known:
        return "no fit of it is good; see 'qtrl-spool result'" if found else "nothing was fitted"
    several = [each for each in known if word.count(".") == 1 and each.endswith(word.removeprefix("fit"))]
    if several:
        return f"several readouts were fitted: say {' or '.join(several)}"
    near = did_you_mean(word, known)
    return f"{near} it has {', '.join(known)}" if near else f"it has {', '.join(known)}"
