"""Space that the file system sets apart for a file before it is written, and how much there is.

Called by: ``results``. Fails: `StorageError`, or `OSError` where a function says so.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import StorageError


def allocate(descriptor: int, n_bytes: int) -> bool:
    """Let the file system set `n_bytes` apart for an empty file; return whether it could.

    Only where the file system itself can: then it is quick (10 GB in 20 ms on ext4), and the space is
    taken at once, by its owner's quota too. The C library would write zeros elsewhere, which is not.

    Raises
    ------
    OSError
        If there is not so much; nothing is taken then.
    """
    native = _native_fallocate()
    if native is None or native(descriptor, 0, 0, n_bytes) == 0:
        return native is not None
    import ctypes

    number = ctypes.get_errno()
    os.ftruncate(descriptor, 0)
    if number in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
        return False
    raise OSError(number, os.strerror(number))


@functools.cache
def _native_fallocate() -> Callable[[int, int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function


def reserve(path: Path, n_bytes: int) -> bool:
    """Make the new file `path` and set space apart for it; return whether the file system can.

    Raises
    ------
    StorageError
        If there is not so much space; there is no file then.
    """
    try:
        with fs.reporting("set space apart for", path):
            descriptor = fs.opened_to_fill(path, is_new=True)
            try:
                return allocate(descriptor, n_bytes)
            finally:
                os.close(descriptor)
    except StorageError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def room(folder: Path) -> int | None:
    """Return how many bytes the storage of `folder` has left, or None where it does not tell."""
    import shutil

    with fs.reporting("ask for the free space of", folder):
        usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None
