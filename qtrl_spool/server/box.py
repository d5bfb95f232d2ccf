"""Looking at a drop box again and again: what has arrived, and when to look next.

Called by ``intake`` for ``incoming/`` and by ``steering`` for ``requests/``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from qtrl_spool.bundle import Limits
from qtrl_spool.spool import drops
from qtrl_spool.spool.settings import Settings

_T = TypeVar("_T")


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
        self._stillness.keep(paths)
        self.waiting = {}
        self.recheck_after_s = None

    def look(self, path: Path) -> _T | drops.Bad | None:
        """Return what has arrived at `path`, or None; `recheck_after_s` then says when to look again."""
        seen = self._looking(
            path,
            self._stillness,
            now=time.monotonic(),
            limits=self._limits,
            settle_s=self._settings.settle_s,
            abandoned_s=self._settings.abandoned_s,
            renamed=self._was_renamed(path),
        )
        if isinstance(seen, drops.Ignored):
            return None
        if isinstance(seen, drops.Incomplete):
            self.waiting[path] = seen.reason
            self.recheck_after_s = min(seen.recheck_after_s, self.recheck_after_s or seen.recheck_after_s)
            return None
        return seen

    def forget(self, path: Path) -> None:
        """Forget a path that was taken."""
        self._stillness.forget(path)
