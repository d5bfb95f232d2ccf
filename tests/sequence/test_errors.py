"""Mistakes are found before the hardware is touched, all of them at once, each at its append."""

import numpy as np
import pytest

from qtrl_spool.errors import ElementError, SequenceError, UnknownPulseError
from qtrl_spool.sequence import (
    FullScaleWarning,
    PulseLibrary,
    Sequence,
    SequenceWrapper,
    amplitude_problems,
    amplitude_violations,
    memory_problems,
    trigger_samples,
)

from .pulses import NS, qubit, real, turn

LIBRARY = {"Q6": qubit(), "ten": real(), "z": turn(1.0), "mixed": [real(), turn(1.0)]}


def problem_of(*args, n_elements=5, pulses=LIBRARY, **kwargs):
    seq = SequenceWrapper(n_elements)
    seq.append(*args, **kwargs)
    with pytest.raises(SequenceError) as error:
        seq.compile(pulses)
    return error.value


def test_an_unknown_pulse_key_says_what_was_meant():
    error = problem_of("Q6/X18")
    assert isinstance(error, UnknownPulseError)
    assert isinstance(error, KeyError)
    assert str(error).startswith("append 0: there is no pulse 'Q6/X18' (did you mean 'Q6/X180'")


def test_an_element_that_is_not_there_is_an_index_error():
    error = problem_of("ten", element=5)
    assert isinstance(error, IndexError)
    assert str(error) == (
        "append 0: element 5 is not one of the sequence's 5 elements "
        "(elements are 0 to 4, negative ones count from the end)"
    )


@pytest.mark.parametrize(
    "element", [1.5, "all", [0, 9], np.array([0.5]), True, slice(0, "x"), {"sweep": [0, 9]}]
)
def test_elements_of_a_wrong_kind_are_refused(element):
    assert "element" in str(problem_of("ten", element=element))


@pytest.mark.parametrize("element", [slice(7, 9), slice(3, 3), []])
def test_a_selection_of_nothing_plays_nothing(element):
    seq = SequenceWrapper(5)
    seq.append("ten", element=element)
    assert not seq.compile(LIBRARY).array.any()


@pytest.mark.parametrize("name", ["start_delay", "end_delay"])
@pytest.mark.parametrize("value", ["1e-9", float("nan"), float("inf"), None, [1e-9], True])
def test_delays_of_a_wrong_kind_are_refused(name, value):
    assert f"append 0: {name} is {value!r}" in str(problem_of("ten", **{name: value}))


def test_a_pair_of_references_where_one_belongs_is_refused():
    assert "start is ('Start', 'ref1')" in str(problem_of("ten", start=("Start", "ref1")))


@pytest.mark.parametrize(
    ("pulse", "overrides", "words"),
    [
        ("ten", {"width": "1e-6"}, "width is the text '1e-6'"),
        ("ten", {"width": -1e-9}, "width is -1e-09"),
        ("ten", {"width": 1.0}, "1e+09 samples"),
        ("ten", {"freq": "Q6/freq"}, "freq is the text 'Q6/freq'"),
        ("ten", {"channel": -1}, "channel is -1"),
        ("ten", {"channel": 1.0}, "channel is 1.0"),
        ("ten", {"phase": 1.0}, "say kwargs={'phase': …}"),
        ("ten", {"env_func": "gausian"}, "did you mean 'gaussian'"),
        ("ten", {"kwargs": {"amplitude": "big"}}, "amplitude is the text 'big'"),
        ("ten", {"kwargs": 3}, "kwargs must be a mapping"),
        ("ten", {"kwargs": {"amplitude": [1e200, 1e200]}}, "the amplitudes come to inf of full scale"),
        ("ten", {"kwargs": {"phase": [1e308, 1e308]}}, "the phases come to inf rad"),
        ("z", {"kwargs": {"amplitude": 1.0}}, "a virtual pulse has no field 'kwargs'"),
        ("z", {"env_func": "square"}, "a virtual pulse has no field 'env_func'"),
        ("mixed", {"kwargs": {}}, "a virtual pulse has no field 'kwargs'"),
    ],
)
def test_overrides_that_cannot_be_are_refused(pulse, overrides, words):
    error = problem_of(pulse, **overrides)
    assert isinstance(error, ValueError)
    assert words in str(error)
    assert error.where == "append 0"


@pytest.mark.parametrize("make", [lambda: SequenceWrapper(1), lambda: Sequence(1)])
def test_an_unknown_keyword_is_refused_at_once(make):
    pulse = "ten" if isinstance(make(), SequenceWrapper) else real()
    with pytest.raises(ValueError, match=r"no field 'strat'.*did you mean 'start'"):
        make().append(pulse, strat="Start")
    with pytest.raises(ValueError, match="say kwargs="):
        make().append(pulse, amplitude=0.3)


def test_all_problems_of_a_sequence_come_in_one_report():
    seq = SequenceWrapper(5)
    seq.append("Q6/X18")
    seq.append("ten", element=9)
    seq.append("ten", start="nowhere")
    seq.append("ten", width="wide")
    _, ref = seq.append("ten")
    seq.append("ten", start="Start", start_delay=5 * NS, end=ref)
    seq.append("ten", start_delay="soon")
    seq.append("Q6/X18")
    with pytest.raises(SequenceError) as error:
        seq.compile(LIBRARY)
    problems = error.value.problems
    assert sorted(problem.where for problem in problems) == [f"append {i}" for i in (0, 1, 2, 3, 5, 6)]
    assert "and in 1 more appends" in str(next(p for p in problems if p.where == "append 0"))
    assert any(isinstance(problem, ElementError) for problem in problems)
    assert "6 problems" in str(error.value)


def test_many_appends_with_one_mistake_are_one_problem():
    seq = SequenceWrapper(5)
    for _ in range(1000):
        seq.append("Q6/Y91")
    with pytest.raises(UnknownPulseError) as error:
        seq.compile(LIBRARY)
    assert len(error.value.problems) == 1
    assert "and in 999 more appends" in str(error.value)


def test_what_lies_behind_an_unknown_pulse_is_no_contradiction():
    seq = SequenceWrapper(1)
    _, ref = seq.append("unknown")
    seq.append("ten", start="Start", end=ref)
    with pytest.raises(UnknownPulseError):
        seq.compile(LIBRARY)


def test_a_sweep_of_the_wrong_length_says_both_numbers():
    seq = SequenceWrapper(5)
    seq.sweep("ten", element=range(5), width=np.linspace(0, 1e-6, 4))
    with pytest.raises(SequenceError, match="append 0: width has 4 values for 5 elements"):
        seq.compile(LIBRARY)


def test_a_reference_without_a_place_in_an_element_is_named():
    seq = SequenceWrapper(5)
    _, ref = seq.sweep("ten", element=range(2), width=[1e-9, 2e-9])
    seq.append("ten", start=ref)
    with pytest.raises(
        SequenceError, match=f"append 1: the reference {ref!r} has no place in element 2 and 2 more"
    ):
        seq.compile(LIBRARY)


def test_a_contradiction_within_a_sweep_names_the_element():
    seq = SequenceWrapper(5)
    _, ref = seq.sweep("ten", element=range(5), width=[10e-9] * 3 + [12e-9] * 2)
    seq.append("ten", start="Start", end=ref)
    with pytest.raises(SequenceError, match="in element 3, 2 samples apart"):
        seq.compile(LIBRARY)


def test_compile_warns_of_what_is_beyond_full_scale_and_says_where():
    seq = Sequence(3)
    seq.append(real(amplitude=0.7, channel=1))
    seq.append(real(amplitude=0.2, channel=1))
    seq.append(real(amplitude=0.7, channel=1, width=2 * NS), element=2, start_delay=4 * NS)
    with pytest.warns(FullScaleWarning, match=r"channel 1, element 2, 0\.004 us: \+1\.6 of full scale"):
        seq.compile()
    (violation,) = amplitude_violations(seq.program)
    assert (violation.channel, violation.element, violation.sample) == (1, 2, 4)
    assert violation.value == pytest.approx(1.6)
    assert violation.time == 4 * NS


def test_the_server_refuses_what_is_beyond_full_scale_unless_told_to_clip():
    seq = SequenceWrapper(1)
    seq.append("loud")
    pulses = {"loud": real(amplitude=1.1)}
    with pytest.raises(SequenceError, match=r"beyond full scale: channel 0, element 0.*clip: true"):
        seq.compile(pulses, check_amplitude=True)
    compiled = seq.compile(pulses, check_amplitude=False)
    assert len(amplitude_problems(compiled.program)) == 1


def test_pulses_that_overlap_but_cancel_are_not_beyond_full_scale():
    seq = Sequence(1)
    seq.append(real(amplitude=0.8))
    seq.append(real(amplitude=-0.8))
    assert not amplitude_violations(seq.compile().program)


def test_full_scale_itself_is_allowed():
    seq = Sequence(1)
    seq.append(real("gaussian", amplitude=1.0, freq=100e6, phase=0.3))
    assert not amplitude_violations(seq.compile().program)


def test_markers_are_not_measured_against_full_scale():
    seq = Sequence(1)
    seq.append([real("mark", subchannel=1), real("mark", subchannel=1)])
    assert not amplitude_violations(seq.compile().program)


def test_a_sequence_longer_than_the_instruments_memory_is_named():
    seq = Sequence(1)
    seq.append(real(), end_delay=1e-6)
    program = seq.compile().program
    assert memory_problems(program, 2000) == ()
    assert "1010 samples" in str(memory_problems(program, 1000)[0])


def test_a_dense_array_beyond_reason_is_refused_while_the_program_is_not():
    seq = Sequence(1000)
    seq.append(real(), start_delay=10.0)
    assert seq.compile().program.n_samples == 10_000_000_010
    with pytest.raises(SequenceError, match="GiB"):
        _ = seq.array


def test_an_array_needs_a_compiled_sequence():
    seq = Sequence(1)
    with pytest.raises(SequenceError, match="not compiled"):
        _ = seq.array
    seq.append(real())
    seq.compile()
    seq.append(real())
    with pytest.raises(SequenceError, match="not compiled"):
        _ = seq.program


@pytest.mark.parametrize("pulse", [3, None, {"no": "envelope"}, [3], object()])
def test_what_is_no_pulse_is_refused_at_once(pulse):
    with pytest.raises(SequenceError, match="is not a pulse"):
        Sequence(1).append(pulse)
    with pytest.raises(SequenceError, match="is not a pulse key"):
        SequenceWrapper(1).append(pulse)


def test_a_key_given_to_a_sequence_says_what_to_use():
    with pytest.raises(SequenceError, match="SequenceWrapper"):
        Sequence(1).append("Q6/X180")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chanel": 3}, "a pulse has no 'chanel'.*did you mean 'channel'"),
        ({"envelope": {"type": "PulseEnvelop", "properties": {}}}, "did you mean 'PulseEnvelope'"),
        ({"envelope": {"properties": {"env_func": "square"}}}, "needs width"),
        (
            {"envelope": {"properties": {"env_func": "square", "width": 1, "widht": 2}}},
            "did you mean 'width'",
        ),
    ],
)
def test_a_pulse_in_plain_form_with_a_slip_is_refused(change, words):
    tree = {"channel": 0, "envelope": {"properties": {"env_func": "square", "width": 1e-9}}, **change}
    with pytest.raises(SequenceError, match=words):
        Sequence(1).append(tree)


@pytest.mark.parametrize("n", [0, -1, 1.5, "3", True])
def test_a_number_of_elements_that_cannot_be_is_refused(n):
    with pytest.raises(SequenceError, match="n_elements"):
        SequenceWrapper(n)


@pytest.mark.parametrize("rate", [0, -1e9, float("nan"), float("inf"), "1e9"])
def test_a_sample_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(SequenceError, match="sample_rate"):
        SequenceWrapper(1, sample_rate=rate)


def test_check_keys_names_every_key_that_is_missing():
    seq = SequenceWrapper(2)
    for key in ("ten", "tan", ["ten", "Q6/X91"], "tan"):
        seq.append(key)
    with pytest.raises(UnknownPulseError) as error:
        seq.check_keys(LIBRARY)
    assert [problem.where for problem in error.value.problems] == ["append 1", "append 2"]
    assert seq.pulse_keys() == {"ten", "tan", "Q6/X91"}


def test_triggers_are_counted_in_each_element():
    pulses = PulseLibrary({"Readout": {"Trigger": real(channel=8, width=2 * NS)}, "ten": real()})
    seq = SequenceWrapper(3)
    seq.append("Readout/Trigger", start_delay=130 * NS)
    seq.append("Readout/Trigger", start_delay=130 * NS)
    seq.sweep("Readout/Trigger", start_delay=np.array([1, 2, 3]) * 1e-6)
    triggers = trigger_samples(seq.compile(pulses, check_amplitude=False).program, pulses)
    assert triggers.tolist() == [[130, 1000], [130, 2000], [130, 3000]]


def test_elements_with_different_numbers_of_triggers_are_an_error():
    pulses = {"Readout": {"Trigger": real(channel=8, width=2 * NS)}}
    seq = SequenceWrapper(3)
    seq.append("Readout/Trigger", element=1)
    with pytest.raises(SequenceError, match="element 0 has 0 triggers, element 1 has 1"):
        trigger_samples(seq.compile(pulses).program, pulses)


def test_a_sequence_without_triggers_has_none():
    seq = SequenceWrapper(3)
    seq.append("ten")
    assert trigger_samples(seq.compile(LIBRARY).program, LIBRARY).shape == (3, 0)


def test_a_sequence_whose_only_append_is_wrong_is_refused_and_not_looked_up() -> None:
    from qtrl_spool.sequence.examine import Examined

    tree = {
        "format": "qtrl-sequence/1",
        "n_elements": 2,
        "appends": [{"pulse": "Q1/X180", "element": {"sweep": [0, 10**9]}}],
    }

    _, found = Examined.of(tree).compiled({"Q1/X180": []}, max_samples=1000, check_amplitude=True)

    assert "more than 1000000 values" in str(next(iter(found)))


def test_an_x_axis_that_grows_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(SequenceError, match="finite"):
        SequenceWrapper(3, x_axis=9e307)


def test_samples_that_are_no_numbers_are_an_error_with_their_place() -> None:
    seq = SequenceWrapper(2)
    seq.append("ten", element=1, start_delay=5 * NS, env_func="DRAG", kwargs={"delta": 1e-320})
    with pytest.raises(SequenceError, match=r"channel 0, element 1, 0\.005 us: .* no finite numbers"):
        seq.compile(LIBRARY)


def test_what_is_too_early_and_what_is_too_loud_are_told_together() -> None:
    seq = SequenceWrapper(3)
    seq.append("one", kwargs={"amplitude": 1.7})
    seq.append("one", start_delay=-1e-6)
    one = {
        "channel": 3,
        "subchannel": 0,
        "freq": 3e8,
        "envelope": {
            "type": "PulseEnvelope",
            "properties": {"env_func": "square", "kwargs": {}, "width": 20e-9},
        },
    }

    with pytest.raises(SequenceError) as caught:
        seq.compile({"one": one}, check_amplitude=True)

    said = [str(each) for each in caught.value.problems]
    assert [text for text in said if "before sample 0" in text]
    assert len([text for text in said if "beyond full scale" in text]) == 3
