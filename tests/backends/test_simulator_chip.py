"""The document `simulator`: made from a configuration, read back, checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qtrl_spool.backends.simulator import simulator_document
from qtrl_spool.backends.simulator.chip import Leak, Pair, chip_of
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
    assert {"seed", "noise", "batch_s", "chip", "pairs"} == set(document)
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


def test_readout_errors_are_what_the_labs_matrix_corrects_beyond_the_blobs(lab_config):
    chip = simulator_document(load_config(lab_config))["chip"]
    assert chip["Q6"]["flip_0_to_1"] == pytest.approx(0.0050, abs=3e-4)
    assert 0.2 < chip["Q0"]["flip_0_to_1"] < 0.26


def test_a_configuration_without_a_classifier_gets_its_signal_from_its_resonator(reference_config):
    found = simulator_document(load_config(reference_config))["chip"]["Q6"]
    assert (found["iq_signal"], found["iq_background"]) == ([5000.0, 0.0], [0.0, 0.0])


def test_the_lab_says_which_pairs_shift_each_other(lab_config):
    chip = chip_of(simulator_document(load_config(lab_config)))
    shifts = {(pair.first, pair.second): pair.zz for pair in chip.pairs}
    assert shifts == {("Q5", "Q6"): 176e3, ("Q6", "Q7"): 197e3, ("Q0", "Q7"): 260.7e3}


def test_pairs_that_nobody_mentions_are_there_and_do_nothing(document):
    document["pairs"].pop("Q2-Q3")
    assert document["pairs"]["Q0-Q3"] == {"zz": 0.0, "cr": 0.0, "cr_back": 0.0}
    assert chip_of(document).pairs == ()


def test_crosstalk_is_the_opposite_of_what_the_lab_plays_against_it(lab_config):
    config = load_config(lab_config)
    assert not any(leak["amp"] for leak in simulator_document(config)["chip"]["Q6"]["crosstalk"].values())
    against = {"variables": {"Q5/crosstalk/Q6": {"amp": 0.1, "phase": -2.0}}}
    found = chip_of(simulator_document(config.merged(against))).qubits["Q6"].crosstalk["Q5"]
    assert found.factor == pytest.approx(-0.1 * np.exp(-2j))


def test_a_pair_may_be_named_either_way_round_but_not_both(document):
    document["pairs"] = {"Q3-Q0": {"zz": 1e5}}
    assert chip_of(document).pairs == (Pair("Q3", "Q0", zz=1e5),)
    document["pairs"]["Q0-Q3"] = {"cr": 1e6}
    assert "are the same two qubits" in str(refused(document))


@pytest.mark.parametrize("name", ["Q0", "Q0-Q0", "Q0-Q9", "Q0-Q1-Q2"])
def test_a_pair_names_two_qubits_of_the_chip(document, name):
    document["pairs"][name] = {"zz": 1e5}
    assert "does not name two qubits" in str(refused(document))
    assert refused(document).where == f"simulator/pairs/{name}"


def test_crosstalk_comes_from_another_qubit_of_the_chip(document):
    document["chip"]["Q0"]["crosstalk"] = {"Q1": {"amp": 0.2, "phase": 0.5}}
    assert chip_of(document).qubits["Q0"].crosstalk == {"Q1": Leak(0.2, 0.5)}
    document["chip"]["Q0"]["crosstalk"] = {"Q0": {"amp": 0.2}}
    assert refused(document).where == "simulator/chip/Q0/crosstalk/Q0"


def test_a_key_of_an_earlier_version_is_told_from_a_misspelt_one(document):
    document["chip"]["Q0"]["iq_1"] = [1.0, 2.0]
    assert "it follows from iq_signal" in str(refused(document))


def test_a_large_chip_lists_only_what_its_configuration_couples():
    config = load_config(SHIPPED)
    more = {f"Q{at}": {"$new": {"freq": 5e9 + 1e7 * at}} for at in range(10, 20)}
    found = simulator_document(config.merged({"variables": more}))
    assert found["pairs"] == {} and found["chip"]["Q0"]["crosstalk"] == {}


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


def test_every_key_of_the_document_is_explained(document):
    page = (SHIPPED.parent / "docs" / "reference" / "simulator.md").read_text()
    keys = [*document, *document["chip"]["Q0"], *document["pairs"]["Q0-Q1"]]
    assert [key for key in keys if f"`{key}`" not in page] == []
