"""A FUSE mount of a folder in which replies get lost: ``python -m tests.faults.lossy SOURCE MOUNT``.

One rename in five is carried out and reported to have found nothing, as an NFS server reports the
retransmission of a rename whose first reply was lost.
"""

from __future__ import annotations

import errno
import os
import random
import sys
from typing import Any

import mfusepy as fuse

_LOST = 0.2
_STAT = ("st_gid", "st_uid", "st_mode", "st_nlink", "st_size", "st_ino")
_TIMES = ("st_atime", "st_ctime", "st_mtime")
_SPACE = (
    "f_bavail",
    "f_bfree",
    "f_blocks",
    "f_bsize",
    "f_favail",
    "f_ffree",
    "f_files",
    "f_frsize",
    "f_namemax",
)


class Lossy(fuse.Operations):
    """Passes everything on to the folder beneath."""

    use_ns = True

    def __init__(self, source: str) -> None:
        self._source = source
        self._random = random.Random(5)

    def _at(self, path: str) -> str:
        return self._source + path

    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old), self._at(new))
        if self._random.random() < _LOST:
            raise fuse.FuseOSError(errno.ENOENT)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        del fi
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        del fh
        facts = os.lstat(self._at(path))
        times = {key: getattr(facts, f"{key}_ns") for key in _TIMES}
        return {key: getattr(facts, key) for key in _STAT} | times

    def readdir(self, path: str, fh: int) -> list[str]:
        del fh
        return [".", "..", *os.listdir(self._at(path))]

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~os.O_CREAT & ~os.O_APPEND)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def link(self, target: str, source: str) -> int:
        os.link(self._at(source), self._at(target))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        os.utime(self._at(path), ns=times)
        return 0

    def statfs(self, path: str) -> dict[str, Any]:
        space = os.statvfs(self._at(path))
        return {key: getattr(space, key) for key in _SPACE}


if __name__ == "__main__":
    fuse.FUSE(Lossy(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True, allow_other=True,
              attr_timeout=0, entry_timeout=0, negative_timeout=0)  # fmt: skip
