"""Raw traces: what the digitizer's two inputs see of all readouts at once.

The signal of each readout is its resonator's field at exp(-2 pi i f t), f the frequency at which the
chain demodulates it; all of them add up on one line, and so does the noise of the amplifier. What
a level scatters more than the narrowest is a shift of the whole trace of that shot, so that the
demodulated points have the widths of `readout`. The shots are those of the integrated points: the
same seed gives the same levels, the same jumps at the same samples.

Traces are made in pieces that fit a processor's cache; `between` is called before each, so that whoever
waits can stop it. Called by `Simulator.acquire`. Pure.

Known limits: white noise; no filter before the digitizer; rounded to whole counts and clipped at the
limits of 16 bits, whatever the ADC's own range is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.readout import Paths, Readout, heard

LIMIT = 32767
PIECE = 65536
"""Samples that are made at a time."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class Shots:
    """The shots of one readout in a batch.

    Attributes
    ----------
    path:
        The levels that they go through.
    shift:
        What is added to the whole trace of each shot [repetition, element, trigger], units of the ADC.
    """

    path: Paths
    shift: Complex


def floor_of(readouts: Sequence[Readout]) -> float:
    """Return the width of the narrowest level of all: what the traces' noise gives every point."""
    return min((float(readout.widths.min()) for readout in readouts), default=0.0)


def excess_of(readout: Readout, floor: float) -> NDArray[np.float64]:
    """Return the standard deviation that the noise of traces leaves to be added [level]."""
    return np.asarray(np.sqrt(np.clip(readout.widths**2 - floor**2, 0.0, None)))


def traces(
    readouts: Sequence[Readout],
    shots: Sequence[Shots],
    noise: float,
    random: np.random.Generator,
    between: Callable[[], None] = lambda: None,
) -> NDArray[np.int16]:
    """Return what the digitizer's two inputs see [quadrature, repetition, element, trigger, point].

    Parameters
    ----------
    readouts, shots:
        The readouts, at least one, and the shots of each.
    noise:
        Standard deviation of a sample of either input, units of the ADC.
    random:
        Where the noise comes from.
    between:
        Called before each piece of the work.
    """
    parts = [_Part(at, readouts, shots[at]) for at in range(len(readouts))]
    shape = shots[0].path.levels.shape
    n_points = readouts[0].window.n_points
    seen = np.empty((2, *shape, n_points), dtype=np.int16)
    flat = seen.reshape(2, -1, n_points)
    step = max(1, PIECE // n_points)
    drawn = np.empty((2, step, n_points), dtype=np.float32)
    for begin in range(0, flat.shape[1], step):
        between()
        end = min(begin + step, flat.shape[1])
        both = drawn[:, : end - begin]
        for quadrature in both:
            random.standard_normal(dtype=np.float32, out=quadrature)
        both *= np.float32(noise)
        signal = sum((part.signal(begin, end) for part in parts[1:]), start=parts[0].signal(begin, end))
        both[0] += signal.real
        both[1] += signal.imag
        np.rint(both, out=both)
        np.clip(both, -LIMIT, LIMIT, out=both)
        flat[:, begin:end] = both
    return seen


class _Part:
    """What one readout adds to the traces, here and where others hear it."""

    def __init__(self, at: int, readouts: Sequence[Readout], shots: Shots) -> None:
        readout, path = readouts[at], shots.path
        self._readout, self._path = readout, path
        self._own = _carrier(readout)
        self._elsewhere = sum(
            (part * _carrier(other) for other in readouts if (part := heard(other, readouts).get(at))),
            start=np.zeros_like(self._own),
        )
        signals = np.array([field.signal for field in readout.fields])
        self._table = self._carried(signals, signals[:, :1]).astype(np.complex64)
        self._met = np.broadcast_to(readout.number, path.levels.shape).reshape(-1)
        turn = readout.turn.astype(np.complex64)
        self._turn = None if np.all(turn == 1) else np.broadcast_to(turn, path.levels.shape).reshape(-1)
        self._levels, self._shift = path.levels.reshape(-1), shots.shift.reshape(-1)

    def _carried(
        self, signals: NDArray[np.complex128], at_rest: NDArray[np.complex128]
    ) -> NDArray[np.complex128]:
        carried = signals * self._own
        return carried + (signals - at_rest) * self._elsewhere if self._elsewhere.any() else carried

    def signal(self, begin: int, end: int) -> Complex:
        """Return the signals of the shots `begin` to `end` [shot, point]."""
        met, levels = self._met[begin:end], self._levels[begin:end]
        signal = self._table[met, levels]
        first, last = np.searchsorted(self._path.shots, (begin, end))
        for at in range(first, last):
            shot = int(self._path.shots[at]) - begin
            field = self._readout.fields[int(met[shot])]
            moved = field.trajectories(self._path.steps[at : at + 1], self._path.begins[at : at + 1])[0]
            signal[shot] += self._carried(
                moved - field.signal[levels[shot]], np.zeros(1, dtype=np.complex128)
            )
        if self._turn is not None:
            signal *= self._turn[begin:end, None]
        signal += self._shift[begin:end, None] * self._own.astype(np.complex64)
        return np.asarray(signal)


def _carrier(readout: Readout) -> NDArray[np.complex128]:
    window = readout.window
    turns = window.demodulated / window.sample_rate * np.arange(window.n_points)
    return np.asarray(np.exp(-2j * np.pi * turns))
