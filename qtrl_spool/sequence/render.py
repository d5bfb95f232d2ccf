"""From a program to samples: only the spans that are played are touched.

Plays of one envelope at one frequency are drawn together: with the envelope modulated once, each is
``cos(t) Re(m) - sin(t) Im(m)``, ``t`` the carrier's phase at its first sample, so that a batch is one
product of matrices. Plays that overlap on one output are added in layers, within which none overlap.

Phases are float64 and wrapped before they are used; the result is within 5e-7 of full scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from qtrl_spool.sequence.program import Program

CHUNK = 2**17
"""Samples drawn at once; bounds the memory beyond the array itself."""
N_FEW = 40
MAX_TABLE = 2**20


def carrier_turns(freq: Any, sample: Any, sample_rate: float) -> Any:
    """Return the phase of a carrier in turns, wrapped to [0, 1); `freq` in Hz."""
    return np.remainder(freq / sample_rate * sample, 1.0)


def render_line(program: Program, element: int, channel: int, subchannel: int = 0) -> NDArray[np.float64]:
    """Return one output of one element, float64 [sample]."""
    out = np.zeros(program.n_samples)
    plays = program.plays
    first, last = np.searchsorted(plays["element"], [element, element + 1])
    mine = plays[first:last]
    for play in mine[(mine["channel"] == channel) & (mine["subchannel"] == subchannel)]:
        start, n = int(play["start"]), int(play["n"])
        shape = program.samples[play["offset"] : play["offset"] + n].astype(complex)
        if subchannel == 0:
            turns = carrier_turns(play["freq"], np.arange(start, start + n), program.sample_rate)
            shape = shape * np.exp(1j * (2 * np.pi * turns + play["phase"]))
        out[start : start + n] += shape.real
    return out


def render(program: Program) -> NDArray[np.float32]:
    """Return all outputs of all elements, float32 [channel, element, sample, subchannel]."""
    out = np.zeros(program.shape, np.float32)
    if not out.size or not len(program.plays):
        return out
    plays = program.plays
    line = plays["channel"].astype(np.int64) * program.n_elements + plays["element"]
    marker = plays["subchannel"] > 0
    plane = plays["subchannel"].astype(np.int64) * (program.n_channels * program.n_elements) + line
    layers = overlap_layers(plane * program.n_samples + plays["start"], plays["n"])
    sheet = _Sheet(
        out.reshape(-1),
        program.n_subchannels,
        (line * program.n_samples + plays["start"]) * program.n_subchannels + plays["subchannel"],
        _coefficients(program, marker),
    )
    carriers: dict[tuple[float, int], NDArray[np.complex128]] = {}
    for group in _alike(plays, marker, layers):
        _draw(program, group, sheet, carriers, add=bool(layers[group[0]]))
    return out


@dataclass(frozen=True)
class _Sheet:
    """What is drawn on: the flat array, its step from sample to sample, each play's place and phase.

    ``turn`` is [play, 2]: cos and -sin of the carrier's phase at the first sample.
    """

    flat: NDArray[np.float32]
    step: int
    at: NDArray[np.int64]
    turn: NDArray[np.float64]


def _coefficients(program: Program, marker: NDArray[np.bool_]) -> NDArray[np.float64]:
    plays = program.plays
    turns = carrier_turns(plays["freq"], plays["start"], program.sample_rate)
    phase = 2 * np.pi * turns + plays["phase"]
    turn = np.stack((np.cos(phase), -np.sin(phase)), axis=1)
    turn[marker] = (1.0, 0.0)
    return turn


def overlap_layers(begin: NDArray[np.int64], n: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for each play a layer, so that no two of one layer overlap."""
    layers = np.zeros(len(begin), np.int64)
    left = np.argsort(begin, kind="stable")
    layer = 0
    while len(left) > 1:
        begins = begin[left]
        ends = np.maximum.accumulate(begins + n[left])
        left = left[np.flatnonzero(begins[1:] < ends[:-1]) + 1]
        layer += 1
        layers[left] = layer
    return layers


def _alike(
    plays: NDArray[Any], marker: NDArray[np.bool_], layers: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Yield the plays that share layer, envelope, length, frequency and kind; layers in order."""
    kind = _codes(plays["freq"]) * 2 + marker
    envelope = _dense_codes(plays["offset"])
    key = _dense_codes((layers * (kind.max() + 1) + kind) * (envelope.max() + 1) + envelope)
    order = np.argsort(key.astype(np.uint16) if key.max() < 2**16 else key, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        n = plays["n"][group]
        if (n == n[0]).all():
            yield group
        else:
            yield from (group[n == length] for length in np.unique(n))


def _codes(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return small numbers, equal for equal values; quick where few values are distinct."""
    codes = np.full(len(values), -1, np.int64)
    for code in range(N_FEW):
        first = int((codes < 0).argmax())
        if codes[first] >= 0:
            return codes
        codes[values == values[first]] = code
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _dense_codes(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of each key among the distinct ones; quick where keys are not sparse."""
    if int(key.max()) > MAX_TABLE:
        return np.unique(key, return_inverse=True)[1].astype(np.int64)
    used = np.zeros(int(key.max()) + 1, bool)
    used[key] = True
    ranks: NDArray[np.int64] = (np.cumsum(used) - 1)[key]
    return ranks


def _draw(
    program: Program,
    group: NDArray[np.int64],
    sheet: _Sheet,
    carriers: dict[tuple[float, int], NDArray[np.complex128]],
    *,
    add: bool,
) -> None:
    """Write, or add, the plays of one `group`; they share all but place and phase, and none overlap."""
    one = program.plays[group[0]]
    offset, n = int(one["offset"]), int(one["n"])
    shape: NDArray[Any] = program.samples[offset : offset + n]
    if not shape.any():
        return
    if one["subchannel"] == 0:
        shape = shape * _carrier(program, float(one["freq"]), n, carriers)
    basis = np.stack((shape.real, shape.imag)).astype(float, copy=False)
    flat, step = sheet.flat, sheet.step
    windows = as_strided(flat, (len(flat) - (n - 1) * step, n), (flat.itemsize, flat.itemsize * step))
    size = max(1, CHUNK // n)
    for first in range(0, len(group), size):
        some = group[first : first + size]
        rows, where = (sheet.turn[some] @ basis).astype(np.float32), sheet.at[some]
        windows[where] = rows + windows[where] if add else rows


def _carrier(
    program: Program, freq: float, n: int, carriers: dict[tuple[float, int], NDArray[np.complex128]]
) -> NDArray[np.complex128]:
    """Return ``exp(2 pi i freq k / sample_rate)`` for k from 0 to n-1, kept for the next envelope."""
    n_kept = 1 << (n - 1).bit_length()
    if (freq, n_kept) not in carriers:
        turns = carrier_turns(freq, np.arange(n_kept), program.sample_rate)
        carriers[freq, n_kept] = np.exp(2j * np.pi * turns)
    return carriers[freq, n_kept][:n]
