"""Makes the n-th call of the file system fail in this process: once, from then on, or by dying there.

It stands in for the functions of `os` and for `open`, as far as they touch one folder; what the
product does with them is untouched. It is for forked children: nothing is ever put back. A call is
counted in whichever thread it is made. What a C library does by itself, such as HDF5, is not seen.

A fault is told to the parent through `Wire`, a page of shared memory, which is also how the parent
heals the storage again.
"""

from __future__ import annotations

import builtins
import errno
import io
import mmap
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIED = 137
CHANGES = ("rename", "replace", "unlink", "mkdir", "rmdir", "create", "link")
_LOOKS = ("listdir", "scandir", "stat", "lstat", "open", "read")
_FULL = {errno.ENOSPC: "ENOSPC", errno.EDQUOT: "EDQUOT"}
_ANY = (errno.EIO, errno.ESTALE, errno.ENOTCONN)
POSSIBLE = {
    **dict.fromkeys(_LOOKS, _ANY),
    **dict.fromkeys(("unlink", "rmdir", "chmod", "utime"), (*_ANY, errno.EROFS)),
    **dict.fromkeys(("rename", "replace", "link", "mkdir", "create"), (*_ANY, *_FULL, errno.EROFS)),
    **dict.fromkeys(("write", "fsync"), (*_ANY, *_FULL)),
}
"""Which errno each call can meet."""
_WHAT = 1024
ERRNOS = (*_ANY, *_FULL, errno.EROFS)


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes
    ----------
    nth:
        The call at which it begins, from 1, of those that can meet it; 0: never.
    code:
        Its errno; None: the process dies in place of the call.
    lasting:
        Whether every such call fails from then on, until it is healed.
    late:
        Whether the call is carried out and then reported to have failed: a lost reply.
    short:
        Whether a write writes only a part, and says so; one that lasts fails from the next one on.
    calls:
        The calls that are counted; None: all that can meet the errno.
    among:
        Whether one of those, such as ``rename queue/… running/…``, is counted.
    of:
        What is counted, as it is told.
    """

    nth: int
    code: int | None = None
    lasting: bool = False
    late: bool = False
    calls: tuple[str, ...] | None = None
    among: Callable[[str], bool] = lambda told: True
    of: str = "call"
    short: bool = False

    def __str__(self) -> str:
        what = "death" if self.code is None else errno.errorcode[self.code]
        how = ", lasting" * self.lasting + ", done" * self.late + ", short" * self.short
        return f"{what} at {self.of} {self.nth}{how}"

    def meets(self, call: str) -> bool:
        """Return whether a call is one of those that are counted."""
        if self.calls is not None:
            return call in self.calls
        return call in CHANGES if self.code is None else self.code in POSSIBLE[call]


class _CutShortError(Exception):
    """A write shall write only a part."""


class Wire:
    """A page that a child with an injector shares with its parent: what was hit, and whether it is healed."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def heal(self) -> None:
        """Let every call succeed from now on."""
        self._page[0] = 1

    @property
    def healed(self) -> bool:
        """Whether the storage is well."""
        return self._page[0] == 1

    def hit(self, call: str) -> None:
        """Tell which call failed; the first one counts."""
        if not self.what:
            text = call.encode()[:2000]
            self._page[_WHAT : _WHAT + len(text)] = text

    @property
    def what(self) -> str:
        """The call that failed first, such as ``rename queue/… running/…``; empty if none did."""
        return self._page[_WHAT:].rstrip(b"\0").decode(errors="replace")


class Injector:
    """Counts the calls under one folder and lets one of them fail.

    Parameters
    ----------
    root:
        The folder.
    fault:
        What goes wrong.
    wire:
        Where to tell.
    log:
        A file that gets a line for each call, such as ``rename queue/… running/…``; None: no log.
    """

    def __init__(self, root: Path, fault: Fault, wire: Wire, log: Path | None = None) -> None:
        self._root = os.fspath(root)
        self._fault = fault
        self._wire = wire
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._log = None if log is None else os.open(log, flags, 0o644)
        self._lock = threading.Lock()
        self._n = 0
        self._write = os.write
        self._readlink = os.readlink

    def install(self) -> None:
        """Stand in for the calls of this process, for good."""
        for name in (
            "unlink",
            "rmdir",
            "mkdir",
            "chmod",
            "utime",
            "listdir",
            "scandir",
            "stat",
            "lstat",
            "read",
        ):
            setattr(os, name, self._around(name, getattr(os, name)))
        for name in ("rename", "replace", "link"):
            setattr(os, name, self._around(name, getattr(os, name), two=True))
        os.fsync = self._around("fsync", os.fsync)
        os.write = self._writing
        self._open, self._open_file = os.open, builtins.open
        os.open = self._opening
        builtins.open = self._opening_file
        io.open = self._opening_file

    def call(self, name: str, what: str, real: Callable[[], Any]) -> Any:
        """Carry a call out, unless it is the one that fails."""
        told = f"{name} {what}"
        if not self._fails(name, told):
            return real()
        is_first = not self._wire.what
        self._wire.hit(told)
        if self._fault.short and is_first and name == "write":
            raise _CutShortError
        if self._fault.code is None:
            os._exit(DIED)
        if self._fault.late:
            real()
        raise OSError(self._fault.code, os.strerror(self._fault.code), what)

    def _fails(self, name: str, told: str) -> bool:
        with self._lock:
            if self._log is not None:
                self._write(self._log, f"{told}\n".encode())
            if not self._fault.meets(name):
                return False
            is_counted = self._fault.among(told)
            self._n += is_counted
            here = (self._n == self._fault.nth and is_counted) or (
                self._fault.lasting and self._n >= self._fault.nth > 0
            )
            return here and not self._wire.healed

    def _around(self, name: str, real: Callable[..., Any], *, two: bool = False) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            where = self._where(args[0] if args else ".", kwargs.get("dir_fd"))
            if where is None:
                return real(*args, **kwargs)
            what = f"{where} {self._where(args[1], None) or '?'}" if two else where
            return self.call(name, what, lambda: real(*args, **kwargs))

        return wrapper

    def _where(self, path: Any, dir_fd: int | None) -> str | None:
        """Return a path relative to the folder; None if it is not below it."""
        try:
            if isinstance(path, int):
                full = self._readlink(f"/proc/self/fd/{path}")
            else:
                full = os.fsdecode(path)
                if dir_fd is not None:
                    full = f"{self._readlink(f'/proc/self/fd/{dir_fd}')}/{full}"
        except (OSError, TypeError):
            return None
        inside = full == self._root or full.startswith(self._root + "/")
        return (full[len(self._root) + 1 :] or ".") if inside else None

    # ------------------------------------------------------------ files

    def _writing(self, descriptor: int, data: Any) -> int:
        where = self._where(descriptor, None)
        if where is None:
            return self._write(descriptor, data)
        return self.writing(where, data, lambda some: self._write(descriptor, some))

    def writing(self, where: str, data: Any, write: Callable[[Any], int]) -> int:
        """Write, unless that fails, or is cut short."""
        some = memoryview(data).cast("B")
        try:
            return self.call("write", where, lambda: write(some))
        except _CutShortError:
            return write(some[: max(1, len(some) // 2)])

    def _opening(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        where = self._where(path, dir_fd)
        if where is None:
            return self._open(path, flags, mode, dir_fd=dir_fd)
        name = "create" if flags & (os.O_CREAT | os.O_APPEND) else "open"
        return self.call(name, where, lambda: self._open(path, flags, mode, dir_fd=dir_fd))

    def _opening_file(
        self, file: Any, mode: str = "r", buffering: int = -1, *more: Any, **kwargs: Any
    ) -> Any:
        where = self._where(file, None)
        if where is None or "b" not in mode:
            return self._open_file(file, mode, buffering, *more, **kwargs)
        if not isinstance(file, int):
            file = os.open(file, _flags_of(mode))
        raw = _Raw(file, mode.replace("b", ""), self, where)
        if buffering == 0:
            return raw
        if raw.readable() and raw.writable():
            return io.BufferedRandom(raw)
        return io.BufferedReader(raw) if raw.readable() else io.BufferedWriter(raw)


def _flags_of(mode: str) -> int:
    create = {
        "w": os.O_CREAT | os.O_TRUNC,
        "a": os.O_CREAT | os.O_APPEND,
        "x": os.O_CREAT | os.O_EXCL,
        "r": 0,
    }
    kind = os.O_RDWR if "+" in mode else os.O_RDONLY if mode[0] == "r" else os.O_WRONLY
    return kind | create[mode[0]] | os.O_CLOEXEC


class _Raw(io.FileIO):
    """A file whose reads and writes are counted."""

    def __init__(self, file: int, mode: str, injector: Injector, where: str) -> None:
        super().__init__(file, mode)
        self._injector = injector
        self._where = where

    def write(self, data: Any) -> int:
        return self._injector.writing(self._where, data, super().write)

    def readinto(self, buffer: Any) -> int:
        return self._injector.call("read", self._where, lambda: super(_Raw, self).readinto(buffer))

    def readall(self) -> bytes:
        return self._injector.call("read", self._where, lambda: super(_Raw, self).readall())
