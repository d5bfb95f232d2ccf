"""A block device in memory that logs every write and every flush.

Run as ``python -m tests.faults.blocklog LOG MOUNT BYTES``. It is the file ``MOUNT/disk``, by FUSE; a loop
device on it is a disk whose every past can be had again, see `images`. `records` reads the log. A record
is its kind, its offset and its length, then the data.
"""

from __future__ import annotations

import errno
import io
import stat
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mfusepy as fuse

_HEAD = struct.Struct("<cQQ")
_WRITE, _FLUSH = b"W", b"F"


@dataclass(frozen=True)
class Record:
    """One line of the log.

    Attributes
    ----------
    offset:
        Where on the disk (bytes); -1 for a flush.
    data:
        What was written; empty for a flush.
    end:
        Where the record ends in the log.
    """

    offset: int
    data: bytes
    end: int

    @property
    def is_flush(self) -> bool:
        """Whether everything before it has reached the disk."""
        return self.offset < 0


def records(log: Path) -> Iterator[Record]:
    """Yield what a log says."""
    with log.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, offset, length = _HEAD.unpack(head)
            data = file.read(length)
            if len(data) == length:
                yield Record(-1 if kind == _FLUSH else offset, data, file.tell())


class Disk(fuse.Operations):
    """One file in memory."""

    use_ns = True

    def __init__(self, log: str, size: int) -> None:
        self._bytes = bytearray(size)
        self._log = io.BufferedWriter(io.FileIO(log, "a"), 2**20)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        del fh
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path == "/disk":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._bytes)}
        raise fuse.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", "disk"]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._bytes[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._bytes[offset : offset + len(data)] = data
        self._log.write(_HEAD.pack(_WRITE, offset, len(data)) + data)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._log.write(_HEAD.pack(_FLUSH, 0, 0))
        self._log.flush()
        return 0


if __name__ == "__main__":
    fuse.FUSE(
        Disk(sys.argv[1], int(sys.argv[3])), sys.argv[2], foreground=True, nothreads=True, allow_other=True
    )
