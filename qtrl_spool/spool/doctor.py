"""Tries this storage and looks at this spool: what is fine, what is wrong, what to change.

Owns nothing; ``spool.probe`` and ``spool.trials`` try the storage. Called by ``qtrl-spool doctor``; it
needs no server.

Fails: only if there is no spool; what goes wrong while it looks is a finding. A storage that does not
answer is told after a deadline, and nothing else is then looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from qtrl_spool import fs
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.job import State, is_id, parse_final_name
from qtrl_spool.spool import probe, survey, tickets
from qtrl_spool.spool.diagnosis import Ailment, agree, diagnose
from qtrl_spool.spool.find import is_arriving
from qtrl_spool.spool.findings import FINE, NOTE, WRONG, Finding
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import heartbeats, is_gone, is_serving, looks_alive
from qtrl_spool.spool.settings import Settings, read_settings
from qtrl_spool.spool.trials import storage as tried

__all__ = ["FINE", "NOTE", "WRONG", "Finding", "examine"]

_T = TypeVar("_T")
_RECENT_DAYS = 7
_SHOWN = 3
_N_LOOKS, _BETWEEN_LOOKS_S = 3, 0.1
_N_WRITES = 5
_REPAIR = "'qtrl-spool doctor --repair' puts it right, as far as it can be"
_TOLD_ELSEWHERE = {Ailment.TICKETLESS, Ailment.HOMELESS, Ailment.RECORD}


def examine(layout: Layout, *, now: datetime, deadline_s: float = probe.DEADLINE_S) -> Iterator[Finding]:
    """Yield what is found, one thing after another.

    Parameters
    ----------
    layout:
        The spool.
    now:
        The time, timezone-aware.
    deadline_s:
        How long (s) the storage may take to answer.
    """
    try:
        probe.within(deadline_s, lambda: fs.names(layout.root), f"listing {layout.root}")
    except QtrlSpoolError as error:
        yield Finding("storage", WRONG, error.message, error.hint)
        return
    looks: tuple[Callable[[Layout, datetime], Iterator[Finding]], ...] = (
        _settings,
        _folders,
        _permissions,
        _storage,
        _servers,
        _drops,
        _tickets,
        _records,
        _damages,
    )
    for look in looks:
        try:
            yield from look(layout, now)
        except QtrlSpoolError as error:
            yield Finding(look.__name__.strip("_"), WRONG, error.message, error.hint)


def _settings(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    settings = read_settings(layout.mark)
    yield Finding("spool.yaml", FINE, f"durability {settings.durability}, lease {settings.lease_s:g} s")


def _storage(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    found = probe.look(layout, n_writes=_N_WRITES)
    yield from probe.findings(found, _settings_or_defaults(layout))
    if found.trouble is None:
        yield from probe.within(probe.DEADLINE_S, lambda: list(tried(layout)), "trying renames and locks")


def _folders(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    missing = [folder.name for folder in (*layout.folders, layout.config) if not folder.is_dir()]
    if missing:
        yield Finding("directories", WRONG, f"missing: {', '.join(missing)}", _REPAIR)
    else:
        yield Finding("directories", FINE, "all there")


def _permissions(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    shut = [box for box in layout.drop_boxes if not os.access(box, os.W_OK | os.X_OK)]
    narrow = [box for box in layout.drop_boxes if box not in shut and _only_its_owners(box)]
    if shut:
        yield Finding(
            "permissions",
            WRONG,
            f"you cannot write to {_below(layout, shut)}",
            "join the group that owns it, or mount the share read-write",
        )
    if narrow:
        remedy = f"chmod g+w {' '.join(map(str, narrow))}"
        yield Finding("permissions", NOTE, f"only its owner can write to {_below(layout, narrow)}", remedy)
    if os.access(layout.root, os.R_OK | os.X_OK):
        yield Finding("permissions", FINE, "the spool can be read")
    else:
        yield Finding("permissions", WRONG, "the spool cannot be read", f"chmod a+rX {layout.root}")


def _only_its_owners(box: Path) -> bool:
    facts = fs.facts(box)
    return os.name != "nt" and facts is not None and not facts.st_mode & 0o020


def _below(layout: Layout, boxes: list[Path]) -> str:
    return ", ".join(box.relative_to(layout.root).as_posix() for box in boxes)


# ---------------------------------------------------------------- servers


def _servers(layout: Layout, now: datetime) -> Iterator[Finding]:
    lease_s = _lease_s(layout)
    beats = heartbeats(layout)
    alive = [beat for beat in beats if looks_alive(beat, now=now, lease_s=lease_s)]
    for beat in beats:
        yield from _server(beat, beat in alive)
    serving = [beat for beat in alive if not beat.get("standby")]
    if not serving and tickets.queued(layout):
        yield Finding("servers", WRONG, "jobs wait and no server is running", "start 'qtrl-spool serve'")
    elif not serving:
        yield Finding("servers", NOTE, "no server is running", "start 'qtrl-spool serve'")


def _settings_or_defaults(layout: Layout) -> Settings:
    try:
        return read_settings(layout.mark)
    except QtrlSpoolError:
        return Settings()


def _lease_s(layout: Layout) -> float:
    return _settings_or_defaults(layout).lease_s


def _server(beat: dict[str, Any], is_alive: bool) -> Iterator[Finding]:
    name = f"server {beat['name']}"
    who = f"process {beat.get('pid')} of {beat.get('user')} on {beat.get('host')}"
    if not is_alive and not beat.get("stopped"):
        gone = f"its process {beat.get('pid')} is gone; " if is_gone(beat) else ""
        yield Finding(
            name, WRONG, f"{gone}not heard of since {beat.get('updated')}: {who}",
            f"look at its log, then start 'qtrl-spool serve --name {beat['name']}' again",
        )  # fmt: skip
    if not is_alive:
        return
    told = f"alive: {who}, backend {beat.get('backend')}, watching by {beat.get('watching')}"
    if beat.get("standby"):
        told = f"stands by for {beat.get('waits_for')}: {who}"
    yield Finding(name, FINE, told)
    if beat.get("trouble"):
        yield Finding(
            name, WRONG, f"has trouble: {beat['trouble']}", "it goes on by itself when that is mended"
        )
    if beat.get("config_refused"):
        yield Finding(
            name, WRONG, f"an edit of the configuration does not count: {beat['config_refused']}",
            "mend it in config/current/, then try 'qtrl-spool config validate'",
        )  # fmt: skip


# ---------------------------------------------------------------- jobs


def _drops(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    texts = [name for name in fs.names(layout.rejected) if name.endswith(".txt")]
    if texts:
        shown = ", ".join(name.removesuffix(".txt") for name in texts[-_SHOWN:])
        yield Finding(
            "drops", NOTE, f"{len(texts)} rejected, the last ones: {shown}",
            f"the texts in {layout.rejected} say why; remove what is dealt with",
        )  # fmt: skip
    else:
        yield Finding("drops", FINE, "none was rejected")


def _tickets(layout: Layout, now: datetime) -> Iterator[Finding]:
    places = [*tickets.queued(layout), *tickets.held(layout), *tickets.running(layout)]
    homeless = [each.ticket.job_id for each in places if read_status(layout, each.ticket.job_id) is None]
    if homeless:
        yield Finding(
            "tickets", WRONG, f"{len(homeless)} without a home, such as {homeless[0]}",
            _REPAIR,
        )  # fmt: skip
    deserted = _deserted(layout, now)
    if deserted:
        server, job_id = deserted[0]
        yield Finding(
            "tickets", WRONG, f"{job_id} is claimed by server {server!r}, which is not running",
            f"start 'qtrl-spool serve --name {server}': it goes on with it",
        )  # fmt: skip
    if not homeless and not deserted:
        yield Finding("tickets", FINE, f"{len(places)} jobs are waiting, held or running")


def _deserted(layout: Layout, now: datetime) -> list[tuple[str | None, str]]:
    lease_s = _lease_s(layout)
    alive = {beat["name"] for beat in heartbeats(layout) if is_serving(beat, now=now, lease_s=lease_s)}
    return [(each.server, each.ticket.job_id) for each in tickets.running(layout) if each.server not in alive]


def _records(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Look for recent jobs whose record says other than the place of their ticket."""
    lost: list[tuple[str, str, str]] = []
    other: list[tuple[str, str, str]] = []
    for job_id in _suspects(layout, f"{(now - timedelta(days=_RECENT_DAYS)).date()}"):
        told = _contradiction(layout, job_id)
        if told is not None:
            (other if told[1] else lost).append(told)
    if lost:
        job_id, _, state = lost[0]
        yield Finding(
            "jobs", WRONG, f"{len(lost)} have no ticket, such as {job_id}, by its record {state}",
            _REPAIR,
        )  # fmt: skip
    for job_id, place, state in other:
        yield Finding(
            "jobs", WRONG, f"{job_id} is {state} by its record, and its ticket lies in {place}",
            _REPAIR,
        )  # fmt: skip


def _suspects(layout: Layout, since: str) -> Iterator[str]:
    """Yield the jobs of that day or later that do not look right at a first glance."""
    places = [*tickets.queued(layout), *tickets.held(layout), *tickets.running(layout)]
    open_states = {each.ticket.job_id: each.state for each in places}
    for date in fs.folders(layout.jobs):
        for job_id in fs.folders(layout.jobs / date) if date >= since else []:
            record = read_status(layout, job_id) if is_id(job_id) else None
            state = open_states.get(job_id) or _ended_as(layout, job_id)
            if record is not None and not agree(record["state"], state):
                yield job_id


def _ended_as(layout: Layout, job_id: str) -> State | None:
    parsed = map(parse_final_name, fs.names(layout.home(job_id)))
    return next((each[0] for each in parsed if each is not None), None)


def _contradiction(layout: Layout, job_id: str) -> tuple[str, str, str] | None:
    """Return a job, the place of its ticket and its recorded state, if they disagree at every look.

    Between a move and the record of it there is a moment, so it is looked at again.
    """
    told = None
    for look in range(_N_LOOKS):
        time.sleep(_BETWEEN_LOOKS_S if look else 0.0)
        place = tickets.find(layout, job_id)
        record = read_status(layout, job_id)
        if record is None or agree(record["state"], place.state if place else None):
            return None
        if place is None and is_arriving(layout, job_id):
            return None
        where = place.path.parent.relative_to(layout.root).as_posix() if place else ""
        told = job_id, where, str(record["state"])
    return told


# ---------------------------------------------------------------- damages


def _damages(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Look for what lies out of place, and for jobs with several tickets, without results and so on."""
    lease_s = _lease_s(layout)
    alive = {beat["name"] for beat in heartbeats(layout) if looks_alive(beat, now=now, lease_s=lease_s)}
    strays = _lasting(lambda: survey.out_of_place(layout, alive))
    if strays:
        first = Path(next(iter(strays))).relative_to(layout.root).as_posix()
        yield Finding(
            "strays", WRONG, f"{len(strays)} lie where nothing of the kind belongs: {first}", _REPAIR
        )
    since = f"{(now - timedelta(days=_RECENT_DAYS)).date()}"
    suspects = list(survey.ailing(layout, since=since, thorough=False))
    ailing = _lasting(lambda: survey.ailing(layout, suspects, thorough=False)) if suspects else {}
    for job_id, seen in ailing.items():
        told = [each for each in diagnose(seen) if each not in _TOLD_ELSEWHERE]
        if told:
            yield Finding("jobs", WRONG, f"{job_id}: {'; '.join(told)}", _REPAIR)


def _lasting(look: Callable[[], Mapping[str, _T]]) -> dict[str, _T]:
    return survey.lasting(look, _N_LOOKS, lambda: time.sleep(_BETWEEN_LOOKS_S))
