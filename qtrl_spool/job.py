"""What a job is, apart from any disk: its id, its ticket's name, its states, its record.

Owns: the one table of moves between states (`MOVES`), the encoding of job ids and of ticket names,
and the fold of events into the status record. Pure: times and random letters are passed in.

Where the ticket lies is the state; the record only tells people. It is a fold over the job's
events, so it can be made again at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from qtrl_spool.errors import InternalError

STATUS_FORMAT = "qtrl-status/1"
TICKET_SUFFIX = ".qjob"
DROP_SUFFIX = ".qjob"


class State(StrEnum):
    """Where a job is.

    ``queued``: its ticket lies in ``queue/``, waiting for its turn.
    ``held``: its ticket lies in ``held/``, waiting for a release.
    ``running``: its ticket lies in ``running/<server>/``.
    ``paused``: as queued, but it has run before and goes on where it stopped.
    ``done``, ``failed``, ``cancelled``: its ticket lies in its home, for ever.
    ``rejected``: it was never accepted; what was dropped lies in ``rejected/``.
    """

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def final(self) -> bool:
        """Whether the job stays in this state for ever."""
        return self in _FINAL


_FINAL = {State.DONE, State.FAILED, State.CANCELLED, State.REJECTED}
WAITING = {State.QUEUED, State.HELD, State.PAUSED}


class Move(StrEnum):
    """What can happen to a job."""

    ACCEPT = "accept"
    REJECT = "reject"
    CLAIM = "claim"
    HOLD = "hold"
    RELEASE = "release"
    REPRIORITIZE = "move"
    REQUEUE = "requeue"
    PAUSE = "pause"
    COMMIT = "commit"
    FAIL = "fail"
    CANCEL = "cancel"


MOVES: Mapping[tuple[State | None, Move], State] = {
    (None, Move.ACCEPT): State.QUEUED,
    (None, Move.REJECT): State.REJECTED,
    (State.QUEUED, Move.CLAIM): State.RUNNING,
    (State.QUEUED, Move.HOLD): State.HELD,
    (State.QUEUED, Move.REPRIORITIZE): State.QUEUED,
    (State.QUEUED, Move.CANCEL): State.CANCELLED,
    (State.HELD, Move.RELEASE): State.QUEUED,
    (State.HELD, Move.REPRIORITIZE): State.HELD,
    (State.HELD, Move.CANCEL): State.CANCELLED,
    (State.RUNNING, Move.COMMIT): State.DONE,
    (State.RUNNING, Move.FAIL): State.FAILED,
    (State.RUNNING, Move.CANCEL): State.CANCELLED,
    (State.RUNNING, Move.REQUEUE): State.QUEUED,
    (State.RUNNING, Move.PAUSE): State.PAUSED,
    (State.RUNNING, Move.HOLD): State.HELD,
    (State.PAUSED, Move.CLAIM): State.RUNNING,
    (State.PAUSED, Move.HOLD): State.HELD,
    (State.PAUSED, Move.REPRIORITIZE): State.PAUSED,
    (State.PAUSED, Move.CANCEL): State.CANCELLED,
}
"""Every move there is: (state before, move) → state after. A move that is not listed raises."""


def after(state: State | None, move: Move) -> State:
    """Return the state that `move` leads to from `state`.

    Raises
    ------
    InternalError
        If the table does not list the move.
    """
    try:
        return MOVES[state, move]
    except KeyError:
        raise InternalError(f"a {state or 'new'} job cannot {move}") from None


# ---------------------------------------------------------------- identity

ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_PATTERN = (
    r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-(?:[01]\d|2[0-3])(?:[0-5]\d){2}"
    r"-[a-z0-9]+(?:-[a-z0-9]+)*-[a-z0-9]{5}"
)
_ID = re.compile(_ID_PATTERN, re.ASCII)
_LONGEST_ID = 100
_SLUG_LENGTH = 40


def slug(name: str) -> str:
    """Return `name` as it may stand in a job id: lower-case letters, digits and single dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain[:_SLUG_LENGTH].strip("-") or "job"


def make_id(name: str, *, now: datetime, letters: str) -> str:
    """Return a job id such as ``20261123-101530-rabi-k3f9x``: it sorts by time and reads well.

    Parameters
    ----------
    name:
        Name of the job.
    now:
        Time of submission, timezone-aware.
    letters:
        Five random characters out of `ID_LETTERS`.
    """
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{slug(name)}-{letters}"


def is_id(text: str) -> bool:
    """Return whether `text` is a whole job id."""
    return len(text) <= _LONGEST_ID and _ID.fullmatch(text) is not None


def date_of(job_id: str) -> str:
    """Return the folder of a job's date: ``2026-11-23``."""
    return f"{job_id[0:4]}-{job_id[4:6]}-{job_id[6:8]}"


_TICKET = re.compile(
    rf"(?P<priority>\d+)-(?P<order>\d+)(?:\.(?P<fraction>\d*[1-9]))?-(?P<id>{_ID_PATTERN})"
    r"\.c(?P<claim>\d+)" + re.escape(TICKET_SUFFIX),
    re.ASCII,
)


@dataclass(frozen=True)
class Ticket:
    """The name of a job's ticket; where the file of that name lies is the job's state.

    Attributes
    ----------
    priority:
        Lower runs first. Inside ``queue/`` the directory counts, not this number.
    order:
        Given by the server at acceptance: first accepted, first run.
    job_id:
        Whose ticket it is.
    claim:
        How often it was claimed. Only grows: it fences a server that lost its claim.
    fraction:
        Digits behind the point of the order number, of a job that was moved before another one; the last
        is no zero.
    """

    priority: int
    order: int
    job_id: str
    claim: int = 0
    fraction: str = ""

    @property
    def name(self) -> str:
        """The file name: ``50-000000012-20261123-101530-rabi-k3f9x.c0.qjob``; or ``50-000000011.5-…``."""
        order = f"{self.order:09d}" + (f".{self.fraction}" if self.fraction else "")
        return f"{self.priority}-{order}-{self.job_id}.c{self.claim}{TICKET_SUFFIX}"

    @property
    def turn(self) -> tuple[int, int, str, str]:
        """The whole ordering rule: priority, then order number, then id, if two servers gave one number."""
        return self.priority, self.order, self.fraction, self.job_id

    def claimed(self) -> Ticket:
        """Return the ticket as the next claim names it."""
        return replace(self, claim=self.claim + 1)

    def at(self, priority: int) -> Ticket:
        """Return the ticket at another priority; it keeps its order."""
        return replace(self, priority=priority)

    def placed(self, order: int, fraction: str) -> Ticket:
        """Return the ticket with another order number."""
        return replace(self, order=order, fraction=fraction)

    @classmethod
    def parse(cls, name: str) -> Ticket | None:
        """Return the ticket of that file name, or None if it names none."""
        match = _TICKET.fullmatch(name)
        if match is None:
            return None
        priority, order, claim = (int(match[each]) for each in ("priority", "order", "claim"))
        return cls(priority, order, match["id"], claim, match["fraction"] or "")


def final_name(state: State, claim: int) -> str:
    """Return the name of a finished job's ticket in its home: ``done.c1.qjob``."""
    return f"{state}.c{claim}{TICKET_SUFFIX}"


_FINAL_NAME = re.compile(
    r"(?P<state>done|failed|cancelled)\.c(?P<claim>\d+)" + re.escape(TICKET_SUFFIX), re.ASCII
)


def parse_final_name(name: str) -> tuple[State, int] | None:
    """Return state and claim of a finished job's ticket, or None if `name` is none."""
    match = _FINAL_NAME.fullmatch(name)
    return None if match is None else (State(match["state"]), int(match["claim"]))


_PRIORITY = re.compile(r"(?P<number>\d{1,6})(?:-(?P<label>[A-Za-z0-9][A-Za-z0-9_-]*))?", re.ASCII)


def parse_priority(folder: str) -> tuple[int, str] | None:
    """Return number and label of a priority's directory name, or None if `folder` is none."""
    match = _PRIORITY.fullmatch(folder)
    return None if match is None else (int(match["number"]), match["label"] or "")


# ---------------------------------------------------------------- record


def utc(now: datetime) -> str:
    """Return a time as the records write it: UTC, ISO 8601, six decimals, ``Z``."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def blank_record(job_id: str, name: str) -> dict[str, Any]:
    """Return the status record of a job of which nothing is known but its id and name."""
    return {
        "format": STATUS_FORMAT,
        "id": job_id,
        "name": name,
        "user": None,
        "state": State.QUEUED.value,
        "priority": None,
        "place": None,
        "ahead": None,
        "reason": "not yet accepted",
        "eta_start": None,
        "eta_finish": None,
        "phase": None,
        "progress": {"batch": 0, "n_batches": None, "fraction": 0.0},
        "submitted": None,
        "accepted": None,
        "started": None,
        "finished": None,
        "updated": None,
        "server": None,
        "attempt": 0,
        "config_version": None,
        "result": None,
        "error": None,
    }


_WANTS = ("instrument", "after", "not_before")
_WHOSE = ("name", "user", "owner", "uid", "priority", "submitted")
_COPIED = {
    "accepted": (*_WHOSE, "config_version", "tags", *_WANTS, "shape"),
    "rejected": (*_WHOSE, "error", "rejected"),
    "moved": ("priority",),
    "edited": ("name", "config_version", "tags", *_WANTS, "shape"),
    "claimed": ("server",),
    "started": ("attempt", "config_version"),
    "resumed": ("attempt", "config_version"),
    "phase": ("phase",),
    "committed": ("result", "server"),
    "error": ("error", "retry_at"),
    "failed": ("error",),
    "cancelled": ("error",),
}
_STATE_AFTER = {
    "accepted": State.QUEUED,
    "rejected": State.REJECTED,
    "held": State.HELD,
    "released": State.QUEUED,
    "claimed": State.RUNNING,
    "requeued": State.QUEUED,
    "paused": State.PAUSED,
    "committed": State.DONE,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
}


def with_event(record: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status record after one more event.

    Parameters
    ----------
    record:
        The record so far, see `blank_record`.
    event:
        ``{"at": time, "event": kind, …}`` with the fields of its kind.
    """
    kind, at = event["event"], event["at"]
    new = dict(record)
    if kind == "accepted" and record["accepted"]:
        return new  # said again by a server that stood still while another accepted the job
    new.update({key: event[key] for key in _COPIED.get(kind, ()) if key in event})
    state = _STATE_AFTER.get(kind)
    if state is not None:
        new.update(state=state.value, phase=None, reason=event.get("reason"))
        new["finished"] = at if state.final else None
    if kind in {"held", "released"}:
        new.update(_with_holds(new.get("holds") or {}, event, new["progress"]["batch"] > 0))
    if kind == "accepted":
        new.update(accepted=at, progress=_progress(0, event.get("n_batches")))
    elif kind == "holding":
        new.update(reason=event.get("reason"))
    elif kind == "edited":
        new.update(progress=_progress(0, event.get("n_batches")))
    elif kind == "claimed":
        new.update(phase="compiling", error=None, retry_at=None)
    elif kind == "started":
        new.update(started=at, phase="acquiring", progress=_progress(0, event.get("n_batches")))
    elif kind == "resumed":
        new.update(phase="acquiring", progress=_progress(event.get("batch", 0), event.get("n_batches")))
    elif kind == "paused":
        new.update(server=None, progress=_progress(event.get("batch", 0), _n_batches(new)))
    elif kind == "requeued":
        new.update(server=None, started=None, progress=_progress(0, _n_batches(new)))
    elif kind == "committed":
        new.update(progress=_progress(_n_batches(new) or 0, _n_batches(new)))
    new["updated"] = at
    return new


OWNERS, ADMINS = "owner", "admin"
"""The two holds that a job may be under at the same time; each is released for itself."""


def _with_holds(holds: Mapping[str, Any], event: Mapping[str, Any], has_measured: bool) -> dict[str, Any]:
    """Return what a ``held`` or a ``released`` event makes of a record: a job is held while any hold is left.

    A ``held`` without ``hold`` (a server died on the way) adds none; a ``released`` without it ends all.
    A job that keeps batches that it measured goes on as a paused one.
    """
    kind = event.get("hold")
    if event["event"] == "held":
        new = {**holds, kind: {"by": event.get("held_by"), "why": event.get("why")}} if kind else dict(holds)
        return {"holds": new, "reason": said_of(new) or event.get("reason")}
    left = {each: hold for each, hold in holds.items() if each != kind} if kind else {}
    if left:
        return {"holds": left, "state": State.HELD.value, "reason": said_of(left)}
    return {"holds": left, **({"state": State.PAUSED.value} if has_measured else {})}


def said_of(holds: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return in words who holds a job and why: ``held by root (admin): the fridge is warm``."""
    return "; ".join(_said_of(kind, **hold) for kind, hold in sorted(holds.items())) or None


def _said_of(kind: str, by: str | None, why: str | None) -> str:
    who = f"held by {by} (admin)" if kind == ADMINS else f"held by {by}"
    return f"{who}: {why}" if why else who


def with_progress(record: Mapping[str, Any], batch: int, n_batches: int, at: str) -> dict[str, Any]:
    """Return the status record after `batch` of `n_batches` batches."""
    return {**record, "progress": _progress(batch, n_batches), "updated": at}


def as_far_as(record: Mapping[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a running job's record with the progress of a `known` one, if that is of the same attempt."""
    same = ("state", "attempt", "started", "server")
    if known is None or any(known.get(key) != record[key] for key in same):
        return dict(record)
    return {**record, "progress": max(record["progress"], known["progress"], key=lambda each: each["batch"])}


def _n_batches(record: Mapping[str, Any]) -> int | None:
    n_batches: int | None = record["progress"]["n_batches"]
    return n_batches


def _progress(batch: int, n_batches: int | None) -> dict[str, Any]:
    fraction = batch / n_batches if n_batches else 0.0
    return {"batch": batch, "n_batches": n_batches, "fraction": round(fraction, 6)}


def record_of(job_id: str, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the status record that all events of a job add up to."""
    record = blank_record(job_id, job_id)
    for event in events:
        record = with_event(record, event)
    return record
