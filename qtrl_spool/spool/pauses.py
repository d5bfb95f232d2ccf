"""Pauses: small files that keep servers from taking jobs, until somebody resumes.

Owns: ``servers/paused/``, one file for each pause, written and removed by servers alone: ``all.json``
(the whole queue), ``server~<name>.json`` (one server, by an admin) and ``backend~<name>.json`` (one
server, by its own instrument). ``drain~<name>.json`` asks a server to end when nothing is left that it can
run; it goes with that server's end. Each is replaced whole, so that pausing twice is pausing once, and lies
there until it is resumed: a restart changes nothing. No file is changed by two parties for two reasons:
what an instrument asked for is not undone by a person, nor the other way round.

Fails: `StorageError`. A file that cannot be read counts as a pause: better idle than wrong.
"""

from __future__ import annotations

from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.spool.eligible import Pause
from qtrl_spool.spool.layout import Layout

FORMAT = "qtrl-pause/1"
_ALL, _SERVER, _BACKEND, _DRAIN = "all", "server~", "backend~", "drain~"


def _path(layout: Layout, server: str | None, *, by_backend: bool) -> Path:
    stem = _ALL if server is None else (_BACKEND if by_backend else _SERVER) + server
    return layout.paused / f"{stem}.json"


def pause(layout: Layout, pause: Pause, *, durable: bool = True) -> None:
    """Write a pause in the place of the one that the same party made before."""
    fs.make_folder(layout.paused, durable=durable)
    told = {"server": pause.server, "reason": pause.reason, "by": pause.by, "at": pause.at}
    target = _path(layout, pause.server, by_backend=pause.by_backend)
    fs.replace_json(target, {"format": FORMAT, **told}, durable=durable)


def resume(layout: Layout, server: str | None, *, by_backend: bool = False, durable: bool = True) -> bool:
    """Take a pause away; return whether there was one.

    Parameters
    ----------
    layout:
        The spool.
    server:
        The pause of this server; None: that of the whole queue.
    by_backend:
        The one that its instrument asked for, not the admins'.
    durable:
        Whether that survives a power cut.
    """
    path = _path(layout, server, by_backend=by_backend)
    if not fs.exists(path):
        return False
    fs.remove(path)
    if durable:
        fs.sync_folder(path.parent)
    return True


def pauses(layout: Layout) -> tuple[Pause, ...]:
    """Return every pause, that of the whole queue first."""
    names = [
        name
        for name in fs.names(layout.paused)
        if name.endswith(".json") and not name.startswith((".", _DRAIN))
    ]
    return tuple(filter(None, (_read(layout.paused / name) for name in names)))


def _read(path: Path) -> Pause | None:
    stem = path.name.removesuffix(".json")
    who, _, server = stem.partition("~")
    told = fs.read_json(path)
    if told is None and not fs.exists(path):
        return None
    told = told or {"reason": f"{path.name} cannot be read", "by": "nobody", "at": ""}
    reason, by, at = (str(told.get(key) or "") for key in ("reason", "by", "at"))
    return Pause(server or None, reason, by, at, by_backend=who == _BACKEND.rstrip("~"))


# ---------------------------------------------------------------- drains


def _drain_of(layout: Layout, server: str) -> Path:
    return layout.paused / f"{_DRAIN}{server}.json"


def drain(layout: Layout, server: str, *, by: str, at: str, durable: bool = True) -> None:
    """Ask a server to accept no more drops, and to end when nothing is left that it can run."""
    fs.make_folder(layout.paused)
    told = {"format": FORMAT, "server": server, "by": by, "at": at}
    fs.replace_json(_drain_of(layout, server), told, durable=durable)


def is_draining(layout: Layout, server: str) -> bool:
    """Return whether a server was asked to end."""
    return fs.exists(_drain_of(layout, server))


def end_drain(layout: Layout, server: str) -> None:
    """Forget that a server was asked to end: it has, or it begins anew."""
    fs.remove(_drain_of(layout, server))
