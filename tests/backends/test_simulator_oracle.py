"""The simulator against qutip: the same waveforms, the same master equation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handmade import LO, MOD, drag, heard, program, qubit, solve

from qtrl_spool.sequence import Program

qutip = pytest.importorskip("qutip", reason="qutip is not installed")

N_SAMPLES = 160
ANHARMONICITY = -270e6


def by_qutip(played: Program, of) -> np.ndarray:
    """Return the populations at the end."""
    drive = heard(played, of.channels, LO - of.freq)
    lower = qutip.destroy(3)
    number = lower.dag() * lower
    still = np.pi * of.anharmonicity * number * (number - 1)
    coupling = np.pi * of.drive_rate
    hamiltonian = qutip.QobjEvo(
        [still, [coupling * lower, drive], [coupling * lower.dag(), lambda t: drive(t).conjugate()]]
    )
    down, up = of.rates
    losses = [np.sqrt(down) * lower, np.sqrt(up) * lower.dag(), np.sqrt(2 * of.dephasing_rate) * number]
    start = qutip.qdiags(of.at_rest(), 0)
    step = 1 / played.sample_rate
    options = {"method": "vern7", "atol": 1e-8, "rtol": 1e-7, "max_step": step, "nsteps": 10**6}
    end = qutip.mesolve(hamiltonian, start, [0, played.n_samples * step], c_ops=losses, options=options)
    return np.real(np.diag(end.states[-1].full()))


def random_pulses(seed: int, detuning: float, second: float | None = None) -> Program:
    """Return pulses that stand alone and overlap, every other one of another frequency where there is one."""
    random = np.random.default_rng(seed)
    plays, at = [], 5
    while at < 110:
        n = int(random.integers(10, 45))
        envelope = drag(n, random.uniform(0, 1), 270e6, random.uniform(0.1, 0.5))
        plays.append((0, at, envelope, random.uniform(0, 6)))
        at += n + int(random.integers(-8, 20))
    played = program(plays, 1, N_SAMPLES, MOD + detuning)
    if second is not None:
        played.plays["freq"][2::4] = played.plays["freq"][3::4] = MOD + second
    return played


WARM = qubit(t1=4e-6, t2=3e-6, thermal_population=0.03)


@pytest.mark.parametrize("detuning", [0.0, 3e6, ANHARMONICITY])
def test_populations_agree_with_qutip_over_random_pulses(detuning):
    played = random_pulses(7, detuning)
    assert solve(played, WARM).first[0] == pytest.approx(by_qutip(played, WARM), abs=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_populations_agree_with_qutip_where_two_frequencies_overlap(seed):
    played = random_pulses(seed, 2e6, ANHARMONICITY)
    assert solve(played, WARM).first[0] == pytest.approx(by_qutip(played, WARM), abs=1e-4)


def test_populations_agree_with_qutip_where_one_channel_plays_alone():
    played = random_pulses(3, 1e6)
    alone = replace(played, plays=played.plays[played.plays["channel"] == 0])
    assert solve(alone, WARM).first[0] == pytest.approx(by_qutip(alone, WARM), abs=1e-4)


def test_populations_agree_with_qutip_at_another_sample_rate():
    played = replace(random_pulses(4, 1e6), sample_rate=2.4e9)
    assert solve(played, WARM).first[0] == pytest.approx(by_qutip(played, WARM), abs=1e-4)
