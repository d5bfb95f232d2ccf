"""What this server knows of the jobs that wait or are held, without reading a file for each of them.

An entry is made once, from the job's status record, and again when this server wrote that record or the
ticket bears another name. What another server changed of a job where it lies is found within `refresh`,
a few jobs at a time; who claims a job looks at its record again before.

Of a job whose record cannot be read, only what its ticket says is known until it can. Called by the claim
and by ``board``. Fails: `StorageError`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from qtrl_spool.errors import StorageError
from qtrl_spool.forecast.kinds import kind_of
from qtrl_spool.job import State, blank_record
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.snapshot import Card, short
from qtrl_spool.spool.tickets import Place

_READING_S = 0.2
_REFRESHED = 10
_REST = 50.0
_KEPT = ("user", "name", "instrument", "after", "not_before", "retry_at", "reason", "updated", "state")
_KEEPING = ("after", "not_before", "retry_at")


class Entry:
    """One waiting or parked job."""

    __slots__ = (
        *("card", "claim", "done", "facts", "instrument", "kind"),
        *("may_be_kept", "paused", "place", "priority", "user"),
    )

    def __init__(self, place: Place, record: Mapping[str, Any]) -> None:
        self.place = place
        self.claim, self.priority = place.ticket.claim, place.ticket.priority
        self.paused = record["state"] == State.PAUSED and place.state is State.QUEUED
        self.facts = {key: record[key] for key in _KEPT if record.get(key) is not None}
        self.user, self.instrument = self.facts.get("user"), self.facts.get("instrument")
        self.kind, self.done = kind_of(record), int(record["progress"]["batch"] or 0)
        self.may_be_kept = any(self.facts.get(key) for key in _KEEPING)
        state = State.PAUSED if self.paused else place.state
        named = {"state": state.value, "priority": self.priority, "claim": self.claim}
        self.card = Card(short(record, **named, phase=None, server=None))

    def is_of(self, place: Place) -> bool:
        """Whether the ticket still bears the name from which this was made."""
        return self.claim == place.ticket.claim and self.priority == place.ticket.priority


class Roll:
    """The entries of one server.

    Parameters
    ----------
    layout, journal, index:
        Of the spool and of this server.
    clock:
        Tells monotonic time, s.
    """

    def __init__(
        self, layout: Layout, journal: Journal, index: Index, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._index = index
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._keepable: set[str] = set()
        self._unread: deque[Place] = deque()
        self._unreadable: dict[str, Place] = {}
        self._next = 0
        self.version = 0
        """Grows with every entry that is made anew."""

    @property
    def is_whole(self) -> bool:
        """Whether all jobs are known."""
        return not self._unread

    def known(self, place: Place) -> Entry:
        """Return the entry of a ticket; of a job that was not read yet, what its ticket says."""
        entry = self._entries.get(place.ticket.job_id)
        return entry if entry is not None and entry.is_of(place) else Entry(place, _unread(place))

    def all_known(self, places: Sequence[Place]) -> list[Entry]:
        """Return the entries of many tickets."""
        if not self.is_whole:
            return list(map(self.known, places))
        entries = self._entries
        found = [(entries.get(each.ticket.job_id), each) for each in places]
        return [job if job is not None else self.known(place) for job, place in found]

    def entry(self, place: Place) -> Entry:
        """Return the entry of a ticket, read now if it was not before."""
        entry = self._entries.get(place.ticket.job_id)
        return entry if entry is not None and entry.is_of(place) else self._read(place)

    def entries(self, places: Sequence[Place]) -> Iterator[tuple[Place, Entry]]:
        """Return tickets with what `entry` returns of each, one by one and quickly."""
        known = self._entries
        for place in places:
            ticket = place.ticket
            job = known.get(ticket.job_id)
            if job is None or job.claim != ticket.claim or job.priority != ticket.priority:
                job = self._met(place)
            yield place, job

    def keepable(self) -> list[tuple[str, Entry]]:
        """Return the waiting jobs that something may keep from running whatever their turn."""
        if not self._keepable:
            return []
        waiting = (each for each in self._index.queued if each.ticket.job_id in self._keepable)
        known = ((each.ticket.job_id, self.known(each)) for each in waiting)
        return [(job_id, job) for job_id, job in known if job.may_be_kept]

    def learn(self) -> None:
        """Read what is new or has changed, for `_READING_S` at most; the rest with the next calls."""
        for job_id in self._journal.take_written() & self._entries.keys():
            self._unread.append(self._entries.pop(job_id).place)
        self._unread += self._index.take_came()
        self._unread += self._unreadable.values()
        self._unreadable.clear()
        self._forget_gone()
        end = self._clock() + _READING_S
        while self._unread and self._clock() < end:
            place = self._unread.popleft()
            known = self._entries.get(place.ticket.job_id)
            if (known is None or not known.is_of(place)) and self._index.has(place):
                self._met(place)

    def refresh(self) -> None:
        """Read a few records again, in turn: another server may have changed them."""
        waiting = self._index.queued
        for _ in range(min(_REFRESHED, len(waiting))):
            self._next = (self._next + 1) % len(waiting)
            with suppress(StorageError):
                self._refresh(waiting[self._next])

    def _refresh(self, place: Place) -> None:
        record = read_status(self._layout, place.ticket.job_id)
        known = self._entries.get(place.ticket.job_id)
        if record is not None and known is not None and record["updated"] != known.facts.get("updated"):
            self._journal.forget(place.ticket.job_id)
            self._read(place)

    def _forget_gone(self) -> None:
        """Forget jobs that neither wait nor are held any more, now and then."""
        if len(self._entries) > 2 * (len(self._index.queued) + len(self._index.held)) + 100:
            there = {place.ticket.job_id for place in (*self._index.queued, *self._index.held)}
            self._entries = {job_id: each for job_id, each in self._entries.items() if job_id in there}
            self._keepable &= there

    def _met(self, place: Place) -> Entry:
        """Return an entry, read now; of a job whose record the storage refuses, what its ticket says.

        Such an entry is not kept: it is read with what is learnt next.
        """
        if place.ticket.job_id not in self._unreadable:
            try:
                return self._read(place)
            except StorageError:
                self._unreadable[place.ticket.job_id] = place
        return self.known(place)

    def _read(self, place: Place) -> Entry:
        job_id = place.ticket.job_id
        record = read_status(self._layout, job_id) or self._journal.record(job_id)
        entry = self._entries[job_id] = Entry(place, record)
        if entry.may_be_kept:
            self._keepable.add(job_id)
        self.version += 1
        return entry


def _unread(place: Place) -> dict[str, Any]:
    job_id = place.ticket.job_id
    return {**blank_record(job_id, job_id[16:-6]), "reason": None}


class Choice:
    """Finds whose turn it is; when it is nobody's, it looks again only after a change, or after a rest.

    Parameters
    ----------
    index, roll:
        Of this server.
    clock:
        Tells monotonic time, s.
    """

    def __init__(self, index: Index, roll: Roll, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._roll = roll
        self._clock = clock
        self._found_none: object = None
        self._again_at = 0.0
        self._is_resting = False

    @property
    def has_none(self) -> bool:
        """Whether the last look, at what is in the queue now, found nothing; False if it rested instead."""
        return not self._is_resting and self._found_none == (self._index.version, self._roll.version)

    def next(
        self,
        may_run: Callable[[Place, Mapping[str, Any]], bool],
        serves: Callable[[str | None], bool] = lambda instrument: True,
    ) -> Place | None:
        """Return the first waiting ticket that may run, or None.

        Parameters
        ----------
        may_run:
            Given a ticket and what is known of its job, returns whether this server may take it now.
        serves:
            Whether it takes jobs at all that want this instrument (None: any).
        """
        self._index.look()
        began = self._clock()
        is_same = self._found_none == (self._index.version, self._roll.version)
        self._is_resting = is_same and began < self._again_at
        if self._is_resting:
            return None
        served = cache(serves)
        for place, job in self._roll.entries(self._index.queued):
            if served(job.instrument) and may_run(place, job.facts):
                self._found_none = None
                return place
        self._found_none = (self._index.version, self._roll.version)
        self._again_at = self._clock() + _REST * (self._clock() - began)
        return None
