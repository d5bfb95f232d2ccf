"""Answers about jobs, from files alone: they are right with every server stopped.

Owns: naming a job by a part of its id, the join of a job's record with its place, and the list of
all jobs. Called by the client and by the command; loads neither numpy nor YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.job import (
    DROP_SUFFIX,
    State,
    blank_record,
    is_id,
    parse_priority,
    utc,
)
from qtrl_spool.spool import tickets
from qtrl_spool.spool.accepting import parse_taken
from qtrl_spool.spool.copies import copied
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import DEFAULT_PRIORITY, Layout
from qtrl_spool.spool.servers import heartbeats, is_serving, looks_alive
from qtrl_spool.spool.snapshot import document, reason, short_records

NOT_YET = "not yet accepted"
_LEASE_S = 60.0
_SHOWN = 5


def job_id(layout: Layout, text: str) -> str:
    """Return the full id of the job that `text`, any unambiguous part of its id, names.

    Raises
    ------
    NotFoundError
        If no job has such an id.
    UsageError
        If several have.
    """
    if is_id(text):
        return text
    found = sorted({each for each in all_ids(layout) if text in each})
    if len(found) == 1:
        return found[0]
    if not found:
        raise _no_job(layout, text)
    shown = ", ".join(found[-_SHOWN:]) + (", …" if len(found) > _SHOWN else "")
    raise UsageError(f"{text!r} names {len(found)} jobs: {shown}", hint="give more of the id")


def _no_job(layout: Layout, text: str) -> NotFoundError:
    """Return why `text` names no job: it may be the name of a drop that is not accepted yet."""
    drops = {each["drop"]: each["reason"] for each in waiting_drops(layout)}
    near = [path for path in drops if text in (path, path.rpartition("/")[2])]
    near = near or [path for path in drops if text in path]
    if len(near) != 1:
        return NotFoundError(
            f"there is no job {text!r} in {layout.root}", hint="'qtrl-spool jobs' lists them"
        )
    return NotFoundError(
        f"{text!r} is no job yet: it lies in incoming/{near[0]} and is not accepted yet: {drops[near[0]]}",
        hint="'qtrl-spool queue' shows when it is",
    )


def all_ids(layout: Layout) -> Iterator[str]:
    """Return the ids of all jobs, newest last; those not yet accepted come at the end."""
    for date in fs.folders(layout.jobs):
        yield from (name for name in fs.folders(layout.jobs / date) if is_id(name))
    yield from (each for each, _ in _unaccepted(layout))


def _unaccepted(layout: Layout) -> Iterator[tuple[str, int]]:
    """Return id and priority of the drops that bear an id and are not accepted yet."""
    for folder in ("", *fs.folders(layout.incoming)):
        priority = parse_priority(folder) or (DEFAULT_PRIORITY, "")
        for name in fs.names(layout.incoming / folder):
            if name.endswith(DROP_SUFFIX) and is_id(name.removesuffix(DROP_SUFFIX)):
                yield name.removesuffix(DROP_SUFFIX), priority[0]
    for server in fs.folders(layout.accepting):
        for name in fs.names(layout.accepting_by(server)):
            taken = parse_taken(name)
            if taken is not None:
                yield taken.job_id, taken.priority


def drop(layout: Layout, full_id: str) -> Path | None:
    """Return where the drop of a submitted job lies that is not yet accepted, or None."""
    folders = [layout.incoming, *(layout.incoming / name for name in fs.folders(layout.incoming))]
    return next((path for each in folders if fs.exists(path := each / f"{full_id}{DROP_SUFFIX}")), None)


def is_arriving(layout: Layout, full_id: str) -> bool:
    """Return whether a drop of that id lies in ``incoming/`` or is being accepted."""
    return any(each == full_id for each, _ in _unaccepted(layout))


def arriving(layout: Layout) -> list[str]:
    """Return the paths below ``incoming/`` of what was dropped and is not yet accepted, by name.

    What is no drop (temporary files, system files) is left out, and so is what was accepted as a copy
    because the server could not move it.
    """
    done = copied(layout)
    found = []
    for folder in ("", *(name for name in fs.folders(layout.incoming) if parse_priority(name))):
        for name in fs.names(layout.incoming / folder):
            path = f"{folder}/{name}" if folder else name
            is_priority = not folder and parse_priority(name) is not None
            if not is_priority and path not in done and _is_drop(name):
                found.append(path)
    return found


def _is_drop(name: str) -> bool:
    from qtrl_spool.bundle.names import is_ignored

    return not is_ignored(name)


def waiting_drops(layout: Layout) -> list[dict[str, str]]:
    """Return `arriving` as ``drop``, with the ``reason`` that the server last gave for not taking it."""
    paths = arriving(layout)
    if not paths:
        return []
    told = (fs.read_json(layout.snapshot) or {}).get("arriving") or []
    reasons = {each["drop"]: each["reason"] for each in told}
    return [{"drop": path, "reason": reasons.get(path, NOT_YET)} for path in paths]


def status(layout: Layout, full_id: str) -> dict[str, Any]:
    """Return a job's status document, with its place in the queue.

    A job that was dropped and not yet accepted is queued; there is no moment at which a job that
    ``submit`` returned is unknown: it is looked for in the order in which it travels.

    Raises
    ------
    NotFoundError
        If there is no such job.
    """
    record = read_status(layout, full_id)
    if record is None:
        waiting = next((priority for each, priority in _unaccepted(layout) if each == full_id), None)
        record = read_status(layout, full_id)
        if record is None and waiting is None:
            raise NotFoundError(f"there is no job {full_id!r} in {layout.root}")
        if record is None:
            return {**blank_record(full_id, _name_in(full_id)), "priority": waiting}
    if record["state"] == State.QUEUED:
        return _with_place(layout, record)
    return record


def _name_in(full_id: str) -> str:
    return full_id[16:-6]


def _with_place(layout: Layout, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a queued job with its place, or its newer record if it has moved on."""
    waiting = {each.ticket.job_id: (n, each) for n, each in enumerate(tickets.queued(layout), start=1)}
    if record["id"] not in waiting:
        newer = read_status(layout, record["id"]) or record
        if newer["state"] != State.QUEUED:
            return newer
        return {**newer, "reason": newer["reason"] or "about to move"}
    place, lies = waiting[record["id"]]
    why = reason(place, len(tickets.running(layout)), served=bool(_live(layout)))
    return {**record, "priority": lies.ticket.priority, "place": place, "ahead": place - 1, "reason": why}


def _live(layout: Layout) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [beat for beat in heartbeats(layout) if is_serving(beat, now=now, lease_s=_LEASE_S)]


def queue(layout: Layout) -> dict[str, Any]:
    """Return the whole queue as ``queue.json`` has it, made from the tickets at this moment.

    Each of its servers says in ``alive`` whether it seems to live. Under ``arriving`` are the drops
    that are not yet accepted, with the reason that the server last gave.
    """
    now = datetime.now(UTC)
    servers = [{**beat, "alive": looks_alive(beat, now=now, lease_s=_LEASE_S)} for beat in heartbeats(layout)]
    served = any(beat["alive"] and not beat.get("standby") for beat in servers)
    records = short_records(layout, lambda each: read_status(layout, each), served=served)
    return document({**records, "arriving": waiting_drops(layout)}, servers, updated=utc(now))


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
    found: list[dict[str, Any]] = []
    wanted = {"state": state, "user": user, "name": name}
    for full_id in _newest_first(layout, since):
        record = status(layout, full_id)
        if all(value is None or record[key] == value for key, value in wanted.items()):
            found.append(record)
        if limit is not None and len(found) >= limit:
            break
    return found


def _newest_first(layout: Layout, since: str | None) -> Iterator[str]:
    ids = {each for each, _ in _unaccepted(layout)}
    yield from sorted(ids, reverse=True)
    for date in sorted(fs.folders(layout.jobs), reverse=True):
        if since is None or date >= since:
            home_ids = (name for name in fs.folders(layout.jobs / date) if is_id(name) and name not in ids)
            yield from sorted(home_ids, reverse=True)
