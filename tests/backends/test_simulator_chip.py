"""The document `simulator`: made from a configuration, read back, checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtrl_spool.backends.simulator import simulator_document
from qtrl_spool.backends.simulator.chip import chip_of
from qtrl_spool.config import Configuration, load_config
from qtrl_spool.config.load import read_texts
from qtrl_spool.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "configs"


@pytest.fixture
def document() -> dict:
    return simulator_document(load_config(SHIPPED))


def refused(document: dict) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        chip_of(document)
    return raised.value


def test_the_document_has_every_key_that_can_be_patched(document):
    assert {"seed", "noise", "batch_s", "chip"} == set(document)
    assert (document["seed"], document["noise"], document["batch_s"]) == (None, 1.0, 0.0)
    assert list(document["chip"]) == ["Q0", "Q1", "Q2", "Q3"]


def test_what_was_made_can_be_read(document):
    assert chip_of(document).qubits["Q2"].freq == document["chip"]["Q2"]["freq"]


def test_the_shipped_document_can_be_read():
    chip = chip_of(load_config(SHIPPED).simulator)
    assert chip.qubits["Q0"].t1 == pytest.approx(42e-6)


def test_the_area_of_the_labs_pi_pulse_is_half_a_turn(lab_config):
    chip = simulator_document(load_config(lab_config))["chip"]
    assert chip["Q6"]["drive_rate"] == pytest.approx(161.3e6, rel=1e-3)
    assert (chip["Q6"]["chan_I"], chip["Q6"]["chan_Q"]) == (5, 4)


@pytest.mark.parametrize(
    "form",
    [lambda parts: parts[0], lambda parts: parts[:1], lambda parts: [parts]],
    ids=["one component", "a list of one", "a succession"],
)
def test_a_pi_pulse_may_be_stored_in_every_form(form):
    config = load_config(SHIPPED)
    parts = config.documents["pulses"]["Q0"][180]
    patch = {"pulses": {"Q0": {180: {"$replace": form(list(parts))}}}}
    chip = simulator_document(config.merged(patch))["chip"]
    assert chip["Q0"]["drive_rate"] == simulator_document(config)["chip"]["Q0"]["drive_rate"]


def test_a_pi_pulse_that_cannot_be_played_leaves_the_ordinary_drive_rate():
    texts = read_texts(SHIPPED)
    texts["pulses.yaml"] = texts["pulses.yaml"].replace("Q0/amp_180", "Q0/amp_of_nothing")
    chip = simulator_document(Configuration.from_texts(texts))["chip"]
    assert chip["Q0"]["drive_rate"] == 150e6


def test_iq_points_are_the_classifiers_before_rotation(lab_config):
    import numpy as np

    chip = simulator_document(load_config(lab_config))["chip"]
    turned = complex(*chip["Q6"]["iq_1"]) * np.exp(1j * 2.1429998874664307)
    assert turned == pytest.approx(252.6 - 263.9j, abs=0.02)
    assert chip["Q6"]["iq_sigma"][:2] == pytest.approx([2691.1**0.5, 4611.5**0.5], abs=0.01)


def test_readout_errors_are_what_the_labs_matrix_corrects_beyond_the_blobs(lab_config):
    chip = simulator_document(load_config(lab_config))["chip"]
    assert chip["Q6"]["flip_0_to_1"] == pytest.approx(0.0055, abs=3e-4)
    assert 0.2 < chip["Q0"]["flip_0_to_1"] < 0.26


def test_a_configuration_without_a_classifier_gets_points_from_its_resonators(reference_config):
    points = simulator_document(load_config(reference_config))["chip"]["Q6"]
    assert abs(complex(*points["iq_1"]) - complex(*points["iq_0"])) > 5 * points["iq_sigma"][0]


def test_a_coherence_that_relaxation_forbids_is_refused(document):
    document["chip"]["Q1"]["t2"] = 3 * document["chip"]["Q1"]["t1"]
    assert "t2 must lie between 0 and 2 t1" in str(refused(document))
    assert refused(document).where == "simulator/chip/Q1/t2"


def test_a_value_that_is_no_number_is_named_with_its_path(document):
    document["chip"]["Q3"]["t1"] = "long"
    assert str(refused(document)) == "simulator/chip/Q3/t1: expected a number, got 'long'"


def test_a_misspelt_key_is_refused_with_the_nearest_one(document):
    document["chip"]["Q0"]["anharmonicty"] = -2e8
    assert "did you mean 'anharmonicity'" in str(refused(document))


def test_a_missing_value_is_named(document):
    del document["chip"]["Q0"]["chi"]
    assert "lacks 'chi'" in str(refused(document))


def test_all_wrong_qubits_are_reported_at_once(document):
    document["chip"]["Q0"]["t1"] = -1.0
    document["chip"]["Q2"]["iq_0"] = [1.0]
    assert len(refused(document).problems) == 2


def test_a_probe_off_resonance_sees_a_weaker_signal(document):
    qubit = chip_of(document).qubits["Q0"]
    assert qubit.probed(qubit.res_freq).iq_0 == pytest.approx(qubit.iq_0)
    assert abs(complex(*qubit.probed(qubit.res_freq + 5e6).iq_0)) < 0.5 * abs(complex(*qubit.iq_0))
