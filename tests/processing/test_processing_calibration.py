"""A classifier that is fitted to the data: clouds that are there, and clouds that are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, InMemory, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import calibration, process
from qtrl_spool.processing.classification import mixture
from qtrl_spool.processing.classifier import levels_at

READ = ("R3", "R1")


def clouds(*parts, seed=0):
    """Return points of normal clouds (n, centre, standard deviation)."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(n, 2)) * width + centre for n, centre, width in parts])


def fitted(points, n_levels=2, given=None):
    found = calibration.fit(points, n_levels, given)
    assert isinstance(found, calibration.Blobs), found
    return found


@pytest.fixture
def fitting(adc, chip):
    """Return the chain of `chip` with a classifier that is fitted, and the configured one far off."""
    kwargs = adc["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    kwargs["fit"] = True
    kwargs["means"] = [[-5.0, 10.0, 195.0, 10.0], [25.0, 20.0, 165.0, 20.0]]
    return adc


def shots(chip, *, n_reps=400, herald=0.1, excited=0.6, readouts=READ, seed=5):
    rng = np.random.default_rng(seed)
    shape = (len(readouts), n_reps, 3, 2)
    states = (rng.random(shape) < [herald, excited]).astype(int)
    return states, chip.points(states, readouts, seed=seed)


def run(adc, iq, n_batches=3, readouts=READ):
    parts = [Labelled(part, IQ_AXES) for part in np.array_split(iq.values, n_batches, axis=1)]
    return process(InMemory(parts), adc, readouts=readouts, x_axis=np.arange(3.0))


def test_clouds_are_found_where_they_are():
    found = fitted(clouds((4000, (-3.0, 1.0), 1.0), (2000, (3.0, 0.0), 1.5)))
    ordered, _ = calibration.order(found, None, np.zeros((0, 2)))
    np.testing.assert_allclose(ordered.means, [[-3, 1], [3, 0]], atol=0.1)
    np.testing.assert_allclose(ordered.covariances[:, 0, 0], [1, 2.25], rtol=0.1)
    np.testing.assert_allclose(ordered.shares, [2 / 3, 1 / 3], atol=0.02)


def test_three_clouds_in_a_triangle_are_found():
    found = fitted(clouds((3000, (0, 0), 1.0), (2000, (6, 0), 1.0), (500, (0, 6), 1.0)), 3)
    ordered, _ = calibration.order(found, None, np.zeros((0, 2)))
    np.testing.assert_allclose(ordered.means, [[0, 0], [6, 0], [0, 6]], atol=0.2)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (clouds((150, (0, 0), 1.0)), "150 points are too few for 2 levels"),
        (clouds((5000, (0, 0), 1.0)), "one cloud"),
        (clouds((5000, (0, 0), 1.0), (10, (30, 0), 0.1)), "all but empty"),
        (clouds((20000, (0, 0), 1.0), (20000, (0.1, 0), 4.0)), "standard deviations apart"),
        (np.outer(np.arange(500.0), [1.0, 2.0]), "on a line"),
        (np.full((500, 2), np.nan), "0 points are too few"),
    ],
)
def test_clouds_that_are_not_there_are_not_fitted(points, why):
    assert why in str(calibration.fit(points, 2, None))


def test_one_cloud_is_hardly_ever_taken_for_two():
    found = [calibration.fit(clouds((1000, (0, 0), 1.0), seed=seed), 2, None) for seed in range(40)]
    assert [each for each in found if not isinstance(each, str)] == []


def test_the_sample_is_bounded_and_is_in_step_with_no_axis():
    batch = Labelled(np.zeros((1, 5000, 50, 2, 2), np.float32), IQ_AXES)
    part = calibration.sample(batch, n_total=10_000)
    assert part.points.shape == (1, calibration.N_SAMPLE // 2, 2)
    assert 0.45 < part.trigger.mean() < 0.55


def test_a_fitted_classifier_finds_the_levels_that_a_wrong_one_does_not(fitting, chip):
    states, iq = shots(chip)
    found = run(fitting, iq)
    fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]["fit"] = False
    wrong = run(fitting, iq)
    assert (found.variables["GMM"].values == states).mean() > 0.999
    assert (wrong.variables["GMM"].values == states).mean() < 0.95


def test_means_may_be_the_word_fit_and_then_the_herald_tells_the_ground_state(fitting, chip):
    states, iq = shots(chip, herald=0.2, excited=0.9)
    kwargs = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    kwargs |= {"means": "fit", "covariances": None, "fit": False}
    assert (run(fitting, iq).variables["GMM"].values == states).mean() > 0.999


def test_without_a_herald_and_means_the_larger_cloud_is_level_0_and_the_result_says_so(fitting, chip):
    states, iq = shots(chip, herald=0.8, excited=0.8)
    kwargs = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    kwargs |= {"means": "fit", "covariances": None}
    one_trigger = Labelled(iq.values[:, :, :, :1], IQ_AXES)
    done = run(fitting, one_trigger)
    assert (done.variables["GMM"].values == 1 - states[..., :1]).mean() > 0.999
    assert any("level 0 of R3 is the larger cloud" in sentence for sentence in done.notes)


def test_the_herald_decides_where_the_given_means_could_be_meant_either_way(fitting, chip):
    """The clouds of R3 lie along I; means along Q are equally near to both."""
    kwargs = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    for ground, excited in ((100.0, -100.0), (-100.0, 100.0)):
        kwargs["means"][0] = [0.0, ground, 0.0, excited]
        states, iq = shots(chip)
        assert (run(fitting, iq).variables["GMM"].values == states).mean() > 0.999


def test_what_was_fitted_is_told_and_tells_the_level_of_any_point(fitting, chip):
    _, iq = shots(chip)
    done = run(fitting, iq)
    classifier = json.loads(json.dumps(done.classifier))["R1"]
    assert classifier["fitted"] and classifier["rotation"] == -1.0
    np.testing.assert_allclose(classifier["means"], [[-50, 20], [90, 20]], atol=2)
    points = iq.values[1, ..., 0] + 1j * iq.values[1, ..., 1]
    np.testing.assert_array_equal(levels_at(classifier, points), done.variables["GMM"].values[1])


def test_the_classifier_that_was_configured_is_told_as_well(adc, chip):
    done = run(adc, shots(chip)[1])
    assert done.classifier["R3"] == {
        "rotation": 0.3,
        "means": [[-100.0, 0.0], [100.0, 0.0]],
        "covariances": [[[100.0, 0.0], [0.0, 100.0]]] * 2,
        "weights": [1.0, 1.0],
        "fitted": False,
    }


def test_a_readout_with_one_cloud_keeps_the_configured_classifier_with_a_note(fitting, chip):
    _, iq = shots(chip, herald=0.0, excited=0.0)
    done = run(fitting, iq)
    assert [entry["fitted"] for entry in done.classifier.values()] == [False, False]
    (sentence, *_) = done.notes
    assert "R3 is not fitted: the points form one cloud, not 2; the configured one counts" in sentence


def test_a_readout_with_one_cloud_and_no_means_is_an_error_that_names_step_and_parameter(fitting, chip):
    kwargs = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    kwargs |= {"means": "fit", "covariances": None}
    with pytest.raises(ProcessingError, match=r"means is 'fit', and R3 has no fit: .*one cloud") as caught:
        run(fitting, shots(chip, herald=0.0, excited=0.0)[1])
    assert "055_GMM" in caught.value.where


def test_three_levels_are_fitted_when_asked_for(fitting):
    kwargs = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]
    kwargs |= {"means": "fit", "covariances": None, "n_levels": 3}
    fitting["processing"]["00_simple_readout"]["02_rotate_IQ"]["enable"] = False
    del fitting["processing"]["05_advanced_readout"]
    points = clouds((1200, (0, 0), 1.0), (900, (6, 0), 1.0), (300, (0, 6), 1.0))
    points = points.reshape(1, 3, 800, 1, 2).swapaxes(1, 2).astype(np.float32)
    done = run(fitting, Labelled(points, IQ_AXES), readouts=("R3",))
    assert done.variables["population"].values[0].sum(axis=1) == pytest.approx([1.5, 1.125, 0.375], abs=0.02)


def test_the_same_data_give_the_same_classifier_however_they_are_cut(fitting, chip):
    _, iq = shots(chip, n_reps=600)
    one, many = run(fitting, iq, 1).classifier["R3"], run(fitting, iq, 5).classifier["R3"]
    np.testing.assert_allclose(one["means"], many["means"], atol=0.5)
    assert run(fitting, iq, 5).classifier["R3"] == many


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"fit": "yes"}, "fit is 'yes', expected true or false"),
        ({"n_levels": 3}, "n_levels is 3, means have 2 levels"),
        ({"means": "fit", "n_levels": 1}, "n_levels is 1, expected 2 to 6"),
    ],
)
def test_what_cannot_be_fitted_is_refused(fitting, chip, kwargs, said):
    fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"] |= kwargs
    with pytest.raises(ProcessingError, match=said):
        run(fitting, shots(chip)[1])


def test_the_given_means_of_a_mixture_are_not_changed_by_fitting(fitting, chip):
    means = fitting["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]["means"]
    before = mixture(means, None, None).means.copy()
    run(fitting, shots(chip)[1])
    np.testing.assert_array_equal(mixture(means, None, None).means, before)


def test_a_trail_of_decays_does_not_pull_the_clouds_apart():
    rng = np.random.default_rng(2)
    decayed = clouds((300, (0.0, 0.0), 1.0)) + rng.random((300, 1)) * [6.0, 0.0]
    found = fitted(np.concatenate([clouds((3000, (0, 0), 1.0), (2700, (6, 0), 1.0)), decayed]))
    np.testing.assert_allclose(np.sort(found.means[:, 0]), [0, 6], atol=0.4)
