"""Pause and resume the whole queue or one server, and drain: for admins, by requests.

A pause is a file (see ``spool.pauses``), so it survives restarts and counts for every server, also for one
that starts later. A running job goes on: a pause keeps jobs from being claimed. What an instrument
asked for itself is not undone here: it ends when the instrument is well again.

Called by ``steering``. Fails: `NotAllowedError`, `UsageError`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from qtrl_spool.errors import UsageError
from qtrl_spool.server.asking import Asked
from qtrl_spool.spool import pauses, servers
from qtrl_spool.spool.eligible import Pause
from qtrl_spool.spool.layout import Layout

QUEUE = "queue"


def pause(layout: Layout, asked: Asked, *, now: str, durable: bool) -> str:
    """Let no server, or one of them, take another job; return the answer in words."""
    server = _server(layout, asked)
    asked.check_admin("pause the queue")
    if asked.reason is None:
        raise UsageError("the request gives no reason", hint="write {pause: queue, reason: WHY}")
    made = Pause(server, asked.reason, asked.user, now)
    pauses.pause(layout, made, durable=durable)
    return str(made)


def resume(layout: Layout, asked: Asked, *, durable: bool) -> str:
    """End a pause; return the answer in words, with what else keeps jobs waiting."""
    server = _server(layout, asked)
    asked.check_admin("resume the queue")
    was_paused = pauses.resume(layout, server, durable=durable)
    what = "the queue" if server is None else f"instrument {server}"
    left = "; ".join(f"{each} (by {each.by})" for each in pauses.pauses(layout))
    said = f"{what} goes on" if was_paused else f"{what} was not paused"
    return f"{said}; {left}" if left else said


def drain(layout: Layout, asked: Asked, *, now: str, durable: bool) -> str:
    """Let one server, or all that serve, end when nothing is left to run; return the answer in words."""
    server = _server(layout, asked)
    asked.check_admin("drain a server")
    moment = datetime.now(UTC)
    beats = [beat for beat in servers.heard(layout).beats if servers.looks_alive(beat, now=moment)]
    alive = [str(beat["name"]) for beat in beats if not beat.get("standby")]
    if server is not None and alive and server not in alive:
        raise UsageError(f"server {server!r} is not running", hint="there is nothing to drain")
    if not alive:  # the server that answers has not said yet that it lives: it was begun after this was asked
        raise UsageError("no server was running when this was asked", hint="ask again: one is running now")
    named = alive if server is None else [server]
    for each in named:
        pauses.drain(layout, each, by=asked.user, at=now, durable=durable)
    return f"{', '.join(named)} takes no more drops, and ends when nothing is left that it can run"


def _server(layout: Layout, asked: Asked) -> str | None:
    """Return the one server that is meant; None for the whole queue."""
    if asked.about != QUEUE:
        raise UsageError(
            f"{asked.verb} what? not {asked.about[:200]!r}",
            hint=f"write {{{asked.verb}: queue, server: NAME}}",
        )
    server = asked.tree.get("server")
    if server is None:
        return None
    name = servers.check_name(str(server))
    found = servers.heard(layout)
    known = {*(str(beat["name"]) for beat in found.beats), *found.unread}
    if name not in known:
        are = "are" if len(known) > 1 else "is"
        raise UsageError(
            f"there is no server {name!r}", hint=f"there {are} {', '.join(sorted(known)) or 'none'}"
        )
    return name
