"""Where a job is, in one sentence for a person: the state, what it waits for, and when.

Times are told in this machine's time zone, which is named; records and JSON stay in UTC. Pure but for that
zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qtrl_spool.job import State
from qtrl_spool.spool.eligible import waits_apart
from qtrl_spool.spool.moment import is_lost
from qtrl_spool.spool.standing import listing

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0
_EXACT_S = 600.0
_UNSERVED = "no server is running"


def ordinal(number: int) -> str:
    """Return ``1st``, ``2nd``, ``11th``, ``23rd``."""
    if 10 <= number % 100 <= 20:
        return f"{number:,}th"
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def lasting(seconds: float) -> str:
    """Return a duration in words: ``35 s``, ``12 min``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S - _MINUTE_S / 2:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        hours, minutes = divmod(round(seconds / _MINUTE_S), 60)
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / _HOUR_S), 24)
    return f"{days} d {hours} h"


def zone(now: datetime) -> str:
    """Return the name of this machine's time zone."""
    return f"{now.astimezone():%Z}"


def clock(time: object, now: datetime, *, exact: bool | None = None) -> str:
    """Return a time of a record as a clock on the wall shows it; with the day if that is not today's.

    With seconds if `exact`, or if it is less than some minutes away.
    """
    if not isinstance(time, str):
        return ""
    local, here = datetime.fromisoformat(time).astimezone(), now.astimezone()
    near = abs((local - here).total_seconds()) < _EXACT_S if exact is None else exact
    day = "" if local.date() == here.date() else f"{local:%a %d %b} "
    day = day if _is_near(local, here) else f"{local:%Y-%m-%d} "
    return f"{day}{local:%H:%M:%S}" if near else f"{day}{local:%H:%M}"


def _is_near(local: datetime, here: datetime) -> bool:
    return abs((local - here).total_seconds()) < 100 * _DAY_S


def interval(record: Mapping[str, Any], what: str, now: datetime) -> str:
    """Return when a job is expected to ``start`` or to ``finish``: ``18:05 (18:00–18:20)``, or nothing."""
    middle, low, high = (record.get(f"eta_{what}{end}") for end in ("", "_low", "_high"))
    if not isinstance(middle, str):
        return ""
    if not isinstance(low, str) or not isinstance(high, str):
        return clock(middle, now)
    exact = (datetime.fromisoformat(high) - now).total_seconds() < _EXACT_S
    shown, first, last = (clock(each, now, exact=exact) for each in (middle, low, high))
    return shown if first == shown == last else f"{shown} ({first}–{last})"


def why(record: Mapping[str, Any], now: datetime) -> str:
    """Return the reason of a record; a time in it is told in this machine's zone."""
    said, earliest = str(record.get("reason") or ""), record.get("not_before")
    if said.startswith("not before ") and isinstance(earliest, str):
        _, also, more = said.partition("; ")
        return f"not before {clock(earliest, now)}{also}{more}"
    return said


def whose(record: Mapping[str, Any]) -> str | None:
    """Return whose a job is: ``ada``, or ``ada (bob)`` where its label is not the owner of its file."""
    user, owner = record.get("user"), record.get("owner")
    return f"{user} ({owner})" if owner else user


def sentence(
    record: Mapping[str, Any], now: datetime, as_of: str | None = None, *, is_served: bool = True
) -> str:
    """Return where a job is.

    Parameters
    ----------
    record:
        Its status document.
    now:
        The time, timezone-aware.
    as_of:
        When the queue was last looked after, if no server does it now.
    is_served:
        Whether a server does it now.
    """
    said = _SAID.get(State(record["state"]), _ended)(record, now)
    if State(record["state"]).final:
        return said
    told = [] if as_of is None else [f"as of {clock(as_of, now)} {zone(now)}"]
    told += [_UNSERVED] if (as_of is not None or not is_served) and _UNSERVED not in said else []
    return f"{said} ({', '.join(told)})" if told else said


def _queued(record: Mapping[str, Any], now: datetime) -> str:
    if record["place"] is None:
        return f"queued: {why(record, now)}"
    place, reason = record["place"], why(record, now)
    if waits_apart(reason):
        return f"queued: {reason}{_expected(record, now)}"
    if reason.startswith("waiting for ") or (reason == _UNSERVED and record["ahead"]):
        reason = _ahead(record)
    elif reason.startswith("next"):
        return f"{reason.replace('next', 'next in the queue', 1)}{_expected(record, now)}"
    return f"{ordinal(place)} in the queue: {reason}{_expected(record, now)}"


def _ahead(record: Mapping[str, Any]) -> str:
    ahead, whose = record["ahead"], listing(record.get("users_ahead") or ())
    count = f"{ahead:,} job{'s' if ahead != 1 else ''}{f' of {whose}' if whose else ''}"
    return f"{count} {'are' if ahead != 1 else 'is'} ahead"


def _paused(record: Mapping[str, Any], now: datetime) -> str:
    done = record["progress"]
    reached = f" after batch {done['batch']} of {done['n_batches']}" if done.get("n_batches") else ""
    return (
        f"paused{reached}; goes on when it is its turn: {why(record, now)}{_expected(record, now, 'go on')}"
    )


def _expected(record: Mapping[str, Any], now: datetime, do: str = "start") -> str:
    when = interval(record, "start", now)
    return f"; expected to {do} at {when} {zone(now)}" if when else ""


def _running(record: Mapping[str, Any], now: datetime) -> str:
    done, where = record["progress"], f" on {record['server']}" if record.get("server") else ""
    if is_lost(record):
        reached = f"batch {done['batch']} of {done['n_batches']}; " if done.get("n_batches") else ""
        return f"running{where}: {reached}{record['reason']}"
    if record["phase"] != "acquiring":
        return f"running{where}: {record['phase'] or 'beginning'}"
    parts = [f"batch {done['batch']} of {done['n_batches']}"] if done.get("n_batches") else []
    parts += [f"for {lasting(done['elapsed_s'])}"] if done.get("elapsed_s") is not None else []
    ends = interval(record, "finish", now)
    left = f", {lasting(done['remaining_s'])} left" if done.get("remaining_s") is not None else ""
    return f"running{where}: {', '.join(parts)}{left}{f', ends at {ends} {zone(now)}' if ends else ''}"


def _held(record: Mapping[str, Any], now: datetime) -> str:
    del now
    return str(record["reason"] or "held until it is released")


def _ended(record: Mapping[str, Any], now: datetime) -> str:
    at = f" at {clock(record['finished'], now)} {zone(now)}" if record["finished"] else ""
    told = (record["error"] or {}).get("message") or record["reason"]
    if record["state"] == State.DONE and record["started"] and record["finished"]:
        took = datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["started"])
        return f"done{at}, after {lasting(took.total_seconds())}"
    return f"{record['state']}{at}{f': {told}' if told else ''}"


_SAID = {
    State.QUEUED: _queued,
    State.PAUSED: _paused,
    State.RUNNING: _running,
    State.HELD: _held,
}
