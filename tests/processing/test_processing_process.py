"""Whole chains on synthetic shots with known answers, the lab's own among them."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, POPULATION_AXES, STATE_AXES, InMemory, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import process

X = np.arange(51) * 0.02
FOUR = ("R5", "R6", "R7", "R0")


def processed(iq, adc_tree, **kwargs):
    """Process points that came in one batch."""
    return process(InMemory((iq,)), adc_tree, **kwargs)


def rabi(n=1):
    return np.tile(0.5 - 0.5 * np.cos(2 * np.pi * X / 0.099), (n, 1))


def enabled(tree):
    """Return a copy of a configuration in which everything is enabled."""
    if not hasattr(tree, "items"):
        return tree
    return {key: True if key == "enable" else enabled(value) for key, value in tree.items()}


@pytest.fixture(scope="module")
def lab_result(lab_adc, lab_chip):
    shots = lab_chip.shots(rabi(4), FOUR, n_reps=500, herald=0.05)
    return processed(lab_chip.points(shots, FOUR), lab_adc, readouts=FOUR, x_axis=X)


def test_the_lab_s_chain_finds_the_oscillation_of_every_qubit(lab_result):
    excited = lab_result.variables["population"].take("level", 1).values
    error = lab_result.variables["population_err"].take("level", 1).values
    assert np.sqrt((((excited - rabi(4)) / np.maximum(error, 1e-3)) ** 2).mean()) < 1.3
    for label in FOUR:
        found = lab_result.fits[label]["cos"]["parameters"]["frequency"]
        assert abs(found["value"] - 1 / 0.099) < 4 * found["error"]


def test_the_lab_s_chain_makes_the_variables_of_the_contract(lab_result):
    found = {name: (data.axes, data.values.dtype.name) for name, data in lab_result.variables.items()}
    assert found["state"] == (STATE_AXES, "int8")
    assert found["population"] == found["population_err"] == (POPULATION_AXES, "float32")
    assert found["kept"] == (("repetition", "element"), "bool")
    assert found["averaged"] == found["corrected"] == (("readout", "element"), "float32")
    assert lab_result.points["Heralded_Heterodyne"].axes == IQ_AXES


def test_the_lab_s_selected_level_is_level_one_of_the_population(lab_result):
    np.testing.assert_array_equal(
        lab_result.variables["corrected"].values, lab_result.variables["population"].take("level", 1).values
    )


def test_populations_of_all_levels_add_up_to_one(lab_result):
    np.testing.assert_allclose(lab_result.variables["population"].values.sum(axis=1), 1, atol=1e-6)


def test_discarded_shots_are_minus_one_in_the_state_and_say_so_in_kept(lab_result):
    state, kept = lab_result.variables["state"].values, lab_result.variables["kept"].values
    np.testing.assert_array_equal(state >= 0, np.broadcast_to(kept, state.shape))
    assert 0.7 < kept.mean() < 0.9
    assert any("heralding kept" in sentence for sentence in lab_result.notes)


def test_a_sequence_that_reads_one_qubit_uses_that_qubit_s_rows(lab_adc, lab_chip):
    shots = lab_chip.shots(rabi(), ("R6",), n_reps=500)
    result = processed(lab_chip.points(shots, ("R6",)), lab_adc, readouts=("R6",), x_axis=X)
    excited = result.variables["population"].values[0, 1]
    assert np.abs(excited - rabi()[0]).max() < 0.1
    assert list(result.fits) == ["R6"]


def test_a_sequence_without_herald_skips_heralding_and_says_so(lab_adc, lab_chip):
    shots = lab_chip.shots(rabi(), ("R6",), n_reps=200, herald=None)
    result = processed(lab_chip.points(shots, ("R6",)), lab_adc, readouts=("R6",), x_axis=X)
    assert result.notes == ("heralding skipped: the sequence has no herald trigger, every shot is kept",)
    assert not {"kept", "Herald_Classified", "Heralded_Heterodyne"} & {*result.variables, *result.points}
    assert (result.variables["state"].values >= 0).all()
    assert np.abs(result.variables["population"].values[0, 1] - rabi()[0]).max() < 0.2


def test_heralding_gives_back_the_contrast_that_a_hot_qubit_loses(adc, chip):
    cold, hot = np.array([[0, 1]]), np.array([[1, 0]])
    herald = np.zeros((1, 4000, 2), int)
    herald[:, ::4] = 1
    excited = np.where(herald == 1, hot[:, None], cold[:, None])
    shots = np.stack([herald, excited], axis=-1)
    adc["processing"]["05_advanced_readout"]["08_readout_corr"]["enable"] = False
    adc["processing"]["05_advanced_readout"]["09_select"]["enable"] = False
    result = processed(chip.points(shots, ("R3",)), adc, readouts=("R3",), x_axis=np.arange(2.0))
    np.testing.assert_allclose(result.variables["population"].values[0, 1], [0, 1], atol=1e-3)


def test_b20_heralding_keeps_shots_from_the_whole_run_not_only_the_last(adc, chip):
    herald = np.zeros((1, 100, 2), int)
    herald[0, 50:, 1] = 1
    shots = np.stack([herald, np.zeros_like(herald)], axis=-1)
    kept = processed(chip.points(shots, ("R3",)), adc, readouts=("R3",), x_axis=np.arange(2.0)).variables[
        "kept"
    ]
    assert kept.values[:, 0].all()
    assert kept.values[:50, 1].all()
    assert not kept.values[50:, 1].any()


def test_b20_an_element_in_which_no_shot_passes_is_named_and_has_no_population(adc, chip):
    herald = np.zeros((2, 50, 3), int)
    herald[1, :, 2] = 1
    shots = np.stack([herald, np.ones_like(herald)], axis=-1)
    result = processed(chip.points(shots, ("R3", "R1")), adc, readouts=("R3", "R1"), x_axis=np.arange(3.0))
    assert "no shot passed heralding in element 2: no populations there" in result.notes
    population = result.variables["population"].values
    assert np.isnan(population[..., 2]).all()
    assert np.isfinite(population[..., :2]).all()


def test_b5_the_lab_s_joint_steps_find_the_joint_populations_of_unequal_readouts(lab_adc, lab_chip):
    excited = np.array([[1.0], [0.0], [1.0], [0.5]])
    shots = lab_chip.shots(excited, FOUR, n_reps=20_000)
    result = processed(lab_chip.points(shots, FOUR), enabled(lab_adc), readouts=FOUR, x_axis=np.arange(1.0))
    corrected = result.variables["5670_corrected"]
    assert corrected.axes == ("joint_5670", "element")
    found = dict(zip(result.coordinates["joint_5670"], corrected.values[:, 0], strict=True))
    assert found["1010"] == pytest.approx(0.5, abs=0.03)
    assert found["1011"] == pytest.approx(0.5, abs=0.03)
    pair = dict(
        zip(result.coordinates["joint_70"], result.variables["70_corrected"].values[:, 0], strict=True)
    )
    assert pair["10"] == pytest.approx(0.5, abs=0.03)
    assert pair["11"] == pytest.approx(0.5, abs=0.03)


def test_joint_steps_of_qubits_that_are_not_read_are_left_out_and_say_so(lab_adc, lab_chip):
    readouts = ("R5", "R6")
    shots = lab_chip.shots(rabi(2), readouts, n_reps=50)
    result = processed(lab_chip.points(shots, readouts), enabled(lab_adc), readouts=readouts, x_axis=X)
    assert "56_corrected" in result.variables
    assert "67" not in result.variables
    assert "67 left out: the sequence does not read R7" in result.notes


def test_fewer_than_three_points_are_not_fitted_and_the_result_says_so(lab_adc, lab_chip):
    shots = lab_chip.shots(rabi()[:, :2], ("R6",), n_reps=20)
    result = processed(lab_chip.points(shots, ("R6",)), lab_adc, readouts=("R6",), x_axis=X[:2])
    assert result.fits == {}
    assert "no fits: 2 elements are fewer than 3 points" in result.notes


def test_points_that_are_not_finite_are_counted_in_a_note(adc, chip):
    iq = chip.points(np.zeros((1, 10, 1, 2), int), ("R3",))
    iq.values[0, 4, 0, 1, 0] = np.nan
    result = processed(iq, adc, readouts=("R3",), x_axis=np.zeros(1))
    assert "1 of 20 points of R3 are not finite: left out" in result.notes
    assert (result.variables["state"].values < 0).sum() == 1


def test_without_a_correction_the_population_is_that_of_the_state(adc, chip):
    del adc["processing"]["05_advanced_readout"]
    shots = np.zeros((1, 40, 2, 1), int)
    shots[0, :10, 1] = 1
    result = processed(chip.points(shots, ("R1",)), adc, readouts=("R1",), x_axis=np.arange(2.0))
    np.testing.assert_allclose(result.variables["population"].values[0, 1], [0, 0.25])
    expected = [np.sqrt(0.5 * 40.5) / 41 / np.sqrt(40), np.sqrt(0.1875 / 40)]
    np.testing.assert_allclose(result.variables["population_err"].values[0, 1], expected, rtol=0.01)


def test_a_configuration_without_a_chain_makes_nothing(chip):
    result = processed(
        chip.points(np.zeros((1, 2, 2, 1), int), ("R3",)), {}, readouts=("R3",), x_axis=np.arange(2.0)
    )
    assert (result.variables, result.fits) == ({}, {})


def test_the_data_are_not_changed(adc, chip):
    iq = chip.points(np.zeros((1, 5, 2, 2), int), ("R3",))
    before = iq.values.copy()
    processed(iq, adc, readouts=("R3",), x_axis=np.arange(2.0))
    np.testing.assert_array_equal(iq.values, before)


@pytest.mark.parametrize(
    ("category", "name", "kwargs", "said"),
    [
        (
            "00_simple_readout",
            "02_rotate_IQ",
            {"angles": [0.1]},
            "angles has 1 rows, freq_labels has 2: R3, R1",
        ),
        ("00_simple_readout", "02_rotate_IQ", {"angles": [0.1, "Q1/angle"]}, r"angles\[1\] is 'Q1/angle'"),
        ("00_simple_readout", "02_rotate_IQ", {"angles": 0.1}, "angles has no rows"),
        ("00_simple_readout", "055_GMM", {"means": [[1.0], [2.0]]}, "means need rows of I and Q"),
        ("00_simple_readout", "05_readout", {"trigger": 2}, "trigger is 2, the axis trigger has 2: 0 to 1"),
        (
            "05_advanced_readout",
            "07_average",
            {"axis": 2},
            "axis is 2, the data have 0 = repetition, 1 = element",
        ),
        (
            "05_advanced_readout",
            "07_average",
            {"input_name": "Clasified"},
            "'Clasified'.*did you mean 'Classified'",
        ),
        (
            "05_advanced_readout",
            "06_heralding",
            {"rep_index": 1},
            "rep_index is 1: that is element, not repetition",
        ),
        (
            "05_advanced_readout",
            "08_readout_corr",
            {"corr_matrix": [[1, 0, 0], [1, 0, 0]]},
            "3 entries for R3",
        ),
        (
            "05_advanced_readout",
            "08_readout_corr",
            {"corr_matrix": [[0.5] * 4] * 2},
            "of R3 cannot be inverted",
        ),
        (
            "05_advanced_readout",
            "08_readout_corr",
            {"input_name": "averaged"},
            r"\[readout, element\], expected",
        ),
    ],
)
def test_a_step_that_cannot_do_what_it_is_told_names_step_and_parameter(
    adc, chip, category, name, kwargs, said
):
    adc["processing"][category][name]["kwargs"].update(kwargs)
    iq = chip.points(np.zeros((2, 5, 3, 2), int), ("R3", "R1"))
    with pytest.raises(ProcessingError, match=said) as caught:
        processed(iq, adc, readouts=("R3", "R1"), x_axis=np.arange(3.0))
    assert name in caught.value.where


def test_a_joint_correction_of_other_readouts_than_were_binned_is_refused(adc, chip):
    adc["processing"]["15_joint"] = {
        "0": {
            "type": "CorrelatedBins",
            "kwargs": {"resonators": ["R1", "R3"], "input_name": "Classified", "result_name": 13},
        },
        "1": {
            "type": "JointReadoutCorrection",
            "kwargs": {
                "corr_matrix": [[1, 0, 0, 1]] * 2,
                "resonators": ["R1"],
                "input_name": 13,
                "result_name": "corrected_13",
            },
        },
    }
    iq = chip.points(np.zeros((2, 5, 3, 2), int), ("R3", "R1"))
    with pytest.raises(ProcessingError, match="resonators are R1, 13 was binned from R1, R3"):
        processed(iq, adc, readouts=("R3", "R1"), x_axis=np.arange(3.0))


def test_points_that_disagree_with_the_readouts_or_the_x_axis_are_refused(adc):
    iq = Labelled(np.zeros((1, 5, 3, 2, 2), np.float32), IQ_AXES)
    with pytest.raises(ProcessingError, match="IQ points of 1 readouts"):
        processed(iq, adc, readouts=("R3", "R1"), x_axis=np.arange(3.0))
    with pytest.raises(ProcessingError, match="3 elements, the x axis has 4"):
        processed(iq, adc, readouts=("R3",), x_axis=np.arange(4.0))
