"""Drops that were copied because the server may read but not move them: remembered, never run twice.

Owns: ``accepting/.copied/``, one small file for each such drop that still lies in ``incoming/``. Its
name follows from path, owner and content (not from times or inode numbers, which a share may
change); it holds the id under which the drop was copied. When the drop has gone, so has its mark,
and the same thing dropped again is a new job.
"""

from __future__ import annotations

from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.spool.layout import Layout

_MOST_MEMBERS = 100


def _folder(layout: Layout) -> Path:
    return layout.accepting / ".copied"


def fingerprint(path: Path) -> str:
    """Return a text that changes when a file, or a folder's list of files, is changed or made anew."""
    inside = fs.names(path)[:_MOST_MEMBERS]
    seen = [(each.name, fs.facts(each)) for each in (path, *(path / name for name in inside))]
    return repr([(name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in seen if at is not None])


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
    if known is not None:
        return str(known["id"])
    fs.make_folder(_folder(layout), durable=durable)
    fs.replace_json(file, {"id": job_id, "drop": place}, durable=durable)
    return job_id


def copied(layout: Layout) -> dict[str, str]:
    """Return the drops in ``incoming/`` that were copied, by their path there, with their ids."""
    folder = _folder(layout)
    marks = [fs.read_json(folder / name) for name in fs.names(folder) if name.endswith(".json")]
    return {str(each["drop"]): str(each["id"]) for each in marks if each is not None}


def forget_removed(layout: Layout) -> None:
    """Take away the marks of drops that have gone."""
    folder = _folder(layout)
    for name in fs.names(folder):
        known = fs.read_json(folder / name)
        if known is not None and not fs.exists(layout.incoming / str(known["drop"])):
            fs.remove(folder / name)
