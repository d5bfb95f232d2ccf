"""Rotation and classification."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing.classification import DISCARDED, classify, mixture, rotate


def points(*pairs):
    """Return points of one readout, one for each repetition."""
    return Labelled(np.array(pairs, np.float32).reshape(1, -1, 1, 1, 2), IQ_AXES)


def labels(iq, **kwargs):
    blobs = mixture(kwargs["means"], kwargs.get("covariances"), kwargs.get("weights"))
    return classify(iq, blobs).values.ravel().tolist()


def test_a_rotation_by_ninety_degrees_takes_i_to_q():
    turned = rotate(points((1.0, 0.0), (0.0, 1.0)), np.array([np.pi / 2]))
    np.testing.assert_allclose(turned.values.reshape(-1, 2), [[0, 1], [-1, 0]], atol=1e-6)


def test_without_covariances_the_nearest_mean_wins():
    assert labels(points((0.9, 5.0), (1.1, -5.0)), means=[[0.0, 0.0, 2.0, 0.0]]) == [0, 1]


def test_b17_a_wide_level_takes_the_points_that_a_narrow_one_hardly_reaches():
    iq, means = points((0.9, 0.0)), [[0.0, 0.0, 2.0, 0.0]]
    assert labels(iq, means=means, covariances=[[1.0, 1.0]]) == [0]
    assert labels(iq, means=means, covariances=[[0.01, 1.0]]) == [1]


def test_b17_the_boundary_lies_where_the_likelihoods_are_equal():
    variances, distance = np.array([1.0, 4.0]), 3.0
    x = np.linspace(-6, 9, 1501)
    density = [np.exp(-((x - m) ** 2) / 2 / v) / v for m, v in zip((0.0, distance), variances, strict=True)]
    found = labels(
        points(*[(entry, 0.0) for entry in x]),
        means=[[0.0, 0.0, distance, 0.0]],
        covariances=[variances.tolist()],
    )
    assert (np.array(found) == np.argmax(density, axis=0)).mean() > 0.998


def test_weights_move_the_boundary_towards_the_rarer_level():
    iq, means = points((1.1, 0.0)), [[0.0, 0.0, 2.0, 0.0]]
    assert labels(iq, means=means, covariances=[[1.0, 1.0]], weights=[[0.9, 0.1]]) == [0]


def test_a_covariance_may_be_a_variance_a_pair_or_a_matrix():
    iq, means = points((1.0, 1.5), (1.2, 0.0)), [[0.0, 0.0, 2.0, 0.0]]
    one = labels(iq, means=means, covariances=[[2.0, 3.0]])
    pair = labels(iq, means=means, covariances=[[[2.0, 2.0], [3.0, 3.0]]])
    matrix = labels(iq, means=means, covariances=[[[[2.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, 3.0]]]])
    assert one == pair == matrix


def test_three_levels_are_told_apart():
    means = [[0.0, 0.0, 5.0, 0.0, 0.0, 5.0]]
    assert labels(points((0.1, 0.2), (5.1, 0.1), (0.3, 4.8)), means=means) == [0, 1, 2]


def test_a_point_that_is_not_finite_belongs_to_no_level():
    assert labels(points((np.nan, 0.0), (np.inf, 0.0), (2.0, 0.0)), means=[[0.0, 0.0, 2.0, 0.0]]) == [
        DISCARDED, DISCARDED, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("covariances", "weights", "said"),
    [
        ([[1.0, 1.0, 1.0]], None, "covariances have the shape"),
        ([[1.0, 0.0]], None, "not positive"),
        (None, [[1.0]], "weights have the shape"),
        (None, [[1.0, 0.0]], "weights hold one that is not positive"),
        ([[1.0, [1.0, 2.0]]], None, "covariances differ in length"),
    ],
)
def test_what_makes_no_mixture_is_refused(covariances, weights, said):
    with pytest.raises(ProcessingError, match=said):
        mixture([[0.0, 0.0, 2.0, 0.0]], covariances, weights)
