"""Looking at a drop box again and again: what has arrived, and when to look next.

Called by ``intake`` for ``incoming/`` and by ``steering`` for ``requests/``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from qtrl_spool.bundle import Limits
from qtrl_spool.bundle.names import printable
from qtrl_spool.errors import BundleError, StorageError
from qtrl_spool.spool import drops
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.untrusted import OpenFolder

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def unreadable_by_us(error: Exception) -> BundleError:
    """Return the error for a drop that made the reading code fail in a way that nobody thought of."""
    return BundleError(
        f"the server could not read it: {type(error).__name__}: {str(error)[:200]}",
        hint="this should not happen: please report it together with the drop",
    )


class Box(Generic[_T]):
    """One server's memory of a drop box; `waiting` says of each unfinished drop what it lacks.

    Parameters
    ----------
    looking:
        `drops.look` or `drops.look_text`.
    settings:
        Of the spool: how long a drop must stand still.
    limits:
        What a drop may hold.
    was_renamed:
        Whether a path was seen to be renamed in: what is there is whole.
    """

    def __init__(
        self,
        looking: Callable[..., drops.Ignored | drops.Incomplete | drops.Bad | _T],
        settings: Settings,
        limits: Limits,
        was_renamed: Callable[[Path], bool],
    ) -> None:
        self._looking = looking
        self._settings = settings
        self._limits = limits
        self._was_renamed = was_renamed
        self._stillness = drops.Stillness()
        self.waiting: dict[Path, str] = {}
        self.recheck_after_s: float | None = None

    def begin(self, paths: Iterable[Path]) -> None:
        """Begin to look at what lies there now; what has gone is forgotten."""
        there = set(paths)
        self._stillness.keep(there)
        self.waiting = {path: reason for path, reason in self.waiting.items() if path in there}
        self.recheck_after_s = None

    def look_again(self, after_s: float) -> None:
        """Ask for another look in `after_s` (s) at the latest."""
        self.recheck_after_s = after_s if self.recheck_after_s is None else min(after_s, self.recheck_after_s)

    def look(self, path: Path, box: OpenFolder | None = None) -> _T | drops.Bad | None:
        """Return what has arrived at `path`, or None; `recheck_after_s` then says when to look again.

        Whatever is in it, this does not raise, but for `StorageError`: no drop may stop the server.
        """
        more = {} if box is None else {"box": box}
        try:
            seen = self._seen(path, more)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - no drop, whatever is in it, may stop the server
            _log.exception("cannot read %s", printable(path.name))
            seen = drops.Bad(unreadable_by_us(error))
        self.waiting.pop(path, None)
        if isinstance(seen, drops.Ignored):
            return None
        if isinstance(seen, drops.Incomplete):
            self.waiting[path] = seen.reason
            self.look_again(seen.recheck_after_s)
            return None
        return seen

    def _seen(self, path: Path, more: Mapping[str, Any]) -> drops.Ignored | drops.Incomplete | drops.Bad | _T:
        return self._looking(
            path,
            self._stillness,
            now=time.monotonic(),
            limits=self._limits,
            settle_s=self._settings.settle_s,
            abandoned_s=self._settings.abandoned_s,
            renamed=self._was_renamed(path),
            **more,
        )

    def forget(self, path: Path) -> None:
        """Forget a path that was taken."""
        self._stillness.forget(path)
