"""Opens what others dropped: through descriptors only, never through a link, never blocking.

Every file is opened with ``O_NOFOLLOW | O_NONBLOCK``, then looked at through its descriptor, and read
from that descriptor alone, so that nothing can be put in its place after the look. What lies in a
folder is looked at, opened and moved out relative to the folder's own descriptor for the same reason:
a priority's directory may be anybody's, who may put a link in its place at any moment.

Called by ``spool.drops`` and by the server's intake. Fails: `OSError`, as the system says it;
`ChangedError` (one too) where what was opened is not what was looked for.

Known limits: on Windows, which has neither flag nor relative opens, the file that was opened is
compared with the one that was looked at.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = (
    os.O_RDONLY
    | _NO_FOLLOW
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_RELATIVE = {os.open, os.stat, os.rename} <= os.supports_dir_fd and os.scandir in os.supports_fd
_HEAD = 4096
_TAIL = 22 + 0xFFFF
_CHUNK = 1 << 20

Fingerprint = tuple[object, ...]


class ChangedError(OSError):
    """What was opened is not what was looked for."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(errno.ESTALE, "it changed while it was read", str(path))


def kind_of(mode: int) -> str:
    """Return what a file mode stands for, with its article."""
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "a device")


def may_write(folder: Path) -> bool:
    """Return whether this process may make and remove names in `folder`."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


class OpenFile:
    """A regular file that is open for reading."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name
        self.facts = os.fstat(descriptor)
        if not stat.S_ISREG(self.facts.st_mode):
            raise ChangedError(name)
        self.size = self.facts.st_size
        self.head = self._read_at(0, _HEAD)
        self.tail = self._read_at(max(0, self.size - _TAIL), _TAIL)

    @property
    def fingerprint(self) -> Fingerprint:
        """What changes when the file does.

        No inode number: sshfs and some SMB mounts give one file several. The ends of the contents
        instead, because a copy may fill a file whose size and time were set before.
        """
        return self.size, self.facts.st_mtime_ns, zlib.crc32(self.head), zlib.crc32(self.tail)

    def read(self, most: int) -> bytes:
        """Return all that it holds, at most `most` bytes.

        Raises
        ------
        ChangedError
            If it grew, shrank or was written while it was read.
        """
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        chunks, n_bytes = [], 0
        while n_bytes <= most and (chunk := os.read(self._descriptor, _CHUNK)):
            chunks.append(chunk)
            n_bytes += len(chunk)
        after = os.fstat(self._descriptor)
        if n_bytes != self.size or (after.st_size, after.st_mtime_ns) != (self.size, self.facts.st_mtime_ns):
            raise ChangedError(self.name)
        return b"".join(chunks)

    def sync(self) -> None:
        """Make what it holds survive a power cut: whoever copied it in has perhaps not."""
        os.fsync(self._descriptor)

    def _read_at(self, offset: int, n_bytes: int) -> bytes:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, n_bytes)


class OpenFolder:
    """A folder that is open for reading.

    Attributes
    ----------
    path:
        Where it was opened; for messages only, something else may lie there now.
    descriptor:
        Of the folder, or None on a system without relative opens.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.facts = path.lstat() if descriptor is None else os.fstat(descriptor)

    def names(self, most: int) -> list[str]:
        """Return the names in it, in no order, at most `most` of them."""
        with os.scandir(self._itself) as entries:
            return [entry.name for entry in islice(entries, most)]

    def entries(self, most: int) -> dict[str, os.stat_result]:
        """Return what lies in it by name, at most `most` + 1 of them; links are not followed."""
        found = {}
        with os.scandir(self._itself) as entries:
            for entry in islice(entries, most + 1):
                found[entry.name] = entry.stat(follow_symlinks=False)
        return dict(sorted(found.items()))

    def facts_of(self, name: str) -> os.stat_result | None:
        """Return what is known of one of its entries itself (a link is not followed); None if it has gone.

        Any other trouble says nothing about the entry: `OSError`.
        """
        try:
            return os.lstat(self._at(name)) if self.descriptor is None else self._stat(name)
        except FileNotFoundError:
            return None

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[OpenFile]:
        """Open one of its files."""
        with opened(self._at(name), folder=self.descriptor) as file:
            yield file

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[OpenFolder]:
        """Open one of its folders."""
        with opened_folder(self._at(name), folder=self.descriptor) as folder:
            yield folder

    def sync(self) -> None:
        """Make the names in it survive a power cut."""
        if self.descriptor is not None:
            os.fsync(self.descriptor)

    @property
    def _itself(self) -> Path | int:
        return self.path if self.descriptor is None else self.descriptor

    def _at(self, name: str) -> Path:
        return self.path / name


@contextlib.contextmanager
def opened(path: Path, *, folder: int | None = None) -> Iterator[OpenFile]:
    """Open a regular file; where `folder` is a descriptor, the file of that name in it."""
    before = None if _NO_FOLLOW else path.lstat()
    descriptor = os.open(path.name if folder is not None else path, _FLAGS, dir_fd=folder)
    try:
        if before is not None and not os.path.samestat(before, os.fstat(descriptor)):
            raise ChangedError(path)
        yield OpenFile(descriptor, path.name)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_folder(path: Path, *, folder: int | None = None) -> Iterator[OpenFolder]:
    """Open a folder, never through a link; where `folder` is a descriptor, the one of that name in it."""
    if not _RELATIVE:
        if not path.is_dir() or path.is_symlink():
            raise ChangedError(path)
        yield OpenFolder(path, None)
        return
    descriptor = os.open(path.name if folder is not None else path, _FLAGS | _FOLDER, dir_fd=folder)
    try:
        yield OpenFolder(path, descriptor)
    finally:
        os.close(descriptor)
