"""From the probabilities of levels to what a digitizer would have seen.

Each repetition draws a level at every trigger, given the level that it was left in by the one
before. A level that decays while it is read moves from its IQ point towards the one below, by the
part of the window that was left. The amplifier's noise is added last. Raw traces hold the same
points as signals at exp(-2 pi i f t), so that the chain's own demodulation finds them again.

Random numbers come from a generator that the caller made; the same generator gives the same bits.
Called by `Simulator.acquire`. Pure.

Known limits: no ring-up of the resonator, no crosstalk between readouts but that of demodulation
itself; what decays within the window is not followed into the rest of the sequence (that decays too).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.evolve import Outcomes

TRACE_LIMIT = 32767


def draw_levels(outcomes: Outcomes, n_reps: int, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the level that each trigger finds [repetition, element, trigger]."""
    n_elements, n_later = outcomes.later.shape[:2]
    levels = np.empty((n_reps, n_elements, n_later + 1), dtype=np.int8)
    levels[:, :, 0] = _drawn(np.cumsum(outcomes.first, axis=1)[None], random, (n_reps, n_elements))
    every = np.arange(n_elements)
    for trigger in range(n_later):
        limits = np.cumsum(outcomes.later[:, trigger], axis=2)
        given = limits[every, levels[:, :, trigger]]
        levels[:, :, trigger + 1] = _drawn(given, random, (n_reps, n_elements))
    return levels


def _drawn(
    limits: NDArray[np.float64], random: np.random.Generator, shape: tuple[int, int]
) -> NDArray[np.bool_] | NDArray[np.int8]:
    """Return levels drawn from cumulated probabilities [repetition or 1, element, level]."""
    number = random.random(shape, dtype=np.float32)
    return (number >= limits[..., 0]).astype(np.int8) + (number >= limits[..., 1])


def iq_points(
    levels: NDArray[np.int8],
    qubit: Qubit,
    window: float,
    noise: float,
    random: np.random.Generator,
    *,
    elsewhere: float = 0.0,
) -> NDArray[np.complex64]:
    """Return one IQ point for each level that was found, in units of the ADC, before rotation.

    Parameters
    ----------
    levels:
        Found by the triggers, any shape.
    qubit:
        Its blobs and its errors.
    window:
        Length of the integration, s.
    noise:
        Factor on the width of the blobs.
    random:
        Where random numbers come from.
    elsewhere:
        Standard deviation that is left out because the trace brings it, units of the ADC.
    """
    seen = _misread(levels, qubit, random)
    blobs = np.array([complex(*point) for point in (qubit.iq_0, qubit.iq_1, qubit.iq_2)], dtype=np.complex64)
    points = blobs[seen]
    excited = np.flatnonzero(seen)
    level = seen.ravel()[excited]
    left = _part_left(level, qubit.t1, window, random)
    points.ravel()[excited] = left * blobs[level] + (1 - left) * blobs[level - 1]
    sigma = np.sqrt(np.clip(np.square(qubit.iq_sigma) - elsewhere**2, 0.0, None))
    spread = (noise * sigma).astype(np.float32)[seen]
    both = random.standard_normal((*seen.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    return np.asarray(points + spread * both)


def _misread(levels: NDArray[np.int8], qubit: Qubit, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the levels as the readout takes them, with its own errors."""
    chance = np.array([qubit.flip_0_to_1, qubit.flip_1_to_0, 0.0], dtype=np.float32)
    if not chance.any():
        return levels
    wrong = random.random(levels.shape, dtype=np.float32) < chance[levels]
    return np.where(wrong, 1 - levels, levels).astype(np.int8)


def _part_left(
    level: NDArray[np.int8], t1: float, window: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return the part of the window that passes before an excited level decays."""
    waited = random.standard_exponential(len(level), dtype=np.float32) * np.float32(t1 / window) / level
    return np.minimum(waited, np.float32(1.0)).astype(np.float32)


def traces(
    points: NDArray[np.complex64],
    frequencies: Sequence[float],
    *,
    n_points: int,
    sample_rate: float,
    noise: float,
    random: np.random.Generator,
) -> NDArray[np.int16]:
    """Return what the digitizer's two inputs see [quadrature, repetition, element, trigger, point].

    Parameters
    ----------
    points:
        IQ points [readout, repetition, element, trigger], units of the ADC.
    frequencies:
        Of the signal of each readout, Hz.
    n_points, sample_rate:
        Samples of a trace, and their rate, samples/s.
    noise:
        Standard deviation of a sample of either input, units of the ADC.
    random:
        Where random numbers come from.
    """
    time = np.arange(n_points) / sample_rate
    carriers = np.exp(-2j * np.pi * np.outer(frequencies, time)).astype(np.complex64)
    signal = np.tensordot(points, carriers, axes=(0, 0))
    seen = np.empty((2, *signal.shape), dtype=np.int16)
    for at, part in enumerate((signal.real, signal.imag)):
        noisy = part + np.float32(noise) * random.standard_normal(part.shape, dtype=np.float32)
        seen[at] = np.clip(np.rint(noisy), -TRACE_LIMIT, TRACE_LIMIT)
    return seen
