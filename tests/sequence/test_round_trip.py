"""A sequence that went through a bundle is the same sequence, to the bit."""

import struct

import numpy as np
from hypothesis import given, note
from hypothesis import strategies as st

from qtrl_spool.bundle import Bundle, Limits, Manifest, pack, unpack
from qtrl_spool.sequence import Examined, SequenceWrapper, schema_problems, sequential, simultaneous

from .pulses import qubit, real, turn

LIBRARY = {"Q6": qubit(), "Q6/Z45.5": turn(0.1, 100e6), "Readout/R6": real()}

finite = st.floats(allow_nan=False, allow_infinity=False)
delays = st.one_of(st.just(0), st.just(0.0), st.just(-0.0), st.integers(-3, 3), finite)
keys = st.sampled_from(("Q6/X180", "Q6/Z45.5", "Readout/R6", 'Qµ/é "quoted"'))
pulses = st.recursive(
    keys,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: simultaneous(*some)),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: sequential(*some)),
    ),
    max_leaves=5,
)
overrides = st.fixed_dictionaries(
    {},
    optional={
        "width": finite,
        "freq": st.one_of(st.none(), finite),
        "phase": finite,
        "channel": st.integers(0, 9),
        "env_func": st.just("arb"),
        "kwargs": st.dictionaries(
            st.sampled_from(("amplitude", "phase", "alpha")), st.one_of(finite, st.lists(finite, max_size=3))
        ),
    },
)


@st.composite
def sequences(draw):
    n = draw(st.integers(1, 6))
    seq = SequenceWrapper(
        n,
        draw(st.one_of(st.just(1e9), st.floats(1e-3, 1e12))),
        draw(st.one_of(st.none(), st.floats(-1e300, 1e300), st.lists(finite, min_size=n, max_size=n))),
        draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    )
    one = st.integers(-n, n - 1)
    slices = st.builds(slice, one, st.none(), st.sampled_from((None, 2, -1)))
    for _ in range(draw(st.integers(0, 5))):
        way = {
            name: draw(st.sampled_from(("Start", "ref1", "mine")))
            for name in ("start", "end")
            if draw(st.booleans())
        }
        if draw(st.booleans()):
            element = draw(st.one_of(st.none(), one, st.lists(one), slices))
            seq.append(
                draw(pulses),
                element,
                **way,
                start_delay=draw(delays),
                end_delay=draw(delays),
                **draw(overrides),
            )
        else:
            column = st.lists(finite, min_size=n, max_size=n).map(np.array)
            names = draw(st.sets(st.sampled_from(("width", "phase", "start_delay", "end_delay", "freq"))))
            swept = {name: draw(column) for name in sorted(names)}
            seq.sweep(draw(pulses), **way, **swept, kwargs={"amplitude": draw(column)})
    return seq


def bits(tree):
    """The tree with every float as its eight bytes."""
    if isinstance(tree, float):
        return struct.pack("<d", tree)
    if isinstance(tree, dict):
        return {key: bits(value) for key, value in tree.items()}
    return [bits(entry) for entry in tree] if isinstance(tree, list) else tree


@given(sequences())
def test_a_sequence_comes_out_of_a_bundle_to_the_bit(seq):
    tree = seq.to_dict()
    packed = pack(Bundle(tree, {}, Manifest()))
    found = unpack(packed, Limits()).sequence
    again = SequenceWrapper.from_dict(found).to_dict()
    assert bits(found) == bits(tree) == bits(again)
    assert pack(Bundle(again, {}, Manifest())) == packed
    assert schema_problems(found) == ()


junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=3),
        st.sampled_from(("Start", "ref1", "Q6/X180", "sweep", "slice")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(("sweep", "values", "linspace", "arange", "slice", "simultaneous", "pulse", "x")),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=6,
)  # fmt: skip


def places(tree, path=()):
    """Every path in a tree."""
    yield path
    if isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(value, (*path, key))


def changed(tree, path, value):
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


@given(sequences(), st.data())
def test_whatever_stands_in_a_sequence_it_is_told_and_nothing_stumbles(seq, data):
    tree = seq.to_dict()
    for _ in range(data.draw(st.integers(0, 3))):
        tree = changed(tree, data.draw(st.sampled_from(list(places(tree)))), data.draw(junk))
    note(repr(tree))
    examined = Examined.of(tree)
    sequence, problems = examined.compiled(LIBRARY, max_samples=2**20, check_amplitude=True)
    assert (sequence is None) == bool(problems)
    assert all(str(problem) for problem in problems)
