"""Appending to an open file on a disk that may fill up: all of it, or nothing.

A write that crosses the end of what is free writes a part, and says only how much. What was written so far
is taken away again, so that nobody who reads the file later counts a half. Two threads may append to one
file: neither takes away what the other wrote.

Called by: ``fs``. Fails: `OSError`.

Known limits: a reader may see the part before it goes; another process that appends in the same moment is
seen a moment too late.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from io import FileIO
from typing import NamedTuple

_APPENDING = threading.RLock()


class Added(NamedTuple):
    """What was appended: where in the file it begins and ends, in bytes."""

    begin: int
    end: int


def append(file: FileIO, data: bytes) -> Added:
    """Append `data`, after closing a line that an earlier death tore; return where that is."""
    with _APPENDING:
        begin = end = file.seek(0, os.SEEK_END)
        left = memoryview(b"\n" * _is_torn(file, begin) + data)
        try:
            while left:
                n = file.write(left)
                if not n:
                    raise OSError(errno.EIO, "nothing more is written")
                left, end = left[n:], end + n
        except OSError:
            take_back(file, Added(begin, end))
            raise
    return Added(begin, end)


def take_back(file: FileIO, added: Added) -> None:
    """Take away what was appended, if it can be done, and if nothing follows it by now."""
    with _APPENDING, contextlib.suppress(OSError):
        if os.fstat(file.fileno()).st_size == added.end:
            file.truncate(added.begin)


def _is_torn(file: FileIO, size: int) -> bool:
    if size == 0:
        return False
    os.lseek(file.fileno(), size - 1, os.SEEK_SET)
    return os.read(file.fileno(), 1) != b"\n"
