"""Two coupled transmons against qutip: the same waveforms, the same master equation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade import LO, drag, heard, program, qubit, square

from qtrl_spool.backends.simulator.chip import Chip, Leak, Pair
from qtrl_spool.backends.simulator.groups import Played
from qtrl_spool.backends.simulator.outcomes import Group
from qtrl_spool.sequence import Program

FIRST, SECOND = 5.41e9, 5.33e9
QUBITS = {
    "Q1": qubit(freq=FIRST, t1=6e-6, t2=5e-6, thermal_population=0.02),
    "Q2": qubit(freq=SECOND, t1=4e-6, t2=3e-6, chan_I=2, chan_Q=3, anharmonicity=-240e6, drive_rate=120e6),
}


def chip(pair: Pair, qubits=QUBITS, **changed) -> Chip:
    changed = {name: replace(qubits[name], **changed.get(name, {})) for name in qubits}
    return Chip(seed=None, noise=1.0, batch_s=0.0, qubits=changed, pairs=(pair,))


def both(
    plays: list[tuple[int, int, np.ndarray, float, float, int]], n_samples: int, n_elements: int = 1
) -> Program:
    """Return a program of (element, start, envelope, phase, frequency, line) on two lines."""
    parts = []
    for element, start, envelope, phase, freq, line in plays:
        part = program([(element, start, envelope, phase)], n_elements, n_samples, freq - LO)
        part.plays["channel"] += 2 * line
        parts.append(part)
    offsets = np.cumsum([0, *(len(part.samples) for part in parts)])
    for part, offset in zip(parts, offsets[:-1], strict=True):
        part.plays["offset"] += offset
    table = np.concatenate([part.plays for part in parts])
    table = table[np.lexsort((table["channel"], table["start"], table["element"]))]
    samples = np.concatenate([part.samples for part in parts])
    return Program(1e9, n_elements, n_samples, 4, 1, samples, table)


def solved(played: Program, of: Chip, triggers: np.ndarray | None = None, **kwargs: float) -> Group:
    when = np.full((played.n_elements, 1), played.n_samples) if triggers is None else triggers
    return Played(played, of, when, LO, **kwargs).solved("Q1")


def by_qutip(played: Program, of: Chip, element: int = 0) -> np.ndarray:
    """Return the joint populations at the end [level of Q1, level of Q2]."""
    qutip = pytest.importorskip("qutip", reason="qutip is not installed")
    pair = of.pairs[0]
    one, two = of.qubits["Q1"], of.qubits["Q2"]
    seen = lambda channels, freq: heard(played, channels, LO - freq, element)  # noqa: E731
    identity, sense = qutip.qeye(3), qutip.qdiags([1, -1, -1], 0)
    lower = qutip.destroy(3)
    a, b = qutip.tensor(lower, identity), qutip.tensor(identity, lower)
    terms = [
        (np.pi * one.drive_rate * a, seen(one.channels, one.freq)),
        (np.pi * two.drive_rate * b, seen(two.channels, two.freq)),
        (np.pi * pair.cr * qutip.tensor(sense, lower), seen(one.channels, two.freq)),
        (np.pi * pair.cr_back * qutip.tensor(lower, sense), seen(two.channels, one.freq)),
    ]
    na, nb = a.dag() * a, b.dag() * b
    still = np.pi * one.anharmonicity * na * (na - 1) + np.pi * two.anharmonicity * nb * (nb - 1)
    still += 2 * np.pi * pair.zz * na * nb
    hamiltonian = [still]
    for operator, drive in terms:
        hamiltonian += [[operator, drive], [operator.dag(), lambda t, drive=drive: drive(t).conjugate()]]
    losses = []
    for of_one, operator in ((one, a), (two, b)):
        down, up = of_one.rates
        losses += [np.sqrt(down) * operator, np.sqrt(up) * operator.dag()]
        losses += [np.sqrt(2 * of_one.dephasing_rate) * operator.dag() * operator]
    start = qutip.tensor(qutip.qdiags(one.at_rest(), 0), qutip.qdiags(two.at_rest(), 0))
    options = {"method": "vern7", "atol": 1e-8, "rtol": 1e-7, "max_step": 1e-9, "nsteps": 10**6}
    times = [0, played.n_samples * 1e-9]
    end = qutip.mesolve(qutip.QobjEvo(hamiltonian), start, times, c_ops=losses, options=options)
    return np.real(np.diag(end.states[-1].full())).reshape(3, 3)


def random_pulses(seed: int, n_samples: int = 160) -> Program:
    """Return pulses of both qubits that overlap and stand alone, cross resonance among them."""
    random = np.random.default_rng(seed)
    plays = []
    for line, (own, other) in enumerate(((FIRST, SECOND), (SECOND, FIRST))):
        at = 3
        while at < n_samples - 50:
            n = int(random.integers(10, 40))
            freq = other if random.random() < 0.3 else own
            envelope = drag(n, random.uniform(0, 1), 270e6, random.uniform(0.1, 0.4))
            plays.append((0, at, envelope, random.uniform(0, 6), freq, line))
            at += n + int(random.integers(-5, 20))
    return both(plays, n_samples)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_populations_of_a_pair_agree_with_qutip_over_random_pulses(seed):
    of = chip(Pair("Q1", "Q2", zz=1e6, cr=4e6, cr_back=-3e6))
    played = random_pulses(seed)
    ours = solved(played, of, faint=1e-6).outcomes.first.reshape(3, 3)
    assert ours == pytest.approx(by_qutip(played, of), abs=1e-4)


def test_a_pair_that_only_waits_agrees_with_qutip():
    """A long wait between short pulses: the coupling and the losses do not commute, and both are large."""
    of = chip(Pair("Q1", "Q2", zz=300e3))
    quarter = square(25, 0.1)
    plays = [(0, at, quarter, 0.3 * at, (FIRST, SECOND)[line], line) for line in (0, 1) for at in (0, 3000)]
    played = both(plays, 3030)
    assert solved(played, of).outcomes.first.reshape(3, 3) == pytest.approx(by_qutip(played, of), abs=1e-4)


def test_crosstalk_agrees_with_qutip():
    leaking = chip(Pair("Q1", "Q2", zz=1e3), Q1={"crosstalk": {"Q2": Leak(0.9, 1.1)}})
    envelope = square(40, 0.15)
    plays = [(0, 5, envelope, 0.0, FIRST, 0), (0, 20, envelope, 0.4, SECOND, 1)]
    played = both(plays, 80)
    felt = both([*plays, (0, 20, 0.9 * np.exp(1.1j) * envelope, 0.4, SECOND, 0)], 80)
    apart = chip(Pair("Q1", "Q2", zz=1e3))
    ours = solved(played, leaking).populations("Q1")[0]
    assert ours == pytest.approx(by_qutip(felt, apart).sum(axis=1), abs=1e-4)
    assert np.max(np.abs(ours - solved(played, apart).populations("Q1")[0])) > 5e-3


def test_qubits_that_are_not_coupled_are_worked_out_alone():
    played = random_pulses(1)
    alone = solved(played, chip(Pair("Q1", "Q2", zz=1.0)))
    assert alone.names == ("Q1",)


def test_a_pair_without_coupling_to_speak_of_does_what_each_does_alone():
    played = random_pulses(2)
    noise = {name: {"detuning_noise": 2e6} for name in QUBITS}
    together = solved(played, chip(Pair("Q1", "Q2", zz=2e4), **noise))
    alone = solved(played, chip(Pair("Q1", "Q2"), **noise))
    assert (together.names, alone.names) == (("Q1", "Q2"), ("Q1",))
    assert together.populations("Q1") == pytest.approx(alone.populations("Q1"), abs=2e-3)


def flip(line: int, at: int, turns: float = 0.5, element: int = 0):
    """Return a play that turns the qubit of a line by so many turns."""
    of = QUBITS[("Q1", "Q2")[line]]
    envelope = drag(24, 0.5, -of.anharmonicity)
    area = abs(envelope.sum()) * 1e-9
    return (element, at, envelope * turns / area / of.drive_rate, 0.0, of.freq, line)


CALM = {name: {"t1": 1e3, "t2": 1e3, "thermal_population": 0.0} for name in QUBITS}


def fringe(zz: float, excited: bool, waits: np.ndarray) -> np.ndarray:
    """Return the population of Q1 after a Ramsey sequence, Q2 in level 0 or 1."""
    plays = []
    for element, wait in enumerate(waits.tolist()):
        plays += [flip(1, 0, 0.5 if excited else 1e-3, element), flip(0, 30, 0.25, element)]
        plays.append(flip(0, 54 + wait, 0.25, element))
    played = both(plays, int(waits.max()) + 80, len(waits))
    return solved(played, chip(Pair("Q1", "Q2", zz=zz), **CALM)).populations("Q1")[:, 1]


def test_a_neighbour_in_level_1_raises_the_frequency_by_zz():
    waits = np.arange(0, 20_000, 400)
    seen = fringe(150e3, True, waits) - 0.5
    still = fringe(150e3, False, waits) - 0.5
    expected = np.cos(2 * np.pi * 150e3 * (waits + 24) * 1e-9) / 2
    assert np.max(np.abs(seen - expected)) < 0.02
    assert np.max(np.abs(still - 0.5)) < 0.02


def test_a_neighbour_at_rest_shifts_by_its_thermal_population():
    """Nothing drives Q2: it is in level 1 in a tenth of the repetitions, which beats with the rest."""
    of = {**CALM, "Q2": {"t1": 1e3, "t2": 1e3, "thermal_population": 0.1}}
    waits = np.arange(0, 20_000, 500)
    plays = [flip(0, 0, 0.25, e) for e in range(len(waits))]
    plays += [flip(0, 24 + wait, 0.25, e) for e, wait in enumerate(waits.tolist())]
    played = both(plays, 20_100, len(waits))
    group = solved(played, chip(Pair("Q1", "Q2", zz=150e3), **of))
    assert group.names == ("Q1",)
    part = 1 - replace(QUBITS["Q2"], thermal_population=0.1).at_rest()[0]
    expected = 1 - part * (1 - np.cos(2 * np.pi * 150e3 * (waits + 24) * 1e-9)) / 2
    assert group.populations("Q1")[:, 1] == pytest.approx(expected, abs=0.02)


def test_cross_resonance_turns_the_target_in_a_sense_that_its_neighbour_decides():
    """A quarter turn one way or the other, then a quarter turn about the same axis: 0 or 1."""
    cr = 5e6
    envelope = square(200, 0.25 / 200e-9 / cr)
    ends = []
    for excited in (0.0, 0.5):
        plays = [flip(0, 0, excited or 1e-3), (0, 30, envelope, 0.0, SECOND, 0), flip(1, 240, 0.25)]
        group = solved(both(plays, 270), chip(Pair("Q1", "Q2", cr=cr), **CALM))
        ends.append(group.populations("Q2")[0, 1])
    assert ends == pytest.approx([1, 0], abs=0.1)


def test_a_measured_pair_is_left_in_the_levels_that_were_found():
    plays = [flip(0, 0, 0.25), flip(1, 0, 0.25), flip(0, 60, 0.5)]
    when = np.array([[40, 100]])
    outcomes = solved(both(plays, 100), chip(Pair("Q1", "Q2", zz=1e5), **CALM), when).outcomes
    assert outcomes.first[0, [0, 1, 3, 4]] == pytest.approx(np.full(4, 0.25), abs=0.01)
    after = outcomes.later[0, 0]
    assert [after[0, 3], after[1, 4], after[3, 0], after[4, 1]] == pytest.approx([1, 1, 1, 1], abs=5e-3)


def test_rows_of_populations_are_probabilities():
    when = np.array([[80, 160]])
    of = chip(Pair("Q1", "Q2", zz=1e6), Q1={"detuning_noise": 3e5})
    outcomes = solved(random_pulses(3), of, when).outcomes
    assert outcomes.first.sum(axis=-1) == pytest.approx(1.0)
    assert outcomes.later.sum(axis=-1) == pytest.approx(np.ones((1, 1, 9)))
    assert outcomes.later.min() >= 0.0


def test_the_strongest_shift_makes_the_pair_and_cross_resonance_comes_first():
    third = replace(QUBITS["Q2"], freq=5.25e9, chan_I=4, chan_Q=5)
    qubits = {**QUBITS, "Q3": third}
    pairs = (Pair("Q1", "Q2", zz=1e5), Pair("Q2", "Q3", zz=3e5))
    plays = [flip(line, 0) for line in (0, 1)]
    other = [(0, 0, square(20, 0.1), 0.0, 5.25e9, 2)]
    played = both([*plays, *other], 2000)

    def partners(*coupled: Pair) -> dict:
        of = Chip(seed=None, noise=1.0, batch_s=0.0, qubits=qubits, pairs=coupled)
        return Played(played, of, np.array([[2000]]), LO).partners

    assert set(partners(*pairs)) == {"Q2", "Q3"}
    resonant = replace(pairs[0], cr=1e6)
    assert set(partners(resonant, pairs[1])) == {"Q2", "Q3"}
    strong = replace(pairs[0], cr=30e6)
    assert set(partners(strong, pairs[1])) == {"Q1", "Q2"}
