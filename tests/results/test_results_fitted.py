"""What a fit found, by names that a calibration can use."""

from __future__ import annotations

from typing import Any

import pytest

from qtrl_spool.errors import NotFoundError
from qtrl_spool.results.fitted import Fitted, fitted, quantity


def wave(unit: str, frequency: float = 5.0) -> dict[str, Any]:
    entry = {"value": frequency, "error": 0.1, "unit": unit}
    level = {"value": 0.5, "error": 0.01, "unit": "1"}
    return {"cos": {"ok": True, "parameters": {"frequency": entry, "amplitude": level}}, "best": "cos"}


NONE = {"cos": {"ok": False, "reason": "no better than a constant", "parameters": {}}, "best": None}
TIME, AMPLITUDE = ("pulse width", "us"), ("amplitude of X180", "1")


def test_times_and_frequencies_are_in_si_units() -> None:
    found = fitted({"R6": wave("MHz")}, TIME)["R6"]
    assert (found["frequency"].value, found["frequency"].unit) == (pytest.approx(5e6), "Hz")
    assert (found["period"].value, found["period"].unit) == (pytest.approx(0.2e-6), "s")


def test_half_a_period_along_a_time_is_the_width_of_a_pi_pulse() -> None:
    found = fitted({"R6": wave("MHz")}, TIME)["R6"]
    assert found["pi_width"] == Fitted(pytest.approx(1e-7), pytest.approx(2e-9), "s")
    assert "pi_amplitude" not in found


def test_half_a_period_along_an_amplitude_is_the_amplitude_of_a_pi_pulse() -> None:
    found = fitted({"R6": wave("1", 2.0)}, AMPLITUDE)["R6"]
    assert found["pi_amplitude"] == Fitted(pytest.approx(0.25), pytest.approx(0.0125), "1")
    assert "pi_width" not in found


def test_an_axis_that_is_neither_has_a_period_only() -> None:
    assert {"pi_width", "pi_amplitude"}.isdisjoint(fitted({"R6": wave("1")}, ("phase", "rad"))["R6"])


def test_one_readout_need_not_be_named() -> None:
    found = fitted({"R6": wave("MHz")}, TIME)
    assert quantity(found, "fit.period", "j") is quantity(found, "fit.R6.period", "j")


@pytest.mark.parametrize(
    ("fits", "word", "says"),
    [
        ({"R6": wave("MHz")}, "fit.pi_amplitude", "it has fit.R6.frequency"),
        ({"R6": wave("MHz")}, "fit.R6.perod", "did you mean 'fit.R6.period'"),
        ({"R6": wave("MHz"), "R7": wave("MHz")}, "fit.period", "say fit.R6.period or fit.R7.period"),
        ({"R6": NONE}, "fit.period", "no fit of it is good"),
        ({}, "fit.period", "nothing was fitted"),
    ],
)
def test_what_was_not_found_is_refused_with_what_was(fits: dict[str, Any], word: str, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        quantity(fitted(fits, TIME), word, "job j")
