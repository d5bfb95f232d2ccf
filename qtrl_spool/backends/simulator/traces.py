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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS
from qtrl_spool.backends.simulator.readout import Paths, Readout, heard
from qtrl_spool.backends.simulator.resonator import Field

LIMIT = 32767
PIECE = 16384
"""Samples that are made at a time: so few that BLAS does not wake a thread, and that a cache holds them."""
MOST_TOGETHER = 2**18
"""Numbers in a table of signals of several readouts together: 1 MB, which stays in a processor's cache."""

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


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
    parts = [_Part(at, readouts, shots[at].path) for at in range(len(readouts))]
    tables = _tables(parts)
    shifts = np.concatenate([_columns(each.shift.reshape(-1)) for each in shots], axis=1)
    carriers = np.concatenate([_rotating(_carrier(readout)) for readout in readouts])
    levels = shots[0].path.levels
    n_points = readouts[0].window.n_points
    seen = np.empty((2, *levels.shape, n_points), dtype=np.int16)
    flat = seen.reshape(2, -1, n_points)
    step = max(1, PIECE // n_points)
    drawn = np.empty((step, 2, n_points), dtype=np.float32)
    for begin in range(0, flat.shape[1], step):
        between()
        end = min(begin + step, flat.shape[1])
        both = drawn[: end - begin]
        random.standard_normal(dtype=np.float32, out=both)
        both *= np.float32(noise)
        for table in tables:
            both += table.signals(begin, end)
        if shifts.any():
            both += (shifts[begin:end] @ carriers).reshape(both.shape)
        for part in parts:
            part.add_jumps(both, begin, end)
        np.rint(both, out=both)
        np.clip(both, -LIMIT, LIMIT, out=both)
        flat[:, begin:end] = both.transpose(1, 0, 2)
    return seen


class _Part:
    """What one readout adds to the traces, where it is heard itself and where others hear it."""

    def __init__(self, at: int, readouts: Sequence[Readout], path: Paths) -> None:
        self.readout, self._path = readouts[at], path
        self._own = _carrier(self.readout)
        self._elsewhere = sum(
            (part * _carrier(other) for other in readouts if (part := heard(other, readouts).get(at))),
            start=np.zeros_like(self._own),
        )
        turns, turned = np.unique(self.readout.turn, return_inverse=True)
        kinds = self.readout.number * len(turns) + turned.reshape(self.readout.number.shape)
        self._kinds, self._kind = np.unique(kinds, return_inverse=True)
        self._turns = turns
        self.number = self._at(self._kind.reshape(kinds.shape)) * LEVELS + path.levels.reshape(-1)

    def _at(self, of_triggers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what is given for each trigger [element, trigger] for each shot [shot]."""
        return np.asarray(np.broadcast_to(of_triggers, self._path.levels.shape).reshape(-1))

    def _met(self, kind: int) -> tuple[Field, complex]:
        number, turn = divmod(int(self._kinds[kind]), len(self._turns))
        return self.readout.fields[number], complex(self._turns[turn])

    def table(self) -> Real:
        """Return the signals of each kind of trigger in each level [number, quadrature, point]."""
        rows = []
        for kind in range(len(self._kinds)):
            field, turn = self._met(kind)
            rows += list(self._carried(turn * field.signal, turn * field.signal[0]))
        return np.stack([_columns(row).T for row in rows])

    def _carried(
        self, signal: NDArray[np.complex128], at_rest: NDArray[np.complex128]
    ) -> NDArray[np.complex128]:
        return np.asarray(signal * self._own + (signal - at_rest) * self._elsewhere)

    def add_jumps(self, traces: Real, begin: int, end: int) -> None:
        """Add to the traces of some shots [shot, quadrature, point] how those that jump differ."""
        first, last = np.searchsorted(self._path.shots, (begin, end))
        for at in range(first, last):
            shot = int(self._path.shots[at])
            kind, level = divmod(int(self.number[shot]), LEVELS)
            field, turn = self._met(kind)
            moved = field.trajectories(self._path.steps[at : at + 1], self._path.begins[at : at + 1])[0]
            away = turn * (moved - field.signal[level])
            traces[shot - begin] += _columns(self._carried(away, np.zeros_like(away))).T


class _Table:
    """The signals of some readouts together, for each combination of what they may show."""

    def __init__(self, number: NDArray[np.int64], signals: Real) -> None:
        self._number, self._signals = number, signals

    def with_another(self, other: _Table) -> _Table | None:
        """Return the two in one; None if that is too large."""
        if self._signals.size * len(other._signals) > MOST_TOGETHER:
            return None
        number = self._number * len(other._signals) + other._number
        both = self._signals[:, None] + other._signals
        return _Table(number, both.reshape(-1, *other._signals.shape[1:]))

    def signals(self, begin: int, end: int) -> Real:
        """Return the signals of the shots `begin` to `end` [shot, quadrature, point]."""
        return self._signals[self._number[begin:end]]


def _tables(parts: Sequence[_Part]) -> list[_Table]:
    """Return the tables of all readouts, as many of them in one as fit."""
    found: list[_Table] = []
    for part in parts:
        table = _Table(part.number, part.table())
        together = found[-1].with_another(table) if found else None
        if together is None:
            found.append(table)
        else:
            found[-1] = together
    return found


def _columns(values: NDArray[Any]) -> Real:
    """Return the real and imaginary parts of values side by side, float32 [value, 2]."""
    return np.stack([values.real, values.imag], axis=-1).astype(np.float32)


def _rotating(carrier: NDArray[np.complex128]) -> Real:
    """Return what the real and the imaginary part of a factor add to both quadratures [2, 2 * point]."""
    rows = [[carrier.real, carrier.imag], [-carrier.imag, carrier.real]]
    return np.array([np.concatenate(row) for row in rows], dtype=np.float32)


def _carrier(readout: Readout) -> NDArray[np.complex128]:
    window = readout.window
    turns = window.demodulated / window.sample_rate * np.arange(window.n_points)
    return np.asarray(np.exp(-2j * np.pi * turns))
