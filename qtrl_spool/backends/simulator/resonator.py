"""The field of a readout resonator over the digitizer's window, and what it makes of the signal.

Each level k of the qubit gives the resonator another frequency. Against the frequency f at which its
signal is demodulated, and with e the readout pulse, the field follows (Gardiner and Collett's input
and output, Blais et al., Rev. Mod. Phys. 93, 025005, section V)::

    da/dt = -p_k a + pi kappa e        p_k = pi kappa + 2 pi i (res_freq + chi (1 - 2 k) - f)

so that it rings up with the time 1/(pi kappa), to 1 for e = 1 on resonance. The digitizer sees
``iq_signal a* + iq_background b*``, where b is the field of a resonator that no level shifts; the
conjugates because signals are expected at exp(-2 pi i f t). A jump between levels leaves the field
as it is and changes where it tends to; what it was ahead decays with the new level's p. So one table
per readout, not one trajectory per shot, is all that a batch needs.

Called by `probes` and `describe`. Pure.

Known limits: the field is classical and linear; the pulse neither moves the qubit nor dephases it;
what the level did before the trigger is not in the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Qubit

if TYPE_CHECKING:
    pass

Complex = NDArray[np.complex128]

BLOCK = 32


@dataclass(frozen=True, eq=False)
class Field:
    """What a resonator does to the signal in one window, for each level.

    Attributes
    ----------
    field:
        The field at each sample of the digitizer, and one after the last [level, point + 1].
    signal:
        What the digitizer sees, before its noise, carrier removed [level, point].
    total:
        Sum of `signal` up to, without, each sample [level, point + 1].
    left:
        What is left of a field after n samples, in each level [level, n].
    scale:
        What a field of 1 adds to the signal.
    """

    field: Complex
    signal: Complex
    total: Complex
    left: Complex
    scale: complex

    @property
    def n_points(self) -> int:
        """Samples of the window."""
        return int(self.signal.shape[1])

    @property
    def means(self) -> Complex:
        """The IQ point of each level that stays [level]."""
        return np.asarray(self.total[:, -1] / self.n_points)

    def points(self, levels: NDArray[np.int64], jumps: NDArray[np.int64]) -> Complex:
        """Return the IQ points of shots whose level jumps.

        Parameters
        ----------
        levels:
            The levels that each shot goes through [shot, step].
        jumps:
            At which sample each step begins, the first at 0 [shot, step].
        """
        found = np.zeros(len(levels), dtype=np.complex128)
        ahead = np.zeros(len(levels), dtype=np.complex128)
        ends = np.column_stack([jumps[:, 1:], np.full(len(jumps), self.n_points)])
        for step in range(levels.shape[1]):
            level, begin, end = levels[:, step], jumps[:, step], ends[:, step]
            if step:
                ahead += self.field[levels[:, step - 1], begin] - self.field[level, begin]
            left = self.left[level, end - begin]
            found += self.total[level, end] - self.total[level, begin]
            found += self.scale * ahead * _sum_of_powers(self.left[level, 1], left, end - begin)
            ahead *= left
        return found / self.n_points

    def trajectories(self, levels: NDArray[np.int64], jumps: NDArray[np.int64]) -> Complex:
        """Return the signals of shots whose level jumps [shot, point]; parameters as of `points`."""
        found = np.empty((len(levels), self.n_points), dtype=np.complex128)
        ends = np.column_stack([jumps[:, 1:], np.full(len(jumps), self.n_points)])
        for shot in range(len(levels)):
            ahead = 0j
            for step, (level, begin, end) in enumerate(
                zip(levels[shot], jumps[shot], ends[shot], strict=True)
            ):
                if step:
                    ahead += self.field[levels[shot, step - 1], begin] - self.field[level, begin]
                decayed = ahead * self.left[level, : end - begin]
                found[shot, begin:end] = self.signal[level, begin:end] + self.scale * decayed
                ahead *= self.left[level, end - begin]
        return found


def _sum_of_powers(rate: Complex, left: Complex, n: NDArray[np.int64]) -> Complex:
    """Return 1 + rate + … + rate^(n - 1), `left` being rate^n."""
    return np.where(np.abs(1 - rate) < 1e-12, n, (1 - left) / np.where(rate == 1, 1.0, 1 - rate))


@dataclass(frozen=True)
class Window:
    """How a readout is digitised and demodulated.

    Attributes
    ----------
    n_points, sample_rate:
        Samples of the digitizer after a trigger, and how many of them it takes in a second.
    demodulated:
        Frequency at which the signal is demodulated, Hz, before the local oscillator.
    mixed:
        Of the local oscillator, Hz.
    """

    n_points: int
    sample_rate: float
    demodulated: float
    mixed: float

    @property
    def duration(self) -> float:
        """How long it is open, s."""
        return self.n_points / self.sample_rate


@dataclass(frozen=True, eq=False)
class Probe:
    """What is played on the channels of a readout about a trigger.

    Attributes
    ----------
    pulse:
        I + iQ [sample], full scale.
    first:
        When its first sample is played, in samples after the trigger (negative: before).
    rate:
        Of `pulse`, samples/s.
    """

    pulse: Complex
    first: int
    rate: float


def field_of(qubit: Qubit, window: Window, probe: Probe) -> Field:
    """Return what the resonator of a qubit makes of a readout pulse."""
    pulse, first, rate = probe.pulse, probe.first, probe.rate
    shifts = np.append(qubit.chi * (1 - 2 * np.arange(LEVELS)), 0.0)
    away = qubit.res_freq + shifts - window.mixed - window.demodulated
    poles: Complex = np.asarray(np.pi * qubit.kappa + 2j * np.pi * away)
    turned = pulse * np.exp(-2j * np.pi * window.demodulated / rate * (first + np.arange(len(pulse))))
    times = np.arange(window.n_points + 1) / window.sample_rate
    fields = _driven(poles, np.pi * qubit.kappa, turned, rate, times - first / rate)
    seen = fields.conj()
    scale = complex(*qubit.iq_signal)
    signal = scale * seen[:LEVELS, :-1] + complex(*qubit.iq_background) * seen[LEVELS, :-1]
    total = np.zeros((LEVELS, window.n_points + 1), dtype=np.complex128)
    np.cumsum(signal, axis=1, out=total[:, 1:])
    left = np.exp(-poles[:LEVELS, None].conj() * times)
    return Field(field=seen[:LEVELS], signal=signal, total=total, left=left, scale=scale)


def _driven(
    poles: Complex, coupling: float, drive: Complex, rate: float, times: NDArray[np.float64]
) -> Complex:
    """Return the fields at `times` (s, from the first sample of the drive) [pole, time]."""
    n_blocks = -(-len(drive) // BLOCK) + 1
    padded = np.zeros(n_blocks * BLOCK, dtype=np.complex128)
    padded[: len(drive)] = drive
    step = np.exp(-poles / rate)
    gain = coupling * (1 - step) / poles
    lag = np.subtract.outer(np.arange(BLOCK), np.arange(BLOCK))
    within = np.where(lag > 0, step[:, None, None] ** np.maximum(lag - 1, 0), 0.0)
    driven = gain[:, None, None] * (padded.reshape(-1, BLOCK) @ within.transpose(0, 2, 1))
    last = gain[:, None] * (padded.reshape(-1, BLOCK) @ (step[:, None] ** np.arange(BLOCK)[::-1]).T).T
    fields = np.empty((len(poles), n_blocks, BLOCK), dtype=np.complex128)
    powers = step[:, None] ** np.arange(BLOCK)
    begun = np.zeros(len(poles), dtype=np.complex128)
    for block in range(n_blocks):
        fields[:, block] = driven[:, block] + begun[:, None] * powers
        begun = last[:, block] + begun * step**BLOCK
    return _at(fields.reshape(len(poles), -1), poles, rate, times)


def _at(fields: Complex, poles: Complex, rate: float, times: NDArray[np.float64]) -> Complex:
    """Return fields that are known at the samples of a drive at other times; after its end they decay."""
    last = fields.shape[1] - 1
    place = np.clip(times * rate, 0.0, float(last))
    at = np.minimum(np.rint(place).astype(np.int64), last)
    found = fields[:, at]
    between = np.abs(place - at) > 1e-6
    if between.any():
        low = np.minimum(place[between].astype(np.int64), last - 1)
        part = place[between] - low
        found[:, between] = fields[:, low] * (1 - part) + fields[:, low + 1] * part
    later = np.maximum(times - last / rate, 0.0)
    found = np.where(times < 0, 0.0, found)
    return np.asarray(found * np.exp(-poles[:, None] * later))
