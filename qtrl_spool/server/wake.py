"""Events of the file system, as hints that it is worth looking.

Truth is the scan: the server works the same with every event lost or doubled, only later. inotify
does not see what another machine did on a network share.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import warnings
from collections.abc import Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_log = logging.getLogger(__name__)
warnings.filterwarnings("ignore", module="watchdog")  # of folders that are renamed while it looks
logging.getLogger("watchdog").setLevel(logging.CRITICAL)  # it calls events that come while it stops errors
_MOST_RENAMED = 10_000
_CHANGES = {"created", "moved", "modified", "closed", "deleted"}


def _hurry() -> None:
    """Let watchdog hold events back for 10 ms after a file was renamed away, not for half a second.

    The server renames every drop and every request out of the watched folders itself; watchdog waits
    for the other half of such a rename, and all later events wait with it (measured: 0.4 s a request).
    """
    try:
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper
    except ImportError:
        return
    InotifyMoveEventGrouper.delay = 0.01


class Wake(FileSystemEventHandler):
    """Something that the main loop waits on, set by events of watched folders and by the worker.

    `threading.Event` would not do: a signal handler that sets it while the interrupted thread holds its
    lock waits for itself, for ever. Putting into a `queue.SimpleQueue` is reentrant.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._observer: BaseObserver | None = None
        self._renamed: set[str] = set()

    def watch(self, folders: Iterable[Path]) -> bool:
        """Start to watch `folders` and all below them; False where that cannot be had: scans must do."""
        _hurry()
        try:
            observer = Observer()  # asks the kernel for an inotify instance, of which a user has 128
            for folder in folders:
                observer.schedule(self, str(folder), recursive=True)
            observer.start()
        except OSError as error:
            _log.warning("no file events here (%s): scanning only", error)
            return False
        self._observer = observer
        return True

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake the main loop: something changed."""
        if event.event_type == "moved" and len(self._renamed) < _MOST_RENAMED:
            self._renamed.add(str(event.dest_path))
        if event.event_type in _CHANGES:
            self.set()

    def was_renamed(self, path: Path) -> bool:
        """Return, once, whether `path` was seen to be renamed in since it was last asked for."""
        if str(path) not in self._renamed:
            return False
        self._renamed.discard(str(path))
        return True

    def set(self) -> None:
        """Wake the main loop; safe in a signal handler."""
        self._calls.put(None)

    def wait(self, timeout: float) -> None:
        """Wait until woken, at most `timeout` (s)."""
        with contextlib.suppress(queue.Empty):
            self._calls.get(timeout=timeout)
            while True:
                self._calls.get_nowait()

    def stop(self) -> None:
        """Stop watching."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5)
