"""Raw traces to IQ points: digital heterodyne demodulation, many frequencies at once.

A signal at the modulation frequency f is expected as ``exp(-2 pi i f t)``; each trace is turned
back by ``exp(+2 pi i f n / sample_rate)`` and averaged. Before that, each of the two inputs loses
its mean over the whole batch (the digitizer's offset). Both are linear, so the offset is taken
from the small result instead of from a copy of the traces, and the rest is two matrix products. The
mean is one more column of the product. Traces of another type than float32 are converted block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.errors import ProcessingError
from qtrl_spool.processing.work import labels_in, numbers

_ALONE = 2**19
"""Multiplications of a product that the matrix library does not share out among threads."""


def known_frequencies(freq_labels: Any, frequencies: Any) -> dict[str, float]:
    """Return the modulation frequency (Hz) of each readout that a Heterodyne step names."""
    labels = labels_in(freq_labels)
    known = numbers(frequencies, "frequencies")
    if not isinstance(known, list) or len(known) != len(labels):
        given = f"{len(known)} entries" if isinstance(known, list) else "no entries"
        raise ProcessingError(f"frequencies has {given}, freq_labels {len(labels)}")
    return dict(zip(labels, known, strict=True))


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
    shots = raw.values.reshape(2, -1, max(n_points, 1))
    if not n_points:
        raise ProcessingError(f"raw traces are empty: shape {raw.values.shape} of {RAW_AXES}")
    turn = _phasors(frequencies, sample_rate, n_points)
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
    n_points, n_columns = weights.shape
    with_sum = np.concatenate([weights, np.ones((n_points, 1), np.float32)], axis=1)
    projected = np.empty((len(traces), n_columns), np.float32)
    total = 0.0
    for first, block in _in_float32(traces, n_columns + 1):
        part = block @ with_sum
        projected[first : first + len(part)] = part[:, :-1]
        total += float(part[:, -1].sum(dtype=np.float64))
    offset = total / max(traces.size, 1) * weights.sum(axis=0, dtype=np.float64)
    projected -= offset.astype(np.float32)
    return projected


def _in_float32(traces: NDArray[Any], n_columns: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Return blocks of the traces, each with the number of its first trace; valid until the next one.

    What is float32 already is one block, for all threads of the matrix library. Else blocks are so small
    that the library works in the calling thread, on what the cache still holds; blocks in between are ten
    times slower on a busy machine, for each product waits for all threads.
    """
    if traces.dtype == np.float32:
        yield 0, traces
        return
    n_block = max(8, _ALONE // (n_columns * traces.shape[1]))
    buffer = np.empty((min(n_block, len(traces)), traces.shape[1]), np.float32)
    for first in range(0, len(traces), n_block):
        block = buffer[: len(traces) - first]
        np.copyto(block, traces[first : first + n_block], casting="unsafe")
        yield first, block
