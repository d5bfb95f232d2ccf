"""How long to wait for a drop: the observer's memory of what stands still, and the patience with it.

Called by ``spool.drops``. No clock is read here: the observer's monotonic time comes in as `now`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qtrl_spool import fs
from qtrl_spool.bundle import Limits
from qtrl_spool.bundle.names import printable
from qtrl_spool.errors import BundleError, SubmitterError, UnfinishedError
from qtrl_spool.spool.untrusted import Fingerprint, OpenFile, OpenFolder, opened, opened_folder

_SOON_S = 0.05
_T = TypeVar("_T")


@dataclass(frozen=True)
class Ignored:
    """No drop: it is left where it is."""

    reason: str


@dataclass(frozen=True)
class Incomplete:
    """Not all of it has arrived; look again after `recheck_after_s` at the latest."""

    reason: str
    recheck_after_s: float


@dataclass(frozen=True)
class Bad:
    """It can never be accepted; the error says what is wrong, where, and how to mend it."""

    error: SubmitterError


class Stillness:
    """Since when an observer has seen no change of each path, by the observer's own clock."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Fingerprint, float]] = {}

    def age(self, path: Path, fingerprint: Fingerprint, now: float) -> float:
        """Return for how many s `path` has had this fingerprint; 0 when it is new or changed."""
        known, since = self._seen.get(path, (None, now))
        if known != fingerprint:
            since = now
        self._seen[path] = fingerprint, since
        return now - since

    def forget(self, path: Path) -> None:
        """Forget a path that has gone."""
        self._seen.pop(path, None)

    def keep(self, paths: Iterable[Path]) -> None:
        """Forget every path but these."""
        wanted = set(paths)
        self._seen = {path: seen for path, seen in self._seen.items() if path in wanted}


@dataclass(frozen=True)
class Watch:
    """One path under observation: the memory, the time, the patience to have with it, where it lies."""

    path: Path
    stillness: Stillness
    now: float
    limits: Limits
    settle_s: float
    abandoned_s: float
    box: OpenFolder | None = None

    def facts(self) -> os.stat_result | None:
        """Return what is known of it, or None if it has gone; trouble says neither: `StorageError`."""
        if self.box is None:
            return fs.facts(self.path)
        with fs.reporting("look at", self.path):
            return self.box.facts_of(self.path.name)

    def opened(self) -> AbstractContextManager[OpenFile]:
        """Open it as a file."""
        return opened(self.path) if self.box is None else self.box.file(self.path.name)

    def opened_folder(self) -> AbstractContextManager[OpenFolder]:
        """Open it as a folder."""
        return opened_folder(self.path) if self.box is None else self.box.folder(self.path.name)

    @property
    def where(self) -> str:
        """What messages call it."""
        return printable(self.path.name)

    def age(self, *fingerprint: object) -> float:
        """Return for how many s it has had this fingerprint."""
        return self.stillness.age(self.path, fingerprint, self.now)

    def wait(self, patience: float, age: float, reason: str) -> Incomplete:
        """Wait until it is `patience` s old; look in between, ever more rarely, as events may be missed."""
        pause = max(self.settle_s, age) / 4
        return Incomplete(reason, max(_SOON_S, min(patience - age, pause)))

    def refuse(self, age: float, error: SubmitterError) -> Incomplete | Bad:
        """Give up what is wrong when it has settled, what only ends too early when it is abandoned."""
        if not isinstance(error, UnfinishedError):
            return self.wait(self.settle_s, age, error.message) if age < self.settle_s else Bad(error)
        if age < self.abandoned_s:
            return self.wait(self.abandoned_s, age, error.message)
        story = f"{error.message}, and for {self.abandoned_s:g} s nothing more came"
        return Bad(BundleError(story, where=error.where, hint=error.hint))

    def attempt(self, age: float, read: Callable[[], _T]) -> _T | Incomplete | Bad:
        """Read it; what is wrong with it is refused."""
        try:
            return read()
        except SubmitterError as error:
            return self.refuse(age, error)


def changing() -> Incomplete:
    """Return the answer for what changed while it was read."""
    return Incomplete("it is changing", _SOON_S)
