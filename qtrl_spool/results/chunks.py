"""Big data sets as their bytes lie in a file: in one piece, or in compressed chunks.

Everything goes batch by batch: the memory holds one batch, and of compressed data one chunk more.
A chunk is shuffled (all first bytes of its numbers, then all second ones, …) and deflated, as HDF5's
own filters do, in a piece of about `CHUNK_BYTES`, so that a reader who wants one repetition unpacks
little. Pure but for the file that is written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.results.hdf5 import put

CHUNK_BYTES = 2**20
LEVEL = 1
"""Of gzip: higher ones take twice the time and save 1 % of the space of IQ noise."""

Part = tuple[int, NDArray[Any]]
"""Where a batch begins along the axis of the batches, and its values, contiguous."""


def put_contiguous(
    file: BinaryIO, place: int, parts: Iterator[Part], shape: tuple[int, ...], axis: int
) -> None:
    """Write batches along `axis` to where they belong in an array of `shape` that begins at `place`."""
    outer = int(np.prod(shape[:axis], dtype=np.int64))
    for start, values in parts:
        row = int(np.prod(shape[axis + 1 :], dtype=np.int64)) * values.itemsize
        rows = values.reshape(-1).view(np.uint8).reshape(outer, -1)
        for index in range(outer):
            put(file, place + (index * shape[axis] + start) * row, rows[index].data)


def chunk_shape(shape: tuple[int, ...], axis: int, itemsize: int) -> tuple[int, ...]:
    """Return the shape of a chunk: 1 along the axes before `axis`, as much as fits along the others."""
    room, chunk = max(1, CHUNK_BYTES // itemsize), [1] * len(shape)
    for each in reversed(range(axis, len(shape))):
        chunk[each] = max(1, min(shape[each], room))
        room //= chunk[each]
    return tuple(chunk)


def deflated(
    parts: Iterator[Part], chunk: tuple[int, ...], axis: int
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield where each chunk begins, and its bytes, shuffled and deflated."""
    for start, block in _regrouped(parts, chunk[axis], axis):
        steps = [range(0, size, step) for size, step in zip(block.shape, chunk, strict=True)]
        for corner in product(*steps):
            cut = block[tuple(slice(at, at + step) for at, step in zip(corner, chunk, strict=True))]
            place = tuple(at + start * (each == axis) for each, at in enumerate(corner))
            yield place, zlib.compress(_shuffled(_padded(cut, chunk)), LEVEL)


def _regrouped(parts: Iterator[Part], size: int, axis: int) -> Iterator[Part]:
    """Yield batches anew so that each but the last has a multiple of `size` along `axis`."""
    left: NDArray[Any] | None = None
    begin = 0
    for _, values in parts:
        joined = values if left is None else np.concatenate([left, values], axis=axis)
        n = joined.shape[axis] // size * size
        whole, left = np.split(joined, [n], axis=axis)
        if n:
            yield begin, whole
        begin += n
    if left is not None and left.shape[axis]:
        yield begin, left


def _padded(cut: NDArray[Any], chunk: tuple[int, ...]) -> NDArray[Any]:
    if cut.shape == chunk:
        return np.ascontiguousarray(cut)
    full = np.zeros(chunk, cut.dtype)
    full[tuple(slice(size) for size in cut.shape)] = cut
    return full


def _shuffled(values: NDArray[Any]) -> bytes:
    return values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
