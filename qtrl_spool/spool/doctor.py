"""Tries this storage and looks at this spool: what is fine, what is wrong, what to change.

Owns nothing; ``spool.probe`` and ``spool.trials`` try the storage. Called by ``qtrl-spool doctor``; it
needs no server.

Fails: only if there is no spool; what goes wrong while it looks is a finding. A storage that does not
answer is told after a deadline, and nothing else is then looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from qtrl_spool import fs, host
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.job import State, is_id
from qtrl_spool.spool import cut, probe, survey, tickets
from qtrl_spool.spool.access import opened_by, way_in
from qtrl_spool.spool.diagnosis import Ailment, Seen, diagnose
from qtrl_spool.spool.findings import FINE, NOTE, WRONG, Finding
from qtrl_spool.spool.journal import RESULT
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import heartbeats, is_gone, is_serving, is_silent, looks_alive, silence
from qtrl_spool.spool.settings import Settings, read_settings
from qtrl_spool.spool.trials import storage as tried

__all__ = ["FINE", "NOTE", "WRONG", "Finding", "examine"]

_T = TypeVar("_T")
_RECENT_DAYS = 7
_SHOWN = 3
_N_LOOKS, _BETWEEN_LOOKS_S = 3, 0.1
_N_WRITES = 5
_REPAIR = "'qtrl-spool doctor --repair' puts it right, as far as it can be"
_TOLD_TOGETHER = {Ailment.TICKETLESS, Ailment.HOMELESS}


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
        yield Finding("storage", WRONG, error.message, opened_by(error) or error.hint)
        return
    looks: tuple[Callable[[Layout, datetime], Iterator[Finding]], ...] = (
        _settings,
        _folders,
        _permissions,
        _storage,
        _servers,
        _drops,
        _tickets,
        _strays,
        _jobs,
        _results,
    )
    for look in looks:
        try:
            yield from look(layout, now)
        except QtrlSpoolError as error:
            yield Finding(look.__name__.strip("_"), WRONG, error.message, opened_by(error) or error.hint)


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
    missing = [folder.name for folder in (*layout.folders, layout.config) if not fs.is_folder(folder)]
    if missing:
        yield Finding("directories", WRONG, f"missing: {', '.join(missing)}", _REPAIR)
    lacking = layout.lacking()
    if lacking:
        shut = any(each.parent == layout.incoming for each in lacking)  # a server makes those of queue/
        said = f"priorities lack one of their two folders: {_some(_below(layout, each) for each in lacking)}"
        yield Finding("directories", WRONG if shut else NOTE, said, _REPAIR)
    if not missing and not lacking:
        yield Finding("directories", FINE, "all there")


def _permissions(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    shut = [box for box in layout.drop_boxes if not os.access(box, os.W_OK | os.X_OK)]
    narrow = [box for box in layout.drop_boxes if box not in shut and _only_its_owners(box)]
    if shut:
        yield Finding(
            "permissions",
            WRONG,
            f"you cannot write to {', '.join(_below(layout, each) for each in shut)}",
            way_in(shut),
        )
    if narrow:
        remedy = f"chmod g+w {' '.join(map(str, narrow))}"
        named = ", ".join(_below(layout, each) for each in narrow)
        yield Finding("permissions", NOTE, f"only its owner can write to {named}", remedy)
    if os.access(layout.root, os.R_OK | os.X_OK):
        yield Finding("permissions", FINE, "the spool can be read")
    else:
        yield Finding("permissions", WRONG, "the spool cannot be read", f"chmod a+rX {layout.root}")


def _only_its_owners(box: Path) -> bool:
    facts = fs.facts(box)
    return os.name != "nt" and facts is not None and not facts.st_mode & 0o020


def _below(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _some(words: Iterable[str]) -> str:
    """Return the first of several words, and how many more there are."""
    told = list(words)
    more = [f"and {len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
    return ", ".join([*told[:_SHOWN], *more])


# ---------------------------------------------------------------- servers


def _servers(layout: Layout, now: datetime) -> Iterator[Finding]:
    lease_s = _lease_s(layout)
    beats = heartbeats(layout)
    alive = [beat for beat in beats if looks_alive(beat, now=now, lease_s=lease_s)]
    for beat in beats:
        yield from _server(beat, beat in alive, is_silent=is_silent(beat, now=now, lease_s=lease_s))
        if beat in alive:
            yield from _clock_of(layout, beat)
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


def _server(beat: dict[str, Any], is_alive: bool, *, is_silent: bool) -> Iterator[Finding]:
    name = f"server {beat['name']}"
    who = f"process {beat.get('pid')} of {beat.get('user')} on {beat.get('host')}"
    if not is_alive and not beat.get("stopped"):
        gone = f"its process {beat.get('pid')} is gone; " if is_gone(beat) else ""
        yield Finding(
            name, WRONG, f"{gone}not heard of since {beat.get('updated')}: {who}",
            f"look at its log, then start 'qtrl-spool serve --name {beat['name']}{_instrument(beat)}' again",
        )  # fmt: skip
    if not is_alive:
        return
    told = f"alive: {who}, backend {beat.get('backend')}, watching by {beat.get('watching')}"
    if beat.get("standby"):
        told = f"stands by for {beat.get('waits_for')}: {who}"
    if is_silent:
        yield Finding(name, WRONG, f"not heard of since {beat.get('updated')}, but {silence(beat)}")
    else:
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


def _instrument(beat: Mapping[str, Any]) -> str:
    """Return the option that names a server's instrument, if it is not called like the server."""
    instrument = beat.get("instrument") or beat["name"]
    return "" if instrument == beat["name"] else f" --instrument {instrument}"


def _clock_of(layout: Layout, beat: dict[str, Any]) -> Iterator[Finding]:
    """Tell if another host has another time than the storage, by when its server's heartbeat was written.

    Of this host the storage's trial tells it; a heartbeat that is only touched, on a full disk, does not.
    """
    facts = fs.facts(layout.heartbeat(str(beat["name"])))
    if facts is None or beat.get("host") == host.host_name():
        return
    told = datetime.strptime(str(beat["updated"]), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    found = probe.clock(facts.st_mtime - told.timestamp(), of=f"the clock of its host, {beat.get('host')}")
    if found.verdict != FINE:
        yield Finding(f"server {beat['name']}", found.verdict, found.said, found.hint)


# ---------------------------------------------------------------- jobs


def _drops(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    texts = [name for name in fs.names(layout.rejected) if is_id(name.removesuffix(".txt"))]
    if texts:
        shown = ", ".join(name.removesuffix(".txt") for name in texts[-_SHOWN:])
        many = f"{len(texts)} were rejected, the last ones: " if len(texts) > 1 else "1 was rejected: "
        yield Finding(
            "drops", NOTE, many + shown,
            f"the texts in {layout.rejected} say why; remove what is dealt with",
        )  # fmt: skip
    else:
        yield Finding("drops", FINE, "none was rejected")


def _tickets(layout: Layout, now: datetime) -> Iterator[Finding]:
    lease_s = _lease_s(layout)
    alive = {beat["name"] for beat in heartbeats(layout) if is_serving(beat, now=now, lease_s=lease_s)}
    places = [*tickets.queued(layout), *tickets.held(layout), *tickets.running(layout)]
    deserted = [each for each in places if each.state is State.RUNNING and each.server not in alive]
    if deserted:
        server, job_id = deserted[0].server, deserted[0].ticket.job_id
        yield Finding(
            "tickets", WRONG, f"{job_id} is claimed by server {server!r}, which is not running",
            f"start 'qtrl-spool serve --name {server}': it runs it again from its first batch",
        )  # fmt: skip
    else:
        yield Finding("tickets", FINE, f"{len(places)} jobs are waiting, held or running")


def _strays(layout: Layout, now: datetime) -> Iterator[Finding]:
    lease_s = _lease_s(layout)
    alive = {beat["name"] for beat in heartbeats(layout) if looks_alive(beat, now=now, lease_s=lease_s)}
    strays = _lasting(lambda: survey.out_of_place(layout, alive))
    if strays:
        said = f"{_lie(len(strays))} where nothing of the kind belongs: "
        yield Finding("strays", WRONG, said + _some(_below(layout, Path(each)) for each in strays), _REPAIR)


def _lie(n: int) -> str:
    return f"{n} {'lies' if n == 1 else 'lie'}"


def _jobs(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Look for open and recent jobs of which something contradicts something else, at every look."""
    suspects = list(survey.ailing(layout, since=_since(now), thorough=False))
    ailing = _lasting(lambda: survey.ailing(layout, suspects, thorough=False)) if suspects else {}
    found = [(seen, diagnose(seen)) for seen in ailing.values()]
    lost = [seen for seen, ailments in found if Ailment.TICKETLESS in ailments]
    homeless = [seen for seen, ailments in found if Ailment.HOMELESS in ailments]
    if homeless:
        said = f"{len(homeless)} without a home, such as {homeless[0].job_id}"
        yield Finding("tickets", WRONG, said, _REPAIR)
    if lost:
        said = f"{len(lost)} have no ticket, such as {lost[0].job_id}, by its record {lost[0].recorded}"
        yield Finding("jobs", WRONG, said, _REPAIR)
    for seen, ailments in found:
        words = [_told(layout, seen, each) for each in ailments if each not in _TOLD_TOGETHER]
        if words:
            yield Finding("jobs", WRONG, "; ".join(words), _REPAIR)


def _results(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Look at the size of recent results: a copy or a share may have cut them off."""
    for job_id in survey.all_homes(layout, _since(now)):
        path = layout.home(job_id) / RESULT
        found = fs.head(path, cut.LONGEST)
        if found is not None and cut.is_cut(*found):
            said = f"{_below(layout, path)} was cut off: it is no whole HDF5 file ({found[1]:,} bytes)"
            hint = f"put a copy of it there, or run it once more: 'qtrl-spool retry {job_id}'"
            yield Finding("results", WRONG, said, hint)


def _since(now: datetime) -> str:
    return f"{(now - timedelta(days=_RECENT_DAYS)).date()}"


def _told(layout: Layout, seen: Seen, ailment: Ailment) -> str:
    if ailment is Ailment.RECORD and seen.place is not None and seen.record is not None:
        where = seen.place.path.parent.relative_to(layout.root).as_posix()
        return f"{seen.job_id} is {seen.recorded} by its record, and its ticket lies in {where}"
    return f"{seen.job_id}: {ailment}"


def _lasting(look: Callable[[], Mapping[str, _T]]) -> dict[str, _T]:
    return survey.lasting(look, _N_LOOKS, lambda: time.sleep(_BETWEEN_LOOKS_S))
