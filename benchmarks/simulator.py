"""How fast the simulator is, beside its targets and beside qutip where that is installed.

Run as ``python benchmarks/simulator.py``. On a shared machine trust the ratios, and the least time on
the processor more than the median by the clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "backends")]

from handmade import LO, MOD, in_turn, qubit, solve  # noqa: E402

from qtrl_spool.backends import Measurement  # noqa: E402
from qtrl_spool.backends.simulator import Simulator  # noqa: E402
from qtrl_spool.backends.simulator.chip import chip_of  # noqa: E402
from qtrl_spool.backends.simulator.groups import Played  # noqa: E402
from qtrl_spool.backends.simulator.outcomes import Group, Outcomes  # noqa: E402
from qtrl_spool.backends.simulator.simulator import Plan  # noqa: E402
from qtrl_spool.config import AcquisitionSettings, load_config  # noqa: E402
from qtrl_spool.experiments import rabi  # noqa: E402
from qtrl_spool.sequence import trigger_samples  # noqa: E402

SHIPPED = Path(__file__).parents[1] / "configs"
N_ELEMENTS, N_REPS, N_READOUTS = 51, 1000, 4
QUBIT = {"t1": 20e-6, "t2": 15e-6}


def cos_square(n: int, amplitude: float) -> np.ndarray:
    ramp = n // 4
    shape = np.ones(n, dtype=complex)
    shape[:ramp] = (1 - np.cos(np.pi * np.arange(ramp) / max(ramp, 1))) / 2
    shape[n - ramp :] = shape[:ramp][::-1]
    return amplitude * shape


def timed(work: Callable[[], object], n: int = 15) -> tuple[float, float]:
    """Return the median time of `work` by the clock, and its least time on the processor, ms."""
    work()
    wall, busy = [], []
    for _ in range(n):
        begun = time.perf_counter(), time.thread_time()
        work()
        wall.append(time.perf_counter() - begun[0])
        busy.append(time.thread_time() - begun[1])
    return 1e3 * median(wall), 1e3 * min(busy)


def rabi_program():
    return in_turn([[cos_square(20 * k, 0.15)] for k in range(N_ELEMENTS)], 1000)


def readouts(outcomes: Outcomes) -> tuple[Plan, Simulator]:
    """Return a plan of four readouts, as `prepare` makes it but for the outcomes, and its simulator."""
    config = load_config(SHIPPED).merged({"adc": {"acquisition_settings": {"n_reps": N_REPS}}})
    seq = rabi([0, 1, 2, 3], n_elements=N_ELEMENTS)
    program = seq.compile(config.pulses).program
    settings = AcquisitionSettings.of(config, n_elements=N_ELEMENTS, n_triggers=1)
    simulator = Simulator()
    triggers = trigger_samples(program, config.pulses)
    plan = simulator.prepare(Measurement(program, config, settings, triggers, ("R0", "R1", "R2", "R3")))
    groups = tuple(Group((f"Q{q}",), outcomes) for q in range(N_READOUTS))
    return replace(plan, groups=groups), simulator


def batch(raw: bool, n_reps: int = N_REPS) -> Callable[[], object]:
    """Return what acquires a batch."""
    levels = np.tile([0.5, 0.48, 0.02], (N_ELEMENTS, 1))
    plan, simulator = readouts(Outcomes(levels, np.zeros((N_ELEMENTS, 0, 3, 3))))
    simulator.arm(replace(plan, settings=replace(plan.settings, keep_raw=raw, n_reps=n_reps)))
    return lambda: simulator.acquire(0, lambda: False)


def pair_rabi() -> Callable[[], object]:
    """Return what works out a Rabi of two coupled qubits at once."""
    config = load_config(SHIPPED)
    program = rabi([2, 3], n_elements=N_ELEMENTS, step_size=20e-9).compile(config.pulses).program
    triggers = trigger_samples(program, config.pulses)
    mixed = config["variables/hardware/qubit_LO"]
    return lambda: Played(program, chip_of(config.simulator), triggers, mixed).solved("Q2")


def by_qutip(amplitudes: list[np.ndarray], **options: object) -> np.ndarray:
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
        end = qutip.mesolve(hamiltonian, qutip.basis(3, 0).proj(), [0, 1e-6], c_ops=losses, options=options)
        ends.append(end.states[-1].full()[1, 1].real)
    return np.array(ends)


EXACT = {"method": "vern7", "atol": 1e-8, "rtol": 1e-6, "max_step": 1e-9, "nsteps": 10**6}
LIKE_OURS = {"max_step": 1e-9, "nsteps": 10**6}


def line(name: str, work: Callable[[], object], target: str, n: int = 15) -> float:
    """Print how long `work` takes; return the time on the processor, ms."""
    wall, busy = timed(work, n)
    print(f"{name:48s} {busy:9.1f} ms processor {wall:9.1f} ms clock   {target}")
    return busy


def main() -> None:
    random = np.random.Generator(np.random.SFC64(1))
    line(
        "baseline: a million normal numbers, float32",
        lambda: random.standard_normal(10**6, dtype=np.float32),
        "",
    )
    played = rabi_program()
    ours = line(
        f"Rabi {N_ELEMENTS} x 1 us, 1 GSa/s, three levels", lambda: solve(played, qubit(**QUBIT)), "10 ms"
    )
    noisy = qubit(**QUBIT, detuning_noise=12e3)
    line("  the same with static detuning noise", lambda: solve(played, noisy), "")
    line("  of two coupled qubits, nine levels", pair_rabi(), "", 5)
    shots = f"{N_REPS} x {N_ELEMENTS} x {N_READOUTS} integrated IQ points"
    line(shots, batch(False), "30 ms")
    work = batch(True, 100)
    size = work().raw.values.nbytes / 1e6  # type: ignore[attr-defined]
    busy = line(f"raw traces, {size:.0f} MB", work, "", 5)
    print(f"{'':48s} {1e3 * size / busy:9.0f} MB/s processor                 100 MB/s")
    try:
        amplitudes = [cos_square(20 * k, 0.15) for k in range(N_ELEMENTS)]
        exact = by_qutip(amplitudes, **EXACT)
        begun = time.thread_time()
        theirs = by_qutip(amplitudes, **LIKE_OURS)
        seconds = time.thread_time() - begun
    except ImportError:
        print("qutip is not installed: no comparison")
        return
    mine = solve(played, qubit(**QUBIT)).first[:, 1]
    print(f"qutip's mesolve, the same Rabi                   {1e3 * seconds:9.0f} ms processor")
    print(f"  as many times as long                          {1e3 * seconds / ours:9.0f}{'100':>33s}")
    for name, found in (("simulator", mine), ("mesolve", theirs)):
        print(f"  largest error of the {name:12s}              {np.max(np.abs(found - exact)):9.1e}")


if __name__ == "__main__":
    main()
