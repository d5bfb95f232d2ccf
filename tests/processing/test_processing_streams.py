"""Points that come batch by batch: the same results, little memory, nothing looked at twice."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, InMemory, Labelled, whole
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing import Memory, process
from qtrl_spool.processing.streams import changed, end_to_end, gather, picked, size

X = np.arange(5) * 0.1


@dataclass
class Made:
    """Batches that are made when they are asked for, and counted."""

    n_batches: int
    n_reps: int
    n_elements: int = 5
    n_made: int = 0
    axes = IQ_AXES

    @property
    def shape(self):
        return (1, self.n_batches * self.n_reps, self.n_elements, 2, 2)

    def __iter__(self):
        for number in range(self.n_batches):
            self.n_made += 1
            values = np.random.default_rng(number).normal(size=(1, self.n_reps, self.n_elements, 2, 2))
            yield Labelled((100 * values).astype(np.float32), IQ_AXES)


def parts_of(iq, *ends):
    """Return the points cut into batches that end at these repetitions."""
    cuts = np.split(iq.values, ends, axis=1)
    return InMemory([Labelled(values, iq.axes) for values in cuts])


@pytest.fixture
def heralded(adc):
    """Return the chain with a heralding of the points, and with their mean over the repetitions."""
    herald = {"herald_classified_name": "Herald", "input_name": "Heterodyne", "result_name": "Heralded"}
    mean = {"input_name": "Heralded", "result_name": "mean_iq", "axis": "repetition"}
    adc["processing"]["05_advanced_readout"] |= {
        "11_herald_points": {"type": "Heralding", "kwargs": herald},
        "12_mean": {"type": "AverageAxis", "kwargs": mean},
    }
    return adc


@pytest.fixture
def iq(chip):
    rng = np.random.default_rng(3)
    return chip.points((rng.random((2, 60, len(X), 2)) < [0.1, 0.6]).astype(int), ("R3", "R1"))


def values_of(done):
    arrays = {**done.variables, **{name: whole(data) for name, data in done.points.items()}}
    return {name: data.values for name, data in arrays.items()}


def test_how_the_points_are_cut_into_batches_makes_no_difference(heralded, iq):
    kwargs = {"readouts": ("R3", "R1"), "x_axis": X}
    one = process(InMemory((iq,)), heralded, **kwargs)
    many = process(parts_of(iq, 7, 8, 40), heralded, **kwargs)
    assert {"state", "kept", "Heralded", "mean_iq", "corrected"} <= set(values_of(one))
    for name, values in values_of(one).items():
        np.testing.assert_allclose(values_of(many)[name], values, rtol=1e-5, err_msg=name)
    assert many.notes == one.notes


def test_two_hundred_batches_take_the_memory_of_one_and_a_few_bytes_a_shot(heralded):
    batches = Made(n_batches=200, n_reps=2_000)
    batch_bytes, n_shots = 2_000 * 5 * 2 * 2 * 4, 200 * 2_000 * 5
    tracemalloc.start()
    done = process(batches, heralded, readouts=("R3",), x_axis=X)
    for _ in done.points["Heralded"]:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.variables["state"].values.size == n_shots
    assert peak < 10 * batch_bytes + 12 * n_shots


def test_a_classifier_that_is_fitted_looks_at_the_points_twice_and_holds_no_more_of_them(adc):
    adc["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]["fit"] = True
    batches = Made(n_batches=200, n_reps=1_000)
    batch_bytes, n_shots = 1_000 * 5 * 2 * 2 * 4, 200 * 1_000 * 5
    tracemalloc.start()
    process(batches, adc, readouts=("R3",), x_axis=X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batches.n_made == 2 * 200
    assert peak < 10 * batch_bytes + 12 * n_shots


def test_with_a_memory_a_batch_that_was_there_before_is_not_classified_again(adc):
    memory = Memory()
    kwargs = {"readouts": ("R3",), "x_axis": X, "memory": memory}
    process(Made(n_batches=2, n_reps=10), adc, **kwargs)
    grown = parts_of(whole(Made(n_batches=3, n_reps=10)), 10, 20)
    for part in grown.parts[:2]:
        part.values[:] = np.nan
    done = process(grown, adc, **kwargs)
    fresh = process(Made(n_batches=3, n_reps=10), adc, readouts=("R3",), x_axis=X)
    np.testing.assert_array_equal(done.variables["state"].values, fresh.variables["state"].values)


def test_a_memory_does_not_mistake_a_step_for_one_that_was_told_something_else(adc):
    memory, batches = Memory(), Made(n_batches=2, n_reps=10)
    kwargs = {"readouts": ("R3",), "x_axis": X}
    process(batches, adc, **kwargs, memory=memory)
    adc["processing"]["00_simple_readout"]["055_GMM"]["kwargs"]["means"][0] = [100.0, 0.0, -100.0, 0.0]
    again, fresh = process(batches, adc, **kwargs, memory=memory), process(batches, adc, **kwargs)
    np.testing.assert_array_equal(again.variables["state"].values, fresh.variables["state"].values)


def test_a_result_as_large_as_the_points_can_be_asked_for_again_and_again(heralded, iq):
    done = process(parts_of(iq, 20), heralded, readouts=("R3", "R1"), x_axis=X)
    first, second = whole(done.points["Heralded"]), whole(done.points["Heralded"])
    np.testing.assert_array_equal(first.values, second.values)
    kept = done.variables["kept"].values
    np.testing.assert_array_equal(np.isfinite(first.values[0, ..., 0, 0]), kept)


def test_changed_batches_have_the_axes_and_the_shape_of_what_they_become():
    taken = changed(Made(n_batches=3, n_reps=10), lambda part, _: part.take("quadrature", 0))
    assert taken.axes == IQ_AXES[:-1]
    assert taken.shape == (1, 30, 5, 2)
    assert size(taken, "repetition") == 30


def test_a_change_is_told_which_repetitions_of_the_job_it_is_given():
    seen = []
    stream = changed(Made(n_batches=3, n_reps=4), lambda part, repetitions: seen.append(repetitions) or part)
    list(stream)
    assert seen == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_one_repetition_is_picked_from_the_batch_that_holds_it():
    batches = Made(n_batches=3, n_reps=4)
    np.testing.assert_array_equal(picked(batches, 9).values, whole(batches).values[:, 9])


def test_what_was_gathered_is_not_gathered_again():
    memory, batches = Memory(), Made(n_batches=2, n_reps=4)
    kwargs = {"each": lambda part: part.take("trigger", 0), "join": end_to_end, "memory": memory, "key": "k"}
    first = gather(batches, **kwargs)
    assert gather(batches, **kwargs) is first


def test_an_average_over_another_axis_of_the_points_stays_batch_by_batch(adc, iq):
    mean = {"input_name": "Heterodyne", "result_name": "mean", "axis": "element"}
    adc["processing"]["20"] = {"0": {"type": "AverageAxis", "kwargs": mean}}
    done = process(parts_of(iq, 20), adc, readouts=("R3", "R1"), x_axis=X)
    assert done.points["mean"].shape == (2, 60, 2, 2)


def test_points_of_one_repetition_are_selected_by_its_number(adc, iq):
    select = {"input_name": "I", "result_name": "third", "axis": 2}
    quadrature = {"input_name": "Heterodyne", "result_name": "I", "axis": 0, "trigger": 1}
    adc["processing"]["20"] = {
        "0": {"type": "AxisTriggerSelector", "kwargs": quadrature},
        "1": {"type": "AxisTriggerSelector", "kwargs": select},
    }
    done = process(parts_of(iq, 1, 2), adc, readouts=("R3", "R1"), x_axis=X)
    assert done.variables["third"].axes == ("readout", "element")
    np.testing.assert_array_equal(done.variables["third"].values, whole(done.points["I"]).values[:, 2])


def test_labels_are_asked_for_where_a_step_is_given_points(adc, iq):
    adc["processing"]["05_advanced_readout"]["08_readout_corr"]["kwargs"]["input_name"] = "Heterodyne"
    with pytest.raises(
        ProcessingError, match=r"'Heterodyne' with the axes \[readout, .*expected .* of labels"
    ):
        process(parts_of(iq, 20), adc, readouts=("R3", "R1"), x_axis=X)
