"""Tries this storage and looks at this spool: what is fine, what is wrong, what to change.

Owns nothing: it writes into a temporary folder of ``requests/``, which everybody who may use the spool
can write to, and takes it away again. Called by ``qtrl-spool doctor``; it needs no server.

Fails: only if there is no spool; what goes wrong while it looks is a finding.

Known limits: it tries the storage from this machine alone. That two machines see each other's locks and
files in time can only be seen with two machines.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.job import State, is_id
from qtrl_spool.spool import tickets
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import heartbeats, looks_alive
from qtrl_spool.spool.settings import Settings, read_settings

FINE, NOTE, WRONG = "fine", "note", "wrong"
_SLOW_WRITE_S = 0.2
_LEAST_FREE_BYTES = 1_000_000_000
_SKEW_S = 2.0
_N_WRITES = 5
_RECENT_DAYS = 7
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what:
        The thing.
    verdict:
        ``fine``, ``note`` (worth knowing) or ``wrong``.
    said:
        What was found.
    hint:
        What to change.
    """

    what: str
    verdict: str
    said: str
    hint: str | None = None


def examine(layout: Layout, *, now: datetime) -> Iterator[Finding]:
    """Yield what is found, one thing after another.

    Parameters
    ----------
    layout:
        The spool.
    now:
        The time, timezone-aware.
    """
    looks: tuple[Callable[[Layout, datetime], Iterator[Finding]], ...] = (
        _settings,
        _folders,
        _permissions,
        _storage,
        _space,
        _servers,
        _drops,
        _tickets,
        _orphans,
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


def _folders(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    missing = [folder.name for folder in (*layout.folders, layout.config) if not folder.is_dir()]
    if missing:
        yield Finding("directories", WRONG, f"missing: {', '.join(missing)}", "make them again with mkdir")
    else:
        yield Finding("directories", FINE, "all there")


def _permissions(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    for box in layout.drop_boxes:
        facts = fs.facts(box)
        if not os.access(box, os.W_OK | os.X_OK):
            yield Finding("permissions", WRONG, f"you cannot write to {box}", "join the group that owns it")
        elif os.name != "nt" and facts is not None and not facts.st_mode & 0o020:
            yield Finding("permissions", NOTE, f"only its owner can write to {box}", f"chmod g+w {box}")
    if os.access(layout.root, os.R_OK | os.X_OK):
        yield Finding("permissions", FINE, "the spool can be read")
    else:
        yield Finding("permissions", WRONG, "the spool cannot be read", f"chmod a+rX {layout.root}")


# ---------------------------------------------------------------- storage


def _storage(layout: Layout, now: datetime) -> Iterator[Finding]:
    folder = fs.temporary_name(layout.requests / "doctor")
    fs.make_folder(folder)
    try:
        yield _writing(folder)
        yield _renaming(folder)
        yield _locking(folder)
        yield _clock(folder, now)
    finally:
        fs.remove(folder)


def _writing(folder: Path) -> Finding:
    costs = []
    for n in range(_N_WRITES):
        begin = time.perf_counter()
        fs.replace(folder / f"written{n}", b"x" * 1000)
        costs.append(time.perf_counter() - begin)
    cost = sorted(costs)[len(costs) // 2]
    said = f"a durable write takes {cost * 1e3:.1f} ms"
    if cost > _SLOW_WRITE_S:
        return Finding(
            "writing", NOTE, said, "the storage is slow; durability: fast in spool.yaml syncs nothing"
        )
    return Finding("writing", FINE, said)


def _renaming(folder: Path) -> Finding:
    source, target = folder / "source", folder / "below" / "target"
    fs.make_folder(target.parent)
    fs.replace(source, b"1")
    moved = fs.move(source, target) and not fs.exists(source) and fs.read(target) == b"1"
    fs.replace(target, b"2")
    if moved and fs.read(target) == b"2" and fs.names(target.parent) == ["target"]:
        return Finding("renaming", FINE, "within and between directories, and over what is there")
    return Finding("renaming", WRONG, "a rename did not do what it said", "put the spool on other storage")


def _locking(folder: Path) -> Finding:
    from filelock import FileLock, Timeout

    path = folder / "lock"
    first, second = (FileLock(path, thread_local=False, fallback_to_soft=False) for _ in range(2))
    try:
        with first:
            second.acquire(timeout=0)
    except Timeout:
        return Finding(
            "locks", FINE, "exclude on this machine; who owns a job is decided by a rename, not by them"
        )
    except (OSError, NotImplementedError) as error:
        return Finding("locks", WRONG, f"cannot be had: {error}", "mount the share with locks")
    second.release()
    return Finding(
        "locks", WRONG, "two processes got the same lock", "mount the share with locks, not with nolock"
    )


def _clock(folder: Path, now: datetime) -> Finding:
    path = folder / "clock"
    begin = time.time()
    fs.replace(path, b"")
    facts = fs.facts(path)
    skew = 0.0 if facts is None else facts.st_mtime - (begin + time.time()) / 2
    said = f"that of the storage differs from this machine's ({now:%H:%M:%S} UTC) by {abs(skew):.1f} s"
    if abs(skew) > _SKEW_S:
        return Finding("clock", NOTE, said, "let both machines follow the same time server")
    return Finding("clock", FINE, said)


def _space(layout: Layout, now: datetime) -> Iterator[Finding]:
    del now
    free = fs.free_bytes(layout.root)
    said = f"{free / 1e9:.1f} GB are free"
    if free < _LEAST_FREE_BYTES:
        yield Finding("space", WRONG, said, "free some; old results are in jobs/<date>/")
    else:
        yield Finding("space", FINE, said)


# ---------------------------------------------------------------- servers


def _servers(layout: Layout, now: datetime) -> Iterator[Finding]:
    lease_s = _lease_s(layout)
    beats = heartbeats(layout)
    alive = [beat for beat in beats if looks_alive(beat, now=now, lease_s=lease_s)]
    for beat in beats:
        yield from _server(beat, beat in alive)
    if not alive and tickets.queued(layout):
        yield Finding("servers", WRONG, "jobs wait and no server is running", "start 'qtrl-spool serve'")
    elif not alive:
        yield Finding("servers", NOTE, "no server is running", "start 'qtrl-spool serve'")


def _lease_s(layout: Layout) -> float:
    try:
        return read_settings(layout.mark).lease_s
    except QtrlSpoolError:
        return Settings().lease_s


def _server(beat: dict[str, Any], is_alive: bool) -> Iterator[Finding]:
    name = f"server {beat['name']}"
    who = f"process {beat.get('pid')} of {beat.get('user')} on {beat.get('host')}"
    if not is_alive and not beat.get("stopped"):
        yield Finding(
            name, WRONG, f"not heard of since {beat.get('updated')}: {who}",
            f"look at its log, then start 'qtrl-spool serve --name {beat['name']}' again",
        )  # fmt: skip
    if not is_alive:
        return
    yield Finding(name, FINE, f"alive: {who}, backend {beat.get('backend')}")
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
            "start the server again: it makes the records anew",
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
    alive = {beat["name"] for beat in heartbeats(layout) if looks_alive(beat, now=now, lease_s=lease_s)}
    return [(each.server, each.ticket.job_id) for each in tickets.running(layout) if each.server not in alive]


def _orphans(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Look for recent jobs that are open by their record and have no ticket: none should be."""
    since = f"{(now - timedelta(days=_RECENT_DAYS)).date()}"
    lost = []
    for date in fs.folders(layout.jobs):
        for job_id in fs.folders(layout.jobs / date) if date >= since else []:
            record = read_status(layout, job_id) if is_id(job_id) else None
            is_open = record is not None and not State(record["state"]).final
            if is_open and tickets.find(layout, job_id) is None:
                lost.append(job_id)
    if lost:
        yield Finding(
            "jobs", WRONG, f"{len(lost)} are open and have no ticket, such as {lost[0]}",
            "submit them again, and please report it with their events ('qtrl-spool log')",
        )  # fmt: skip
