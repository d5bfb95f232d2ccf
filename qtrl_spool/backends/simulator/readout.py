"""From the probabilities of levels to integrated IQ points.

Each repetition draws a level at every trigger, given the level that it was left in by the one
before. While it is read a level may jump to the next one, down or up; the point then moves as the
resonator's field does (see `resonator`). A part of what other readouts show is added, and the
amplifier's noise last. `traces` makes raw traces of the same shots.

Random numbers come from generators that the caller made; the same generators give the same bits.
Called by `Simulator.acquire`. Pure.

Known limits: a level jumps at most twice in a window; what jumps within a window is not followed
into the rest of the sequence (there it jumps anew, at the same rate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Qubit
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.resonator import Field, Window

MOST_JUMPS = 2
RARE = 1e-12
"""1/s: a rate that stands for never."""
SIGMA_WINDOW = 1e-6
"""s, the integration that `Qubit.iq_sigma` holds for."""


@dataclass(frozen=True, eq=False)
class Readout:
    """One readout of a job, whatever the shot.

    Attributes
    ----------
    label, name:
        Its label and the name of its qubit.
    qubit:
        What is read.
    window:
        Of the digitizer.
    fields:
        The distinct fields of its resonator.
    number, turn:
        Which of them each trigger meets, and by what its signal is multiplied [element, trigger].
    """

    label: str
    name: str
    qubit: Qubit
    window: Window
    fields: tuple[Field, ...]
    number: NDArray[np.int64]
    turn: NDArray[np.complex128]

    @property
    def widths(self) -> NDArray[np.float64]:
        """Standard deviation of I, and of Q, of a point of each level [level], units of the ADC."""
        return np.asarray(np.sqrt(SIGMA_WINDOW / self.window.duration) * np.array(self.qubit.iq_sigma))


@dataclass(frozen=True, eq=False)
class Paths:
    """The levels that the shots of one readout go through.

    Attributes
    ----------
    levels:
        At the trigger, as the readout takes them [repetition, element, trigger].
    shots:
        Which of these jump within the window, as places in the flattened `levels` [jumping].
    steps, begins:
        The levels that they go through, and at which sample each begins [jumping, step].
    """

    levels: NDArray[np.int8]
    shots: NDArray[np.int64]
    steps: NDArray[np.int64]
    begins: NDArray[np.int64]


def draw_levels(outcomes: Outcomes, n_reps: int, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the level, of all the qubits of a group as one number, that each trigger finds.

    Returns
    -------
    levels:
        [repetition, element, trigger]; see `level_of` for that of one qubit.
    """
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
) -> NDArray[np.int8]:
    """Return levels drawn from cumulated probabilities [repetition or 1, element, level]."""
    number = random.random(shape, dtype=np.float32)
    found = np.zeros(shape, dtype=np.int8)
    for level in range(limits.shape[-1] - 1):
        found += number >= limits[..., level]
    return found


def level_of(levels: NDArray[np.int8], place: int, n_qubits: int) -> NDArray[np.int8]:
    """Return the level of one qubit of a group, the first being the most significant digit."""
    return levels if n_qubits == 1 else levels // np.int8(LEVELS ** (n_qubits - 1 - place)) % np.int8(LEVELS)


def paths(levels: NDArray[np.int8], qubit: Qubit, window: Window, random: np.random.Generator) -> Paths:
    """Return what becomes of levels while they are read."""
    seen = _misread(levels, qubit, random)
    down, up = qubit.rates
    number = np.arange(LEVELS)
    leave = np.array([down * number, up * (number + 1) * (number < LEVELS - 1)])
    total = leave.sum(axis=0)
    chance = -np.expm1(-total * window.duration)
    drawn = random.random(seen.shape, dtype=np.float32)
    shots = np.flatnonzero(drawn < chance.astype(np.float32)[seen])
    steps = np.zeros((len(shots), MOST_JUMPS + 1), dtype=np.int64)
    begins = np.zeros_like(steps)
    steps[:, 0] = seen.ravel()[shots]
    when = -np.log1p(-drawn.ravel()[shots].astype(np.float64)) / total[steps[:, 0]]
    for jump in range(1, MOST_JUMPS + 1):
        before = steps[:, jump - 1]
        falls = random.random(len(shots)) * total[before] < leave[0, before]
        steps[:, jump] = before + np.where(falls, -1, 1)
        begins[:, jump] = np.minimum(np.ceil(when * window.sample_rate), window.n_points)
        rate = np.maximum(total[steps[:, jump]], RARE)
        when = when + random.standard_exponential(len(shots)) / rate
    return Paths(levels=seen, shots=shots, steps=steps, begins=begins)


def _misread(levels: NDArray[np.int8], qubit: Qubit, random: np.random.Generator) -> NDArray[np.int8]:
    """Return the levels as the readout takes them, with its own errors."""
    chance = np.array([qubit.flip_0_to_1, qubit.flip_1_to_0, 0.0], dtype=np.float32)
    if not chance.any():
        return levels
    wrong = random.random(levels.shape, dtype=np.float32) < chance[levels]
    return np.where(wrong, 1 - levels, levels).astype(np.int8)


def points_of(readout: Readout, path: Paths) -> NDArray[np.complex64]:
    """Return the IQ points of shots, without noise [repetition, element, trigger]."""
    means = np.array([field.means for field in readout.fields], dtype=np.complex64)
    points = means[0][path.levels] if len(means) == 1 else means[readout.number, path.levels]
    flat = points.reshape(-1)
    met = np.broadcast_to(readout.number, points.shape).reshape(-1)[path.shots]
    for at, field in enumerate(readout.fields):
        here = met == at
        flat[path.shots[here]] = field.points(path.steps[here], path.begins[here])
    return points if np.all(readout.turn == 1) else points * readout.turn.astype(np.complex64)


def with_crosstalk(
    points: Sequence[NDArray[np.complex64]], readouts: Sequence[Readout]
) -> list[NDArray[np.complex64]]:
    """Return IQ points with what other readouts add to them: a part of how far they are from level 0."""
    mixed = list(points)
    for at, readout in enumerate(readouts):
        for other, part in heard(readout, readouts).items():
            mixed[at] = mixed[at] + np.float32(part) * (points[other] - _at_rest(readouts[other]))
    return mixed


def heard(readout: Readout, readouts: Sequence[Readout]) -> Mapping[int, float]:
    """Return which part of the signal of each other readout, by its place, is found in this one's."""
    parts = readout.qubit.readout_crosstalk
    return {at: parts[other.name] for at, other in enumerate(readouts) if parts.get(other.name)}


def _at_rest(readout: Readout) -> NDArray[np.complex64]:
    """Return the IQ points of level 0 [element, trigger]."""
    means = np.array([field.means[0] for field in readout.fields])
    return np.asarray((means[readout.number] * readout.turn).astype(np.complex64))


def noise_of(
    levels: NDArray[np.int8], widths: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.complex64]:
    """Return noise of I and Q, `widths` [level] for each level that was found; shape of `levels`."""
    both = random.standard_normal((*levels.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    both *= widths.astype(np.float32)[levels]
    return np.asarray(both)
