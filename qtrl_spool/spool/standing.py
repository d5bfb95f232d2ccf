"""Where a waiting job stands in the queue, how many are before it and whose, and that in words. Pure.

Only jobs that want the same server stand before one another: with two instruments there may
be two jobs at place 1. A job that may not run yet whatever its turn (after another one, not before some
time) has the place that it would have if it might, and stands in nobody's way.

Called by: ``spool.moment`` for who asks, ``server.board`` for ``queue.json``; both say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_NAMED = 3
MOST_LISTED = 8


class Standing(NamedTuple):
    """Where a job stands.

    Attributes
    ----------
    ahead:
        How many jobs are before it.
    users:
        Whose they are, next first, at most `MOST_LISTED`.
    reason:
        Why it does not run yet, in words.
    """

    ahead: int
    users: tuple[str, ...]
    reason: str

    @property
    def place(self) -> int:
        """1 runs next."""
        return self.ahead + 1


@dataclass
class _Before:
    """Jobs that stand before others, and whose."""

    n: int = 0
    users: dict[str, None] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    words: str = ""

    def add(self, user: str | None) -> None:
        """Count one more."""
        self.n += 1
        if user is not None and user not in self.users:
            self.users[user] = None
            self.named = tuple(self.users)[:MOST_LISTED]
            self.words = listing(tuple(self.users))

    def copy(self) -> _Before:
        """Return as many jobs of the same users, to be counted on apart."""
        return _Before(self.n, dict(self.users), self.named, self.words)


@dataclass(frozen=True)
class Serving:
    """A server that takes jobs.

    Attributes
    ----------
    name, instrument:
        Its own name and that of what it drives; a job may want it by either.
    busy:
        Whether it runs a job.
    """

    name: str
    instrument: str
    busy: bool = False


def unserved(servers: Collection[Serving]) -> Callable[[str | None], str | None]:
    """Return what says in words that no server takes jobs which want an instrument (None: any)."""
    known = {word for each in servers for word in (each.name, each.instrument)}

    def said(instrument: str | None) -> str | None:
        if not known:
            return "no server is running"
        return None if instrument in {None, *known} else f"no server takes instrument {instrument}"

    return said


class Line:
    """Counts who stands before whom; it is given the jobs in the order in which they run.

    Parameters
    ----------
    servers:
        Those that take jobs.
    keeping:
        Returns in words what keeps every job that wants an instrument (None: any) from running,
        such as a pause, or None; without it, `unserved`. Asked once for each instrument.
    """

    def __init__(
        self, servers: Collection[Serving], keeping: Callable[[str | None], str | None] | None = None
    ) -> None:
        self._keeping = keeping or unserved(servers)
        self._meant = {each.name: each.instrument for each in servers}
        self._idle = {each.instrument for each in servers if not each.busy}
        self._all, self._anywhere = _Before(), _Before()
        self._wanting: dict[str, _Before] = {}
        self._kept: dict[str | None, str | None] = {}

    def next(self, user: str | None, instrument: str | None = None, kept: str | None = None) -> Standing:
        """Return where the next job stands.

        Parameters
        ----------
        user:
            Whose it is.
        instrument:
            Which one it wants; None: any.
        kept:
            What keeps it alone from running, whatever its turn, in words.
        """
        if instrument is not None:
            instrument = self._meant.get(instrument, instrument)
        before = self._all if instrument is None else self._before(instrument)
        standing = Standing(before.n, before.named, self._reason(before, instrument, kept))
        if kept is None:
            self._count(user, instrument)
        return standing

    def _before(self, instrument: str) -> _Before:
        if instrument not in self._wanting:
            self._wanting[instrument] = self._anywhere.copy()
        return self._wanting[instrument]

    def _count(self, user: str | None, instrument: str | None) -> None:
        self._all.add(user)
        if instrument is not None:
            self._before(instrument).add(user)
            return
        self._anywhere.add(user)
        for each in self._wanting.values():
            each.add(user)

    def _reason(self, before: _Before, instrument: str | None, kept: str | None) -> str:
        if instrument not in self._kept:
            self._kept[instrument] = self._keeping(instrument)
        return self._kept[instrument] or kept or self._turn(before, instrument)

    def _turn(self, before: _Before, instrument: str | None) -> str:
        if before.n:
            whose = f" (of {before.words})" if before.words else ""
            return f"waiting for {before.n} job{'s' if before.n > 1 else ''}{whose}"
        is_idle = bool(self._idle) if instrument is None else instrument in self._idle
        return "next" if is_idle else "next, after the running job"


def serving(beats: Iterable[Mapping[str, object]], running: Iterable[str | None]) -> tuple[Serving, ...]:
    """Return the servers of these heartbeats, those in `running` busy; a standby takes no jobs."""
    busy = set(running)
    taking = [(str(beat["name"]), str(beat.get("instrument") or beat["name"]), beat) for beat in beats]
    return tuple(Serving(name, each, name in busy) for name, each, beat in taking if not beat.get("standby"))


def listing(users: Sequence[str]) -> str:
    """Return names in words: ``ada``, ``ada and bob``, ``ada, bob, eve and 2 others``."""
    shown = list(users[:MOST_NAMED])
    more = len(users) - len(shown)
    if more:
        shown.append(f"{more} other{'s' if more > 1 else ''}")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
