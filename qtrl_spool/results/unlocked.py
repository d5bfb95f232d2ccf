"""Opening a result file where a failing share must not be taken for a file that is no good.

HDF5 reads through a file of ours here: nobody's lock is in its way, and what the storage refuses is told
from what the file holds. People's own reading, beside xarray and h5py, is `qtrl_spool.results.opened`.

Called by: ``stored``, for what a paused job goes on with.
Fails: `StorageError` while the file cannot be read, `NotFoundError` if it is surely gone, `UsageError` if it
is whole and no result.

Known limits: HDF5 itself may never come back from a file whose descriptions were overwritten with zeros.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.results.opened import check_format

_T = TypeVar("_T")
_NO_GOOD = (OSError, RuntimeError, KeyError, ValueError, OverflowError)
"""What h5py raises of a file that is not as HDF5 has it."""


@contextmanager
def unlocked_result(path: Path) -> Iterator[Any]:
    """Open a result as an h5py file that takes no lock; what is wrong in the block is told of the file."""
    import h5py

    with _opened(path) as raw:
        try:
            with h5py.File(io.BufferedReader(raw), "r") as file:
                check_format(file, path)
                yield file
        except _NO_GOOD as error:
            if raw.trouble is None:
                raise UsageError("it is damaged, or no result", where=str(path), hint=str(error)) from error
            with fs.reporting("read", path):
                raise raw.trouble from None


def _opened(path: Path) -> _Watched:
    with fs.reporting("read", path):
        try:
            return _Watched(path.open("rb", buffering=0))
        except FileNotFoundError:
            if fs.is_gone(path):
                raise NotFoundError(f"there is no result file {path}") from None
            raise


class _Watched(io.RawIOBase):
    """A file that remembers what the storage refused: HDF5 may tell it as anything."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self.trouble: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._watched(lambda: self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int | None:
        return self._watched(lambda: self._file.readinto(buffer))

    def close(self) -> None:
        self._file.close()
        super().close()

    def _watched(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place that no file has, because this one is damaged
                self.trouble = error
            raise
