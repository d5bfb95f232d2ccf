"""The experiments: what they place where, on how many elements, for one qubit and for several."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from qtrl_spool.config import Configuration, load_config
from qtrl_spool.errors import UsageError
from qtrl_spool.experiments import (
    ALL_XY_PAIRS,
    add_readout,
    all_xy,
    chevron,
    cross_resonance,
    drag,
    echo,
    interleaved_coherence,
    pi_no_pi,
    pi_train,
    qubit_names,
    rabi,
    ramsey,
    rb,
    readout_names,
    t1,
    three_levels,
    zz,
)
from qtrl_spool.experiments.benchmarking import cliffords
from qtrl_spool.sequence import Program, Sequence, SequenceWrapper, trigger_samples
from qtrl_spool.shipped import default_config_folder

Experiment = Callable[..., SequenceWrapper]

EXPERIMENTS: dict[str, Experiment] = {
    "rabi": partial(rabi, n_elements=5, step_size=20e-9),
    "t1": partial(t1, n_elements=5, step_size=300e-9),
    "ramsey": partial(ramsey, n_elements=5, step_size=100e-9, detune=1e6),
    "echo": partial(echo, n_elements=5, step_size=100e-9, detune=1e6),
    "all_xy": all_xy,
    "pi_no_pi": pi_no_pi,
    "interleaved_coherence": partial(interleaved_coherence, n_elements=9, step_size=100e-9, detune=1e6),
    "chevron": partial(chevron, detunings=[-5e6, 0.0, 5e6], n_elements=3, step_size=20e-9),
    "pi_train": partial(pi_train, n_elements=4),
    "drag": partial(drag, alphas=[0.0, 0.5, 1.0]),
    "rb": partial(rb, lengths=[0, 1, 3], n_random=2),
}
SWEPT = {name: EXPERIMENTS[name] for name in ("rabi", "t1", "ramsey", "echo")}
NS = 1e-9


@pytest.fixture(scope="module")
def chip() -> Configuration:
    return load_config(default_config_folder())


def compiled(seq: SequenceWrapper, config: Configuration) -> Program:
    return seq.compile(config.pulses).program


def plays(program: Program, element: int, channels: tuple[int, ...]) -> np.ndarray:
    table = program.plays
    return table[(table["element"] == element) & np.isin(table["channel"], channels) & (table["n"] > 0)]


def drives(program: Program, config: Configuration, qubit: str, element: int) -> np.ndarray:
    """Return the plays on the I channel of a qubit, in the order of their starts."""
    return plays(program, element, (config.variables[f"{qubit}/chan_I"],))


def readouts(program: Program, config: Configuration, element: int) -> np.ndarray:
    return plays(program, element, (config.pulses["Readout/R0"][0].channel,))


def with_width(config: Configuration, qubit: str, width: float) -> Configuration:
    """Return the chip with wider pi and pi/2 pulses for one qubit."""
    paths = [f"{qubit}/{key}/{at}/envelope/properties/width" for key in (90, 180) for at in (0, 1)]
    return config.merged({"pulses": dict.fromkeys(paths, width)})


def waveforms(program: Program, element: int) -> np.ndarray:
    """Return what an element plays on all channels, without the silence after it."""
    dense = program.dense()[:, element]
    last = np.flatnonzero(np.any(dense, axis=(0, 2)))[-1]
    return dense[:, : last + 1]


# ------------------------------------------------------------ everybody


@pytest.mark.parametrize("herald", [False, True])
@pytest.mark.parametrize("qubits", [2, ["Q0", 3]])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_compiles_on_the_shipped_chip(
    chip: Configuration, name: str, qubits: Any, herald: bool
) -> None:
    program = compiled(EXPERIMENTS[name](qubits, herald=herald), chip)
    assert trigger_samples(program, chip.pulses).shape == (program.n_elements, 2 if herald else 1)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_compiles_on_a_real_lab_s_chip(lab_config: Any, name: str) -> None:
    config = load_config(lab_config)
    program = compiled(EXPERIMENTS[name]([5, 6], herald=True), config)
    assert trigger_samples(program, config.pulses).shape == (program.n_elements, 2)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_survives_the_file_format(name: str) -> None:
    seq = EXPERIMENTS[name]([0, 1], herald=True)
    tree = json.loads(json.dumps(seq.to_dict()))
    assert SequenceWrapper.from_dict(tree).to_dict() == seq.to_dict()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_sequence_is_named_like_its_experiment(name: str) -> None:
    assert EXPERIMENTS[name](0).name == name


@pytest.mark.parametrize("name", SWEPT)
def test_a_sweep_is_a_tiny_file_however_many_elements_it_has(name: str) -> None:
    seq = partial(EXPERIMENTS[name], n_elements=1001)(0)
    tree = seq.to_dict() | {"x_axis": None}
    assert len(json.dumps(tree)) < 1200


# ------------------------------------------------------------ names


@pytest.mark.parametrize("qubits", [6, "6", "Q6", "R6", [6], ["Q6"], (6,), np.int64(6), np.array([6])])
def test_a_qubit_may_be_named_in_many_ways(qubits: Any) -> None:
    assert qubit_names(qubits) == ("Q6",)


def test_readouts_are_named_after_their_qubits() -> None:
    assert readout_names([5, "Q6"]) == ("R5", "R6")


@pytest.mark.parametrize("qubits", [[], [6, "Q6"], None, 6.0, True, "", "Q", "Q6/X180", ["Q6", None]])
def test_what_names_no_qubit_is_refused(qubits: Any) -> None:
    with pytest.raises(UsageError):
        qubit_names(qubits)


@pytest.mark.parametrize("wrong", [{"n_elements": 0}, {"step_size": -1e-9}, {"start_time": -1e-9}])
@pytest.mark.parametrize("name", SWEPT)
def test_times_that_make_no_sense_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        EXPERIMENTS[name](0, **wrong)


# ------------------------------------------------------------ x axis


@pytest.mark.parametrize("step", [5, 10, 20, 37, 100])
@pytest.mark.parametrize("n_elements", [1, 2, 3, 6, 7, 51, 101])
def test_b22_the_x_axis_has_one_value_for_each_element_as_it_was_meant(n_elements: int, step: int) -> None:
    seq = rabi(0, n_elements, step * NS)
    assert seq.x_axis.tolist() == [i * step / 1000 for i in range(n_elements)]


@pytest.mark.parametrize("name", SWEPT)
def test_the_x_axis_is_in_microseconds(name: str) -> None:
    assert SWEPT[name](0).x_axis_unit == "us"


def test_the_x_axis_of_an_echo_is_both_waits_together() -> None:
    assert echo(0, 3, 100e-9, start_time=50e-9).x_axis.tolist() == [0.1, 0.3, 0.5]


def test_the_x_axis_of_interleaved_coherence_is_that_of_each_kind() -> None:
    seq = interleaved_coherence(0, 6, 100e-9, start_time=50e-9)
    assert seq.x_axis.tolist() == [0.05, 0.05, 0.1, 0.15, 0.15, 0.3]


# ------------------------------------------------------------ readout


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_trigger_follows_the_start_of_the_readout_by_130_ns(chip: Configuration, name: str) -> None:
    program = compiled(EXPERIMENTS[name]([0, 1]), chip)
    starts = [readouts(program, chip, element)["start"][0] for element in range(program.n_elements)]
    assert trigger_samples(program, chip.pulses)[:, 0].tolist() == [start + 130 for start in starts]


def test_a_herald_takes_10_ns_its_width_and_10_us_before_everything_else(chip: Configuration) -> None:
    alone = compiled(t1(0, 3, 1e-6), chip)
    heralded = compiled(t1(0, 3, 1e-6, herald=True), chip)
    assert heralded.n_samples - alone.n_samples == 10 + 1000 + 10_000


def test_the_herald_s_trigger_is_140_ns_after_the_beginning(chip: Configuration) -> None:
    program = compiled(all_xy([0, 1], herald=True), chip)
    assert set(trigger_samples(program, chip.pulses)[:, 0].tolist()) == {140}


def test_herald_and_tail_have_the_lengths_that_the_lab_has_always_had(lab_config: Any) -> None:
    program = compiled(pi_no_pi(6, herald=True), load_config(lab_config))
    assert program.n_samples == 11035 + 30 + 10 + 1025 + 10


def test_the_readout_names_other_qubits_than_the_driven_ones(chip: Configuration) -> None:
    keys = rabi(0, 3, readout=[1, 2]).pulse_keys()
    assert keys == {"Q0/rabi", "Readout/R1", "Readout/R2", "Readout/Trigger"}


@pytest.mark.parametrize("slow", ["Q0", "Q1"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_b19_the_readout_follows_the_qubit_that_ends_last(chip: Configuration, name: str, slow: str) -> None:
    config = with_width(chip, slow, 90e-9)
    program = compiled(EXPERIMENTS[name](["Q0", "Q1"]), config)
    for element in range(program.n_elements):
        played = np.concatenate([drives(program, config, qubit, element) for qubit in ("Q0", "Q1")])
        last = (played["start"] + played["n"]).max(initial=0)
        assert readouts(program, config, element)["start"][0] >= last


def test_elements_may_be_read_out_one_by_one(chip: Configuration) -> None:
    seq = SequenceWrapper(n_elements=2)
    _, end = seq.append("Q0/X180", element=1)
    add_readout(seq, "Start", 0, element=0, herald=True)
    add_readout(seq, end, 0, element=1, herald=True)
    assert trigger_samples(compiled(seq, chip), chip.pulses).tolist() == [[140, 11140], [140, 11180]]


# ------------------------------------------------------------ what is played


def test_the_drive_of_a_rabi_grows_by_the_step(chip: Configuration) -> None:
    program = compiled(rabi(1, 4, 20e-9, start_time=30e-9), chip)
    assert [drives(program, chip, "Q1", element)["n"].tolist() for element in range(4)] == [
        [30],
        [50],
        [70],
        [90],
    ]


def test_b19_a_rabi_s_prepulse_ends_where_the_drive_starts(chip: Configuration) -> None:
    program = compiled(rabi(1, 2, 20e-9, prepulse="X180", pulse="rabi_ef"), chip)
    pre, drive = drives(program, chip, "Q1", 1)
    assert (pre["start"], pre["start"] + pre["n"], drive["n"]) == (10, drive["start"], 20)


def test_t1_waits_from_the_end_of_the_pulse_to_the_readout(chip: Configuration) -> None:
    program = compiled(t1(0, 3, 200e-9, start_time=50e-9), chip)
    assert [readouts(program, chip, element)["start"][0] for element in range(3)] == [100, 300, 500]


def test_an_echo_waits_as_long_after_the_pi_pulse_as_before(chip: Configuration) -> None:
    first, middle, last = drives(compiled(echo(0, 3, 100e-9, start_time=50e-9), chip), chip, "Q0", 2)
    assert (middle["start"] - first["start"], last["start"] - middle["start"]) == (40 + 250, 40 + 250)


@pytest.mark.parametrize(("experiment", "n_waits"), [(ramsey, 1), (echo, 2)])
def test_detuning_turns_the_last_pulse_by_a_full_turn_for_each_period(
    chip: Configuration, experiment: Experiment, n_waits: int
) -> None:
    program = compiled(experiment(0, 4, 100e-9, detune=1e6, start_time=30e-9), chip)
    played = [drives(program, chip, "Q0", element) for element in range(4)]
    turns = [(each[-1]["phase"] - each[0]["phase"]) / (2 * np.pi) for each in played]
    wanted = n_waits * 1e6 * (30e-9 + 100e-9 * np.arange(4))
    assert np.exp(2j * np.pi * np.array(turns)) == pytest.approx(np.exp(2j * np.pi * wanted))


@pytest.mark.parametrize(
    ("first", "kind"), [(0, t1), (1, partial(ramsey, detune=2e6)), (2, partial(echo, detune=2e6))]
)
def test_b19_interleaved_coherence_plays_exactly_the_three_experiments(
    chip: Configuration, first: int, kind: Experiment
) -> None:
    times = {"step_size": 130e-9, "start_time": 20e-9}
    mixed = compiled(interleaved_coherence([0, 1], 8, detune=2e6, **times), chip)
    alone = compiled(kind([0, 1], 3, **times), chip)
    for element in range(first, 8, 3):
        assert np.array_equal(waveforms(mixed, element), waveforms(alone, element // 3))


def test_all_xy_plays_each_of_the_21_pairs_twice(chip: Configuration) -> None:
    seq = all_xy(0)
    program = compiled(seq, chip)
    n_pulses = [len(drives(program, chip, "Q0", element)) for element in range(42)]
    wanted = [sum(pulse != "I" for pulse in pair) for pair in ALL_XY_PAIRS for _ in range(2)]
    assert (n_pulses, seq.x_axis.tolist()) == (wanted, [i // 2 for i in range(42)])


def test_pi_no_pi_prepares_nothing_and_then_a_pi_pulse_on_all(chip: Configuration) -> None:
    program = compiled(pi_no_pi([0, 1]), chip)
    n_pulses = [
        [len(drives(program, chip, qubit, element)) for qubit in ("Q0", "Q1")] for element in range(2)
    ]
    assert n_pulses == [[0, 0], [1, 1]]


@pytest.mark.parametrize("detune", [0.0, 3e6])
@pytest.mark.parametrize("name", ["t1", "ramsey", "echo"])
def test_experiments_on_one_qubit_are_what_they_were_written_out_by_hand(
    chip: Configuration, name: str, detune: float
) -> None:
    by_hand = written_out(name, chip, n_elements=4, step=150e-9, detune=detune)
    more = {} if name == "t1" else {"detune": detune}
    ours = compiled(EXPERIMENTS[name](2, n_elements=4, step_size=150e-9, **more), chip)
    assert np.array_equal(ours.dense(), by_hand.program.dense())


def written_out(name: str, config: Configuration, *, n_elements: int, step: float, detune: float) -> Sequence:
    """Return an experiment on Q2 appended element by element to a Sequence."""
    pulses = config.pulses
    seq = Sequence(n_elements=n_elements)
    for element in range(n_elements):
        wait = element * step
        first = "X180" if name == "t1" else "X90"
        _, at = seq.append(pulses[f"Q2/{first}"], element=element, start_delay=10e-9)
        if name == "echo":
            _, at = seq.append(pulses["Q2/Y180"], element=element, start=at, start_delay=wait)
        _, at = seq.append(pulses["Q2/Z0"], element=element, start=at, start_delay=wait)
        if name != "t1":
            turn = 360 * detune * wait * (2 if name == "echo" else 1)
            _, at = seq.append(pulses[f"Q2/Z{turn!r}"], element=element, start=at)
            _, at = seq.append(pulses["Q2/X90"], element=element, start=at)
        seq.append(pulses["Readout/Trigger"], element=element, start=at, start_delay=130e-9)
        seq.append(pulses["Readout/R2"], element=element, start=at, end_delay=10e-9)
    return seq.compile()


# ------------------------------------------------------------ calibration


def test_a_chevron_plays_all_widths_of_a_detuning_before_the_next(chip: Configuration) -> None:
    seq = chevron(1, [-4e6, 4e6], 3, 20e-9, start_time=20e-9)
    program = compiled(seq, chip)
    widths = [drives(program, chip, "Q1", element)["n"][0] for element in range(6)]
    assert (widths, seq.x_axis.tolist()) == ([20, 40, 60] * 2, [0.02, 0.04, 0.06] * 2)


@pytest.mark.parametrize(("row", "detuning"), [(0, -4e6), (1, 4e6)])
def test_a_positive_detuning_drives_above_the_stored_frequency(
    chip: Configuration, row: int, detuning: float
) -> None:
    program = compiled(chevron(1, [-4e6, 4e6], 1, start_time=1e-6), chip)
    play = drives(program, chip, "Q1", row)[0]
    samples = program.samples[play["offset"] : play["offset"] + play["n"]].astype(complex)[400:600]
    turn = np.angle(np.sum(samples[1:] * samples[:-1].conj())) / (2 * np.pi) * program.sample_rate
    assert turn == pytest.approx(detuning, rel=1e-4)


def test_a_pi_train_grows_by_one_pi_pulse_an_element(chip: Configuration) -> None:
    program = compiled(pi_train(0, 5), chip)
    assert [len(drives(program, chip, "Q0", element)) for element in range(5)] == [1, 2, 3, 4, 5]


def test_drag_replaces_the_weight_of_both_pulses(chip: Configuration) -> None:
    program = compiled(drag(0, [0.0, 0.8]), chip)
    imaginary = []
    for element in range(4):
        plays_ = drives(program, chip, "Q0", element)
        shapes = [program.samples[p["offset"] : p["offset"] + p["n"]] for p in plays_]
        imaginary.append([bool(np.abs(shape.imag).max() > 1e-3) for shape in shapes])
    assert imaginary == [[False, False], [False, False], [True, True], [True, True]]


def test_three_levels_prepares_each_of_them(chip: Configuration) -> None:
    program = compiled(three_levels([0, 1]), chip)
    played = [len(drives(program, chip, qubit, element)) for qubit in ("Q0", "Q1") for element in range(3)]
    assert played == [0, 1, 2] * 2


@pytest.mark.parametrize("wrong", [partial(chevron, 0, []), partial(drag, 0, []), partial(pi_train, 0, 0)])
def test_a_calibration_of_nothing_is_refused(wrong: Callable[[], SequenceWrapper]) -> None:
    with pytest.raises(UsageError):
        wrong()


# ------------------------------------------------------------ benchmarking


def test_the_24_clifford_gates_are_made_of_as_few_pulses_as_can_be() -> None:
    assert sorted(len(pulses) for _, pulses in cliffords()) == [0] + [1] * 6 + [2] * 13 + [3] * 4


def test_every_gate_of_randomized_benchmarking_is_undone_at_the_end() -> None:
    """The pulses as turns of the Bloch sphere, put together here from those of the file."""
    turns = {pulses[0]: turn for turn, pulses in cliffords() if len(pulses) == 1}
    for element in range(5):
        keys = [
            entry["pulse"]
            for entry in rb(0, [7], 5, seed=3).to_dict()["appends"]
            if entry["element"] == element
        ]
        whole = np.eye(3)
        for key in keys:
            if key.startswith("Q0/"):
                whole = turns[key.removeprefix("Q0/")] @ whole
        assert np.array_equal(whole, np.eye(3))


def test_the_same_seed_gives_the_same_random_gates() -> None:
    once, again, other = (rb(0, [20], 2, seed=seed).to_dict() for seed in (1, 1, 2))
    assert once == again != other


def test_an_interleaved_pulse_follows_every_gate() -> None:
    plain, mixed = (len(rb(0, [10], 1, interleaved=pulse).to_dict()["appends"]) for pulse in (None, "X90"))
    assert 8 <= mixed - plain <= 12


@pytest.mark.parametrize(
    "wrong", [{"lengths": []}, {"lengths": [-1]}, {"n_random": 0}, {"interleaved": "Z90"}]
)
def test_benchmarking_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        rb(0, **wrong)


# ------------------------------------------------------------ two qubits


def test_zz_excites_the_neighbour_in_every_other_element(chip: Configuration) -> None:
    program = compiled(zz(2, 3, 6, 100e-9, detune=1e6, herald=True), chip)
    assert [len(drives(program, chip, "Q3", element)) for element in range(6)] == [0, 1] * 3
    assert [len(drives(program, chip, "Q2", element)) for element in range(6)] == [2] * 6


def test_zz_waits_as_long_with_the_neighbour_excited_as_without(chip: Configuration) -> None:
    program = compiled(zz(2, 3, 6, 100e-9, start_time=50e-9), chip)
    played = [drives(program, chip, "Q2", element)["start"] for element in range(6)]
    assert [int(b - a) - 40 for a, b in played] == [50, 50, 150, 150, 250, 250]


def test_cross_resonance_plays_on_the_control_s_line_at_the_target_s_frequency(chip: Configuration) -> None:
    program = compiled(cross_resonance(3, 2, 4, 40e-9, start_time=40e-9, postpulse="Y90"), chip)
    for element, n_pulses in enumerate([1, 2, 1, 2]):
        played = drives(program, chip, "Q3", element)
        assert len(played) == n_pulses
        assert played["freq"][-1] == pytest.approx(chip.variables["Q2/mod_freq"])
        assert played["n"][-1] == 40 + 40 * (element // 2)
        assert len(drives(program, chip, "Q2", element)) == 1


@pytest.mark.parametrize("experiment", [zz, cross_resonance])
def test_a_coupled_experiment_needs_two_different_qubits(experiment: Callable[..., SequenceWrapper]) -> None:
    with pytest.raises(UsageError):
        experiment(1, 1)
