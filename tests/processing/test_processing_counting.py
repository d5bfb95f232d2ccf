"""Counting, heralding, averaging and correction of labels with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool.axes import STATE_AXES, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing.counting import average, discard, individual, joint, joint_bins, passing

FIRST = np.array([[0.95, 0.10], [0.05, 0.90]])
SECOND = np.array([[0.80, 0.30], [0.20, 0.70]])


def states(array):
    return Labelled(np.asarray(array, np.int8), STATE_AXES)


def test_a_shot_passes_only_if_all_readouts_herald_the_target():
    heralds = states([[[0], [0], [1], [1]], [[0], [1], [0], [1]]])
    assert passing(heralds, 0).values.ravel().tolist() == [True, False, False, False]


def test_discarded_shots_stay_in_their_place_marked():
    kept = Labelled(np.array([[True], [False]]), ("repetition", "element"))
    assert discard(states([[[1], [1]]]), kept).values.ravel().tolist() == [1, -1]


def test_discarded_points_become_nan_in_all_their_triggers():
    kept = Labelled(np.array([[True], [False]]), ("repetition", "element"))
    axes = ("readout", "repetition", "element", "trigger", "quadrature")
    marked = discard(Labelled(np.ones((1, 2, 1, 2, 2), np.float32), axes), kept)
    assert np.isnan(marked.values[:, 1]).all()
    assert (marked.values[:, 0] == 1).all()


def test_b20_an_element_without_a_shot_is_nan_not_zero():
    population, error = individual(states([[[1, -1], [0, -1]]]), None, 2)
    assert population.values[0, :, 0].tolist() == [0.5, 0.5]
    assert np.isnan(population.values[0, :, 1]).all()
    assert np.isnan(error.values[0, :, 1]).all()


def test_averages_leave_out_discarded_shots():
    mean, error = average(states([[[1], [-1], [0], [1], [0]]]), "repetition")
    assert mean.values.item() == 0.5
    assert error.values.item() == pytest.approx(0.25)


def test_an_average_of_nothing_is_nan():
    assert np.isnan(average(states([[[-1], [-1]]]), "repetition")[0].values).all()


def test_individual_correction_gives_back_what_was_prepared():
    prepared = np.array([0.25, 0.75])
    n_excited = round(10_000 * (FIRST @ prepared)[1])
    shots = np.r_[np.ones(n_excited), np.zeros(10_000 - n_excited)].reshape(1, -1, 1)
    population, error = individual(states(shots), FIRST[None], 2)
    np.testing.assert_allclose(population.values[0, :, 0], prepared, atol=1e-6)
    p = n_excited / 10_000
    np.testing.assert_allclose(error.values[0, :, 0], np.sqrt(p * (1 - p) / 10_000) / 0.85, rtol=1e-3)


def test_the_standard_error_is_the_scatter_of_many_repeats():
    rng = np.random.default_rng(0)
    shots = (rng.random((1, 400, 2000)) < (FIRST @ [0.7, 0.3])[1]).astype(np.int8)
    population, error = individual(states(shots), FIRST[None], 2)
    assert population.values[0, 1].std() == pytest.approx(error.values[0, 1].mean(), rel=0.05)


def test_a_level_that_was_never_found_has_an_error_of_about_one_shot():
    population, error = individual(states(np.zeros((1, 1000, 1))), None, 2)
    assert population.values[0, 1, 0] == 0
    assert 0.5e-3 < error.values[0, 1, 0] < 1e-3


def test_bins_have_the_first_readout_as_the_most_significant_digit():
    labels = states([[[1]], [[0]], [[1]]])
    bins, n = joint_bins(labels, [0, 1, 2], 2, "joint_x")
    assert bins.values[:, 0].argmax() == 0b101
    assert n.values.tolist() == [1]


def test_bins_leave_out_a_shot_that_any_readout_discarded():
    bins, n = joint_bins(states([[[1], [1]], [[0], [-1]]]), [0, 1], 2, "joint_x")
    assert bins.values[:, 0].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert n.values.tolist() == [1]


def test_bins_may_count_three_levels():
    bins, _ = joint_bins(states([[[2]], [[1]]]), [0, 1], 3, "joint_x")
    assert bins.values[:, 0].argmax() == 2 * 3 + 1


def test_b5_joint_correction_uses_the_order_of_the_bins():
    prepared = np.array([0.1, 0.2, 0.3, 0.4])
    measured = np.kron(FIRST, SECOND) @ prepared
    bins = Labelled(measured[:, None].astype(np.float32), ("joint_x", "element"))
    n = Labelled(np.array([1000]), ("element",))
    corrected, _ = joint(bins, n, np.stack([FIRST, SECOND]))
    np.testing.assert_allclose(corrected.values[:, 0], prepared, atol=1e-6)
    wrong, _ = joint(bins, n, np.stack([SECOND, FIRST]))
    assert np.abs(wrong.values[:, 0] - prepared).max() > 0.05


def test_the_joint_standard_error_is_the_scatter_of_many_repeats():
    rng = np.random.default_rng(1)
    measured = np.kron(FIRST, SECOND) @ [0.1, 0.2, 0.3, 0.4]
    counts = rng.multinomial(500, measured, size=3000).T
    bins = Labelled((counts / 500).astype(np.float32), ("joint_x", "element"))
    n = Labelled(np.full(3000, 500), ("element",))
    corrected, error = joint(bins, n, np.stack([FIRST, SECOND]))
    np.testing.assert_allclose(corrected.values.std(axis=1), error.values.mean(axis=1), rtol=0.05)


def test_data_with_other_axes_are_refused_by_the_names_of_the_axes():
    with pytest.raises(
        ProcessingError, match=r"\[readout, element\], expected \[readout, repetition, element\]"
    ):
        individual(Labelled(np.zeros((1, 2), np.int8), ("readout", "element")), None, 2)
