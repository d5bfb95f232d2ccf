"""The compiler agrees with the plain statement of the rules within 5e-7 of full scale."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.sequence import Sequence, SequenceWrapper

from .plain import Plain
from .pulses import real, turn
from .strategies import (
    amplitudes,
    appends,
    components,
    delays,
    is_real,
    phases,
    pulses,
    rates,
    widths,
)

TOLERANCE = 5e-7


def agree(array, wanted):
    assert array.dtype == np.float32
    assert array.shape == wanted.shape
    assert np.abs(array - wanted).max(initial=0) < TOLERANCE


def quietly(compile_it, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile_it(*args)


@given(st.data())
def test_a_random_sequence_plays_what_the_rules_say(data):
    n, rate = data.draw(st.integers(1, 5)), data.draw(rates)
    direct, symbolic, plain = Sequence(n, rate), SequenceWrapper(n, rate), Plain(n, rate)
    library, references = {}, ["Start"]
    for i in range(data.draw(st.integers(1, 6))):
        entry = data.draw(appends(n, references))
        names = plain.append(**entry)
        assert direct.append(**entry) == names
        library[f"p{i}"] = entry.pop("pulse")
        symbolic.append(f"p{i}", **entry)
        references += names
    wanted = plain.array()
    agree(quietly(direct.compile).array, wanted)
    compiled = quietly(symbolic.compile, library)
    agree(compiled.array, wanted)
    again = SequenceWrapper.from_dict(symbolic.to_dict())
    assert again.to_dict() == symbolic.to_dict()
    assert quietly(again.compile, library).program.sha256 == compiled.program.sha256
    element, channel = n - 1, wanted.shape[0] - 1
    assert (
        np.abs(compiled.program.channel(element, channel) - wanted[channel, element, :, 0]).max(initial=0)
        < TOLERANCE
    )


@given(st.data())
def test_a_sweep_plays_what_one_append_per_element_plays(data):
    n = data.draw(st.integers(1, 5))
    swept = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    symbolic, plain = SequenceWrapper(n), Plain(n, 1e9)
    library, references = {}, ["Start"]
    for i in range(data.draw(st.integers(1, 4))):
        library[f"p{i}"] = data.draw(pulses)
        columns = {}
        for name, values in (("start_delay", delays), ("end_delay", delays), ("width", widths)):
            if data.draw(st.booleans()):
                columns[name] = [data.draw(values) for _ in swept]
        if is_real(library[f"p{i}"]) and data.draw(st.booleans()):
            columns["kwargs"] = [
                {"amplitude": data.draw(amplitudes), "phase": data.draw(phases)} for _ in swept
            ]
        where = {data.draw(st.sampled_from(("start", "end"))): data.draw(st.sampled_from(references))}
        names = plain.sweep(library[f"p{i}"], swept, columns, **where)
        if "kwargs" in columns:
            each = columns.pop("kwargs")
            columns["kwargs"] = {
                key: np.array([kwargs[key] for kwargs in each]) for key in ("amplitude", "phase")
            }
        made = symbolic.sweep(f"p{i}", element=swept, **where, **columns)
        assert "end" in where or made == names
        references += names
    last = data.draw(pulses)
    library["last"] = last
    where = {"element": swept, "start": data.draw(st.sampled_from(references))}
    plain.append(last, **where)
    symbolic.append("last", **where)
    wanted = plain.array()
    agree(quietly(symbolic.compile, library).array, wanted)
    again = SequenceWrapper.from_dict(symbolic.to_dict())
    agree(quietly(again.compile, library).array, wanted)


@given(st.data())
@settings(max_examples=max(20, settings.default.max_examples // 20))
def test_a_random_sequence_within_a_millisecond_is_exact_at_any_sample_rate(data):
    rate = data.draw(rates)
    direct, plain = Sequence(1, rate), Plain(1, rate)
    for _ in range(data.draw(st.integers(1, 3))):
        pulse = data.draw(st.lists(components(), min_size=1, max_size=3))
        where = {"start_delay": data.draw(st.floats(0, 999e-6))}
        direct.append(pulse, **where)
        plain.append(pulse, **where)
    agree(quietly(direct.compile).array, plain.array())


ramps = st.tuples(st.floats(0, 40e-9), st.floats(0, 40e-9))


def _linspace(ends, n):
    return {"linspace": [*ends, n]}, np.linspace(*ends, n)


def _arange(ends, n):
    start, step = ends
    step = max(step, 1e-9)
    return {"arange": [start, start + n * step, step]}, np.array([start + i * step for i in range(n)])


def _values(ends, n):
    values = [ends[i % 2] * (i + 1) / n for i in range(n)]
    return {"values": values}, np.array(values)


@given(st.data())
def test_a_sweep_from_python_and_from_a_file_means_one_append_for_each_element(data):
    n = data.draw(st.integers(1, 5))
    first = data.draw(st.integers(0, n - 1))
    elements = range(first, n)
    library = {"real": [plain_part(data)], "turn": turn(0.4, 86.243261e6)}
    python, file, single = SequenceWrapper(n), [], SequenceWrapper(n)
    ends = dict.fromkeys(elements, "Start")
    ref = "Start"
    for number in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(("real", "turn")))
        names = {"real": ("width", "start_delay", "end_delay", "kwargs"), "turn": ("phase", "start_delay")}
        spelled, columns = {}, {}
        for name in names[key]:
            spell = data.draw(st.sampled_from((_linspace, _arange, _values)))
            spelled[name], columns[name] = spell(data.draw(ramps), len(elements))
        if "kwargs" in spelled:
            spelled["kwargs"] = {"amplitude": spelled["kwargs"]}
        swept = {**columns, "kwargs": {"amplitude": columns["kwargs"]}} if "kwargs" in columns else columns
        python.sweep(key, element=elements, start=ref, **swept)
        file.append({"pulse": key, "element": {"sweep": [first, n]}, "start": ref, **spelled})
        for i, element in enumerate(elements):
            values = {name: float(column[i]) for name, column in columns.items()}
            if "kwargs" in values:
                values["kwargs"] = {"amplitude": values["kwargs"]}
            _, ends[element] = single.append(key, element, start=ends[element], **values)
        ref = f"ref{number + 1}"
    tree = {"format": "qtrl-sequence/1", "n_elements": n, "appends": file}
    made = [quietly(seq.compile, library) for seq in (python, SequenceWrapper.from_dict(tree), single)]
    assert len({each.program.sha256 for each in made}) == 1
    assert np.array_equal(made[0].array, made[2].array) and np.array_equal(made[1].array, made[2].array)


def plain_part(data):
    shape = data.draw(st.sampled_from(("gaussian", "cos_square", "hann", "square")))
    return real(shape, freq=86.243261e6, amplitude=0.3)
