"""From a program to samples: only the spans that are played are touched.

Plays of one envelope at one frequency are drawn together: with the envelope modulated once, each is
``cos(t) Re(m) - sin(t) Im(m)``, ``t`` the carrier's phase at its first sample, so that a batch is one
product of matrices. Plays that overlap on one output are added in layers, within which none overlap.

Phases are float64 and wrapped before they are used; the result is within 5e-7 of full scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from qtrl_spool.sequence.program import Program

CHUNK = 2**20
"""Samples drawn at once; bounds the memory beyond the array itself."""


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
    if not out.size:
        return out
    flat, step = out.reshape(-1), program.n_subchannels
    plays = program.plays
    line = plays["channel"].astype(np.int64) * program.n_elements + plays["element"]
    at = (line * program.n_samples + plays["start"]) * step + plays["subchannel"]
    plane = plays["subchannel"].astype(np.int64) * program.n_channels * program.n_elements + line
    layers = _layers(plane * program.n_samples + plays["start"], plays["n"])
    for group in _alike(program, layers):
        _draw(program, group, at, flat, step, add=bool(layers[group[0]]))
    return out


def _layers(begin: NDArray[np.int64], n: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for each play a layer, so that no two of one layer overlap."""
    layers = np.zeros(len(begin), np.int64)
    left = np.argsort(begin, kind="stable")
    layer = 0
    while len(left) > 1:
        ends = np.maximum.accumulate(begin[left] + n[left])
        late = np.flatnonzero(begin[left][1:] < ends[:-1]) + 1
        left = left[late]
        layer += 1
        layers[left] = layer
    return layers


def _alike(program: Program, layers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of the plays of each (layer, envelope, frequency, kind of output), layers in order."""
    plays = program.plays
    freqs, freq = np.unique(plays["freq"], return_inverse=True)
    marker = plays["subchannel"] > 0
    key = (plays["offset"] * 2 + marker) * len(freqs) + np.where(marker, 0, freq)
    order = np.lexsort((plays["n"], key, layers))
    changes = (np.diff(key[order]) != 0) | (np.diff(plays["n"][order]) != 0) | (np.diff(layers[order]) != 0)
    return iter(np.split(order, np.flatnonzero(changes) + 1)) if len(order) else iter(())


def _draw(
    program: Program,
    group: NDArray[np.int64],
    at: NDArray[np.int64],
    flat: NDArray[np.float32],
    step: int,
    *,
    add: bool,
) -> None:
    """Write, or add, the plays of one `group`; they share envelope, length and frequency, and none overlap."""
    one = program.plays[group[0]]
    offset, n = int(one["offset"]), int(one["n"])
    shape = program.samples[offset : offset + n].astype(complex)
    if not shape.any():
        return
    coefficients = np.ones(len(group), complex)
    if one["subchannel"] == 0:
        freq, rate = float(one["freq"]), program.sample_rate
        shape = shape * np.exp(2j * np.pi * carrier_turns(freq, np.arange(n), rate))
        turns = carrier_turns(freq, program.plays["start"][group], rate)
        coefficients = np.exp(1j * (2 * np.pi * turns + program.plays["phase"][group]))
    left = np.stack((coefficients.real, -coefficients.imag), axis=1)
    right = np.stack((shape.real, shape.imag))
    windows = as_strided(flat, (len(flat) - (n - 1) * step, n), (flat.itemsize, flat.itemsize * step))
    size = max(1, CHUNK // n)
    for first in range(0, len(group), size):
        where = at[group[first : first + size]]
        rows = left[first : first + size] @ right
        windows[where] = rows + windows[where] if add else rows
