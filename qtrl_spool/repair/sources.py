"""Where a lost ticket can be made anew from, and events from a record.

Called by ``repair.jobs``. Fails never: what cannot be read is no source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import pack
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.job import State
from qtrl_spool.repair.living import REPAIR
from qtrl_spool.repair.parking import Parking
from qtrl_spool.results import Result
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.survey import is_bundle

_ACCEPTED = (
    *("name", "user", "owner", "uid", "priority", "submitted", "config_version", "tags"),
    *("instrument", "after", "not_before"),
)


def ticket_of(layout: Layout, parking: Parking, job_id: str) -> tuple[bytes, Path] | None:
    """Return a job's bundle and the file that it was found in, or None if no copy of it is left."""
    for path in (*_copies(layout, job_id), *parking.tickets_of(job_id)):
        data = fs.read(path)
        if data is not None and is_bundle(data):
            return data, path
    for path in _results(layout, job_id):
        data = _in_result(path)
        if data is not None:
            return data, path
    return None


def _copies(layout: Layout, job_id: str) -> Iterator[Path]:
    """Yield the copies that a server was about to queue when it died."""
    for server in fs.folders(layout.accepting):
        for name in fs.names(layout.accepting_by(server)):
            if job_id in name:
                yield layout.accepting_by(server) / name


def _results(layout: Layout, job_id: str) -> list[Path]:
    home = layout.home(job_id)
    return [home / name for name in fs.names(home) if name.endswith(".h5") and not name.startswith(".")]


def _in_result(path: Path) -> bytes | None:
    try:
        with Result(path) as result:
            return pack(result.bundle)
    except (QtrlSpoolError, OSError, KeyError, ValueError, TypeError):
        return None


def events_of(record: Mapping[str, Any], now: str) -> list[dict[str, Any]]:
    """Return events that add up to a status record, in place of those that are lost.

    Parameters
    ----------
    record:
        The record.
    now:
        The time, for what the record gives no time.
    """
    facts = {key: record[key] for key in _ACCEPTED if key in record}
    if record.get("state") == State.REJECTED:
        more = {"error": record.get("error"), "rejected": record.get("rejected")}
        return [_event("rejected", record.get("finished") or now, **facts, **more)]
    n_batches = (record.get("progress") or {}).get("n_batches")
    events = [_event("accepted", record.get("accepted") or now, **facts, n_batches=n_batches)]
    began = record.get("started") or record.get("updated") or now
    if record.get("server"):
        events.append(_event("claimed", began, server=record["server"]))
    if record.get("started"):
        version = record.get("config_version")
        facts = {"attempt": record.get("attempt"), "n_batches": n_batches, "config_version": version}
        events.append(_event("started", began, **facts))
    return events + _end(record, now)


def _end(record: Mapping[str, Any], now: str) -> list[dict[str, Any]]:
    at = record.get("finished") or record.get("updated") or now
    state = record.get("state")
    if state == State.DONE:
        return [_event("committed", at, result=record.get("result"))]
    if state == State.FAILED:
        return [_event("failed", at, error=record.get("error"))]
    if state == State.CANCELLED:
        return [_event("cancelled", at, reason=record.get("reason"))]
    if state == State.HELD:
        holds = (record.get("holds") or {}).items()
        held = [_event("held", at, hold=kind, held_by=each["by"], why=each["why"]) for kind, each in holds]
        return held or [_event("held", at, reason=record.get("reason"))]
    return []


def _event(kind: str, at: str, **details: Any) -> dict[str, Any]:
    return {"at": at, "event": kind, "by": REPAIR, **details}
