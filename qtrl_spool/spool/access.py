"""What lets somebody in who may not put things into a drop box.

Called by ``spool.doctor`` and by the client, whose drop was refused. Fails: `StorageError`, in `opened_by`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from qtrl_spool import fs, host
from qtrl_spool.errors import StorageError
from qtrl_spool.spool.mounts import mount_of

REPAIR = "'qtrl-spool doctor --repair' makes it anew"
_GROUPLESS = "its group is root: an admin does chgrp GROUP, one that all of you are in, and chmod g+ws to {0}"
_SHUT = "its owner or an admin lets the group in: chmod g+ws {0}"
_JOIN = "join the group that owns it, {1}, and log in again"
_OTHER = "you are in the group that owns it: look at the mount and at its access list, getfacl {0}"


def way_in(boxes: Iterable[Path], groups: Collection[int] | None = None) -> str:
    """Return what to do about drop boxes that somebody cannot write to.

    Parameters
    ----------
    boxes:
        The folders.
    groups:
        Numbers of the groups that somebody is in; None: those of this process.
    """
    mine, shut = host.own_groups() if groups is None else groups, list(boxes)
    mount = mount_of(shut[0]) if shut else None
    if mount is not None and mount.is_read_only:
        return f"{mount.point} is mounted read-only: mount it read-write"
    found: dict[tuple[str, str], list[Path]] = {}
    for box in shut:
        found.setdefault(_remedy(box, mine), []).append(box)
    return "; ".join(text.format(" ".join(map(str, each)), group) for (text, group), each in found.items())


def _remedy(box: Path, groups: Collection[int]) -> tuple[str, str]:
    """Return what helps with one box, and the name of its group where that counts."""
    try:
        facts = fs.facts(box)
    except StorageError:
        facts = None
    if facts is None:
        return REPAIR, ""
    if facts.st_gid == 0 and os.name != "nt":
        return _GROUPLESS, ""
    if facts.st_gid not in groups:
        return _JOIN, host.group_name(facts.st_gid)
    return (_OTHER if facts.st_mode & 0o020 else _SHUT), ""


def opened_by(error: BaseException) -> str | None:
    """Return what lets somebody in whom the permissions of a path kept out; None if it was not that."""
    refused = error.__cause__
    if not isinstance(refused, PermissionError) or refused.filename is None:
        return None
    path = Path(os.fsdecode(refused.filename))
    shut = next((each for each in (*reversed(path.parents), path) if not os.access(each, os.X_OK)), path)
    facts = fs.facts(shut)
    if facts is None:
        return None
    rights = "u+rwx,go+rx" if stat.S_ISDIR(facts.st_mode) else "u+rw,go+r"
    who = f"its owner, {host.user_name(facts.st_uid)}, or root" if facts.st_uid else "root, its owner,"
    return f"{who} does chmod {rights} {shut}"


def explain(error: StorageError, box: Path) -> None:
    """Let the error of a drop that a box did not take say what helps."""
    if isinstance(error.__cause__, PermissionError):
        error.hint = way_in([box])
    elif isinstance(error.__cause__, FileNotFoundError):
        error.hint = REPAIR
