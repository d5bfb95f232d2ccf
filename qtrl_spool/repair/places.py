"""Puts folders, permissions and what lies out of place right, and who may do so.

Called by ``repair``. Root acts as the owner of the spool, so that whatever is made belongs to the server.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from qtrl_spool import fs, host
from qtrl_spool.errors import OperatorError, StorageError
from qtrl_spool.job import parse_priority
from qtrl_spool.repair.mending import FAILED, MENDED, Mending, refused
from qtrl_spool.repair.parking import Parking, may_write
from qtrl_spool.spool import survey
from qtrl_spool.spool.layout import BOX_MODE, Layout


@contextmanager
def acting_as_owner(layout: Layout) -> Iterator[None]:
    """Act as the user whose spool it is.

    Raises
    ------
    OperatorError
        If this user is neither root nor may write to the spool.
    """
    facts = fs.facts(layout.mark)
    if facts is None or os.name == "nt" or os.geteuid() != 0 or facts.st_uid == 0:
        _check_user(layout, -1 if facts is None else facts.st_uid)
        yield
        return
    os.setegid(facts.st_gid)
    os.seteuid(facts.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _check_user(layout: Layout, owner: int) -> None:
    written = (layout.root, layout.queue, layout.jobs, layout.servers)
    shut = [folder for folder in written if fs.is_folder(folder) and not may_write(folder)]
    if shut and os.geteuid() == 0:
        raise OperatorError(f"{shut[0]} cannot be written to", hint="is the storage mounted read-only?")
    if shut:
        raise OperatorError(
            f"you may not write to {shut[0]}, so you cannot repair the spool",
            hint=f"do it as {' or '.join(dict.fromkeys((host.user_name(owner), 'root')))}",
        )


# ---------------------------------------------------------------- folders


def mend_folders(layout: Layout) -> Iterator[Mending]:
    """Make the folders that are missing, and open the drop boxes."""
    parking = Parking(layout)
    for folder in layout.folders:
        what = folder.relative_to(layout.root).as_posix()
        try:
            if fs.exists(folder) and not fs.is_folder(folder):
                aside = parking.park(folder)
                where = "" if aside is None else f" in {parking.below(aside)}"
                yield Mending(
                    MENDED, what, f"something else lay in the place of this folder: put aside{where}"
                )
            if not fs.is_folder(folder):
                fs.make_folder(folder)
                yield Mending(MENDED, what, "the folder was missing: made anew")
        except (StorageError, OSError) as error:
            yield refused(what, error)
    for folder in layout.lacking():
        yield _make_other(layout, folder)
    for box in _boxes(layout):
        yield from _open_box(layout, box)


def _make_other(layout: Layout, folder: Path) -> Mending:
    """Make the second folder of a priority that has only one of two."""
    what = folder.relative_to(layout.root).as_posix()
    try:
        fs.make_folder(folder, mode=BOX_MODE if folder.parent == layout.incoming else None)
    except (StorageError, OSError) as error:
        return refused(what, error)
    return Mending(MENDED, what, "its priority had only one of its two folders: made anew")


def _boxes(layout: Layout) -> list[Path]:
    priorities = [name for name in fs.folders(layout.incoming) if parse_priority(name)]
    return [layout.incoming, *(layout.incoming / name for name in priorities), layout.requests]


def _open_box(layout: Layout, box: Path) -> Iterator[Mending]:
    facts = fs.facts(box)
    if os.name == "nt" or facts is None or facts.st_mode & BOX_MODE == BOX_MODE:
        return
    what, mode = box.relative_to(layout.root).as_posix(), (facts.st_mode & 0o7777) | BOX_MODE
    try:
        with fs.reporting("set the permissions of", box):
            box.chmod(mode)
    except (StorageError, OSError) as error:
        yield Mending(FAILED, what, str(error), f"as its owner or root: chmod {mode:o} {box}")
        return
    after = fs.facts(box)
    if after is not None and after.st_mode & BOX_MODE == BOX_MODE:
        yield Mending(MENDED, what, f"people could not drop there safely: its permissions are {mode:o} now")
    else:
        said = "the storage does not keep permissions: who may drop there is decided by the mount"
        yield Mending(FAILED, what, said, "mount it so that the lab's group may write")


# ---------------------------------------------------------------- what lies out of place


def mend_places(parking: Parking, found: Mapping[str, Path | None]) -> Iterator[Mending]:
    """Put tickets where they belong, and strays aside."""
    for text, target in found.items():
        path = Path(text)
        try:
            if target is not None and not fs.exists(target):
                fs.make_folder(target.parent)
                if fs.move(path, target):
                    said = f"a ticket lay in the wrong place: it lies in {parking.below(target)} now"
                    yield Mending(MENDED, parking.below(path), said)
                continue
            yield from _park(parking, path, "it does not belong there")
        except (StorageError, OSError) as error:
            yield refused(parking.below(path), error)


def mend_marks(layout: Layout, parking: Parking, living: Iterable[str]) -> Iterator[Mending]:
    """Put the marks of open jobs aside that no server looks after, and whose jobs are right."""
    lives = set(living)
    claimed = {
        job_id for job_id, places in survey.open_places(layout).items() if any(p.server for p in places)
    }
    for text, (server, job_id) in survey.marks(layout).items():
        if server not in lives and job_id not in claimed:
            yield from _park(
                parking, Path(text), "a server that is gone left this mark, and its job is right"
            )


def mend_leftovers(layout: Layout, parking: Parking, old: Iterable[Path]) -> Iterator[Mending]:
    """Put temporary files aside that were left behind."""
    for path in old:
        yield from _park(parking, path, "a temporary file that was left behind")


def _park(parking: Parking, path: Path, why: str) -> Iterator[Mending]:
    try:
        aside = parking.park(path)
    except (StorageError, OSError) as error:
        yield refused(parking.below(path), error)
        return
    if aside is not None:
        yield Mending(MENDED, parking.below(path), f"{why}: put aside in {parking.below(aside)}")
