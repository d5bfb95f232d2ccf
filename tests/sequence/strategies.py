"""Random pulses and appends for hypothesis."""

import math

from hypothesis import strategies as st

RATES = (1e9, 2.5e9, 1.2e9, 0.9e9)
rates = st.one_of(st.sampled_from(RATES), st.floats(0.2e9, 3e9))
FREQS = (0.0, None, 86.243261e6, -261.71e6, 86.2432611e6, 500e6)

widths = st.one_of(
    st.integers(0, 40).map(lambda n: n * 1e-9),
    st.integers(0, 80).map(lambda n: n * 0.5e-9),
    st.floats(0, 40e-9),
)
delays = st.one_of(st.just(0), st.integers(0, 60).map(lambda n: n * 0.5e-9), st.floats(0, 30e-9))
amplitudes = st.floats(-0.25, 0.25)
phases = st.floats(-7, 7)
scale = st.fixed_dictionaries(
    {},
    optional={
        "amplitude": st.one_of(amplitudes, st.lists(amplitudes, min_size=1, max_size=3)),
        "phase": st.one_of(phases, st.lists(phases, max_size=3)),
        "global_amp": st.floats(-1, 1),
        "global_phase": phases,
    },
)
_own = {
    "square": {},
    "sin": {"frequency": st.floats(-4e8, 4e8), "sample_rate": st.sampled_from(RATES)},
    "gaussian": {"sigmas": st.floats(1, 6)},
    "DRAG": {
        "sigmas": st.floats(2, 4),
        "alpha": st.floats(-1, 1),
        "delta": st.floats(2e8, 4e8),
        "df": st.floats(-1e8, 1e8),
        "sample_rate": st.sampled_from(RATES),
    },
    "cos_square": {
        "ramp_fraction": st.floats(-0.1, 0.7),
        "df": st.floats(-1e8, 1e8),
        "sample_rate": st.sampled_from(RATES),
    },
    "cos_square_fixed": {"ramp_fraction": st.floats(0, 0.5)},
    "hann": {},
    "cos_env": {},
    "half_sin": {},
    "gauss_square": {"ramp_fraction": st.floats(0, 0.6), "sigmas": st.floats(1, 5)},
    "mark": {},
}


def _with_scale(name):
    def merged(pair):
        kwargs = {**pair[0], **pair[1]}
        kwargs.setdefault("amplitude", 0.2)
        return {"env_func": name, "kwargs": kwargs}

    return st.tuples(st.fixed_dictionaries({}, optional=_own[name]), scale).map(merged)


_number = st.floats(-1, 1)
_arb = st.one_of(
    st.lists(_number, min_size=1, max_size=20),
    st.lists(st.tuples(_number, _number).map(list), min_size=1, max_size=20),
).map(lambda points: {"env_func": "arb", "kwargs": {"points": points, "amplitude": 0.2}})

shapes = st.one_of(*map(_with_scale, _own), _arb)


@st.composite
def components(draw):
    freq = draw(st.sampled_from(FREQS))
    channel = draw(st.integers(0, 3))
    if draw(st.integers(0, 3)) == 0:
        properties = {"phase": draw(phases), "width": draw(st.one_of(st.none(), widths))}
        kind, subchannel = "VirtualEnvelope", 0
    else:
        properties = {**draw(shapes), "width": draw(widths)}
        kind, subchannel = "PulseEnvelope", draw(st.sampled_from((0, 0, 0, 1, 2)))
        if properties["env_func"] == "mark" and subchannel == 0:
            subchannel = 1
    return {
        "envelope": {"type": kind, "properties": properties},
        "freq": freq,
        "channel": channel,
        "subchannel": subchannel,
    }


flat = st.lists(components(), min_size=1, max_size=4)
pulses = st.one_of(components(), flat, flat, st.lists(flat, min_size=1, max_size=3))


def is_real(pulse):
    """Whether all components of a pulse are real."""
    if isinstance(pulse, dict):
        return pulse["envelope"]["type"] == "PulseEnvelope"
    return all(map(is_real, pulse))


def elements(n):
    one = st.integers(-n, n - 1)
    return st.one_of(
        st.none(),
        one,
        one,
        st.lists(one, min_size=1, max_size=n),
        st.tuples(
            st.one_of(st.none(), one), st.one_of(st.none(), one), st.sampled_from((None, 1, 2, -1))
        ).map(lambda parts: slice(*parts)),
    )


@st.composite
def overrides(draw, pulse):
    common = {"freq": st.sampled_from(FREQS), "width": widths, "channel": st.integers(0, 4)}
    if is_real(pulse):
        common["kwargs"] = st.fixed_dictionaries(
            {"amplitude": amplitudes}, optional={"phase": phases, "global_phase": phases}
        )
        common["env_func"] = st.sampled_from(("square", "gaussian", "hann"))
    return draw(st.fixed_dictionaries({}, optional=common)) if draw(st.booleans()) else {}


@st.composite
def appends(draw, n, references):
    """One append, as keyword arguments; `references` are the names it may use."""
    pulse = draw(pulses)
    where = {}
    way = draw(st.sampled_from(("none", "start", "start", "start", "end")))
    if way != "none":
        where[way] = draw(st.sampled_from(references))
    return {
        "pulse": pulse,
        "element": draw(elements(n)),
        **where,
        "start_delay": draw(delays),
        "end_delay": draw(delays),
        **draw(overrides(pulse)),
    }


def turns_of(n):
    """Values of a swept phase in rad."""
    return [2 * math.pi * i / max(n, 1) for i in range(n)]
