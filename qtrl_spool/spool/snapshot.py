"""``queue.json``: the whole queue at a glance, and the place of every job in it.

Owns: the short records of waiting and running jobs, their places and reasons. The server writes the
snapshot; clients make the same records from the tickets themselves, so that they are right
with the server stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtrl_spool.job import State
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, held, queued, running

FORMAT = "qtrl-queue/1"
_SHORT = (
    "id",
    "name",
    "user",
    "state",
    "priority",
    "place",
    "ahead",
    "reason",
    "eta_start",
    "eta_finish",
    "phase",
    "progress",
    "accepted",
    "started",
    "server",
    "attempt",
)


def reason(place: int, n_running: int, *, served: bool) -> str:
    """Return in words why the job at `place` of the queue (1 runs next) does not run yet."""
    if not served:
        return "no server is running"
    if place > 1:
        return f"waiting for {place - 1} job{'s' if place > 2 else ''}"
    return "next, after the running job" if n_running else "next"


def short_records(
    layout: Layout, record_of: Callable[[str], Mapping[str, Any] | None], *, served: bool
) -> dict[str, list[dict[str, Any]]]:
    """Return the short records of all running, queued and held jobs, in order.

    Parameters
    ----------
    layout:
        The spool.
    record_of:
        Returns a job's status record, or None.
    served:
        Whether a server is there to run them.
    """
    waiting, active, parked = queued(layout), running(layout), held(layout)
    return {
        "running": [_short(each, record_of) for each in active],
        "queued": [
            _short(each, record_of, place=n, ahead=n - 1, reason=reason(n, len(active), served=served))
            for n, each in enumerate(waiting, start=1)
        ],
        "held": [_short(each, record_of, reason="held until it is released") for each in parked],
    }


def _short(lies: Place, record_of: Callable[[str], Mapping[str, Any] | None], **more: Any) -> dict[str, Any]:
    record = record_of(lies.ticket.job_id) or {"id": lies.ticket.job_id, "name": lies.ticket.job_id}
    facts = {"state": lies.state.value, "priority": lies.ticket.priority, "server": lies.server}
    if lies.state is not State.RUNNING:
        facts["phase"] = None
    return {key: {**record, **facts, **more}.get(key) for key in _SHORT}


def document(
    records: Mapping[str, Any], servers: Sequence[Mapping[str, Any]], *, updated: str
) -> dict[str, Any]:
    """Return the document of ``queue.json``."""
    return {
        "format": FORMAT,
        "updated": updated,
        "paused": False,
        "reason": None,
        "servers": [dict(each) for each in servers],
        **records,
    }
