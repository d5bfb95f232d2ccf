"""Each defect of the program of 2019 that concerns sequences and pulses, B1 to B26, in its mended form."""

import copy
import logging
import math
import random

import numpy as np
import pytest

from qtrl_spool.errors import ElementError, SequenceError, UnknownPulseError
from qtrl_spool.sequence import (
    Pulse,
    PulseEnvelope,
    PulseLibrary,
    Sequence,
    SequenceWrapper,
    sequential,
    simultaneous,
)
from qtrl_spool.sequence.envelopes import SHAPES, draw

from .pulses import NS, qubit, real, turn


def played(*pulses, rate=1e9, **where):
    seq = Sequence(1, rate)
    for pulse in pulses:
        seq.append(pulse, **where)
    return seq.compile().array[:, 0, :, 0]


def test_b1_cos_env_is_zero_at_the_ends_and_one_in_the_middle():
    shape = draw("cos_env", 11, {}, 1e9)
    assert shape[0] == shape[-1] == 0
    assert shape[5] == 1


def test_b1_half_sin_is_half_a_sine_times_its_amplitude_and_phase():
    shape = draw("half_sin", 11, {"amplitude": 0.5, "phase": math.pi / 2}, 1e9)
    assert shape[5] == pytest.approx(0.5j)
    assert shape[1] == pytest.approx(0.5j * math.sin(math.pi / 10))


def test_b1_gauss_square_is_registered_and_has_gaussian_edges():
    shape = draw("gauss_square", 100, {"ramp_fraction": 0.1, "sigmas": 3}, 1e9).real
    assert shape[0] == pytest.approx(math.exp(-4.5))
    assert shape[5] == pytest.approx(math.exp(-((5 / 10 * 3) ** 2) / 2))
    assert (shape[10:90] == 1).all()
    assert np.array_equal(shape, shape[::-1])


def test_b1_every_envelope_with_no_samples_is_empty_and_one_sample_is_finite():
    for name in SHAPES:
        assert draw(name, 0, {}, 1e9).shape == (0,)
        assert np.isfinite(draw(name, 1, {}, 1e9)).all()


def test_b2_a_drag_pulse_keeps_its_own_sample_rate_and_delta():
    own = draw("DRAG", 30, {"alpha": 1.0, "delta": 300e6, "sample_rate": 2e9}, 1e9)
    assert np.allclose(own, draw("DRAG", 30, {"alpha": 1.0, "delta": 300e6}, 2e9))
    assert not np.allclose(own, draw("DRAG", 30, {"alpha": 1.0, "delta": 300e6}, 1e9))


@pytest.mark.parametrize("name", ["sin", "DRAG", "cos_square"])
def test_b3_shapes_take_the_sample_rate_of_the_sequence(name):
    kwargs = {"sin": {"frequency": 80e6}, "DRAG": {"df": 80e6}, "cos_square": {"df": 80e6}}[name]
    slow, fast = (draw(name, n, kwargs, rate) for n, rate in ((40, 1e9), (80, 2e9)))
    turns = [np.angle(shape[20 * k + 1] / shape[20 * k]) for k, shape in ((1, slow), (2, fast))]
    assert turns[0] == pytest.approx(2 * turns[1], abs=0.05)


def test_b4_compile_uses_the_sample_rate_of_construction():
    seq = SequenceWrapper(1, sample_rate=2.5e9)
    seq.append("a")
    compiled = seq.compile({"a": real(width=10 * NS)})
    assert compiled.sample_rate == 2.5e9
    assert compiled.array.shape[2] == 25


def test_b4_compile_may_be_given_another_sample_rate():
    seq = SequenceWrapper(1, sample_rate=2.5e9)
    seq.append("a")
    assert seq.compile({"a": real(width=10 * NS)}, sample_rate=1e9).array.shape[2] == 10


@pytest.mark.parametrize("where", [{}, {"start": "Start"}, {"start_delay": 5 * NS}])
def test_b6_a_list_of_keys_means_what_the_list_of_stored_pulses_means(where):
    stored = {"a": [real(), real(channel=1)], "b": [real(width=30 * NS)]}
    symbolic, direct = SequenceWrapper(1), Sequence(1)
    assert symbolic.append(["a", "b"], **where) == direct.append([stored["a"], stored["b"]], **where)
    assert np.array_equal(symbolic.compile(stored).array, direct.compile().array)
    assert direct.array.shape[2] == 40 + 2 * round(where.get("start_delay", 0) * 1e9)


def test_b6_keys_of_single_components_are_simultaneous_as_their_list_is():
    stored = {"a": real(width=10 * NS), "b": real(width=30 * NS, channel=1)}
    seq = SequenceWrapper(1)
    seq.append(["a", "b"])
    assert seq.compile(stored).array.shape[2] == 30


def test_b6_nested_lists_of_keys_compile():
    stored = {"a": [real()], "b": [real(channel=1)]}
    seq = SequenceWrapper(1)
    seq.append([["a", "b"], "a"])
    assert seq.compile(stored).array.shape[2] == 30


def test_b6_simultaneous_and_sequential_say_it_explicitly():
    stored = {"a": [real()], "b": [real(width=30 * NS, channel=1)]}
    seq = SequenceWrapper(1)
    _, end = seq.append(simultaneous("a", "b"))
    seq.append(sequential(["a", "b"], "a"), start=end)
    array = seq.compile(stored).array[:, 0, :, 0]
    assert array.shape[1] == 30 + 30 + 10
    assert np.flatnonzero(array[0]).tolist() == [*range(20, 30), *range(50, 70)]


def test_b7_long_arb_pulses_that_differ_in_one_point_stay_two():
    points = np.zeros(3000)
    other = points.copy()
    other[1500] = 1e-3
    array = played([real("arb", 3000 * NS, points=points)], [real("arb", 3000 * NS, channel=1, points=other)])
    assert not array[0].any()
    assert array[1, 1500] == np.float32(1e-3)


def test_b8_a_redundant_but_consistent_pair_is_fine():
    seq = Sequence(1)
    start, end = seq.append(real())
    seq.append(real(channel=1), start=start, end=end)
    seq.append(real(channel=2), start="Start", end=end)
    assert seq.compile().array.shape[2] == 10


def test_b8_a_contradiction_names_both_chains_and_the_difference_in_samples():
    seq = SequenceWrapper(1)
    _, first = seq.append("ten")
    _, second = seq.append("ten", start=first)
    seq.append("ten", start="Start", end=second)
    with pytest.raises(SequenceError) as error:
        seq.compile({"ten": real()})
    text = str(error.value)
    assert "append 2" in text
    assert "10 samples apart" in text
    assert "Start → ref1 (+10, append 0) → ref2 (+10, append 1)" in text
    assert "Start → ref2 (+10, append 2)" in text


def test_b8_a_reference_that_nothing_connects_is_named_with_near_misses():
    seq = SequenceWrapper(1)
    seq.append("ten", start="Start", end="readout")
    seq.append("ten", start="redout")
    with pytest.raises(
        SequenceError, match=r"append 1: nothing connects the reference 'redout' to 'Start'.*'readout'"
    ):
        seq.compile({"ten": real()})


def test_b8_names_may_be_used_before_they_are_placed():
    seq = SequenceWrapper(1)
    seq.append("ten", start="middle", end="late")
    seq.append("ten", start="Start", end="middle")
    assert np.array_equal(seq.compile({"ten": real()}).array[0, 0, :, 0], np.ones(20))


def test_b9_each_delay_is_rounded_on_its_own_also_for_a_virtual_pulse():
    seq = Sequence(1)
    delays = {"start_delay": 2.5 * NS, "end_delay": 3.5 * NS}
    seq.append([real(), turn(1.0)], **delays)
    seq.append(turn(1.0), **delays, end="virtual")
    seq.append(real(width=0, channel=1), start="Start", start_delay=6 * NS, end="virtual")
    assert seq.compile().array.shape[2] == 2 + 10 + 4


def test_b9_padding_is_counted_in_samples():
    array = played([real(width=3.4 * NS), real(width=7.6 * NS, channel=1)])
    assert np.flatnonzero(array[0]).tolist() == [5, 6, 7]
    assert array.shape[1] == 8


def test_b10_a_list_is_aligned_by_its_widths_after_overrides():
    array = played([real(width=10 * NS), real(width=30 * NS, channel=1)], width=20 * NS)
    assert array.shape[1] == 20
    assert array[:2].all()


def test_b12_no_frequency_means_no_carrier():
    array = played(real(freq=100e6), real(freq=None, channel=1))
    assert (array[1] == 1).all()


def test_b13_a_sequence_can_be_copied_and_compiled_again():
    seq = Sequence(2)
    seq.append(real(), element=1)
    twin = copy.deepcopy(seq.compile())
    assert type(twin) is Sequence
    twin.append(real(channel=1), element=0)
    assert twin.compile().array.sum() == 20
    assert seq.array.sum() == 10


def library_with_a_hole():
    pulses = {"Q0": qubit()}
    pulses["Q0"][180][0]["envelope"]["properties"]["kwargs"]["amplitude"] = "Q0/amp_180_ef"
    sentence = "pulses.yaml:9:12: the name 'Q0/amp_180_ef' stands for nothing (did you mean 'Q0/amp_180'?)"
    path = "Q0/180/0/envelope/properties/kwargs/amplitude"
    return PulseLibrary(pulses, {"Q0": {"amp_180": 0.2}}, {path: sentence})


def test_b14_an_unresolved_variable_is_an_error_when_the_pulse_is_used():
    seq = SequenceWrapper(1)
    seq.append("Q0/X90")
    seq.append("Q0/Y180")
    with pytest.raises(SequenceError) as error:
        seq.compile(library_with_a_hole())
    assert error.value.where == "append 1"
    for word in ("Q0/Y180", "amplitude", "'Q0/amp_180_ef'", "pulses.yaml:9:12", "did you mean 'Q0/amp_180'"):
        assert word in str(error.value)


def test_b14_an_unresolved_variable_that_nobody_uses_does_no_harm():
    seq = SequenceWrapper(1)
    seq.append("Q0/X90")
    assert seq.compile(library_with_a_hole()).array.any()


def test_b15_reference_names_are_deterministic_and_leave_the_random_streams_alone():
    np.random.seed(1)
    random.seed(1)
    before = (np.random.get_state()[1].tolist(), random.getstate())
    names = [SequenceWrapper(1).append("a", start="x") for _ in range(2)]
    assert names == [("x", "ref1"), ("x", "ref1")]
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before


def test_b16_nothing_may_begin_before_sample_0():
    seq = SequenceWrapper(3)
    seq.append("ten")
    seq.append("ten", element=2, start_delay=-4 * NS)
    with pytest.raises(
        SequenceError, match="append 1: in element 2 the pulse begins 4 samples before sample 0"
    ):
        seq.compile({"ten": real()})


def test_b16_a_negative_delay_is_fine_where_nothing_falls_before_sample_0():
    seq = Sequence(1)
    _, end = seq.append(real())
    seq.append(real(channel=1), start=end, start_delay=-4 * NS)
    assert np.flatnonzero(seq.compile().array[1, 0, :, 0])[0] == 6


def test_b18_integer_keys_are_reachable_and_a_trailing_slash_is_dropped():
    library = PulseLibrary({"Q0": qubit()})
    assert library["Q0/180"] == library["Q0/180/"]
    assert library["Q0/X180"] == library["Q0/X180/"]


@pytest.mark.parametrize("key", ["Q0/", "Q0", "Q0/Z45/more", "Q0/180/more", "", "/", "Q0/Zfoo"])
def test_b18_what_is_no_pulse_is_a_missing_key_and_get_gives_the_default(key):
    library = PulseLibrary({"Q0": qubit()}, {"Q0": {"mod_freq": 1e6}})
    assert library.get(key, "nothing") == "nothing"
    with pytest.raises(KeyError):
        library[key]


def test_b21_an_empty_list_says_so():
    with pytest.raises(SequenceError, match="empty"):
        Sequence(1).append([])
    with pytest.raises(SequenceError, match="empty"):
        SequenceWrapper(1).append([])


def test_b22_a_tuple_is_an_x_axis_and_a_wrong_number_of_values_is_named():
    assert Sequence(3, x_axis=(1.0, 2.0, 4.0)).x_axis.tolist() == [1.0, 2.0, 4.0]
    with pytest.raises(SequenceError, match="4 values for 3 elements"):
        Sequence(3, x_axis=[1, 2, 3, 4])


@pytest.mark.parametrize("step", [5 * NS, 10 * NS, 20 * NS])
def test_b22_an_arange_never_has_a_value_too_many(step):
    for n in range(1, 200):
        seq = SequenceWrapper(n, x_axis={"arange": [0.0, n * step, step]})
        assert seq.x_axis.tolist() == [i * step for i in range(n)]


def test_b23_only_what_is_played_takes_memory():
    import tracemalloc

    seq = Sequence(100)
    seq.append(real(channel=15), start_delay=1e-3)
    tracemalloc.start()
    seq.compile()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seq.program.shape == (16, 100, 1_000_010, 1)
    assert peak < 2**20


def test_b24_the_hash_of_a_program_is_the_same_in_every_process_and_changes_nothing():
    seq = Sequence(1)
    seq.append(real("gaussian", freq=100e6, amplitude=0.123456789))
    program = seq.compile().program
    before = program.samples.copy()
    assert program.sha256 == "5d09556e1dbc269d849eab6f0c747e0ea405b9c00b22a3484c41534bdf780fb6"
    assert np.array_equal(program.samples, before)


def test_b26_appends_share_no_defaults_and_keep_nothing_of_the_callers():
    points = [0.1, 0.2]
    kwargs = {"points": points}
    seq = SequenceWrapper(1)
    seq.append("a", kwargs=kwargs)
    points.append(0.3)
    kwargs["amplitude"] = 3
    assert seq.to_dict()["appends"] == [{"pulse": "a", "kwargs": {"points": [0.1, 0.2]}}]


def test_an_unknown_envelope_keyword_is_only_logged(caplog):
    with caplog.at_level(logging.WARNING):
        played(real(colour=3))
    assert "colour" in caplog.text


def test_errors_are_also_the_exceptions_of_the_old_program():
    assert issubclass(SequenceError, ValueError)
    assert issubclass(ElementError, IndexError)
    assert issubclass(UnknownPulseError, KeyError)


def test_equal_pulses_compare_equal_and_hash_alike():
    one, other = (Pulse(PulseEnvelope("arb", {"points": np.arange(3.0)}, 1e-9), 0.0, 1, 0) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
