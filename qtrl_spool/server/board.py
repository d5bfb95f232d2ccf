"""Keeps ``queue.json``: what is running and waiting, in order, for whoever wants to look.

A waiting job costs its line of the file, made once; only place, reason and times are put in anew. Nothing
is written while nothing changes. While something does, the file is written again after 50 times as
long as that kept a core busy, but within `_LONGEST_S`: 10,000 waiting jobs take a twentieth of a core at
most times, 100,000 half of one while jobs come and go. Where making it takes longer, half as long as that
lies between two of them.
Records of a queue that was there before the server are read a few at a time; until then a job has the
name that is in its id.

The file tells of the tickets as they were seen when the next job was chosen: whoever reads there of a
ticket that was moved by hand knows that the next claim goes by it.

Called by the main loop, at every step. Fails: `StorageError`; it is tried again with the next step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import blank_record
from qtrl_spool.server.experience import Experience
from qtrl_spool.server.foresight import Foresight, Seen
from qtrl_spool.server.roll import Roll
from qtrl_spool.spool import servers, snapshot
from qtrl_spool.spool.eligible import Facts, keeping, kept
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.moment import facts_of, head_of
from qtrl_spool.spool.snapshot import short
from qtrl_spool.spool.standing import Line, serving, waiting_for
from qtrl_spool.spool.tickets import Place

_SHARE, _WAITING = 50.0, 1.5
_SHORTEST_S, _LONGEST_S = 0.1, 0.9


class Board:
    """Writes ``queue.json`` for one server.

    Parameters
    ----------
    layout, journal, index, roll:
        Of the spool and of this server.
    server:
        Its name.
    experience, foresight:
        What it learns of times, and what it foretells.
    clock, busy:
        Tell monotonic time, and for how long this thread has kept a core busy, s.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        index: Index,
        roll: Roll,
        server: str,
        experience: Experience,
        foresight: Foresight,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.thread_time,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._index = index
        self._roll = roll
        self._server = server
        self._experience, self._foresight = experience, foresight
        self._clock, self._busy = clock, busy
        self._seen: object = None
        self._about: object = None
        self._lines: list[str] = []
        self._rows: dict[str, int] | None = None
        self._next_at = 0.0
        self._is_late = False

    @property
    def recheck_after_s(self) -> float | None:
        """When to come again, because something has changed that is not written yet; None if nothing has."""
        if not self._roll.is_whole:
            return 0.0
        return max(0.0, self._next_at - self._clock()) if self._is_late else None

    def write(self, arriving: Sequence[Mapping[str, str]], *, at_once: bool = False) -> None:
        """Write the file if something has changed and it is time.

        Parameters
        ----------
        arriving:
            The unfinished drops and what each lacks.
        at_once:
            Whether it is time whatever the clock says.
        """
        self._is_late = True
        began, busy = self._clock(), self._busy()
        is_time = at_once or began >= self._next_at
        if at_once:
            self._index.look()
        if is_time or not self._roll.is_whole:
            self._roll.learn()
        self._experience.learn(self._journal.record)
        if not is_time:
            return
        beats = servers.heard(self._layout).beats
        if len(beats) > 1:
            self._roll.refresh()
        self._write(beats, list(map(snapshot.line, arriving)))
        self._experience.save(at_once=at_once)
        self._is_late = False
        slow = _WAITING * (self._clock() - began)
        self._next_at = began + max(min(_SHARE * (self._busy() - busy), _LONGEST_S), slow, _SHORTEST_S)

    def _write(self, beats: Sequence[Mapping[str, Any]], arriving: list[str]) -> None:
        facts = facts_of(self._layout, self._alive(beats))
        records = [(each, self._record(each)) for each in self._index.running]
        about = (self._index.version, self._roll.version, [record["updated"] for _, record in records])
        self._foresight.look(Seen(self._index.queued, records, facts, about))
        running = [self._running(*each) for each in records]
        still = [{**beat, "updated": None} for beat in beats]
        kept = self._kept(facts)
        version = (self._index.version, self._roll.version, self._foresight.version)
        seen = (version, running, arriving, still, facts.pauses, kept)
        if seen == self._seen:
            return
        sections = {
            "servers": list(map(snapshot.line, beats)),
            "running": running,
            "queued": self._queued(beats, facts, kept),
            "held": [self._parked(each) for each in self._index.held],
            "arriving": arriving,
        }
        head = {"updated": self._journal.now(), "by": self._server, **head_of(facts)}
        text = snapshot.text(head, sections)
        fs.replace_by(self._layout.snapshot, lambda file: file.writelines(text), durable=False)
        self._seen = seen

    # ------------------------------------------------------------ lines

    def _record(self, place: Place) -> Mapping[str, Any]:
        """Return the record of a claimed job; where the storage refuses its files, what its ticket says."""
        job_id = place.ticket.job_id
        with suppress(StorageError):
            record = None if place.server == self._server else read_status(self._layout, job_id)
            return record or self._journal.record(job_id)
        return blank_record(job_id, job_id)

    def _running(self, place: Place, record: Mapping[str, Any]) -> str:
        facts = {"state": place.state.value, "priority": place.ticket.priority, "claim": place.ticket.claim}
        nowhere = {"server": place.server, "place": None, "ahead": None}
        told = json.loads(f"{{{self._foresight.etas(place.ticket.job_id)}}}")
        ends = {key: value for key, value in told.items() if key.startswith("eta_finish")}
        return snapshot.line(short(record, **facts, **nowhere, **ends))

    def _kept(self, facts: Facts) -> dict[str, str]:
        """Return, by job, what keeps it alone from running, such as another job or the time."""
        if not self._roll.is_whole:
            return dict(facts.aside)
        now = datetime.now(UTC)
        told = ((job_id, kept(job.facts, now=now, facts=facts)) for job_id, job in self._roll.keepable())
        return {**{job_id: why for job_id, why in told if why is not None}, **facts.aside}

    def _queued(self, beats: Sequence[Mapping[str, Any]], facts: Facts, kept: Mapping[str, str]) -> list[str]:
        """Return the lines of the waiting jobs; where only times have changed, only those are made anew."""
        alive = serving(self._alive(beats), (place.server for place in self._index.running))
        said = facts.pauses, dict(facts.troubles), dict(kept)
        about = (self._index.version, self._roll.version, alive, said)
        changed = self._foresight.take_changed()
        if about != self._about:
            self._lines = list(self._waiting(Line(alive, keeping(facts)), kept))
            self._about, self._rows = about, None
        elif changed:
            self._retime(changed)
        return self._lines

    def _retime(self, changed: set[str]) -> None:
        """Put the times into the lines of these jobs anew."""
        if self._rows is None:
            self._rows = {each.ticket.job_id: row for row, each in enumerate(self._index.queued)}
        for job_id in changed & self._rows.keys():
            row = self._rows[job_id]
            self._lines[row] = snapshot.retimed(self._lines[row], self._foresight.etas(job_id))

    def _waiting(self, line: Line, kept: Mapping[str, str]) -> Iterator[str]:
        places, take, etas = self._index.queued, line.take, self._foresight.etas
        for place, job in zip(places, self._roll.all_known(places), strict=True):
            job_id = place.ticket.job_id
            ahead, users, words, why = take(job.user, job.instrument, kept.get(job_id))
            if why is None and not job.paused:
                yield job.card.behind(ahead, users, words, etas(job_id))
                continue
            shown, reason = None if job.paused else ahead + 1, why or waiting_for(ahead, words)
            yield job.card.line(shown, ahead, users, reason, etas(job_id))

    def _alive(self, beats: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the heartbeats of those that live; this server does, whenever it last said so."""
        now = datetime.now(UTC)
        others = [each for each in beats if each["name"] != self._server]
        mine = [each for each in beats if each["name"] == self._server]
        return [*(mine or [{"name": self._server}]), *(b for b in others if servers.looks_alive(b, now=now))]

    def _parked(self, place: Place) -> str:
        job = self._roll.known(place)
        why = job.facts.get("reason") or "held until it is released"
        return job.card.line(None, None, (), why, snapshot.NO_ETAS)
