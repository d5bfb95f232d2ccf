"""Tries a storage: durable writes, renames, locks, the clock, whose a file is, space.

Owns nothing: it writes into a temporary folder of ``requests/``, which everybody who may use the spool
can write to, and takes it away again. Called by ``spool.doctor``.

Known limits: it tries the storage from this machine alone. That two machines see each other's locks and
files in time can only be seen with two machines. Whether a file of one user is shown as another's can
only be tried by root.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.spool.findings import FINE, NOTE, WRONG, Finding
from qtrl_spool.spool.layout import Layout

_SLOW_WRITE_S = 0.2
_LEAST_FREE_BYTES = 1_000_000_000
_SKEW_S = 2.0
_N_WRITES = 5
_SOMEBODY = 65000


def storage(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Yield what trials in a temporary folder of ``requests/`` find."""
    if not os.access(layout.requests, os.W_OK | os.X_OK):
        yield Finding("storage", NOTE, f"not tried: you may not write to {layout.requests}")
        return
    folder = fs.temporary_name(layout.requests / "doctor")
    fs.make_folder(folder)
    try:
        yield _writing(folder)
        yield _renaming(folder)
        yield _locking(folder)
        yield _clock(folder, now)
        yield from _ownership(layout, folder)
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


def _ownership(layout: Layout, folder: Path) -> Iterator[Finding]:
    if not hasattr(os, "geteuid"):
        return
    path = folder / "owner"
    fs.replace(path, b"")
    made = _owner(path)
    given = _given_away(path) if os.geteuid() == 0 else None
    others = {_owner(each) for each in (layout.mark, *layout.drop_boxes)} - {made}
    yield ownership(os.geteuid(), made, given, has_others=bool(others))


def _owner(path: Path) -> int:
    facts = fs.facts(path)
    return -1 if facts is None else facts.st_uid


def _given_away(path: Path) -> int | None:
    """Return whose file root's is after root gave it to `_SOMEBODY`; None if root may not."""
    try:
        os.chown(path, _SOMEBODY, -1)
    except OSError:
        return None
    return _owner(path)


def ownership(user: int, made: int, given: int | None, *, has_others: bool) -> Finding:
    """Return whether the storage tells apart whose a file is.

    Parameters
    ----------
    user:
        Number of the user who tries.
    made:
        Whose file one is that this user made.
    given:
        Whose it is after root gave it to `_SOMEBODY`; None if nobody could.
    has_others:
        Whether there are files of others.
    """
    if given not in (None, _SOMEBODY) or made != user:
        shown = made if made != user else given
        return Finding(
            "ownership",
            NOTE,
            f"off: the storage shows a file of user {user if made != user else _SOMEBODY} as user {shown}'s, "
            "so that anybody can steer everybody's jobs",
            "mount it with the users' own numbers (not with uid=, all_squash or their like)",
        )
    if given is None and not has_others:
        return Finding(
            "ownership", FINE, "a file of yours is shown as yours; others' are to be seen by root alone"
        )
    return Finding("ownership", FINE, "the storage tells apart whose a file is")


def space(layout: Layout, now: datetime) -> Iterator[Finding]:
    """Yield how much space is left."""
    del now
    free = fs.free_bytes(layout.root)
    said = f"{free / 1e9:.1f} GB are free"
    if free < _LEAST_FREE_BYTES:
        yield Finding("space", WRONG, said, "free some; old results are in jobs/<date>/")
    else:
        yield Finding("space", FINE, said)
