"""One instrument is driven by one server at a time: a kernel lock on the disk of the instrument's host.

Owns: the lock files ``qtrl-spool~<instrument>.lock`` in `lock_folder`, which must be the same for all
users of the host, whatever their environment says: the first of ``/run/lock``, ``/var/lock``, ``/tmp`` that
everybody may write to and nobody may clear (sticky). ``QTRL_SPOOL_LOCKS`` names another one, for
containers that share an instrument. A share will not do: a lock there can be lost while its holder
lives. The kernel lets go of the lock when its holder dies, however it dies; child processes do not
inherit it. The file says who holds it, stays for ever, and is only a place to lock: who removes it
makes room for a second holder, so the holder looks after it (`InstrumentLock.look_after`).

A simulator is its server's own: it is kept to one server by that server's name in its spool.

Called by ``server.standby``. Fails: `OperatorError` if the lock file cannot be used, or is lost to another.

Known limits: whoever may log in on the host can hold the lock and so keep servers waiting. Two containers
with folders of their own do not see each other's locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtrl_spool import fs
from qtrl_spool.backends import BUILT_IN
from qtrl_spool.errors import OperatorError, StorageError

if TYPE_CHECKING:
    from filelock import FileLock

LOCKS_VARIABLE = "QTRL_SPOOL_LOCKS"
_FOLDERS = ("/run/lock", "/var/lock", "/tmp")
_OPEN_TO_ALL = stat.S_IWOTH | stat.S_ISVTX
_LOOK_EVERY_S = 30.0


def lock_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the locks of this host's instruments lie: the same folder for every user."""
    chosen = environment.get(LOCKS_VARIABLE)
    if chosen:
        return Path(chosen)
    for folder in map(Path, _FOLDERS):
        if _is_open_to_all(folder):
            return folder
    if "PROGRAMDATA" in environment:
        return Path(environment["PROGRAMDATA"]) / "qtrl-spool"
    return Path(tempfile.gettempdir())


def _is_open_to_all(folder: Path) -> bool:
    """Return whether everybody may make files in a folder, and only their owner may take them away."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and mode & _OPEN_TO_ALL == _OPEN_TO_ALL


def lock_of(backend: str, instrument: str) -> InstrumentLock | None:
    """Return the lock of the instrument that a backend drives; None for a simulator, its server's own."""
    is_simulator = backend in {*BUILT_IN, *BUILT_IN.values()}
    return None if is_simulator else InstrumentLock(instrument)


class InstrumentLock:
    """The lock of one instrument on this host, not held yet.

    Parameters
    ----------
    instrument:
        Its name.
    folder:
        Where locks lie; None: `lock_folder`.
    look_every_s:
        How often to look whether the file is still there.
    """

    def __init__(
        self, instrument: str, folder: Path | None = None, *, look_every_s: float = _LOOK_EVERY_S
    ) -> None:
        self.instrument = instrument
        self.path = (folder or lock_folder()) / f"qtrl-spool~{instrument}.lock"
        self._lock: FileLock | None = None
        self._about: Mapping[str, Any] = {}
        self._look_every_s = look_every_s
        self._look_at = 0.0

    def take(self, about: Mapping[str, Any]) -> bool:
        """Take the lock if nobody has it, and write into it who does: `about`, and the time.

        Raises
        ------
        OperatorError
            If there can be no such lock: no folder, no permission, something else in its place.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(
            self.path, mode=0o666, thread_local=False, fallback_to_soft=False, preserve_lock_file=True
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise OperatorError(
                f"the lock of instrument {self.instrument!r} cannot be had: {error}",
                where=str(self.path),
                hint=f"set {LOCKS_VARIABLE} to a folder on this host that every server may write to",
            ) from error
        self._lock, self._about = lock, dict(about)
        self._look_at = time.monotonic() + self._look_every_s
        self._write(about)
        return True

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def holder(self) -> dict[str, Any]:
        """Return what the file says of whoever holds the lock, or held it last."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(fs.read(self.path) or b"{}")
            if isinstance(found, dict):
                return found
        return {}

    def look_after(self) -> None:
        """Keep the file young, so that nobody clears it away; take it anew if somebody did.

        Raises
        ------
        OperatorError
            If the file was taken away and another server has the new one.
        """
        if self._lock is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._look_every_s
        try:
            is_there = _identity(fs.facts(self.path)) == _identity(_held(self._lock))
        except StorageError:
            return  # it is looked at again: it says nothing about the file
        if is_there:
            with contextlib.suppress(OSError):
                os.utime(self.path)
            return
        lost, self._lock = self._lock, None
        taken = self.take(self._about)
        lost.release()
        if not taken:
            other = told(self.holder())
            raise OperatorError(
                f"the lock of instrument {self.instrument!r} was removed and is held by {other} now",
                where=str(self.path),
                hint="never remove lock files; start this server again: it waits until the other one is gone",
            )

    def _write(self, about: Mapping[str, Any]) -> None:
        """Write who holds it, in place: whoever made the file, its holder is another now."""
        flags = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        with contextlib.suppress(OSError), os.fdopen(os.open(self.path, flags), "wb") as file:
            file.write(json.dumps(dict(about)).encode() + b"\n")


def _held(lock: FileLock) -> os.stat_result | None:
    """Return what is known of the file that a lock holds, wherever its name has gone."""
    descriptor = lock._context.lock_file_fd  # filelock tells it nowhere else
    if descriptor is None:
        return None
    with fs.reporting("look at", Path(lock.lock_file)):
        return os.fstat(descriptor)


def _identity(facts: os.stat_result | None) -> tuple[int, int] | None:
    return None if facts is None else (facts.st_dev, facts.st_ino)


def told(holder: Mapping[str, Any]) -> str:
    """Return in words who holds an instrument."""
    if not holder:
        return "somebody who has not said who it is"
    return (
        f"server {holder.get('server')!r}, process {holder.get('pid')} of {holder.get('user')}, "
        f"for the spool {holder.get('spool')}"
    )
