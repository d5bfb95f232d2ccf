"""The simulator against qutip: the same waveforms, the same master equation."""

from __future__ import annotations

import numpy as np
import pytest
from handmade import LO, MOD, drag, program, qubit, solve

qutip = pytest.importorskip("qutip", reason="qutip is not installed")

N_SAMPLES = 160


def by_qutip(played, of, element: int) -> np.ndarray:
    """Return the populations at the end, from I + iQ of the dense channels' definition."""
    rows = played.plays[played.plays["element"] == element]

    def drive(t: float) -> complex:
        total = 0j
        for row in rows:
            k = int(t * 1e9) - row["start"]
            if 0 <= k < row["n"]:
                angle = 2 * np.pi * row["freq"] * t + row["phase"]
                value = (played.samples[row["offset"] + k] * np.exp(1j * angle)).real
                total += value if row["channel"] == 0 else 1j * value
        return total * np.exp(2j * np.pi * (LO - of.freq) * t)

    lower = qutip.destroy(3)
    number = lower.dag() * lower
    still = np.pi * of.anharmonicity * number * (number - 1)
    coupling = np.pi * of.drive_rate
    hamiltonian = qutip.QobjEvo(
        [still, [coupling * lower, drive], [coupling * lower.dag(), lambda t: drive(t).conjugate()]]
    )
    up = of.thermal_population / of.t1
    losses = [
        np.sqrt(1 / of.t1 - up) * lower,
        np.sqrt(up) * lower.dag(),
        np.sqrt(2 * of.dephasing_rate) * number,
    ]
    ratio = of.thermal_population / (1 - of.thermal_population)
    start = qutip.qdiags(ratio ** np.arange(3) / np.sum(ratio ** np.arange(3)), 0)
    options = {"method": "vern7", "atol": 1e-8, "rtol": 1e-7, "max_step": 1e-9, "nsteps": 10**6}
    end = qutip.mesolve(hamiltonian, start, [0, N_SAMPLES * 1e-9], c_ops=losses, options=options)
    return np.real(np.diag(end.states[-1].full()))


@pytest.mark.parametrize("detuning", [0.0, 3e6, -270e6])
def test_populations_agree_with_qutip_over_random_pulses(detuning):
    random = np.random.default_rng(7)
    of = qubit(t1=4e-6, t2=3e-6, thermal_population=0.03)
    plays, at = [], 5
    while at < 110:
        n = int(random.integers(10, 45))
        envelope = drag(n, random.uniform(0, 1), 270e6, random.uniform(0.1, 0.5))
        plays.append((0, at, envelope, random.uniform(0, 6)))
        at += n + int(random.integers(-8, 20))
    played = program(plays, 1, N_SAMPLES, MOD + detuning)
    assert solve(played, of).first[0] == pytest.approx(by_qutip(played, of, 0), abs=1e-4)
