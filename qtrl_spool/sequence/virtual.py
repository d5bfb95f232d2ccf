"""Virtual Z: the phases of the plays, and where one falls into a running play.

The phase of a frequency in one element is the sum of the virtual Z at exactly that frequency whose
sample has come, in whatever order they were appended and on whatever channel. A virtual Z within a
play splits it in two. Markers (subchannel 1…) know no phase.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


def turned(plays: Columns, turns: Columns, n_samples: int) -> Columns:
    """Return `plays` with their phases (rad), split where a virtual Z falls inside.

    Parameters
    ----------
    plays:
        Columns element, start, n, channel, subchannel, freq, envelope, phase (of the envelope).
    turns:
        Columns element, start, freq, phase of the virtual Z.
    n_samples:
        Length of an element; no start is beyond.

    Returns
    -------
    plays:
        The same columns, and ``skip``: samples of the envelope that an earlier part has played.
    """
    plays = {**plays, "skip": np.zeros(len(plays["start"]), np.int64)}
    if not len(turns["start"]):
        return plays
    freqs = np.unique(turns["freq"])
    stride = n_samples + 1
    times = _when(turns, freqs, stride)
    order = np.argsort(times, kind="stable")
    times, line = times[order], times[order] // stride
    sums = np.concatenate(([0.0], np.cumsum(turns["phase"][order])))
    base = sums[np.searchsorted(line, line, side="left")]
    state = np.concatenate(([0.0], sums[1:] - base))
    concerned = (plays["subchannel"] == 0) & np.isin(plays["freq"], freqs)
    mine = _when(plays, freqs, stride)
    first = np.searchsorted(times, mine, side="right")
    last = np.searchsorted(times, mine + plays["n"] - 1, side="right")
    none_yet = (first == 0) | (line[first - 1] != mine // stride)
    pieces = np.where(concerned, last - first, 0) + 1
    turn = np.where(concerned & ~none_yet, state[first], 0.0)
    if (pieces == 1).all():
        plays["phase"] = plays["phase"] + turn
        return plays
    return _split({**plays, "turn": turn}, pieces, first, times % stride, state)


def _when(columns: Columns, freqs: NDArray[np.float64], stride: int) -> NDArray[np.int64]:
    """Return one number that orders by element, frequency and sample."""
    freq = np.minimum(np.searchsorted(freqs, columns["freq"]), len(freqs) - 1)
    when: NDArray[np.int64] = (columns["element"] * len(freqs) + freq) * stride + columns["start"]
    return when


def _split(
    plays: Columns,
    pieces: NDArray[np.int64],
    first: NDArray[np.int64],
    sample: NDArray[np.int64],
    state: NDArray[np.float64],
) -> Columns:
    """Return the plays in `pieces`: piece j > 0 begins with virtual Z number ``first + j - 1``."""
    owner = np.repeat(np.arange(len(pieces)), pieces)
    piece = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    out = {name: column[owner] for name, column in plays.items()}
    event = np.minimum(first[owner] + np.maximum(piece - 1, 0), len(sample) - 1)
    begin = np.where(piece > 0, sample[event], out["start"])
    next_event = np.minimum(first[owner] + piece, len(sample) - 1)
    final = piece == pieces[owner] - 1
    end = np.where(final, out["start"] + out["n"], sample[next_event])
    out["phase"] = out["phase"] + np.where(piece > 0, state[event + 1], out.pop("turn"))
    out["skip"] = begin - out["start"]
    out["start"], out["n"] = begin, end - begin
    return {name: column[end > begin] for name, column in out.items()}
