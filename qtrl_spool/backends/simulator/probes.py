"""The readout pulses of a program: whose they are, and what each resonator makes of them.

The pulses of all readouts are played on the same channels. One is recognised by its frequency: the
readout whose frequency is nearest to a play's own (its carrier, and how fast its samples turn) takes
it. Triggers that meet the same pulses at the same time after the trigger share one field; a carrier
that runs on from element to element only turns it. Called by `simulator` and `describe`. Pure.

Known limits: a resonator feels its own tone only; images of an unbalanced mixer are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.drive import numbered
from qtrl_spool.backends.simulator.resonator import Complex, Field, Probe, Window, field_of

if TYPE_CHECKING:
    from qtrl_spool.sequence import Program

FORGOTTEN = 16.0
"""Time constants of the field after which a pulse is forgotten: 1e-7 is left of it."""


@dataclass(frozen=True, eq=False)
class Tones:
    """The readout pulses of one readout, sorted by element, then start.

    Attributes
    ----------
    element, start, n, offset:
        Of each play: its element, first sample, length, and place in the samples of the program.
    factor:
        By what its samples, and their carrier, are multiplied.
    freq:
        Of its carrier, Hz.
    """

    element: NDArray[np.int64]
    start: NDArray[np.int64]
    n: NDArray[np.int64]
    offset: NDArray[np.int64]
    factor: Complex
    freq: NDArray[np.float64]


def tones_of(program: Program, qubit: Qubit, name: str, frequencies: Mapping[str, float]) -> Tones:
    """Return the pulses of a program that read a qubit.

    Parameters
    ----------
    program:
        The compiled waveforms.
    qubit, name:
        The qubit, and its name.
    frequencies:
        Of all readouts, by the names of their qubits, Hz before the local oscillator.
    """
    plays = program.plays
    channels = (qubit.res_chan_I, qubit.res_chan_Q)
    plays = plays[np.isin(plays["channel"], channels) & (plays["subchannel"] == 0) & (plays["n"] > 0)]
    shapes, number = np.unique(_shapes(plays), return_inverse=True)
    names = list(frequencies)
    mine = np.array([_nearest(program, shape, frequencies, names) == name for shape in shapes], dtype=bool)
    plays = plays[mine[number]] if len(plays) else plays
    on_q = np.where(plays["channel"] == channels[1], 1j, 1.0)
    return Tones(
        element=plays["element"].astype(np.int64),
        start=plays["start"],
        n=plays["n"].astype(np.int64),
        offset=plays["offset"],
        factor=on_q * np.exp(1j * plays["phase"]) / 2,
        freq=plays["freq"],
    )


def _shapes(plays: NDArray[Any]) -> NDArray[Any]:
    shape = np.dtype([("offset", "i8"), ("n", "i8"), ("freq", "f8")])
    found = np.empty(len(plays), dtype=shape)
    for key in ("offset", "n", "freq"):
        found[key] = plays[key]
    return found


def _nearest(
    program: Program, shape: NDArray[Any], frequencies: Mapping[str, float], names: Sequence[str]
) -> str | None:
    """Return whose readout a play is: the one whose frequency is nearest to its own."""
    samples = program.samples[int(shape["offset"]) : int(shape["offset"] + shape["n"])].astype(np.complex128)
    turn = np.angle(np.sum(samples[1:] * samples[:-1].conj()))
    own = float(shape["freq"]) + turn / (2 * np.pi) * program.sample_rate
    return min(names, key=lambda name: abs(frequencies[name] - own), default=None)


def fields_of(
    program: Program, tones: Tones, triggers: NDArray[np.int64], qubit: Qubit, window: Window
) -> tuple[tuple[Field, ...], NDArray[np.int64], Complex]:
    """Return what each trigger meets.

    Returns
    -------
    fields:
        The distinct fields of the readout.
    number:
        Which of them each trigger meets [element, trigger].
    turn:
        By what its signal is to be multiplied [element, trigger]: a carrier that runs on between elements
        turns it.
    """
    seen: dict[tuple[int, ...], int] = {}
    fields: list[Field] = []
    number = np.zeros(triggers.shape, dtype=np.int64)
    turn = np.ones(triggers.shape, dtype=np.complex128)
    reach = int(np.ceil(FORGOTTEN / (np.pi * qubit.kappa) * program.sample_rate))
    ahead = int(np.ceil(window.duration * program.sample_rate))
    for at in range(triggers.shape[1]):
        begins = tones.start - triggers[tones.element, at]
        met = np.flatnonzero((begins < ahead) & (begins + tones.n > -reach))
        first = np.searchsorted(tones.element[met], np.arange(len(triggers) + 1))
        carriers = np.exp(2j * np.pi * tones.freq * triggers[tones.element, at] / program.sample_rate)[met]
        some = first[:-1] < first[1:]
        turn[some, at] = carriers[first[:-1][some]].conj()
        factor = tones.factor[met] * carriers * turn[tones.element[met], at]
        rows = _rows(tones, met, begins[met], factor)
        examples, row = numbered(*rows)
        keys = [(at, *(int(tone) for tone in row[a:b])) for a, b in pairwise(first.tolist())]
        for element, key in enumerate(keys):
            if key not in seen:
                seen[key] = len(fields)
                plays = [tuple(column[examples[tone]].item() for column in rows) for tone in key[1:]]
                fields.append(field_of(qubit, window, _drawn(program, plays)))
            number[element, at] = seen[key]
    return tuple(fields), number, turn


def _rows(
    tones: Tones, met: NDArray[np.int64], begins: NDArray[np.int64], factor: Complex
) -> tuple[NDArray[Any], ...]:
    """Return of each play about a trigger: start after it, length, place, frequency, size and phase."""
    size, phase = np.abs(factor), np.round(np.angle(factor), 9) + 0.0
    return begins, tones.n[met], tones.offset[met], tones.freq[met], np.round(size, 12), phase


def probe_of(program: Program, tones: Tones, trigger: int) -> Probe:
    """Return all the readout pulses of a program of one element, about a trigger."""
    every = np.arange(len(tones.start))
    carriers = np.exp(2j * np.pi * tones.freq * trigger / program.sample_rate)
    rows = _rows(tones, every, tones.start - trigger, tones.factor * carriers)
    return _drawn(program, [tuple(column[at].item() for column in rows) for at in every])


def _drawn(program: Program, plays: Sequence[tuple[Any, ...]]) -> Probe:
    """Return readout pulses, each a row of `_rows`, added up."""
    if not plays:
        return Probe(np.zeros(1, dtype=np.complex128), 0, program.sample_rate)
    first = min(start for start, *_ in plays)
    pulse = np.zeros(max(start + n for start, n, *_ in plays) - first, dtype=np.complex128)
    for start, n, offset, freq, size, phase in plays:
        angle = 2 * np.pi * freq / program.sample_rate * np.arange(start, start + n) + phase
        drawn = program.samples[offset : offset + n]
        pulse[start - first : start - first + n] += size * np.exp(1j * angle) * drawn
    return Probe(pulse, first, program.sample_rate)
