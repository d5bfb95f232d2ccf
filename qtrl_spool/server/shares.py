"""How many jobs one user may have waiting, and may hand in within a minute: ``limits:`` in ``spool.yaml``.

What is more waits in ``incoming/`` with its reason; nothing is lost or refused. Without these limits nobody
is counted. Called by ``intake``. Touches no disk and no clock: owners and times come in as arguments.

Known limits: each server counts what it took itself within a minute, so that N servers let N times as many
through. Where a mount shows everybody's files as one user's, all share one allowance.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

_MINUTE_S = 60.0
_LOOK_AGAIN_S = 1.0


class Shares:
    """What each user has taken of the allowance.

    Parameters
    ----------
    queued:
        Jobs of one user that may wait; None is no limit.
    per_minute:
        Drops of one user that are taken within a minute; None is no limit.
    owner_of:
        Returns the number of the user whom a job belongs to.
    """

    def __init__(
        self, queued: int | None, per_minute: int | None, owner_of: Callable[[str], int | None]
    ) -> None:
        self._queued = queued
        self._per_minute = per_minute
        self._owner_of = owner_of
        self._owners: dict[str, int | None] = {}
        self._waiting: Counter[int | None] = Counter()
        self._taken: dict[int, deque[float]] = {}

    @property
    def counts(self) -> bool:
        """Whether anything is limited."""
        return self._queued is not None or self._per_minute is not None

    def begin(self, waiting: Iterable[str], now: float) -> None:
        """Count the jobs that wait, by their ids; `now` is monotonic time (s)."""
        if self._queued is not None:
            known = self._owners
            self._owners = {each: known[each] if each in known else self._owner_of(each) for each in waiting}
            self._waiting = Counter(self._owners.values())
        for times in self._taken.values():
            while times and now - times[0] >= _MINUTE_S:
                times.popleft()
        self._taken = {uid: times for uid, times in self._taken.items() if times}

    def refusal(self, uid: int, now: float) -> tuple[str, float] | None:
        """Return why nothing more of a user is taken now, and when (s) to look again; None if it may be."""
        if self._queued is not None and self._waiting[uid] >= self._queued:
            n = self._waiting[uid]
            return (
                f"its owner has {n} jobs waiting (limits: per_user_queued is {self._queued})",
                _LOOK_AGAIN_S,
            )
        times = self._taken.get(uid, deque())
        if self._per_minute is not None and len(times) >= self._per_minute:
            told = f"its owner handed in {len(times)} within a minute"
            rest = _MINUTE_S - (now - times[-self._per_minute])
            return f"{told} (limits: per_user_per_minute is {self._per_minute})", rest
        return None

    def take(self, uid: int, now: float) -> None:
        """Count a drop that is taken."""
        self._waiting[uid] += 1
        if self._per_minute is not None:
            self._taken.setdefault(uid, deque()).append(now)
