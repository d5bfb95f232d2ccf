"""The plain form qtrl-sequence/1: exact round trips, small, strict, and what the JSON Schema says."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtrl_spool.errors import SequenceError
from qtrl_spool.sequence import (
    SequenceWrapper,
    schema,
    schema_problems,
    sequential,
    simultaneous,
)
from qtrl_spool.sequence.sweep import spelled, values_of

from .pulses import NS, qubit, real

LIBRARY = {"Q6": qubit(), "ten": real(), "arb": real("arb")}


def tree(*appends, **head):
    return {"format": "qtrl-sequence/1", "n_elements": 51, "appends": list(appends), **head}


def everything():
    seq = SequenceWrapper(
        4, 2.5e9, {"name": "width", "unit": "us", "values": [0.1, 0.2, 0.3, 0.4]}, "all of it"
    )
    seq.append("Q6/X180", element=2)
    seq.append("Q6/X180", element=-1, start="ref1", end_delay=1 / 3)
    seq.append(["Q6/X90", "Q6/Y90"], element=[0, 2], end="Start", start_delay=1e-9)
    seq.append(simultaneous("Q6/X90", "ten"), element=slice(0, None, 2))
    seq.append(sequential(["Q6/X90", "ten"], "ten"), element=np.array([1, 3]), start="Start", end="mark")
    seq.append("arb", kwargs={"points": np.array([0.1, 0.2j]), "amplitude": [0.5, 0.5]}, freq=None, channel=3)
    seq.sweep(
        "Q6/rabi", element=range(4), width=np.linspace(0, 1e-6, 4), kwargs={"amplitude": np.arange(4) / 7}
    )
    seq.sweep("Q6/Z0", element=[0, 3], phase=[0.1, 0.7], start="mark", start_delay=[1e-9, 2e-9])
    return seq


def through_json(value):
    return json.loads(json.dumps(value))


def test_what_was_written_is_read_back_to_the_byte():
    written = json.dumps(everything().to_dict(), separators=(",", ":"))
    again = SequenceWrapper.from_dict(json.loads(written))
    assert json.dumps(again.to_dict(), separators=(",", ":")) == written


def test_the_schema_accepts_every_form_of_append():
    assert schema_problems(through_json(everything().to_dict())) == ()


def test_the_schema_is_a_json_schema():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_swept_floats_come_back_to_the_bit(values):
    assert values_of(through_json(spelled(np.array(values)))) == values


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (np.linspace(0, 1e-6, 51), "linspace"),
        (np.arange(50) * (200 * NS), "linspace"),
        (1e-6 + np.arange(50) * 20e-9, "arange"),
        (np.array([1.0, 1.5, 3.0, 3.5]), "values"),
        (np.ones(10), "linspace"),
    ],
)
def test_regular_sweeps_are_written_short(values, form):
    assert list(spelled(values)) == [form]
    assert values_of(spelled(values)) == values.tolist()


def test_a_hand_written_sweep_means_51_appends():
    sweep = {"pulse": "ten", "element": {"sweep": [0, 51]}, "width": {"linspace": [0, 1.0e-6, 51]}}
    swept = SequenceWrapper.from_dict(tree(sweep, {"pulse": "ten", "channel": 2, "start": "ref1"}))
    single = SequenceWrapper(51)
    for i, width in enumerate(np.linspace(0, 1e-6, 51)):
        _, ref = single.append("ten", i, width=width)
        single.append("ten", i, channel=2, start=ref)
    one, other = (seq.compile(LIBRARY) for seq in (swept, single))
    assert np.array_equal(one.array, other.array)
    assert one.program.sha256 == other.program.sha256


def test_a_swept_value_needs_no_swept_element():
    seq = SequenceWrapper.from_dict(tree({"pulse": "ten", "width": {"values": [1e-9, 3e-9]}}, n_elements=2))
    assert seq.compile(LIBRARY).array[0, :, :, 0].sum(axis=1).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("given_axis", "values"),
    [
        (None, [0, 1, 2]),
        (0.5, [0, 0.5, 1.0]),
        ([1, 2, 4], [1, 2, 4]),
        ({"name": "x", "unit": "us", "values": [1, 2, 4]}, [1, 2, 4]),
        ({"linspace": [0, 1, 3]}, [0, 0.5, 1]),
        ({"name": "x", "values": {"arange": [0, 3]}}, [0, 1, 2]),
        ({"values": 2.0}, [0, 2, 4]),
    ],
)
def test_the_x_axis_may_be_written_in_every_way(given_axis, values):
    seq = SequenceWrapper.from_dict(tree(n_elements=3, x_axis=given_axis))
    assert seq.x_axis.tolist() == values
    assert seq.to_dict().get("x_axis") == given_axis
    assert schema_problems(seq.to_dict()) == ()


def test_the_x_axis_keeps_its_name_and_unit():
    seq = everything()
    assert (seq.x_axis_name, seq.x_axis_unit) == ("width", "us")
    compiled = SequenceWrapper(2, x_axis={"name": "n", "values": [1, 2]}).compile({})
    assert (compiled.x_axis_name, compiled.x_axis_unit) == ("n", None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"format": "qtrl-sequence/2"}, "a version of qtrl-spool that reads qtrl-sequence/2"),
        ({"format": "openpulse"}, "'openpulse' is not known"),
        ({"format": None}, "does not say its format"),
        ({"n_element": 3}, "did you mean 'n_elements'"),
        ({"appends": {}}, "appends must be a list"),
        ({"n_elements": "51"}, "n_elements is '51'"),
        ({"x_axis": {"nam": "x"}}, "did you mean 'name'"),
        ({"x_axis": [1, 2]}, "2 values for 51 elements"),
        ({"x_axis": ["a"] * 51}, "x_axis"),
        ({"name": 3}, "name is 3"),
        ({"sample_rate": "fast"}, "sample_rate is 'fast'"),
    ],
)
def test_a_head_that_is_wrong_is_refused(found, words):
    with pytest.raises(SequenceError, match=words):
        SequenceWrapper.from_dict(tree(**found))
    assert schema_problems(tree(**found)) or "values for" in words


@pytest.mark.parametrize(
    ("append", "words"),
    [
        ({"puls": "ten"}, "no field 'puls'.*did you mean 'pulse'"),
        ({"pulse": "ten", "elment": 3}, "did you mean 'element'"),
        ({"pulse": 3}, "3 is not a pulse key"),
        ({"pulse": []}, "empty"),
        ({"pulse": {"parallel": ["ten"]}}, "is not a pulse key"),
        ({"pulse": "ten", "element": "all"}, "element is 'all'"),
        ({"pulse": "ten", "element": 51}, "element 51"),
        ({"pulse": "ten", "element": {"sweep": [0, 60]}}, "element 51 of the sweep"),
        ({"pulse": "ten", "element": {"from": 3}}, "element is"),
        ({"pulse": "ten", "element": {"slice": 3}}, "element is"),
        ({"pulse": "ten", "start": 3}, "name of a reference"),
        ({"pulse": "ten", "start_delay": "1e-9"}, "a delay is '1e-9'"),
        ({"pulse": "ten", "width": "1e-6"}, "width is '1e-6'"),
        ({"pulse": "ten", "width": {"linspace": [0, 1]}}, "first, last, n"),
        ({"pulse": "ten", "width": {"linspace": [0, 1, 2.5]}}, "n must be an integer"),
        ({"pulse": "ten", "width": {"arange": [0, 1, 0]}}, "step of 0"),
        ({"pulse": "ten", "width": {"values": ["a"]}}, "'a' among its values"),
        ({"pulse": "ten", "width": {"arange": [0, 1, 1e-30]}}, "more than"),
        ({"pulse": "ten", "width": {"arange": [0, 1e308, 1e-308]}}, "more than"),
        ({"pulse": "ten", "width": {"linspace": [-1e308, 1e308, 51]}}, "width has .* among its values"),
        ({"pulse": "ten", "width": 10**400}, "width is 1000"),
        ({"pulse": "ten", "width": {"arange": [0, 10**400, 1]}}, "must hold numbers only"),
        ({"pulse": "ten", "kwargs": {"amplitude": 10**400}}, "kwargs amplitude"),
        ({"pulse": "ten", "element": 10**400}, "is not one of the sequence's"),
        ({"pulse": "ten", "channel": 1.5}, "channel is 1.5"),
        ({"pulse": "ten", "kwargs": [1]}, "kwargs is"),
        ({"pulse": "ten", "kwargs": {"amplitude": float("nan")}}, "kwargs amplitude"),
        ({"pulse": "ten", "width": float("inf")}, "width is inf"),
        ("ten", "an append is a mapping"),
    ],
)
def test_an_append_that_is_wrong_is_refused_with_its_number(append, words):
    with pytest.raises(SequenceError, match=words) as error:
        SequenceWrapper.from_dict(tree({"pulse": "ten"}, append))
    assert error.value.where == "append 1"


def test_the_schema_names_the_append_that_it_refuses():
    appends = [{"pulse": "ten", "element": i} for i in range(20)] + [{"pulse": "ten", "widht": 3.0}]
    (problem,) = schema_problems(tree(*appends))
    assert problem.where == "append 20"
    assert "widht" in str(problem)


def test_all_that_is_wrong_with_a_file_comes_at_once():
    with pytest.raises(SequenceError) as error:
        SequenceWrapper.from_dict(
            tree({"pulse": "ten", "elment": 3, "width": "x"}, {"pulse": "ten"}, {"pulse": "ten", "start": 3})
        )
    assert [problem.where for problem in error.value.problems] == ["append 0", "append 0", "append 2"]


def test_what_is_no_mapping_is_no_sequence():
    with pytest.raises(SequenceError, match="a sequence is a mapping, not list"):
        SequenceWrapper.from_dict([])


def deflated(seq):
    return len(zlib.compress(json.dumps(seq.to_dict(), separators=(",", ":")).encode(), 9))


def ramsey(n):
    seq = SequenceWrapper(n, x_axis=0.2, name="ramsey")
    for i in range(n):
        _, ref = seq.append("Q6/X90", i, end_delay=i * 200 * NS)
        _, ref = seq.append(f"Q6/Z{7.2 * i:g}", i, start=ref)
        _, ref = seq.append("Q6/X90", i, start=ref)
        seq.append("Readout/R6", i, start=ref, end_delay=10 * NS)
        seq.append("Readout/Trigger", i, start=ref, start_delay=130 * NS)
    return seq


def test_a_ramsey_of_50_elements_is_tiny():
    assert deflated(ramsey(50)) < 7000


def test_a_ramsey_as_a_sweep_is_tinier():
    seq = SequenceWrapper(50, x_axis=0.2, name="ramsey")
    _, ref = seq.sweep("Q6/X90", end_delay=np.arange(50) * 200 * NS)
    _, ref = seq.sweep("Q6/Z0", start=ref, phase=np.arange(50) * 0.13)
    _, ref = seq.append("Q6/X90", start=ref)
    seq.append("Readout/R6", start=ref, end_delay=10 * NS)
    assert deflated(seq) < 800


def test_ten_thousand_gates_take_a_few_bytes_each():
    random = np.random.default_rng(1)
    gates = ["X90", "X-90", "Y90", "Y-90", "X180", "Y180"]
    seq = SequenceWrapper(100)
    for i in range(100):
        ref = "Start"
        for gate in random.integers(0, 6, 100):
            _, ref = seq.append(f"Q6/{gates[gate]}", i, start=ref)
    assert deflated(seq) < 10 * len(seq)


def swept(rows: object) -> SequenceWrapper:
    return SequenceWrapper(n_elements=6, x_axis={"name": "width", "values": [0, 1, 2] * 2, "rows": rows})


def test_the_rows_of_a_two_dimensional_sweep_survive_the_file() -> None:
    seq = swept({"name": "detuning", "unit": "MHz", "values": [-1.0, 1.0]})

    name, unit, values = SequenceWrapper.from_dict(seq.to_dict()).rows

    assert (name, unit, values.tolist()) == ("detuning", "MHz", [-1.0, 1.0])


@pytest.mark.parametrize(
    "rows", [{"values": [1, 2, 3, 4]}, {"values": "many"}, [1, 2], {"name": 3, "values": [1]}]
)
def test_rows_that_make_no_sense_are_refused(rows: object) -> None:
    with pytest.raises(SequenceError, match="rows of x_axis"):
        swept(rows)
