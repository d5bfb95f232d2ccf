"""The compiler agrees with the plain statement of the rules within 5e-7 of full scale."""

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qtrl_spool.sequence import Sequence, SequenceWrapper

from .plain import Plain
from .strategies import RATES, amplitudes, appends, delays, is_real, phases, pulses, widths

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
    n, rate = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(RATES))
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
