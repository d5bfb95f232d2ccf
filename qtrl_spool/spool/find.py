"""Answers about jobs, from files alone: they are right with every server stopped.

Owns: naming a job by a part of its id, the join of a job's record with its place, and the list of
all jobs. Called by the client and by the command; loads neither numpy nor YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from qtrl_spool import fs, host
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.job import (
    DROP_SUFFIX,
    State,
    blank_record,
    is_id,
    parse_priority,
    utc,
)
from qtrl_spool.spool.arriving import is_arriving, is_open, names_in_box, unaccepted
from qtrl_spool.spool.copies import copied
from qtrl_spool.spool.journal import read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.moment import Moment, joined
from qtrl_spool.spool.servers import heard, looks_alive
from qtrl_spool.spool.snapshot import Snapshot, read_snapshot

__all__ = [
    "all_ids", "arriving", "bare_status", "drop", "explained", "is_arriving", "is_open", "is_served",
    "job_id", "jobs", "queue", "servers", "status", "waiting_drops",
]  # fmt: skip

NOT_YET = "not yet accepted"
_SHOWN = 5
_LOOKS = 3
_LATEST = 200
_LISTS = "'qtrl-spool jobs' lists them"


def job_id(layout: Layout, text: str) -> str:
    """Return the full id of the job that `text`, any unambiguous part of its id in any letter case, names.

    So does the name of the file that was dropped, of the latest jobs.

    Raises
    ------
    NotFoundError
        If no job has such an id.
    UsageError
        If several have.
    """
    part = text.lower()
    if is_id(part):
        return part
    found = sorted(set(all_ids(layout, part)))
    if not found:
        error = _no_job(layout, text)
        found = sorted(_dropped_as(layout, text)) if error.hint == _LISTS else []
        if not found:
            raise error
    if len(found) == 1:
        return found[0]
    shown = ", ".join(found[-_SHOWN:]) + (", …" if len(found) > _SHOWN else "")
    raise UsageError(f"{text!r} names {len(found)} jobs: {shown}", hint="give more of the id")


def _no_job(layout: Layout, text: str) -> NotFoundError:
    """Return why `text` names no job: it may be the name of a drop that is not accepted yet."""
    drops = {each["drop"]: each["reason"] for each in waiting_drops(layout)}
    near = [path for path in drops if text in (path, path.rpartition("/")[2])]
    near = near or [path for path in drops if text.lower() in path.lower()]
    if len(near) != 1:
        return NotFoundError(f"there is no job {text!r} in {layout.root}", hint=_LISTS)
    return NotFoundError(
        f"{text!r} is no job yet: it lies in incoming/{near[0]} and is not accepted yet: {drops[near[0]]}",
        hint="'qtrl-spool queue' shows when it is",
    )


def _dropped_as(layout: Layout, name: str) -> Iterator[str]:
    """Return the ids of the latest jobs that were dropped as a file of that name, newest first."""
    if "." not in name:
        return
    for full_id in islice(_newest_first(layout, None), _LATEST):
        if name in map(_dropped_name, read_events(layout, full_id)):
            yield full_id


def _dropped_name(event: Mapping[str, Any]) -> str | None:
    """Return the name of the file that was dropped, of the event that says what became of it."""
    if event["event"] == "rejected":
        return str(event.get("rejected")).partition("~")[2]
    return str(event.get("drop")).rpartition("/")[2] if event["event"] == "accepted" else None


def all_ids(layout: Layout, part: str = "") -> Iterator[str]:
    """Return the ids of all jobs that hold `part`, newest last; those not yet accepted come at the end."""
    for date in fs.folders(layout.jobs):
        yield from (name for name in fs.folders(layout.jobs / date) if part in name and is_id(name))
    yield from (each for each, _ in unaccepted(layout) if part in each)


def drop(layout: Layout, full_id: str) -> Path | None:
    """Return where the drop of a submitted job lies that is not yet accepted, or None."""
    folders = [layout.incoming, *(layout.incoming / name for name in fs.folders(layout.incoming))]
    return next((path for each in folders if fs.exists(path := each / f"{full_id}{DROP_SUFFIX}")), None)


def arriving(layout: Layout) -> list[str]:
    """Return the paths below ``incoming/`` of what was dropped and is not yet accepted, by name.

    What is no drop (temporary files, system files) is left out, and so is what was accepted as a copy
    because the server could not move it.
    """
    done = copied(layout)
    found = []
    for folder in ("", *(name for name in fs.folders(layout.incoming) if parse_priority(name))):
        for name in names_in_box(layout.incoming / folder):
            path = f"{folder}/{name}" if folder else name
            is_priority = not folder and parse_priority(name) is not None
            if not is_priority and path not in done and _is_drop(name):
                found.append(path)
    return found


def _is_drop(name: str) -> bool:
    from qtrl_spool.bundle.names import is_ignored

    return not is_ignored(name)


def waiting_drops(layout: Layout, told: Snapshot | None = None) -> list[dict[str, str]]:
    """Return `arriving` as ``drop``, with the ``reason`` that the server last gave for not taking it.

    Names are told so that they can be shown: without control, direction or undecodable characters.
    `told` is ``queue.json``, if it was read already.
    """
    from qtrl_spool.bundle.names import escaped

    paths = [escaped(path) for path in arriving(layout)]
    if not paths and told is None:
        return []
    told = told or read_snapshot(layout)
    reasons = {each["drop"]: each["reason"] for each in told.records("arriving")} if told else {}
    shut = [each for each in reasons if parse_priority(each) and fs.exists(layout.incoming / each)]
    return [{"drop": path, "reason": reasons.get(path, NOT_YET)} for path in (*shut, *paths)]


def status(layout: Layout, full_id: str) -> dict[str, Any]:
    """Return a job's status document, with its place in the queue.

    A job that was dropped and not yet accepted is queued; there is no moment at which a job that
    ``submit`` returned is unknown: it is looked for in the order in which it travels.

    Raises
    ------
    NotFoundError
        If there is no such job.
    """
    record = bare_status(layout, full_id)
    if record["updated"] is None:
        return record
    if record["state"] in {State.QUEUED, State.PAUSED}:
        return _with_place(layout, record)
    if record["state"] == State.RUNNING:
        return Moment(layout, datetime.now(UTC)).foretold(record)
    return record


def explained(layout: Layout, record: dict[str, Any]) -> dict[str, Any]:
    """Return a status document; that of a job which nobody is there to accept says so."""
    if record["updated"] is not None or is_served(layout):
        return record
    return {**record, "reason": "no server is running"}


def as_of(layout: Layout) -> str | None:
    """Return when the queue was last looked after, if no server does it now."""
    return Moment(layout, datetime.now(UTC)).as_of


def bare_status(layout: Layout, full_id: str) -> dict[str, Any]:
    """Return a job's status record as it is, without its place: what is enough to know its state.

    A drop that one server takes over from another during the look is met by the next one.

    Raises
    ------
    NotFoundError
        If there is no such job.
    """
    for _ in range(_LOOKS):
        record = read_status(layout, full_id)
        if record is not None:
            return record
        waiting = next((priority for each, priority in unaccepted(layout) if each == full_id), None)
        record = read_status(layout, full_id)
        if record is not None:
            return record
        if waiting is not None:
            blank = blank_record(full_id, _name_in(full_id))
            return {**blank, "priority": waiting, **_by_its_drop(layout, full_id)}
    raise NotFoundError(f"there is no job {full_id!r} in {layout.root}")


def _known_status(layout: Layout, full_id: str) -> dict[str, Any] | None:
    """Return `bare_status`, or None if the job is gone: its drop may be taken back at any time."""
    try:
        return bare_status(layout, full_id)
    except NotFoundError:
        return None


def _by_its_drop(layout: Layout, full_id: str) -> dict[str, Any]:
    """Return what the file that was dropped says of a job: whose it is, and when it came."""
    path = drop(layout, full_id)
    facts = None if path is None else fs.facts(path)
    if facts is None:
        return {}
    now = datetime.now(UTC)
    return {
        "user": host.user_name(facts.st_uid),
        "submitted": utc(min(now, datetime.fromtimestamp(facts.st_mtime, UTC))),
    }


def _name_in(full_id: str) -> str:
    return full_id[16:-6]


def _with_place(layout: Layout, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a waiting job with its place, or its newer record if it has moved on."""
    found = Moment(layout, datetime.now(UTC)).with_place(record)
    if found is not None:
        return found
    newer = read_status(layout, record["id"]) or record
    if newer["state"] != record["state"]:
        return newer
    return {**newer, "reason": newer["reason"] or "about to move"}


def servers(layout: Layout) -> list[dict[str, Any]]:
    """Return what every server last said of itself; ``alive`` says whether it seems to live."""
    now = datetime.now(UTC)
    return [{**beat, "alive": looks_alive(beat, now=now)} for beat in heard(layout).beats]


def is_served(layout: Layout) -> bool:
    """Return whether a server seems to look after the queue."""
    return any(each["alive"] and not each.get("standby") for each in servers(layout))


def queue(layout: Layout, limit: int | None = None) -> dict[str, Any]:
    """Return the whole queue as ``queue.json`` has it, as it is at this moment.

    Each of its servers says in ``alive`` whether it seems to live; if none does, ``as_of`` says when one
    last did. Under ``arriving`` are the drops that are not yet accepted, with the reason that the server
    last gave. Of the jobs there are the first `limit`, and under ``counts`` how many there are.
    """
    moment = Moment(layout, datetime.now(UTC))
    return moment.queue(waiting_drops(layout, moment.snapshot), limit)


def jobs(
    layout: Layout,
    *,
    state: str | None = None,
    user: str | None = None,
    name: str | None = None,
    since: str | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return the status of all jobs that fit, newest first.

    Parameters
    ----------
    layout:
        The spool.
    state, user, name:
        Only jobs of that state, user, name; None means any.
    since:
        Only jobs of that day or later, ``2026-11-23``.
    limit:
        At most so many.
    """
    wanted = {"state": state, "user": user, "name": name}
    records = (_known_status(layout, full_id) for full_id in _newest_first(layout, since))
    fitting = (
        record
        for record in records
        if record is not None and all(value is None or record[key] == value for key, value in wanted.items())
    )
    return _with_places(layout, list(islice(fitting, limit)))


def _with_places(layout: Layout, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records of jobs, those of waiting ones with their places."""
    if not any(each["state"] in {State.QUEUED, State.PAUSED} for each in records):
        return records
    waiting = Moment(layout, datetime.now(UTC)).waiting()
    return [
        joined(each, waiting[each["id"]])
        if each["id"] in waiting and each["state"] in {State.QUEUED, State.PAUSED}
        else each
        for each in records
    ]


def _newest_first(layout: Layout, since: str | None) -> Iterator[str]:
    ids = {each for each, _ in unaccepted(layout)}
    yield from sorted(ids, reverse=True)
    for date in sorted(fs.folders(layout.jobs), reverse=True):
        if since is None or date >= since:
            home_ids = (name for name in fs.folders(layout.jobs / date) if is_id(name) and name not in ids)
            yield from sorted(home_ids, reverse=True)
