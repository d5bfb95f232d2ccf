"""The data of the running job, on the server's own disk.

A job may measure more than fits into the memory. `Scratch` takes its batches one by one; the first
`IN_MEMORY` bytes stay in memory, and a job that measures more goes, all of it, into a file of the
server's *local* disk, from which it is read again batch by batch, by plain reads: the memory holds
one batch, however many there are.

The file has no name (it is unlinked when it is made), so the disk has its space back when the server
closes it, dies or is killed: there is nothing to clean up, and nothing to find with ``ls`` (``lsof``
shows it). It lies in ``$QTRL_SPOOL_SCRATCH``, else in ``$TMPDIR``, else in ``/var/tmp``, which is a
disk where ``/tmp`` may be memory, else where this system has its temporary files.

Called by: ``run``, for IQ points and for raw traces.
Fails: `StorageError` if the disk is full or broken; what was taken before stays readable.
`BackendError` if a batch is unlike those before it.

Known limit: the data are lost with the server; the partial result in the job's home is what remains.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qtrl_spool import allocation, fs
from qtrl_spool.axes import BATCHED, Batches, Labelled
from qtrl_spool.errors import BackendError, StorageError
from qtrl_spool.results.space import shortage

IN_MEMORY = 64_000_000
"""Bytes of a job's IQ points, and of its traces, that stay in memory."""
FOLDER = "QTRL_SPOOL_SCRATCH"
_REMEDY = f"free some space there, or name another disk of this host with {FOLDER}"


def scratch_folder() -> Path:
    """Return the folder of the local disk that large jobs are measured into."""
    named = os.environ.get(FOLDER) or os.environ.get("TMPDIR")
    if named:
        return Path(named)
    usual = Path("/var/tmp")
    return usual if os.access(usual, os.W_OK) else Path(tempfile.gettempdir())


class Scratch:
    """Takes the batches of one job and gives them again.

    One thread appends; others may read what was appended before, at the same time.

    Parameters
    ----------
    expected:
        Bytes that all batches will take, if that is known. If they do not stay in memory, there is a file
        from the beginning, and room for them is set apart where the disk can.
    in_memory:
        Bytes up to which the batches stay in memory.
    folder:
        Where the file lies otherwise; None for `scratch_folder`.

    Raises
    ------
    StorageError
        If the local disk has no room for `expected`; its message is the reason why the job waits.
    """

    def __init__(self, *, expected: int = 0, in_memory: int = IN_MEMORY, folder: Path | None = None) -> None:
        self._in_memory = in_memory
        self._folder = folder
        self._file: _File | None = None
        self._parts: list[_Part] = []
        if expected > in_memory:
            self._file = _File(folder or scratch_folder(), expected)

    @property
    def n_batches(self) -> int:
        """How many batches it holds."""
        return len(self._parts)

    @property
    def n_bytes(self) -> int:
        """How many bytes they are."""
        return sum(part.n_bytes for part in self._parts)

    def append(self, batch: Labelled) -> None:
        """Take one more batch, alike to the others in all but the length along `BATCHED`.

        Raises
        ------
        StorageError
            If the local disk is full; the batches before are still there.
        BackendError
            If its axes, their lengths or its kind of numbers are others.
        """
        part = _Part.of(batch)
        if self._parts:
            self._parts[0].check_like(part)
        if self._file is None and self.n_bytes + part.n_bytes > self._in_memory:
            self._move_to_disk()
        self._parts.append(part if self._file is None else self._file.append(part))

    def batches(self) -> Batches:
        """Return the batches so far, to be read as often as wanted until `close`; at least one."""
        return _Held(tuple(self._parts))

    def close(self) -> None:
        """Give the space back; what `batches` returned can be read no longer."""
        self._parts.clear()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _move_to_disk(self) -> None:
        file = _File(self._folder or scratch_folder())
        try:
            self._parts = [file.append(part) for part in self._parts]
        except StorageError:
            file.close()
            raise
        self._file = file


@dataclass(frozen=True)
class _Part:
    """One batch: its form, and its values or where they lie."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: np.ndarray[Any, Any] | None
    file: _File | None = None
    at: int = 0

    @classmethod
    def of(cls, batch: Labelled) -> _Part:
        values = np.ascontiguousarray(batch.values)
        return cls(batch.axes, values.shape, values.dtype, values)

    @property
    def n_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def form(self) -> tuple[object, ...]:
        at = self.axes.index(BATCHED)
        return self.axes, self.shape[:at], self.shape[at + 1 :], self.dtype

    def check_like(self, other: _Part) -> None:
        if self.form != other.form:
            raise BackendError(f"the backend returned {other._words()} after batches of {self._words()}")

    def read(self) -> Labelled:
        if self.values is not None:
            return Labelled(self.values, self.axes)
        values = np.empty(self.shape, self.dtype)
        if self.file is None:
            raise StorageError("a batch is neither in memory nor on the disk")
        self.file.read_into(values, self.at)
        return Labelled(values, self.axes)

    def _words(self) -> str:
        lengths = ", ".join(f"{name} {size}" for name, size in zip(self.axes, self.shape, strict=True))
        return f"{self.dtype} data of {lengths}"


@dataclass(frozen=True)
class _Held:
    """`Batches` of which each is read when it is its turn."""

    parts: tuple[_Part, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        return self.parts[0].axes

    @property
    def shape(self) -> tuple[int, ...]:
        first, at = self.parts[0].shape, self.axes.index(BATCHED)
        return (*first[:at], sum(part.shape[at] for part in self.parts), *first[at + 1 :])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    def __iter__(self) -> Iterator[Labelled]:
        return (part.read() for part in self.parts)


class _File:
    """A file without a name on the local disk, written at its end and read anywhere."""

    def __init__(self, folder: Path, expected: int = 0) -> None:
        self._folder = folder
        self._size = 0
        self._lock = threading.Lock()
        said = shortage(folder, expected, what=f"scratch disk {folder}") if folder.is_dir() else None
        if said is not None:
            raise StorageError(said, hint=_REMEDY)
        with self._reporting("make a scratch file in"):
            self._file = tempfile.TemporaryFile("w+b", 0, prefix="qtrl-spool-", dir=folder)  # noqa: SIM115
        try:
            with self._reporting("set space apart for the scratch file in"):
                allocation.allocate(self._file.fileno(), max(1, expected))
        except StorageError:
            self._file.close()
            raise

    def append(self, part: _Part) -> _Part:
        values = part.read().values
        try:
            with self._lock, self._reporting("write into the scratch file in"):
                self._file.seek(self._size)
                left = _bytes_of(values)
                while left:
                    left = left[self._file.write(left) :]
        except StorageError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        at, self._size = self._size, self._size + part.n_bytes
        return _Part(part.axes, part.shape, part.dtype, None, self, at)

    def read_into(self, values: np.ndarray[Any, Any], at: int) -> None:
        left = _bytes_of(values)
        with self._lock, self._reporting("read the scratch file in"):
            self._file.seek(at)
            while left:
                n_read = self._file.readinto(left)
                if not n_read:
                    raise OSError(0, "it ends too early")
                left = left[n_read:]

    def close(self) -> None:
        self._file.close()

    @contextlib.contextmanager
    def _reporting(self, doing: str) -> Iterator[None]:
        try:
            with fs.reporting(doing, self._folder):
                yield
        except StorageError as error:
            error.hint = _REMEDY
            raise


def _bytes_of(values: np.ndarray[Any, Any]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data
