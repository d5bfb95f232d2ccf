"""Syncs that are made together: what many changes need to survive a power cut, each file and folder once.

Whoever changes much at a time (the intake, a job's journal) hands one `Syncs` to the functions of ``fs`` in
place of ``durable=True``, and commits it before it acknowledges anything. All is written by then, so that the
first sync carries most of the rest with it (ext4: 2,250 files a second synced one by one with their folder,
5,700 in groups of 32).

Called by: ``server``, ``spool.journal``. Fails: `StorageError` at the commit; then nothing of what was noted
counts, and whoever noted it does it again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from qtrl_spool import fs

_MOST_OPEN = 200
_MANY, _AT_A_TIME = 8, 8
_T = TypeVar("_T")


class Syncs:
    """Files and folders that must be synced before anything is acknowledged.

    Parameters
    ----------
    durable:
        False (``durability: fast``) notes nothing, so that a commit costs nothing.
    meanwhile:
        Called after each sync of a commit: what must not wait for many of them.
    """

    def __init__(self, *, durable: bool = True, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._durable = durable
        self._meanwhile = meanwhile
        self._files: list[tuple[int, Path]] = []
        self._renames: list[tuple[Path, Path, Callable[[Path, Path], object]]] = []
        self._folders: dict[Path, None] = {}

    def file(self, descriptor: int, path: Path) -> None:
        """Note an open file, which the caller may close; it is found again whatever it is renamed to."""
        if not self._durable:
            return
        if len(self._files) >= _MOST_OPEN:
            self._sync_files()
        self._files.append((os.dup(descriptor), path))

    def rename(
        self, temporary: Path, path: Path, put: Callable[[Path, Path], object] = fs.put_in_place
    ) -> None:
        """Note a file that is put in its place when what it holds is synced: a name never leads to less."""
        if self._durable:
            self._renames.append((temporary, path, put))
        else:
            put(temporary, path)

    def folder(self, folder: Path) -> None:
        """Note a folder in which a name was made, changed or taken away."""
        if self._durable:
            self._folders[folder] = None

    def again(self, path: Path) -> None:
        """Note a file that is there already: it was perhaps written before a death."""
        with fs.reporting("sync", path):
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            try:
                self.file(descriptor, path)
            finally:
                os.close(descriptor)
        self.folder(path.parent)

    def commit(self) -> None:
        """Sync all that was noted: first what files hold, then their names."""
        self._sync_files()
        while self._renames:
            temporary, path, put = self._renames[0]
            put(temporary, path)
            del self._renames[0]
        folders, self._folders = list(self._folders), {}
        _for_each(_sync_folder, folders, self._meanwhile)

    def forget(self) -> None:
        """Let go of what was noted and not committed."""
        for descriptor, _ in self._files:
            os.close(descriptor)
        for temporary, _, _ in self._renames:
            with contextlib.suppress(OSError):
                temporary.unlink()
        self._files, self._renames, self._folders = [], [], {}

    def _sync_files(self) -> None:
        files, self._files = self._files, []
        try:
            _for_each(_sync_file, files, self._meanwhile)
        finally:
            for descriptor, _ in files:
                os.close(descriptor)


def _sync_file(file: tuple[int, Path]) -> None:
    descriptor, path = file
    with fs.reporting("sync", path):
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    if fs.exists(folder):
        fs.sync_folder(folder)


def _for_each(sync: Callable[[_T], None], what: Sequence[_T], meanwhile: Callable[[], None]) -> None:
    """Sync several at a time where there are many: a journal takes them together, a share waits for each.

    All are tried, then the first trouble is raised.
    """
    if len(what) < _MANY:
        for each in what:
            sync(each)
            meanwhile()
        return
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for done in [threads.submit(sync, each) for each in what]:
            done.result()
            meanwhile()
