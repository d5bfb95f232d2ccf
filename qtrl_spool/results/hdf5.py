"""HDF5 without HDF5 writing: its bytes are made in memory, and go to the disk by plain writes.

A write that fails inside HDF5 ends the process: the library crashes when it frees the file (h5py
issue 914). So HDF5 gets a `MemoryFile` for a file. It holds what HDF5 writes, which is the skeleton:
superblock, headers, attributes, small data sets. For the big data sets HDF5 only sets space apart
(allocated early, never filled) and tells where; the data are written at those places by `put`.
Compressed chunks go into the `MemoryFile` one by one, and are taken out of it before the next. An error
of the disk is then an ordinary `OSError` in ordinary code.

Called by: `qtrl_spool.results.write`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, BinaryIO

_PAGE = 2**12


class MemoryFile:
    """A file in memory, full of holes, that knows which bytes were written.

    HDF5 (by h5py's driver for Python file objects) uses the methods without a docstring.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._written: list[tuple[int, int]] = []
        self._taken: list[tuple[int, int]] = []
        self._at = 0
        self._size = 0

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: D102
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:  # noqa: D102
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: D102
        view = memoryview(buffer).cast("B")
        for page, begin, done, n in _pieces(self._at, len(view)):
            held = self._pages.get(page)
            view[done : done + n] = bytes(n) if held is None else held[begin : begin + n]
        self._at += len(view)
        return len(view)

    def read(self, n: int = -1) -> bytes:  # noqa: D102
        buffer = bytearray(max(0, self._size - self._at) if n < 0 else n)
        self.readinto(buffer)
        return bytes(buffer)

    def write(self, data: Any) -> int:  # noqa: D102
        view = memoryview(data).cast("B")
        for page, begin, done, n in _pieces(self._at, len(view)):
            held = self._pages.setdefault(page, bytearray(_PAGE))
            held[begin : begin + n] = view[done : done + n]
        self._written.append((self._at, self._at + len(view)))
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def truncate(self, size: int | None = None) -> int:  # noqa: D102
        self._size = self._at if size is None else size
        return self._size

    def flush(self) -> None:  # noqa: D102
        return

    def take(self, at: int, n: int) -> bytes:
        """Return the `n` bytes at the place `at`, which HDF5 will never read, and forget them."""
        self.seek(at)
        data = self.read(n)
        self._taken.append((at, at + n))
        for page in range(-(-at // _PAGE), (at + n) // _PAGE):
            self._pages.pop(page, None)
        return data

    def copy_to(self, file: BinaryIO) -> None:
        """Write all that was written and not taken to the same places of `file`, and give it its size."""
        for begin, end in _left(_merged(self._written), _merged(self._taken)):
            self.seek(begin)
            put(file, begin, memoryview(self.read(end - begin)))
        file.flush()
        file.truncate(self._size)


def put(file: BinaryIO, at: int, data: memoryview | bytes) -> None:
    """Write `data` (bytes) at the place `at` of a file, all of it."""
    file.seek(at)
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _pieces(at: int, n: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number of a page, where in it a piece begins, where in the whole, and its length."""
    done = 0
    while done < n:
        page, begin = divmod(at + done, _PAGE)
        length = min(_PAGE - begin, n - done)
        yield page, begin, done, length
        done += length


def _merged(extents: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return extents in order, those that touch or overlap as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(extents):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _left(extents: list[tuple[int, int]], taken: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what is left of extents without those taken; both are in order and do not overlap."""
    ends = [last for _, last in taken]
    for first, end in extents:
        begin, hole = first, bisect_right(ends, first)
        while hole < len(taken) and taken[hole][0] < end:
            if taken[hole][0] > begin:
                yield begin, taken[hole][0]
            begin, hole = taken[hole][1], hole + 1
        if begin < end:
            yield begin, end
