"""What a backend gets: the program's table, its samples, its hash; and sequences that are long."""

from itertools import pairwise

import numpy as np
import pytest

from qtrl_spool.sequence import PLAY, Sequence, SequenceWrapper

from .plain import Plain
from .pulses import NS, plain, qubit, real, turn


def test_plays_are_sorted_and_envelopes_stored_once():
    seq = Sequence(3)
    for element in (2, 0, 1, 2):
        pair = [real(channel=1, amplitude=0.4), real(channel=0, amplitude=0.4)]
        _, ref = seq.append(pair, element=element, end_delay=5 * NS)
        seq.append(real("gaussian", freq=1e8, amplitude=0.4), element=element, start=ref)
    plays = seq.compile().program.plays
    assert plays.dtype == PLAY
    order = np.lexsort([plays[name] for name in ("subchannel", "channel", "start", "element")])
    assert np.array_equal(order, np.arange(len(plays)))
    assert len(seq.program.samples) == 20


def test_a_virtual_z_inside_a_running_pulse_splits_it():
    seq = Sequence(1)
    seq.append(real(freq=0.0, width=10 * NS))
    seq.append(turn(np.pi), start_delay=4 * NS)
    plays = seq.compile().program.plays
    assert plays["start"].tolist() == [0, 4]
    assert plays["n"].tolist() == [4, 6]
    assert plays["offset"].tolist() == [0, 4]
    assert seq.array[0, 0, :, 0].tolist() == [1] * 4 + [-1] * 6


def test_a_virtual_z_turns_its_own_frequency_only_on_all_channels():
    seq = Sequence(2)
    seq.append(turn(0.5, freq=1e8), element=1)
    seq.append([real(freq=1e8), real(freq=1e8, channel=1), real(freq=1e8 + 1e-7, channel=2)])
    assert seq.compile().program.plays["phase"].tolist() == [0, 0, 0, 0.5, 0.5, 0]


def test_markers_know_neither_carrier_nor_virtual_z():
    seq = Sequence(1)
    seq.append(turn(1.0, freq=1e8))
    seq.append(real("mark", freq=1e8, subchannel=2))
    assert seq.compile().array.shape == (2, 1, 10, 3)
    assert (seq.array[0, 0, :, 2] == 1).all()


def test_the_array_counts_real_pulses_for_its_channels_and_references_for_its_length():
    seq = Sequence(2)
    seq.append(real(channel=4, subchannel=1), element=0, end_delay=90 * NS)
    seq.append(turn(1.0), element=1)
    assert seq.compile().array.shape == (5, 2, 100, 2)


def test_an_empty_sequence_compiles():
    assert Sequence(3).compile().array.shape == (2, 3, 0, 1)
    assert SequenceWrapper(3).compile({}).program.sha256 == Sequence(3).compile().program.sha256


def test_herald_pulses_push_start_to_the_right_and_turn_the_carriers():
    seq = Sequence(1)
    seq.append(real(freq=30e6))
    seq.append(real(channel=1, width=7 * NS), end="Start", end_delay=10 * NS)
    array = seq.compile().array[0, 0, :, 0]
    assert np.allclose(array[17:], np.cos(2 * np.pi * 30e6 * np.arange(17, 27) * NS), atol=5e-7)


def test_a_pulse_longer_than_its_interval_lengthens_the_array():
    seq = Sequence(1)
    seq.append(real(), end_delay=-4 * NS)
    assert seq.compile().array.shape[2] == 10


def test_the_hash_depends_on_inputs_and_positions_alone():
    def program(amplitude=0.5, delay=0.0, rate=1e9, key="Q6/X90"):
        seq = SequenceWrapper(2, rate)
        seq.append(key, element=1, start_delay=delay)
        return seq.compile({"Q6": qubit(amplitude=amplitude)}).program.sha256

    hashes = {
        program(),
        program(amplitude=0.4),
        program(delay=1e-9),
        program(rate=2e9),
        program(key="Q6/Y90"),
    }
    assert len(hashes) == 5
    assert program() == program()


def test_the_hash_is_that_of_a_table_known_to_the_letter():
    """Fails if the meaning of the hash changes: then say so in the changelog."""
    seq = Sequence(1)
    seq.append(real("gaussian", freq=100e6, amplitude=np.float64(0.5)))
    seq.append(real("arb", points=[1, 0.5], channel=1))
    assert seq.compile().program.sha256 == "b32553cab609720e0a76e104de4dea96b2d4c55c6c3f07d96b350a10c9689da0"


@pytest.mark.parametrize("rate", [1e9, 2.5e9])
def test_a_carrier_is_exact_after_a_millisecond(rate):
    pulse = [real("gaussian", 20 * NS, freq=261.71e6, channel=1, amplitude=0.9), turn(0.3, 261.71e6)]
    seq, slow = Sequence(1, rate), Plain(1, rate)
    where = {"start_delay": 999.98e-6}
    seq.append(pulse, **where)
    slow.append(plain(pulse), **where)
    assert np.abs(seq.compile().array - slow.array()).max() < 5e-7


def test_a_long_pulse_is_exact():
    pulse = real("sin", 50e-6, freq=0.0, frequency=158.5e6, amplitude=0.9, phase=[0.7, -1.67])
    other = real("cos_square", 50e-6, freq=-411.4e6, channel=1, amplitude=0.9)
    seq, slow = Sequence(1, 1.25e9), Plain(1, 1.25e9)
    for each in (pulse, other):
        seq.append(each)
        slow.append(plain(each))
    assert np.abs(seq.compile().array - slow.array()).max() < 5e-7


def test_twenty_overlapping_pulses_add_up():
    seq, slow = Sequence(2), Plain(2, 1e9)
    for i in range(20):
        pulse = real("gaussian", (10 + i) * NS, freq=(i % 5) * 31e6, channel=i % 2, amplitude=0.1)
        for target, each in ((seq, pulse), (slow, plain(pulse))):
            target.append(each, start_delay=i * NS)
    assert np.abs(seq.compile().array - slow.array()).max() < 5e-7


def test_one_line_of_the_program_is_the_same_as_the_array():
    seq = Sequence(2)
    seq.append([real("gaussian", freq=1e8), real("mark", subchannel=1)], element=1)
    program = seq.compile().program
    assert np.abs(program.channel(1, 0) - seq.array[0, 1, :, 0]).max() < 1e-7
    assert program.channel(1, 0, 1).tolist() == [1.0] * 10


def test_spans_name_what_plays_in_an_element():
    seq = SequenceWrapper(2)
    _, ref = seq.append("Q6/X90", element=1, start_delay=5 * NS)
    seq.append(["Q6/Y90", "Q6/X180"], start=ref)
    spans = seq.compile({"Q6": qubit()}).spans(1)
    assert spans == [("Q6/X90", 5, 25), ("Q6/Y90+Q6/X180", 25, 65)]


def test_placing_works_where_references_form_no_tree():
    """A chain written backwards, with a name of its own, a redundant pair, and an end before its start."""
    seq = Sequence(1)
    names = ["Start", *(f"p{i}" for i in range(50)), "last"]
    for start, end in reversed(list(pairwise(names))):
        seq.append(real(), start=start, end=end)
    seq.append(real(channel=1), end="p0")
    assert seq.compile().array.shape[2] == 510
    assert seq.array[1, 0, :10, 0].all()


def test_pulses_that_differ_in_phase_only_share_their_samples():
    seq = SequenceWrapper(1)
    for key in ("Q6/X90", "Q6/Y90", "Q6/X-90", "Q6/Y-90"):
        seq.append(key)
    program = seq.compile({"Q6": qubit()}, check_amplitude=False).program
    assert len(program.samples) == 20
    assert len(program.plays) == 8


def test_the_phase_of_a_marker_stays_in_its_samples():
    seq = Sequence(1)
    seq.append([real(phase=np.pi, freq=1e8), real(phase=np.pi, subchannel=1)])
    plays = seq.compile().program.plays
    assert plays["phase"].tolist() == [np.pi, 0]
    assert (seq.array[0, 0, :, 1] == -1).all()
