"""Raw traces to IQ points: digital heterodyne demodulation, many frequencies at once.

A signal at the modulation frequency f is expected as ``exp(-2 pi i f t)``; each trace is turned
back by ``exp(+2 pi i f n / sample_rate)`` and averaged. Before that, each of the two inputs loses
its mean over the whole batch (the digitizer's offset). Both are linear, so the offset is taken
from the small result instead of from a copy of the traces, and the rest is two matrix products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.errors import ProcessingError

_BLOCK_BYTES = 64 * 2**20


def heterodyne(raw: Labelled, frequencies: NDArray[np.float64], sample_rate: float) -> Labelled:
    """Demodulate raw traces at every frequency.

    Parameters
    ----------
    raw:
        Traces of one batch, axes `RAW_AXES`, any real dtype, in units of the digitizer.
    frequencies:
        One modulation frequency for each readout, in Hz; axis: readout.
    sample_rate:
        Of the digitizer, in samples/s.

    Returns
    -------
    Labelled
        IQ points, axes `IQ_AXES`, float32, in the units of `raw`.
    """
    if raw.axes != RAW_AXES:
        raise ProcessingError(f"raw traces have the axes {raw.axes}, expected {RAW_AXES}")
    n_points = raw.size("point")
    turn = _phasors(frequencies, sample_rate, n_points)
    shots = raw.values.reshape(2, -1, n_points)
    if not shots.size:
        raise ProcessingError(f"raw traces are empty: shape {raw.values.shape} of {RAW_AXES}")
    iq = _project(shots[0], turn[0]) + _project(shots[1], turn[1])
    iq = iq.reshape(*raw.values.shape[1:4], len(frequencies), 2)
    return Labelled(np.ascontiguousarray(np.moveaxis(iq, 3, 0)), IQ_AXES)


def _phasors(frequencies: NDArray[np.float64], sample_rate: float, n_points: int) -> NDArray[np.float32]:
    """Return the weights [input, point, (readout, quadrature)]; the phase is wrapped in float64."""
    turns = np.outer(np.arange(n_points) / sample_rate, frequencies) % 1.0
    cos, sin = np.cos(2 * np.pi * turns) / n_points, np.sin(2 * np.pi * turns) / n_points
    first, second = np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)
    return np.stack([first, second]).reshape(2, n_points, -1).astype(np.float32)


def _project(traces: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (traces - their overall mean) @ weights, block by block."""
    projected = np.empty((len(traces), weights.shape[1]), np.float32)
    n_block = max(1, _BLOCK_BYTES // (4 * traces.shape[1]))
    total = 0.0
    for first in range(0, len(traces), n_block):
        block = np.asarray(traces[first : first + n_block], np.float32)
        total += float(block.sum(dtype=np.float64))
        np.matmul(block, weights, out=projected[first : first + n_block])
    offset = total / traces.size * weights.sum(axis=0, dtype=np.float64)
    projected -= offset.astype(np.float32)
    return projected
