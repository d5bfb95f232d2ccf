"""What the shipped chain finds in data of the shipped chip."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool.config import Configuration
from qtrl_spool.experiments import all_xy, pi_no_pi, rabi, ramsey, t1
from qtrl_spool.processing import Processed
from tests.test_shipped_physics import QUBITS, READOUTS, chip, excited, measured

ANGLES = (0.42, -1.31, 2.57, -2.08)


def turned(by: float, **kwargs: object) -> Configuration:
    """Return the configuration of a lab whose readout lines have become longer: all clouds are turned."""
    rotation = {"kwargs": {"angles": [angle + by for angle in ANGLES]}}
    simple = {"02_rotate_IQ": rotation, "04_GMM": {"kwargs": kwargs}}
    return chip().merged({"adc": {"processing": {"00_simple_readout": simple}}})


def found(done: Processed, kind: str, name: str) -> list[tuple[float, float]]:
    """Return value and standard error of a parameter for each readout."""
    records = [kinds[kind] for kinds in done.fits.values()]
    assert [record["reason"] for record in records] == [None] * 4
    parameters = [record["parameters"][name] for record in records]
    return [(entry["value"], entry["error"]) for entry in parameters]


def test_a_classifier_that_is_fitted_makes_up_for_readout_lines_that_changed() -> None:
    seq = pi_no_pi(QUBITS, herald=True)
    assert np.abs(excited(measured(seq, turned(1.2))) - [[0, 1]] * 4).max() > 0.1
    assert excited(measured(seq, turned(1.2, fit=True))) == pytest.approx(np.array([[0, 1]] * 4), abs=0.03)


def test_a_classifier_may_be_fitted_without_any_means() -> None:
    done = measured(pi_no_pi(QUBITS, herald=True), turned(0.0, means="fit"))
    assert excited(done) == pytest.approx(np.array([[0, 1]] * 4), abs=0.03)
    assert all(entry["fitted"] and entry["distances"][0][1] > 4 for entry in done.classifier.values())


def test_an_all_xy_tells_how_far_it_is_from_its_staircase() -> None:
    done = measured(all_xy(QUBITS, herald=True), chip())
    assert [kinds["best"] for kinds in done.fits.values()] == ["all_xy"] * 4
    assert max(value for value, _ in found(done, "all_xy", "deviation")) < 0.02


def test_a_t1_is_found_within_its_standard_error() -> None:
    done = measured(t1(QUBITS, 31, 6e-6, herald=True), chip())
    for (tau, error), qubit in zip(found(done, "exp", "tau"), QUBITS, strict=True):
        true = chip().simulator[f"chip/{qubit}/t1"] * 1e6
        assert abs(tau - true) < 4 * error and error < 0.1 * true


def test_a_ramsey_is_a_decaying_sine_at_its_detuning() -> None:
    for qubit, readout in zip(QUBITS, READOUTS, strict=True):
        done = measured(ramsey(qubit, 101, 0.3e-6, detune=0.4e6, herald=True), chip())
        frequency = done.fits[readout]["sin_exp"]["parameters"]["frequency"]
        assert abs(frequency["value"] - 0.4) < 5 * frequency["error"] and frequency["error"] < 0.01


def test_a_ramsey_of_two_qubits_that_feel_each_other_beats_at_their_zz() -> None:
    """Each is in both levels while the other one precesses; the two frequencies are zz apart."""
    done = measured(ramsey(("Q2", "Q3"), 101, 0.3e-6, detune=0.4e6, herald=True), chip())
    zz = chip().simulator["pairs/Q2-Q3/zz"] / 1e6
    for readout in ("R2", "R3"):
        assert done.fits[readout]["best"] == "beat"
        parameters = done.fits[readout]["beat"]["parameters"]
        apart = abs(parameters["frequency"]["value"] - parameters["frequency_2"]["value"])
        assert apart == pytest.approx(zz, rel=0.1)


def test_a_rabi_is_found_by_the_step_that_knows_its_phase() -> None:
    enabled = {"10_fitting": {"08_rabi": {"enable": True}}}
    config = chip().merged({"adc": {"processing": enabled}})
    done = measured(rabi(QUBITS, 41, 12e-9, herald=True), config)
    with_phase, free = (found(done, kind, "frequency") for kind in ("rabi", "cos"))
    assert [value for value, _ in with_phase] == pytest.approx([value for value, _ in free], rel=0.01)
