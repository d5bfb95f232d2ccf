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
    users: dict[str | None, None] = field(default_factory=lambda: {None: None})
    named: tuple[str, ...] = ()
    words: str = ""

    def name(self, user: str | None) -> None:
        """Note that one more user's jobs are among them."""
        self.users[user] = None
        users = tuple(each for each in self.users if each is not None)
        self.named, self.words = users[:MOST_LISTED], f" (of {listing(users)})"

    def copy(self) -> _Before:
        """Return as many jobs of the same users, to be counted on apart."""
        return _Before(self.n, dict(self.users), self.named, self.words)


class _Lane(NamedTuple):
    """Those that want one instrument: who is before them, who counts them, and what keeps them all."""

    before: _Before
    counted_by: list[_Before]
    kept: str | None


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
        self._meant: dict[str | None, str | None] = {each.name: each.instrument for each in servers}
        self._idle = {each.instrument for each in servers if not each.busy}
        self._anywhere = _Before()
        self._lanes: dict[str | None, _Lane] = {}
        self._lanes[None] = _Lane(_Before(), [self._anywhere], self._keeping(None))
        self._lanes[None].counted_by.append(self._lanes[None].before)

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
        ahead, users, words, why = self.take(user, instrument, kept)
        return Standing(ahead, users, waiting_for(ahead, words) if why is None else why)

    def take(
        self, user: str | None, instrument: str | None, kept: str | None
    ) -> tuple[int, tuple[str, ...], str, str | None]:
        """Do what `next` does, for 100,000 jobs in a row: return its values, plain.

        Where nothing but `ahead` jobs, two at least, keep the job from running, the reason is None: it is
        `waiting_for` those, which the third value names.
        """
        instrument = self._meant.get(instrument, instrument)
        lane = self._lanes.get(instrument) or self._opened(instrument)
        before, why = lane.before, lane.kept
        if kept is not None:
            why = kept if lane.kept is None else f"{kept}; {lane.kept}"
        n, named, words = before.n, before.named, before.words
        if n < 2 and why is None:
            why = self._turn(before, instrument)
        if kept is None:
            for each in lane.counted_by:
                each.n += 1
                if user not in each.users:
                    each.name(user)
        return n, named, words, why

    def _opened(self, instrument: str | None) -> _Lane:
        """Return the lane of an instrument that nobody wanted so far: who wants any stands in it too."""
        anyone = self._lanes[None]
        before = self._anywhere.copy()
        anyone.counted_by.append(before)
        lane = self._lanes[instrument] = _Lane(before, [anyone.before, before], self._keeping(instrument))
        return lane

    def _turn(self, before: _Before, instrument: str | None) -> str:
        """Return why one of the first two does not run yet."""
        if before.n:
            return waiting_for(1, before.words)
        is_idle = bool(self._idle) if instrument is None else instrument in self._idle
        return "next" if is_idle else "next, after the running job"


def waiting_for(ahead: int, words: str) -> str:
    """Return the reason of a job that waits for others; `words` say whose they are."""
    return f"waiting for {ahead} job{'s' if ahead > 1 else ''}{words}"


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
