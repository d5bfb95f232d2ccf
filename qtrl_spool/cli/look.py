"""``queue``, ``status``, ``log``, ``jobs``: answers from files alone, with every server stopped, too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import Count, json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, word
from qtrl_spool.cli.tables import facts, fits, progress, shortened, table, when
from qtrl_spool.cli.words import clock, interval, lasting, sentence, whose, why, zone
from qtrl_spool.errors import UsageError
from qtrl_spool.job import State, is_id
from qtrl_spool.spool.eligible import waits_apart
from qtrl_spool.spool.moment import is_lost
from qtrl_spool.spool.servers import is_silent, silence

if TYPE_CHECKING:
    from qtrl_spool.client import Job

QUEUE_HEADINGS = ("PLACE", "JOB", "NAME", "USER", "PRIORITY", "STATE", "DONE", "START", "WHY")
_NARROW = ("PLACE", "JOB", "USER", "STATE", "DONE")
_DATE = len("20261123-101530-")
_SHORT_ID, _SHORT_USER = 20, 12
"""In 80 columns the expected start and the reason must have room, too."""
_LONG_ID, _LONG_NAME = 68, 40
SHOWN = 100
_JOBS = ("JOB", "STATE", "USER", "PRIORITY", "ACCEPTED", "FINISHED", "WHY")


@click.command()
@click.option("--limit", metavar="N", type=Count(), help="At most so many jobs: 100 without it, all as JSON.")
@spool_option
@json_option
def queue(limit: int | None, spool: str, as_json: bool) -> None:
    """Show what is running and waiting, in order: place 1 runs next, a dash waits for something else."""
    found = opened(spool).queue(limit if as_json else limit or SHOWN)
    if as_json:
        document(found)
        return
    rows = [queue_row(each) for each in (*found["running"], *found["queued"], *found["held"])]
    rows += [_arriving_row(each) for each in found["arriving"]]
    if rows:
        fact(queue_table(rows))
        _tell_rest(found)
    else:
        word("nothing is running, waiting or held")
    for pause in found["pauses"]:
        what = "the queue" if pause["server"] is None else f"instrument {pause['server']}"
        word(f"{what} is paused by {pause['by']} since {when(pause['at'])}: {pause['reason']}")
    for server in found["servers"]:
        _tell_trouble(server)
    if not any(server.get("alive") and not server.get("standby") for server in found["servers"]):
        told = when(found.get("as_of"))
        word(f"as of {told}, no server is running" if told else "no server is running")


def _tell_rest(found: Mapping[str, Any]) -> None:
    more = sum(found["counts"][name] - len(found[name]) for name in ("running", "queued", "held"))
    if more:
        word(f"… and {more:,} more (--limit N shows more)")


def _tell_trouble(server: Mapping[str, Any]) -> None:
    if not server.get("alive"):
        return
    if server.get("standby"):
        word(f"server {server['name']} stands by for {server.get('waits_for')}")
    if is_silent(server, now=datetime.now(UTC)):
        word(
            f"server {server['name']} has not been heard of since {when(server.get('updated'))}, "
            f"but {silence(server)}"
        )
    if server.get("trouble"):
        word(f"server {server['name']} has trouble: {server['trouble']}")
    if server.get("config_refused"):
        word(f"an edit of the configuration does not count: {server['config_refused']}")


def queue_table(rows: list[tuple[object, ...]], indent: str = "") -> str:
    """Return the rows of the queue below their headings; in a narrow terminal with fewer, shorter columns."""
    here = f"START {zone(datetime.now(UTC))}"
    wide = table([here if each == "START" else each for each in QUEUE_HEADINGS], rows, indent)
    return wide if fits(wide) else table([*_NARROW, here, "WHY"], map(narrow_row, rows), indent)


def narrow_row(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return the cells of a job for a narrow terminal: without date, name, priority and interval."""
    place, job_id, _, user, _, state, done, start, reason = row
    short_id = shortened(str(job_id)[_DATE:] if is_id(str(job_id)) else str(job_id), _SHORT_ID)
    short_user = shortened(str(user or ""), _SHORT_USER)
    return place, short_id, short_user, state, done, str(start or "").partition(" (")[0], reason


def queue_row(record: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the cells of one job of the queue."""
    now = datetime.now(UTC)
    is_running = record["state"] == State.RUNNING
    left = (record["progress"] or {}).get("remaining_s")
    reason = f"{lasting(left)} left" if is_running and left is not None else why(record, now)
    return (
        "now" if is_running else _place(record),
        record["id"],
        shortened(str(record["name"] or ""), _LONG_NAME),
        whose(record),
        record["priority"],
        record["state"] if is_lost(record) else record["phase"] or record["state"],
        progress(record),
        clock(record["started"], now, exact=True) if is_running else interval(record, "start", now),
        reason,
    )


def _place(record: Mapping[str, Any]) -> object:
    """Return a job's place in the table; a dash where its turn is not what it waits for."""
    if record["state"] == State.HELD or waits_apart(str(record["reason"] or "")):
        return "-"
    return record["ahead"] + 1 if record["state"] == State.PAUSED else record["place"]


def _arriving_row(drop: Mapping[str, str]) -> tuple[object, ...]:
    folder, _, name = drop["drop"].rpartition("/")
    number = folder.partition("-")[0]
    return (None, shortened(name, _LONG_ID), None, None, number, "incoming", None, None, drop["reason"])


@click.command()
@click.argument("job", metavar="JOB")
@spool_option
@json_option
def status(job: str, spool: str, as_json: bool) -> None:
    """Show where a job is."""
    found = opened(spool).job(job)
    record = found.status()
    if as_json:
        document(record)
        return
    error, now = record["error"] or {}, datetime.now(UTC)
    fact(told_of(found, record))
    fact(
        facts(
            {
                "job": record["id"],
                "name": record["name"],
                "user": whose(record),
                "state": record["state"],
                "place": None if waits_apart(str(record["reason"] or "")) else record["place"],
                "reason": why(record, now),
                "phase": record["phase"],
                "batches": progress(record),
                "priority": record["priority"],
                "submitted": when(record["submitted"]),
                "accepted": when(record["accepted"]),
                "expected": interval(record, "finish" if record["state"] == State.RUNNING else "start", now),
                "started": when(record["started"]),
                "finished": when(record["finished"]),
                "server": record["server"],
                "attempt": record["attempt"] or None,
                "configuration": record["config_version"],
                "result": record["result"],
                "error": error.get("message"),
                "where": error.get("where"),
                "remedy": error.get("hint"),
            }
        )
    )


def told_of(job: Job, record: Mapping[str, Any]) -> str:
    """Return where a job is, in a sentence; with no server running, as of when."""
    is_over = State(record["state"]).final
    as_of, is_served = (None, True) if is_over else (job.as_of(), job.is_served())
    return sentence(record, datetime.now(UTC), as_of, is_served=is_served)


@click.command()
@click.argument("job", metavar="JOB")
@spool_option
@json_option
def log(job: str, spool: str, as_json: bool) -> None:
    """Show what happened to a job, oldest first."""
    events = opened(spool).job(job).log()
    if as_json:
        document(events)
        return
    for event in events:
        more = {key: value for key, value in event.items() if key not in _UNTOLD}
        fact(f"{when(event['at'])}  {event['event']:<10}  {_details(more)}".rstrip())


_UNTOLD = {"at", "event", "by", "uid", "drop_sha256", "shape", "request", "submitted"}


def _details(more: Mapping[str, Any]) -> str:
    told = []
    for key, value in more.items():
        if value in (None, "", [], {}) or (key == "reason" and value == more.get("why")):
            continue
        told.append(f"{key}: {value.get('message', value) if isinstance(value, Mapping) else value}")
    return ", ".join(told)


@click.command()
@click.option("--state", metavar="S", help=f"One of {', '.join(State)}.")
@click.option("--user", metavar="U", help="Only this user's.")
@click.option("--name", metavar="N", help="Only of this name.")
@click.option("--since", metavar="T", help="Of that day (UTC) or later: 2026-11-23, today, yesterday, or 7d.")
@click.option("--limit", metavar="N", type=Count(), help="At most so many.")
@spool_option
@json_option
def jobs(
    state: str | None,
    user: str | None,
    name: str | None,
    since: str | None,
    limit: int | None,
    spool: str,
    as_json: bool,
) -> None:
    """Find jobs, open and ended, newest first."""
    if state is not None and state not in set(State):
        raise UsageError(f"there is no state {state!r}", hint=f"there are {', '.join(State)}")
    wanted = {"state": state, "user": user, "name": name, "since": _day(since), "limit": limit}
    records = opened(spool).records(**wanted)
    if as_json:
        document(records)
        return
    if not records:
        word("no job fits")
        return
    fact(table(_JOBS, map(_job_row, records)))


def _job_row(record: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        record["id"],
        record["state"],
        whose(record),
        record["priority"],
        when(record["accepted"]),
        when(record["finished"]),
        why(record, datetime.now(UTC)) or (record["error"] or {}).get("message"),
    )


def _day(since: str | None) -> str | None:
    """Return the day that ``--since`` means, as ``2026-11-23``."""
    from datetime import date, timedelta

    if since is None:
        return None
    days = {"today": 0, "yesterday": 1}.get(since)
    if since.endswith("d") and since[:-1].isdigit() and len(since) < 6:
        days = int(since[:-1])
    if days is not None:
        return f"{datetime.now(UTC).date() - timedelta(days=days)}"
    try:
        return f"{date.fromisoformat(since)}"
    except ValueError:
        raise UsageError(
            f"--since {since!r} is no day", hint="write 2026-11-23, today, yesterday or 7d"
        ) from None
