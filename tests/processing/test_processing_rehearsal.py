"""Chains that are tried without data."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from qtrl_spool import run
from qtrl_spool.axes import RAW_AXES, InMemory, Labelled, whole
from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import load_config
from qtrl_spool.errors import ProcessingError
from qtrl_spool.experiments import rabi
from qtrl_spool.processing import demodulate, demodulated, readout_labels, rehearse, warnings
from qtrl_spool.shipped import default_config_folder

READ = {"readouts": ("R3", "R1"), "n_elements": 5, "n_triggers": 2}


def patched(**kwargs):
    """Return a Rabi experiment whose patch changes the GMM step of the shipped chain."""
    patch = {"adc": {"processing": {"00_simple_readout": {"04_GMM": {"kwargs": kwargs}}}}}
    return Bundle(rabi(0, 5, 20e-9).to_dict(), patch)


@pytest.fixture(scope="module")
def shipped():
    return load_config(default_config_folder())


def test_the_lab_s_chain_and_the_shipped_one_can_be_rehearsed(lab_adc, shipped):
    rehearse(lab_adc, readouts=("R6",), n_elements=51, n_triggers=2)
    rehearse(shipped.adc, readouts=("R0", "R1", "R2", "R3"), n_elements=51, n_triggers=1)


def test_a_classifier_that_is_fitted_needs_no_data_to_be_rehearsed(adc):
    adc["processing"]["00_simple_readout"]["055_GMM"]["kwargs"] |= {"means": "fit", "covariances": None}
    rehearse(adc, **READ)


@pytest.mark.parametrize(
    ("category", "name", "kwargs", "said"),
    [
        ("00_simple_readout", "02_rotate_IQ", {"angles": [0.1]}, "angles has 1 rows"),
        ("00_simple_readout", "00_heterodyne", {"frequencies": [1e6]}, "frequencies has 1 entries"),
        ("00_simple_readout", "00_heterodyne", {"frequencies": 1e6}, "frequencies has no entries"),
        ("00_simple_readout", "00_heterodyne", {"freq_labels": "R3"}, "freq_labels is 'R3', expected a list"),
        ("00_simple_readout", "00_heterodyne", {"freq_labels": [3, "R3"]}, "names one twice: R3, R3"),
        ("00_simple_readout", "00_heterodyne", {"sample_rate": 0}, "sample_rate is 0, expected samples/s"),
        ("00_simple_readout", "05_readout", {"trigger": 2}, "trigger is 2, the axis trigger has 2"),
        ("05_advanced_readout", "09_select", {"input_name": "corected"}, "did you mean 'corrected'"),
    ],
)
def test_what_a_step_could_not_do_with_data_is_found_without(adc, category, name, kwargs, said):
    adc["processing"][category][name]["kwargs"].update(kwargs)
    with pytest.raises(ProcessingError, match=said) as caught:
        rehearse(adc, **READ)
    assert name in caught.value.where


def test_a_default_chain_that_no_job_could_use_is_warned_of(adc):
    adc["processing"]["00_simple_readout"]["02_rotate_IQ"]["kwargs"]["angles"] = [0.1]
    (sentence,) = warnings(adc)
    assert sentence.startswith("jobs will be refused: adc/processing/00_simple_readout/02_rotate_IQ")


def test_a_patch_that_spoils_the_chain_is_found_at_acceptance(shipped):
    with pytest.raises(ProcessingError, match=r"04_GMM.*means has 1 rows, freq_labels has 4"):
        run.check(patched(means=[[1.0, 2.0, 3.0, 4.0]]), shipped)


def test_a_patch_of_the_chain_that_is_right_is_accepted(shipped):
    run.check(patched(fit=True), shipped)


def test_a_chain_is_not_rehearsed_for_a_job_that_keeps_its_points_only(shipped):
    wrong = patched(means=[[1.0, 2.0, 3.0, 4.0]])
    run.check(replace(wrong, manifest=Manifest(processing=False)), shipped)


def test_traces_in_batches_are_demodulated_when_they_are_asked_for(adc):
    rng = np.random.default_rng(0)
    parts = [Labelled(rng.normal(size=(2, 3, 2, 1, 100)).astype(np.float32), RAW_AXES) for _ in range(2)]
    points = demodulated(InMemory(parts), adc, ("R3", "R1"))
    assert points.shape == (2, 6, 2, 1, 2)
    expected = [demodulate(part, adc, ("R3", "R1")).values for part in parts]
    np.testing.assert_array_equal(whole(points).values, np.concatenate(expected, axis=1))


NONSENSE = (
    None, "x", -1, 5, 1.5, True, [], [1], ["a"], {"a": 1}, float("nan"), [float("inf")] * 4,
    [[1, 2], [3]], [[float("nan")] * 4] * 4, [[0, 0, 0, 0]] * 4, [["R5", "R6"]],
)  # fmt: skip


def plain(tree):
    """Return a configuration as plain data in which everything is enabled."""
    if hasattr(tree, "items"):
        return {key: True if key == "enable" else plain(value) for key, value in tree.items()}
    return [plain(value) for value in tree] if isinstance(tree, list) or hasattr(tree, "append") else tree


@pytest.mark.parametrize("chain", ["lab", "shipped"])
def test_nonsense_in_any_parameter_of_any_step_is_refused_or_does_no_harm(chain, lab_adc, shipped):
    adc = plain({"lab": lab_adc, "shipped": shipped.adc}[chain])
    read = {"readouts": readout_labels(adc), "n_elements": 21, "n_triggers": 2}
    rehearse(adc, **read)
    for steps in adc["processing"].values():
        for step in (each for name, each in steps.items() if name != "enable"):
            for parameter, good in list(step["kwargs"].items()):
                for value in NONSENSE:
                    step["kwargs"][parameter] = value
                    with contextlib.suppress(ProcessingError):
                        rehearse(adc, **read)
                step["kwargs"][parameter] = good


@pytest.mark.parametrize(
    "processing", [[1], {"0": [1]}, {"0": {"0": 1}}, {"0": {"0": {"type": "GMM", "kwargs": [1]}}}]
)
def test_what_is_no_chain_is_refused_with_its_place(processing):
    with pytest.raises(ProcessingError) as caught:
        rehearse({"processing": processing}, **READ)
    assert caught.value.where.startswith("adc/processing")
