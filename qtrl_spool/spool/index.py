"""The tickets of a spool, kept in memory by one server: what `tickets` lists, without listing it each time.

A directory is listed when its time of change says that something moved there, and now and then
anyway: truth is the listing, the time of change is a hint, which some file systems give in steps of
two seconds and some do not give at all. A listing costs in proportion to what lies there (7 ms for
10,000 tickets), so a directory is listed again only after a hundred times as long as that kept a core busy:
a crowded one takes no more than a hundredth of a core, while an urgent priority beside it is seen at once.
What this server moves itself it notes at once.

Called by the main loop. What it says may be out of date by that rest: a rename, not the index,
decides who has a job. Fails: `StorageError` of a listing; the index then says what it knew.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.job import State
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Shelf, held_shelf, running_shelves, turn, waiting_shelves

_SHARE, _WAITING = 100.0, 2.0
_GRAIN_S = 2.1
_ANYWAY_S = 10.0
_MANY = 64


class Index:
    """All tickets that wait, are parked or are claimed.

    Parameters
    ----------
    layout:
        The spool.
    clock, busy:
        Tell monotonic time, and for how long this thread has kept a core busy, s.
    """

    def __init__(
        self,
        layout: Layout,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.thread_time,
    ) -> None:
        self._layout = layout
        self._clock, self._busy = clock, busy
        self._watched: dict[str, _Watched] = {}
        self._queued = _Row()
        self._held = _Row()
        self._highest = 0
        self._came: list[Place] = []
        self.version = 0
        """Grows with every change."""

    # ------------------------------------------------------------ what it says

    @property
    def queued(self) -> Sequence[Place]:
        """The waiting tickets, in the order in which they run. Changes with the next `look`."""
        return self._queued.places

    @property
    def held(self) -> Sequence[Place]:
        """The parked tickets, in their order."""
        return self._held.places

    @property
    def running(self) -> list[Place]:
        """The claimed tickets, by server."""
        rows = (self._watched[key] for key in sorted(self._watched))
        return [
            place for each in rows if each.shelf.state is State.RUNNING for place in each.tickets.values()
        ]

    @property
    def highest_order(self) -> int:
        """The highest order number of any ticket that was ever seen."""
        return self._highest

    def has(self, place: Place) -> bool:
        """Whether the ticket lies there, as far as is known."""
        watched = self._watched.get(str(place.path.parent))
        return watched is not None and place.path.name in watched.tickets

    def take_came(self) -> list[Place]:
        """Return the waiting and the parked tickets that came since this was last asked."""
        came, self._came = self._came, []
        return came

    # ------------------------------------------------------------ keep it up to date

    def look(self) -> bool:
        """Look at what may have changed; return whether anything did."""
        shelves = [
            *waiting_shelves(self._layout),
            held_shelf(self._layout),
            *running_shelves(self._layout),
        ]
        gone = set(self._watched) - {str(each.folder) for each in shelves}
        changed = [self._drop(self._watched.pop(key).tickets.values()) for key in gone]
        return any([*changed, *[self._look_at(each) for each in shelves]])

    def _look_at(self, shelf: Shelf) -> bool:
        watched = self._watched.setdefault(str(shelf.folder), _Watched(shelf))
        if not watched.is_due(self._clock()):
            return False
        came, went = watched.list(self._clock, self._busy)
        self._drop(went)
        self._add(came)
        return bool(came or went)

    def came(self, path: Path) -> None:
        """Note a ticket that this server put there just now."""
        watched = self._watched.get(str(path.parent))
        place = None if watched is None or path.name in watched.tickets else watched.shelf.place(path.name)
        if watched is not None and place is not None:
            watched.tickets[path.name] = place
            self._add([place])

    def moved(self, before: Place, after: Place | None) -> None:
        """Note a move that this server made, or that a ticket which it wanted to move had gone."""
        self._take(before)
        if after is not None and (watched := self._watched.get(str(after.path.parent))) is not None:
            watched.tickets[after.path.name] = after
            self._add([after])

    def _take(self, place: Place) -> None:
        watched = self._watched.get(str(place.path.parent))
        known = watched.tickets.pop(place.path.name, None) if watched is not None else None
        if known is not None:
            self._drop([known])

    def _add(self, places: Sequence[Place]) -> None:
        self.version += bool(places)
        self._highest = max([self._highest, *(each.ticket.order for each in places)])
        queued = [each for each in places if each.state is State.QUEUED]
        held = [each for each in places if each.state is State.HELD]
        self._queued.add(queued)
        self._held.add(held)
        self._came += queued + held

    def _drop(self, places: Iterable[Place]) -> bool:
        gone = list(places)
        self.version += bool(gone)
        self._queued.drop([each for each in gone if each.state is State.QUEUED])
        self._held.drop([each for each in gone if each.state is State.HELD])
        return bool(gone)


class _Row:
    """Tickets in their order; a few come and go cheaply."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def add(self, places: Sequence[Place]) -> None:
        if len(places) > _MANY:
            self.places = sorted([*self.places, *places], key=turn)
            return
        for each in places:
            insort(self.places, each, key=turn)

    def drop(self, places: Sequence[Place]) -> None:
        if len(places) > _MANY:
            gone = {each.path for each in places}
            self.places = [each for each in self.places if each.path not in gone]
            return
        for each in places:
            at = bisect_left(self.places, turn(each), key=turn)
            while at < len(self.places) and turn(self.places[at]) == turn(each):
                if self.places[at].path == each.path:
                    del self.places[at]
                    break
                at += 1


class _Watched:
    """One directory, and when it was listed."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.tickets: dict[str, Place] = {}
        self._others: set[str] = set()
        self._changed: int | None = None
        self._changed_seen = 0.0
        self._listed: float | None = None
        self._rest = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it should be listed: never, changed since, or a change may hide behind the clock's step."""
        if self._listed is None:
            return True
        facts = fs.facts(self.shelf.folder)
        changed = None if facts is None else facts.st_mtime_ns
        if changed != self._changed:
            self._changed, self._changed_seen = changed, now
        if now - self._listed < self._rest:
            return False
        return self._listed - self._changed_seen < _GRAIN_S or now - self._listed > _ANYWAY_S

    def list(self, clock: Callable[[], float], busy: Callable[[], float]) -> tuple[list[Place], list[Place]]:
        """List it; return the tickets that came and those that went."""
        began, before = clock(), busy()
        names = set(fs.listed(self.shelf.folder))
        new = names - self.tickets.keys() - self._others
        went = [self.tickets.pop(name) for name in self.tickets.keys() - names]
        self._others &= names
        self._listed = began
        self._rest = max(_SHARE * (busy() - before), _WAITING * (clock() - began))
        came = []
        for name in new:
            place = self.shelf.place(name)
            if place is None:
                self._others.add(name)
            else:
                self.tickets[name] = place
                came.append(place)
        return came, went
