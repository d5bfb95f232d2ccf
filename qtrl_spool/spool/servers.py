"""Servers as others see them: heartbeats, the lock that a name is held with, the lock for claims.

Owns: ``servers/``. Locks here only keep two servers of one host and one name apart and reduce
contention; who owns a job is decided by a rename, never by a lock. Lock files are never deleted:
a lock whose file somebody deletes has two holders.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from qtrl_spool import fs, host
from qtrl_spool.errors import ServerNameTakenError, StorageError, UsageError
from qtrl_spool.spool.layout import Layout

if TYPE_CHECKING:
    from filelock import FileLock

FORMAT = "qtrl-server/1"
CLAIM_LOCK_TIMEOUT_S = 0.1
TIMINGS = ".timings"
"""What ends the name of the file in which a server keeps what it learnt."""
LEASE_S = 60.0
"""After how long a server that says nothing seems to be dead to those who only look."""
HEARD_HERE_S = 20.0
"""After how long that is so of a server whose clock is theirs."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return `name` if a server can bear it.

    Raises
    ------
    UsageError
        If it cannot be part of a path on every system.
    """
    if not _NAME.fullmatch(name) or name.endswith(TIMINGS):
        raise UsageError(
            f"a server cannot be named {name!r}",
            hint=f"use up to 64 letters, digits, dots, dashes and underscores, and no {TIMINGS} at the end",
        )
    return name


@contextmanager
def holding_name(layout: Layout, name: str) -> Iterator[None]:
    """Hold the lock of a server's name for as long as the server lives.

    Raises
    ------
    ServerNameTakenError
        If a running server holds it; the message says who.
    """
    from filelock import Timeout

    lock = _lock(layout.server_lock(name))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ServerNameTakenError(
            f"a server named {name!r} is already running on this spool: {holder(layout, name)}",
            hint="stop it first, give this one another name with --name, or let it wait with --standby",
        ) from None
    except OSError:
        with fs.reporting("lock", layout.server_lock(name)):
            raise
    try:
        yield
    finally:
        _let_go(lock)


@contextmanager
def claiming(layout: Layout) -> Iterator[None]:
    """Keep other servers' claims off for a moment, if they let us: the rename alone decides.

    After 100 ms the claim goes on without the lock: a frozen holder must not stop the others. So it
    does where the storage has no locks, or no room for the lock's file, or is away: the folder that
    would be made for it would lie in the empty place of the mount.
    """
    from filelock import Timeout

    if fs.is_gone(layout.claim_lock.parent):
        yield
        return
    lock = _lock(layout.claim_lock)
    try:
        lock.acquire(timeout=CLAIM_LOCK_TIMEOUT_S)
    except (Timeout, OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        _let_go(lock)


def _let_go(lock: FileLock) -> None:
    """Release a lock; one whose share was away meanwhile is lost already (GlusterFS: EBADFD)."""
    with contextlib.suppress(OSError):
        lock.release()


def _lock(path: Any) -> FileLock:
    from filelock import FileLock

    return FileLock(
        path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True, poll_interval=0.01
    )


def holder(layout: Layout, name: str) -> str:
    """Return in words who bears a server's name."""
    try:
        beat = fs.read_json(layout.heartbeat(name)) or {}
    except StorageError as trouble:
        return f"who it is cannot be read: {trouble}"
    if not beat:
        return "it has not said who it is yet"
    return (
        f"process {beat.get('pid')} of {beat.get('user')} on {beat.get('host')}, since {beat.get('started')}"
    )


@dataclass(frozen=True)
class Heard:
    """What servers last said of themselves.

    Attributes
    ----------
    beats:
        The heartbeats, by name.
    unread:
        Those that the storage refuses to give away, by the server's name: it may live, or be dead.
    """

    beats: list[dict[str, Any]]
    unread: dict[str, StorageError]


def heard(layout: Layout) -> Heard:
    """Return what every server last said of itself, as far as it can be read."""
    names = (name for name in fs.names(layout.servers) if name.endswith(".json") and not name.startswith("."))
    found = Heard([], {})
    for name in (each for each in names if not each.endswith(f"{TIMINGS}.json")):
        try:
            beat = fs.read_json(layout.servers / name)
        except StorageError as trouble:
            found.unread[name.removesuffix(".json")] = trouble
            continue
        if beat is not None and beat.get("format") == FORMAT:
            found.beats.append(beat)
    return found


def heartbeats(layout: Layout) -> list[dict[str, Any]]:
    """Return what every server last said of itself, by name; for those who must know of every one.

    Raises
    ------
    StorageError
        If one cannot be read; `heard` leaves it out.
    """
    found = heard(layout)
    for trouble in found.unread.values():
        raise trouble
    return found.beats


def announced(layout: Layout, *, besides: str) -> int:
    """Return how many bytes the servers, but for one, say that they are going to write."""
    beats = [beat for beat in heard(layout).beats if beat.get("name") != besides and not beat.get("stopped")]
    return sum(max(0, each) for beat in beats if isinstance(each := beat.get("announced_bytes"), int))


def write_heartbeat(layout: Layout, beat: Mapping[str, Any]) -> None:
    """Replace a server's heartbeat; it need not survive a power cut.

    On a full disk the old one is touched, which `last_signs` sees, too.
    """
    path = layout.heartbeat(beat["name"])
    try:
        fs.replace_json(path, {"format": FORMAT, **beat}, durable=False)
    except StorageError:
        with contextlib.suppress(StorageError):
            fs.touch(path)
        raise


def last_signs(layout: Layout, found: Heard) -> dict[str, str]:
    """Return a text for each server that changes as long as it lives: with what it says, or with when.

    Of a heartbeat that cannot be read, when it was written says enough; where that cannot be seen either, the
    text is another one each time.
    """
    marks = {name: fs.mark_of(layout.heartbeat(name)) for name in found.unread}
    unread = {name: mark or f"unseen at {time.monotonic_ns()}" for name, mark in marks.items()}
    read = {
        name: f"{beat.get('updated')} {fs.mark_of(layout.heartbeat(name))}"
        for beat in found.beats
        for name in [str(beat["name"])]
    }
    return {**read, **unread}


def is_gone(beat: Mapping[str, Any]) -> bool:
    """Return whether a server that ran on this host has no process any more."""
    pid = beat.get("pid")
    return beat.get("host") == host.host_name() and isinstance(pid, int) and not host.process_exists(pid)


def looks_alive(beat: Mapping[str, Any], *, now: datetime, lease_s: float = LEASE_S) -> bool:
    """Return whether a heartbeat is recent by this machine's clock, and its process, if here, there.

    A server of this host whose process runs is alive however old its heartbeat is: it may be unable to
    write it, see `is_silent`. A hint for people, no proof.
    """
    if beat.get("stopped") or is_gone(beat):
        return False
    return not is_silent(beat, now=now, lease_s=lease_s) or _runs_here(beat)


def _runs_here(beat: Mapping[str, Any]) -> bool:
    pid = beat.get("pid")
    return beat.get("host") == host.host_name() and isinstance(pid, int) and host.runs(pid, "serve")


def is_silent(beat: Mapping[str, Any], *, now: datetime, lease_s: float = LEASE_S) -> bool:
    """Return whether a heartbeat has not changed for a lease, by this machine's clock.

    Of a server on this machine, whose clock it is, that is known after `HEARD_HERE_S`.
    """
    if beat.get("host") == host.host_name():
        lease_s = min(lease_s, HEARD_HERE_S)
    try:
        updated = datetime.strptime(str(beat["updated"]), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return True
    return now - updated >= timedelta(seconds=lease_s)


def silence(beat: Mapping[str, Any]) -> str:
    """Return in words why a server of this host that runs may say nothing, and what to do."""
    pid = int(beat["pid"])
    if host.is_frozen(pid):
        return f"its process {pid} is stopped: kill -CONT {pid}"
    return f"its process {pid} runs: is the storage full, or gone? 'qtrl-spool doctor' looks"


def is_serving(beat: Mapping[str, Any], *, now: datetime, lease_s: float) -> bool:
    """Return whether a server looks alive and is no standby: whether it takes jobs."""
    return looks_alive(beat, now=now, lease_s=lease_s) and not beat.get("standby")
