"""Opening a result file where a failing share must not be taken for a file that is no good.

The file is copied first, into memory or a temporary file of this host: nobody's lock is in its way, and what
the storage refuses is met before HDF5 looks, which may take it for damage or end the process. People's own
reading, beside xarray and h5py, is `qtrl_spool.results.opened`.

Called by: ``stored``, for what a paused job goes on with.
Fails: `StorageError` while the file cannot be read, `NotFoundError` if it is surely gone, `UsageError` if it
is whole and no result.

Known limits: HDF5 itself may never come back from a file whose descriptions were overwritten with zeros.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.results.opened import check_format

_IN_MEMORY_BYTES = 64 * 1024 * 1024
_PART_BYTES = 1024 * 1024
_NO_GOOD = (OSError, RuntimeError, KeyError, ValueError, OverflowError, AttributeError, TypeError)
"""What h5py raises of a file that is not as HDF5 has it, and what follows from what it cannot tell."""


@contextmanager
def unlocked_result(path: Path) -> Iterator[Any]:
    """Open a result as an h5py file that takes no lock; what is wrong in the block is told of the file."""
    import h5py

    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as copy:
        _copy(path, copy)
        try:
            with h5py.File(copy, "r") as file:
                check_format(file, path)
                yield file
        except _NO_GOOD as error:
            raise UsageError("it is damaged, or no result", where=str(path), hint=str(error)) from error


def _copy(path: Path, copy: Any) -> None:
    into = Path(tempfile.gettempdir())
    with fs.reporting("read", path):
        try:
            with path.open("rb", buffering=0) as file:
                while part := file.read(_PART_BYTES):
                    with fs.reporting(f"copy {path} into", into):
                        copy.write(part)
        except FileNotFoundError:
            if fs.is_gone(path):
                raise NotFoundError(f"there is no result file {path}") from None
            raise
