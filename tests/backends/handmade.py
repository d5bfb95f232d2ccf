"""Programs and qubits made by hand, for tests that look at physics without a configuration."""

from __future__ import annotations

from cmath import exp, pi
from collections.abc import Callable

import numpy as np

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.drive import Source, schedule
from qtrl_spool.backends.simulator.evolve import outcomes
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.timeline import Clock
from qtrl_spool.sequence import Program
from qtrl_spool.sequence.program import PLAY

LO = 5.5e9
FREQ = 5.41e9
MOD = FREQ - LO

TEXTBOOK = {
    "freq": FREQ,
    "anharmonicity": -270e6,
    "t1": 1e3,
    "t2": 1e3,
    "detuning_noise": 0.0,
    "thermal_population": 0.0,
    "drive_rate": 100e6,
    "chan_I": 0,
    "chan_Q": 1,
    "res_freq": 6.5e9,
    "chi": -0.5e6,
    "kappa": 1e6,
    "res_chan_I": 8,
    "res_chan_Q": 9,
    "iq_signal": (5000.0, 0.0),
    "iq_background": (-2000.0, 500.0),
    "iq_sigma": (40.0, 45.0, 50.0),
    "flip_0_to_1": 0.0,
    "flip_1_to_0": 0.0,
}


def qubit(**changed: object) -> Qubit:
    """Return a qubit that neither decays nor dephases, but for what is changed."""
    return Qubit(**{**TEXTBOOK, **changed})


def square(n: int, amplitude: complex) -> np.ndarray:
    return np.full(n, amplitude, dtype=complex)


def drag(n: int, alpha: float, delta: float, amplitude: complex = 1.0) -> np.ndarray:
    """Return the lab's DRAG envelope at 1 GSa/s with 3 sigmas."""
    x, width = np.arange(n) - n / 2, n / 6
    gaussian = np.exp(-(x**2) / (2 * width**2))
    slope = -x / width**2 * gaussian
    return amplitude * (gaussian - 1j * alpha * slope / (2 * np.pi * delta / 1e9))


def half_turn(n: int, alpha: float, delta: float, drive_rate: float) -> np.ndarray:
    """Return a DRAG envelope whose area is a half turn at `drive_rate`."""
    area = abs(drag(n, alpha, delta).sum()) * 1e-9
    return drag(n, alpha, delta, 0.5 / area / drive_rate)


def program(
    plays: list[tuple[int, int, np.ndarray, float]], n_elements: int, n_samples: int, freq: float = MOD
) -> Program:
    """Return a program of (element, start, envelope, phase) on the channels I and Q of one qubit."""
    samples: list[np.ndarray] = []
    table: list[tuple[object, ...]] = []
    places: dict[bytes, int] = {}
    for element, start, envelope, phase in plays:
        for channel, factor in ((0, 1), (1, -1j)):
            drawn = (envelope * factor).astype(np.complex64)
            if drawn.tobytes() not in places:
                places[drawn.tobytes()] = sum(map(len, samples))
                samples.append(drawn)
            table.append((element, channel, 0, start, len(drawn), places[drawn.tobytes()], freq, phase))
    rows = np.array(table, dtype=PLAY)
    rows = rows[np.lexsort((rows["channel"], rows["start"], rows["element"]))]
    drawn = np.concatenate(samples) if samples else np.zeros(0, dtype=np.complex64)
    return Program(
        sample_rate=1e9,
        n_elements=n_elements,
        n_samples=n_samples,
        n_channels=2,
        n_subchannels=1,
        samples=drawn,
        plays=rows,
    )


def in_turn(sequences: list[list[object]], n_samples: int, freq: float = MOD) -> Program:
    """Return a program whose elements are envelopes and waits (int, samples), one after the other."""
    plays = []
    for element, parts in enumerate(sequences):
        at = 0
        for part in parts:
            if isinstance(part, np.ndarray):
                plays.append((element, at, part, 0.0))
                at += len(part)
            else:
                at += int(part)
    return program(plays, len(sequences), n_samples, freq)


def solve(played: Program, of: Qubit, triggers: np.ndarray | None = None, lo: float = LO) -> Outcomes:
    """Return the outcomes of one qubit; it is measured at the end if `triggers` does not say."""
    if triggers is None:
        triggers = np.full((played.n_elements, 1), played.n_samples)
    plan = schedule(played, [Source(of.channels)], [of.freq - lo], triggers)
    return outcomes(plan, of, triggers, Clock(played.sample_rate, lo))


def excited(played: Program, of: Qubit, **kwargs: object) -> np.ndarray:
    """Return the population of level 1 at the end [element]."""
    return solve(played, of, **kwargs).first[:, 1]


def heard(
    played: Program, channels: tuple[int, int], shift: float, element: int = 0
) -> Callable[[float], complex]:
    """Return I + iQ of a line as a function of time, its samples held and its carriers going on.

    `shift` (Hz) is the frame that it is seen from. Written from the definition of a program alone.
    """
    parts = [[] for _ in range(played.n_samples + 2)]
    for row in played.plays[played.plays["element"] == element]:
        if row["channel"] in channels:
            factor = (1.0 if row["channel"] == channels[0] else 1j) / 2
            freq, phase = float(row["freq"]), float(row["phase"])
            samples = played.samples[row["offset"] : row["offset"] + row["n"]]
            for k, value in enumerate(samples.tolist()):
                turned = value * np.exp(1j * phase)
                parts[row["start"] + k].append((factor * turned, freq + shift))
                parts[row["start"] + k].append((factor * turned.conjugate(), shift - freq))

    def drive(t: float) -> complex:
        return sum(
            (c * exp(2j * pi * f * t) for c, f in parts[min(int(t * played.sample_rate), played.n_samples)]),
            start=0j,
        )

    return drive
