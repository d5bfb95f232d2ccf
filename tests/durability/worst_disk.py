"""A disk that forgets as much as it may: what would be left of a spool if the power failed now?

ext4 and xfs keep more than they promise, so a missing sync shows there only now and then. This model
keeps exactly what was synced: the contents of a file survive when it was synced after it was last opened
for writing, a name when its folder was synced after the name was made, and a rename leaves one of its two
names. It follows the calls of a process that runs for real, on a real folder.

`Disk.followed` puts wrappers around the functions of ``os``; call it in a process that does nothing else.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR
Names = dict[str, int]


class Disk:
    """What lies below `root`, and what of it is sure to survive.

    Parameters
    ----------
    root:
        A folder; all that is in it now survives.
    after_each:
        Called after every change and every sync.
    """

    def __init__(self, root: Path, after_each: Callable[[Disk], None]) -> None:
        self.root = root.resolve()
        self._after_each = after_each
        self._lock = threading.RLock()
        self._top = os.stat(self.root).st_ino
        self.now: dict[int, Names] = {}
        self.kept: dict[int, Names] = {}
        self._dirty: set[int] = set()
        self._removed: set[tuple[int, str, int]] = set()
        self.n_syncs = 0
        for folder, _, _ in os.walk(self.root):
            inside = {entry.name: entry.inode() for entry in os.scandir(folder)}
            self.now[os.stat(folder).st_ino] = dict(inside)
            self.kept[os.stat(folder).st_ino] = dict(inside)

    # ------------------------------------------------------------ what it says

    def surviving(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of every name that is sure to survive, and whether its contents are."""
        yield from self._walk(self.kept, self._top, "")

    def present(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of every name that is there now, and whether its contents are sure to survive."""
        yield from self._walk(self.now, self._top, "")

    def _walk(self, names: dict[int, Names], folder: int, path: str) -> Iterator[tuple[str, bool]]:
        for name, node in names.get(folder, {}).items():
            if names is self.kept and (folder, name, node) in self._removed:
                continue
            yield path + name, node not in self._dirty
            if node in names:
                yield from self._walk(names, node, f"{path}{name}/")

    # ------------------------------------------------------------ what happens

    def opened(self, place: tuple[int, str], descriptor: int, flags: int) -> None:
        node = os.fstat(descriptor)
        if not stat.S_ISREG(node.st_mode):
            return
        if flags & _WRITES:
            self._dirty.add(node.st_ino)
        self.now[place[0]][place[1]] = node.st_ino

    def renamed(self, source: tuple[int, str], target: tuple[int, str]) -> None:
        node = self.now[source[0]].pop(source[1])
        self._lose(target)
        self.now[target[0]][target[1]] = node

    def removed(self, place: tuple[int, str]) -> None:
        self._lose(place)
        self.now[place[0]].pop(place[1], None)

    def _lose(self, place: tuple[int, str]) -> None:
        """Note that what a name leads to may be gone, though the name was kept."""
        kept = self.kept.get(place[0], {}).get(place[1])
        if kept is not None and self.now[place[0]].get(place[1]) == kept:
            self._removed.add((*place, kept))

    def made(self, place: tuple[int, str], node: int) -> None:
        self.now[place[0]][place[1]] = node
        self.now.setdefault(node, {})
        self.kept.setdefault(node, {})

    def synced(self, descriptor: int) -> None:
        node = os.fstat(descriptor)
        self.n_syncs += 1
        if stat.S_ISDIR(node.st_mode) and node.st_ino in self.now:
            self.kept[node.st_ino] = dict(self.now[node.st_ino])
            self._removed = {each for each in self._removed if each[0] != node.st_ino}
        self._dirty.discard(node.st_ino)

    # ------------------------------------------------------------ following a process

    def _place(self, path: Any, folder: int | None = None) -> tuple[int, str] | None:
        """Return folder and name of a path below the root; None for any other."""
        if isinstance(path, int):
            return None
        base = Path(os.readlink(f"/proc/self/fd/{folder}")) if folder is not None else Path()
        full = Path(os.path.abspath(base / os.fsdecode(path)))
        parent = full.parent.resolve()
        if parent != self.root and self.root not in parent.parents:
            return None
        return os.stat(parent).st_ino, full.name

    @contextmanager
    def followed(self) -> Iterator[Disk]:
        """Follow what this process does from now on."""
        real = {name: getattr(os, name) for name in _WRAPPED}

        def wrap(name: str) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                with self._lock:
                    return getattr(self, f"_on_{name}")(real[name], args, kwargs)

            return call

        for name in _WRAPPED:
            setattr(os, name, wrap(name))
        try:
            yield self
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _on_open(self, real: Any, args: Any, kwargs: Any) -> int:
        flags = args[1] if len(args) > 1 else kwargs["flags"]
        place = self._place(args[0], kwargs.get("dir_fd")) if flags & (_WRITES | os.O_CREAT) else None
        descriptor: int = real(*args, **kwargs)
        if place is not None:
            self.opened(place, descriptor, flags)
            self._after_each(self)
        return descriptor

    def _on_rename(self, real: Any, args: Any, kwargs: Any) -> None:
        source = self._place(args[0], kwargs.get("src_dir_fd"))
        target = self._place(args[1], kwargs.get("dst_dir_fd"))
        real(*args, **kwargs)
        if source is not None and target is not None:
            self.renamed(source, target)
            self._after_each(self)

    _on_replace = _on_rename

    def _on_unlink(self, real: Any, args: Any, kwargs: Any) -> None:
        place = self._place(args[0], kwargs.get("dir_fd"))
        real(*args, **kwargs)
        if place is not None:
            self.removed(place)
            self._after_each(self)

    _on_remove = _on_rmdir = _on_unlink

    def _on_mkdir(self, real: Any, args: Any, kwargs: Any) -> None:
        place = self._place(args[0], kwargs.get("dir_fd"))
        real(*args, **kwargs)
        if place is not None:
            self.made(place, os.stat(args[0], dir_fd=kwargs.get("dir_fd")).st_ino)
            self._after_each(self)

    def _on_fsync(self, real: Any, args: Any, kwargs: Any) -> None:
        real(*args, **kwargs)
        self.synced(args[0])
        self._after_each(self)


_WRAPPED = ("open", "rename", "replace", "unlink", "remove", "rmdir", "mkdir", "fsync")
