"""Drops that were copied because the server may read but not move them: remembered, never run twice.

Owns: ``accepting/.copied/``, one small file for each such drop that still lies in ``incoming/``. Its
name follows from path, owner and content (not from times or inode numbers, which a share may
change); it holds the id under which the drop was copied. When the drop has gone, at two looks in a row, so
has its mark, and the same thing dropped again is a new job.

Called by the server's intake; `copied` by ``find``. Fails: `StorageError`. A mark that cannot be read keeps
nobody: it is told, and left out.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.untrusted import opened_folder

_MOST_MEMBERS = 100
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES}
Tell = Callable[[StorageError], object]


def _folder(layout: Layout) -> Path:
    return layout.accepting / ".copied"


def fingerprint(path: Path) -> str:
    """Return a text that changes when a file, or a folder's list of files, is changed or made anew."""
    inside = _first_names(path)
    seen = [(each.name, fs.facts(each)) for each in (path, *(path / name for name in inside))]
    return repr([(name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in seen if at is not None])


def _first_names(folder: Path) -> list[str]:
    """Return some of the names in a folder, always the same ones while it is not changed; none in a file."""
    with fs.reporting("list", folder):
        try:
            with opened_folder(folder) as opened:
                return sorted(opened.names(_MOST_MEMBERS))
        except OSError as error:
            if error.errno in _NO_FOLDER:
                return []
            raise


def mark(layout: Layout, path: Path, uid: int, content: str, job_id: str, *, durable: bool = True) -> str:
    """Return the id under which a drop was copied before; remember `job_id` if it was not.

    Parameters
    ----------
    layout:
        The spool.
    path:
        Where the drop lies.
    uid:
        Its owner.
    content:
        SHA-256 of what it holds.
    job_id:
        The id that a first copy shall have.
    durable:
        Whether the memory survives a power cut.
    """
    import hashlib

    place = path.relative_to(layout.incoming).as_posix()
    digest = hashlib.sha256(f"{place}\0{uid}\0{content}".encode(errors="replace")).hexdigest()
    file = _folder(layout) / f"{digest[:32]}.json"
    known = fs.read_json(file)
    if known is not None and "id" in known:
        return str(known["id"])
    fs.make_folder(_folder(layout), durable=durable)
    fs.replace_json(file, {"id": job_id, "drop": place}, durable=durable)
    return job_id


def copied(layout: Layout) -> dict[str, str]:
    """Return the drops in ``incoming/`` that were copied, by their path there, with their ids."""
    return {drop: job_id for _, drop, job_id in _marks(layout, lambda trouble: None)}


def _marks(layout: Layout, tell: Tell) -> Iterator[tuple[Path, str, str]]:
    """Yield every mark that can be read: its file, the drop's path in ``incoming/``, and the id."""
    folder = _folder(layout)
    for name in fs.names(folder):
        if not name.endswith(".json"):
            continue
        try:
            known = fs.read_json(folder / name)
        except StorageError as trouble:
            tell(trouble)
            continue
        if known is not None and {"drop", "id"} <= known.keys():
            yield folder / name, str(known["drop"]), str(known["id"])


def forget_removed(layout: Layout, missed: set[str], tell: Tell = lambda trouble: None) -> set[str]:
    """Take away the marks of drops that have gone; return the drops that have, for the next look.

    Parameters
    ----------
    layout:
        The spool.
    missed:
        The drops that the last look missed: a share may not show one for a moment.
    tell:
        Called with each trouble; the other marks are looked after all the same.
    """
    missing = set()
    for file, drop, _ in _marks(layout, tell):
        try:
            if _is_gone(layout, drop):
                missing.add(drop)
                if drop in missed:
                    fs.remove(file)
        except StorageError as trouble:
            tell(trouble)
    return missing


def _is_gone(layout: Layout, drop: str) -> bool:
    """Return whether a drop, or the box that it lay in, is surely not there."""
    path = layout.incoming / drop
    if path.parent != layout.incoming and fs.is_gone(path.parent):
        return True
    return fs.is_gone(path) and path.name not in fs.listed(path.parent)
