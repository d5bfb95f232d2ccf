"""The queue as it is at this moment, made from the tickets; what a server last said of it is only a help.

Owns: the join of tickets, status records and ``queue.json``. Called by ``find``; loads neither numpy nor
YAML, and is right with every server stopped: then it says as of when, and foretells nothing.

Up to `EXACT` waiting jobs everything is counted from the tickets at this moment. Of a longer queue a
living server's ``queue.json`` is taken as it is, about a second old: listing and reading 100,000 jobs
for each look would take longer than that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from qtrl_spool import host
from qtrl_spool.job import State, blank_record, utc
from qtrl_spool.spool import tickets
from qtrl_spool.spool.arriving import is_open
from qtrl_spool.spool.eligible import Facts, keeping, kept, moment, stopped_by
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.pauses import pauses
from qtrl_spool.spool.servers import heard, is_gone, is_silent, looks_alive, silence
from qtrl_spool.spool.snapshot import ETAS, Snapshot, document, read_snapshot, short
from qtrl_spool.spool.standing import Line, serving
from qtrl_spool.spool.tickets import Place

EXACT = 2_000
LOST = "its server "
"""Begins the reason of a job that is said to run, and whose server is dead or says nothing."""
QUIET_HERE_S, QUIET_S = 15.0, 30.0
"""After how long without a word of its server nothing is foretold any more: one says something every 5 s,
which is seen at once on its own host, and up to 20 s late on others, where a share keeps what it has read."""
_LATE_S = 8.0
"""What should have been so long ago is foretold by nobody any more: a server foretells anew every 5 s."""
_Sections = tuple[dict[str, int], dict[str, list[dict[str, Any]]]]


class Moment:
    """What can be seen of the queue now.

    Parameters
    ----------
    layout:
        The spool.
    now:
        The time, timezone-aware.
    """

    def __init__(self, layout: Layout, now: datetime) -> None:
        self._layout = layout
        self._now = now
        self.servers = [{**beat, "alive": looks_alive(beat, now=now)} for beat in heard(layout).beats]
        self.alive = [beat for beat in self.servers if beat["alive"] and not beat.get("standby")]
        self._is_heard = any(not _is_quiet(beat, now) for beat in self.alive)
        troubled = [{**beat, "trouble": _trouble_of(beat, now)} for beat in self.alive]
        self.snapshot = read_snapshot(layout)
        self._facts = facts_of(layout, troubled)

    @property
    def as_of(self) -> str | None:
        """When the queue was last looked after, if no server does it now."""
        if self.alive:
            return None
        return max((str(beat["updated"]) for beat in self.servers if beat.get("updated")), default=None)

    # ------------------------------------------------------------ the queue

    def queue(self, arriving: list[dict[str, str]], limit: int | None = None) -> dict[str, Any]:
        """Return the document of ``queue.json`` as it is now; of the jobs, the first `limit`.

        Parameters
        ----------
        arriving:
            The drops that are not yet accepted, and why.
        limit:
            How many jobs at most, running ones first; ``counts`` says how many there are.
        """
        counts, sections = self._counted(limit) if self._lasting() is None else self._told(limit)
        found = document(
            {**_first(sections, limit), "servers": self.servers, "arriving": arriving},
            updated=utc(self._now),
            as_of=self.as_of,
            **head_of(self._facts),
        )
        return {**found, "counts": {**found["counts"], **counts}}

    def _lasting(self) -> Snapshot | None:
        """Return the snapshot if it is to be taken as it is, because the queue is long and looked after."""
        return self.snapshot if self.alive and self._n_told("queued") > EXACT else None

    def _n_told(self, section: str) -> int:
        return 0 if self.snapshot is None else self.snapshot.n(section)

    def _told(self, limit: int | None) -> _Sections:
        seen = self._lasting()
        told: dict[str, list[dict[str, Any]]] = {}
        if seen is not None:
            queued = [dict(self._timed(each)) for each in seen.records("queued", limit)]
            told = {"queued": queued, "held": seen.records("held", limit)}
        running = self._running()
        counts = {"running": len(running), "queued": self._n_told("queued"), "held": self._n_told("held")}
        return counts, {"running": running, **told}

    def _counted(self, limit: int | None) -> _Sections:
        known = self._known()
        running, queued = self._running(), tickets.queued(self._layout)
        held = tickets.held(self._layout)
        sections = {
            "running": running,
            "queued": list(islice(self._waiting(queued, known), limit)),
            "held": [self._parked(each, known) for each in held[:limit]],
        }
        return {"running": len(running), "queued": len(queued), "held": len(held)}, sections

    def _parked(self, place: Place, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        record = self._record(place, known)
        why = record.get("reason") or "held until it is released"
        return short(record, **_facts_of(place), place=None, ahead=None, users_ahead=[], reason=why)

    def _waiting(
        self, places: Iterable[Place], known: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        line = self._line()
        for place in places:
            record = self._record(place, known)
            why = self._facts.aside.get(place.ticket.job_id)
            why = why or kept(record, now=self._now, facts=self._facts)
            yield short(self._timed(record), **_facts_of(place, record), **standing(line, record, why))

    def _line(self) -> Line:
        busy = (each.server for each in tickets.running(self._layout))
        return Line(serving(self.alive, busy), keeping(self._facts))

    def _known(self) -> dict[str, dict[str, Any]]:
        """Return the short records of the snapshot: what is known without reading a file for each job."""
        if self.snapshot is None:
            return {}
        return {each["id"]: each for name in ("queued", "held") for each in self.snapshot.records(name)}

    def _record(self, place: Place, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        told = known.get(place.ticket.job_id)
        if told is not None and told.get("claim") == place.ticket.claim:
            return told
        return self._read(place)

    def _read(self, place: Place) -> dict[str, Any]:
        job_id = place.ticket.job_id
        return read_status(self._layout, job_id) or blank_record(job_id, job_id)

    def _running(self) -> list[dict[str, Any]]:
        found = []
        for place in tickets.running(self._layout):
            record = self._read(place)
            if not State(record["state"]).final:
                found.append(short(self.foretold(record), **_facts_of(place), place=None, ahead=None))
        return found

    def _timed(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record without expectations that nobody keeps up to date."""
        is_timely = self._is_heard and not self._is_past(record.get("eta_start"))
        return record if is_timely else {**record, **dict.fromkeys(ETAS)}

    def _is_past(self, time: object) -> bool:
        return isinstance(time, str) and (self._now - moment(time)).total_seconds() > _LATE_S

    # ------------------------------------------------------------ one job

    def with_place(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the status of a waiting job with its place; None if its ticket does not wait."""
        seen, job_id = self._lasting(), str(record["id"])
        if seen is not None:
            told = seen.record(job_id)
            return None if told is None else joined(record, self._timed(told))
        places = tickets.queued(self._layout)
        if all(each.ticket.job_id != job_id for each in places):
            return None
        waiting = self._waiting(places, self._known())
        return joined(record, next(each for each in waiting if each["id"] == job_id))

    def waiting(self) -> dict[str, dict[str, Any]]:
        """Return the short records of all waiting jobs by id, to be joined with their status."""
        seen = self._lasting()
        if seen is not None:
            return {each["id"]: each for each in seen.records("queued")}
        return {each["id"]: each for each in self._waiting(tickets.queued(self._layout), self._known())}

    def foretold(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the status of a running job with when it is expected to end, and since when it runs.

        Where its server is dead or says nothing, the reason says so instead.
        """
        lost = self._lost(record.get("server"))
        if lost is not None:
            return {**record, **dict.fromkeys(ETAS), "reason": lost}
        told = self.snapshot.record(str(record["id"])) if self.snapshot and self._is_heard else None
        if told is None or self._is_past(told.get("eta_finish")):
            told = {}
        etas = {key: told.get(key) for key in ETAS}
        return {**record, **etas, "progress": {**record["progress"], **self._times(record, etas)}}

    def _lost(self, server: object) -> str | None:
        beat = next((each for each in self.servers if each["name"] == server), None)
        if beat is not None and beat["alive"]:
            return _unheard(beat) if _is_quiet(beat, self._now) else None
        return _lost(beat, str(server), [str(each["name"]) for each in self.servers if each["alive"]])

    def _times(self, record: Mapping[str, Any], etas: Mapping[str, Any]) -> dict[str, float]:
        times = {"elapsed_s": (record["started"], 1.0), "remaining_s": (etas["eta_finish"], -1.0)}
        return {
            key: round(max(0.0, sign * (self._now - datetime.fromisoformat(at)).total_seconds()), 3)
            for key, (at, sign) in times.items()
            if at is not None
        }


def facts_of(layout: Layout, beats: Iterable[Mapping[str, Any]]) -> Facts:
    """Return what decides whether jobs may run, given the heartbeats of those that take jobs."""
    beats = list(beats)
    servers = {each.name: each.instrument for each in serving(beats, ())}
    stopped = (beat for beat in beats if beat.get("trouble") and not beat.get("goes_on"))
    troubles = {str(beat["name"]): str(beat["trouble"]) for beat in stopped}
    aside = {job: f"left aside: {why}" for beat in beats for job, why in (beat.get("aside") or {}).items()}
    return Facts(servers, pauses(layout), partial(is_open, layout), troubles, aside)


def is_lost(record: Mapping[str, Any]) -> bool:
    """Return whether a status document says of a running job that its server is dead or says nothing."""
    return record["state"] == State.RUNNING and str(record.get("reason") or "").startswith(LOST)


def _trouble_of(beat: Mapping[str, Any], now: datetime) -> str | None:
    """Return what the storage refuses to a server that lives; one that cannot even say so is silent."""
    said = beat.get("trouble")
    if said:
        return str(said)
    is_mute = is_silent(beat, now=now)
    return f"server {beat['name']} says nothing since {_heard(beat)}" if is_mute else None


def _heard(beat: Mapping[str, Any]) -> str:
    """Return when a server last said something."""
    try:
        return f"{moment(str(beat['updated'])):%Y-%m-%d %H:%M:%S} UTC"
    except (KeyError, ValueError):
        return "it was begun"


def _is_quiet(beat: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a server that lives has said nothing for longer than it ought to."""
    allowed = QUIET_HERE_S if beat.get("host") == host.host_name() else QUIET_S
    return is_silent(beat, now=now, lease_s=allowed)


def _unheard(beat: Mapping[str, Any]) -> str:
    """Return in words that nothing is heard of a server that seems to live, and why if that is known."""
    why = f", but {silence(beat)}" if beat.get("host") == host.host_name() else ""
    trouble = f"; before that it said: {beat['trouble']}" if beat.get("trouble") else ""
    return f"{LOST}{beat['name']} has not been heard of since {_heard(beat)}{why}{trouble}"


def _lost(beat: Mapping[str, Any] | None, name: str, others: Collection[str]) -> str | None:
    """Return in words why a job goes no further that a server runs; None as long as that seems to live.

    Parameters
    ----------
    beat:
        What the server last said of itself.
    name, others:
        Its name, and those of the servers that seem to live.
    """
    if beat is None or beat["alive"]:
        return None
    what = f"does not answer since {_heard(beat)}"
    if beat.get("stopped"):
        what = "ended"
    elif is_gone(beat):
        what = "died"
    when = "soon, by another one" if others else "when a server is started"
    return f"{LOST}{name} {what}; it runs again from its first batch {when}"


def head_of(facts: Facts) -> dict[str, Any]:
    """Return what ``queue.json`` says of pauses: whether no server takes jobs, why, and all there are."""
    why = stopped_by(facts.pauses, facts.servers)
    return {"paused": why is not None, "reason": why, "pauses": [vars(each) for each in facts.pauses]}


def standing(line: Line, record: Mapping[str, Any], kept: str | None = None) -> dict[str, Any]:
    """Return where the next job of a line stands, as its record says it."""
    found = line.next(record.get("user"), record.get("instrument"), kept)
    return {
        "place": found.place if record["state"] != State.PAUSED else None,
        "ahead": found.ahead,
        "users_ahead": list(found.users),
        "reason": found.reason,
    }


def _facts_of(place: Place, record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a ticket says of its job, which counts more than the job's record."""
    paused = record is not None and record["state"] == State.PAUSED and place.state is State.QUEUED
    return {
        "state": State.PAUSED.value if paused else place.state.value,
        "priority": place.ticket.priority,
        "server": place.server,
        "claim": place.ticket.claim,
        **({} if place.state is State.RUNNING else {"phase": None}),
    }


def joined(record: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a waiting job with what its short record says of its place.

    The short record may be a moment older: whether the job is queued or paused, its status says.
    """
    keys = ("priority", "ahead", "users_ahead", "reason", *ETAS)
    is_queued = record["state"] == State.QUEUED and told.get("ahead") is not None
    place = told["ahead"] + 1 if is_queued else None
    return {**record, **{key: told[key] for key in keys if key in told}, "place": place}


def _first(
    sections: Mapping[str, list[dict[str, Any]]], limit: int | None
) -> dict[str, list[dict[str, Any]]]:
    """Return the first records of all sections together."""
    if limit is None:
        return dict(sections)
    found, left = {}, limit
    for name, records in sections.items():
        found[name] = records[:left]
        left = max(0, left - len(records))
    return found
