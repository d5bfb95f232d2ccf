"""How fast the simulator is, beside its targets and beside qutip where that is installed.

Run as ``python benchmarks/simulator.py``. Times are medians; on a shared machine trust the ratios.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "backends")]

from handmade import LO, MOD, in_turn, qubit, solve  # noqa: E402

from qtrl_spool.backends.simulator.evolve import Outcomes  # noqa: E402
from qtrl_spool.backends.simulator.readout import draw_levels, iq_points, traces  # noqa: E402

N_ELEMENTS, N_REPS, N_READOUTS = 51, 1000, 4
QUBIT = {"t1": 20e-6, "t2": 15e-6}


def cos_square(n: int, amplitude: float) -> np.ndarray:
    ramp = n // 4
    shape = np.ones(n, dtype=complex)
    shape[:ramp] = (1 - np.cos(np.pi * np.arange(ramp) / max(ramp, 1))) / 2
    shape[n - ramp :] = shape[:ramp][::-1]
    return amplitude * shape


def timed(work: Callable[[], object], n: int = 15) -> float:
    """Return the median time of `work`, ms."""
    work()
    times = []
    for _ in range(n):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return 1e3 * median(times)


def rabi_program():
    return in_turn([[cos_square(20 * k, 0.15)] for k in range(N_ELEMENTS)], 1000)


def integrated() -> None:
    outcomes = Outcomes(np.tile([0.5, 0.48, 0.02], (N_ELEMENTS, 1)), np.zeros((N_ELEMENTS, 0, 3, 3)))
    for label in range(N_READOUTS):
        random = np.random.Generator(np.random.SFC64(label))
        iq_points(draw_levels(outcomes, N_REPS, random), qubit(**QUBIT), 1e-6, 1.0, random)


def raw_rate() -> float:
    """Return the rate at which traces are made, MB/s."""
    points = np.ones((N_READOUTS, 100, N_ELEMENTS, 1), dtype=np.complex64)
    random = np.random.Generator(np.random.SFC64(1))
    kwargs = {"n_points": 1024, "sample_rate": 1e9, "noise": 1000.0, "random": random}
    frequencies = [1e8, 1.5e8, 2e8, -1e8]
    size = traces(points, frequencies, **kwargs).nbytes
    return size / 1e6 / (timed(lambda: traces(points, frequencies, **kwargs), 5) / 1e3)


def by_qutip(amplitudes: list[np.ndarray]) -> np.ndarray:
    """Return the populations of level 1, the drive against its carrier given to mesolve as an array."""
    import qutip

    of = qubit(**QUBIT)
    lower = qutip.destroy(3)
    number = lower.dag() * lower
    still = np.pi * of.anharmonicity * number * (number - 1) + 2 * np.pi * (of.freq - LO - MOD) * number
    losses = [np.sqrt(1 / of.t1) * lower, np.sqrt(2 * of.dephasing_rate) * number]
    ends = []
    for amplitude in amplitudes:
        steps = np.arange(1001) * 1e-9
        drive = np.pi * of.drive_rate * np.append(np.pad(amplitude.real, (0, 1000 - len(amplitude))), 0)
        hamiltonian = qutip.QobjEvo([still, [lower + lower.dag(), drive]], tlist=steps, order=0)
        options = {"method": "vern7", "atol": 1e-8, "rtol": 1e-6, "max_step": 1e-9, "nsteps": 10**6}
        end = qutip.mesolve(hamiltonian, qutip.basis(3, 0).proj(), [0, 1e-6], c_ops=losses, options=options)
        ends.append(end.states[-1].full()[1, 1].real)
    return np.array(ends)


def main() -> None:
    played = rabi_program()
    ours = timed(lambda: solve(played, qubit(**QUBIT)))
    noisy = timed(lambda: solve(played, qubit(**QUBIT, detuning_noise=12e3)))
    print(f"Rabi {N_ELEMENTS} x 1 us, 1 GSa/s, 3 levels        {ours:8.1f} ms   (target 10)")
    print(f"  the same with static detuning noise    {noisy:8.1f} ms")
    shots = f"{N_REPS} x {N_ELEMENTS} x {N_READOUTS} integrated IQ points"
    print(f"{shots:41s}{timed(integrated):8.1f} ms   (target 30)")
    print(f"raw traces                               {raw_rate():8.0f} MB/s (target 100)")
    try:
        begun = time.perf_counter()
        theirs = by_qutip([cos_square(20 * k, 0.15) for k in range(N_ELEMENTS)])
        seconds = time.perf_counter() - begun
    except ImportError:
        print("qutip is not installed: no comparison")
        return
    away = np.max(np.abs(theirs - solve(played, qubit(**QUBIT)).first[:, 1]))
    factor = 1e3 * seconds / ours
    print(f"qutip's mesolve, the same Rabi           {1e3 * seconds:8.0f} ms   {factor:.0f} x as long")
    print(f"  largest difference of populations       {away:.1e}")


if __name__ == "__main__":
    main()
