"""Jobs that were dropped and are not yet accepted, and whether a job has come to its end.

Owns nothing; it looks at ``incoming/``, ``accepting/`` and at status records. Called by ``find``, by the
server, and by whoever has to know whether a job that another one waits for is still to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import DROP_SUFFIX, State, is_id, parse_final_name, parse_priority
from qtrl_spool.spool.accepting import parse_taken
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import DEFAULT_PRIORITY, Layout


def names_in_box(box: Path) -> list[str]:
    """Return what lies in a drop box; nothing, where its maker lets nobody look into it."""
    try:
        return fs.names(box)
    except StorageError as error:
        if isinstance(error.__cause__, PermissionError):
            return []
        raise


def unaccepted(layout: Layout) -> Iterator[tuple[str, int]]:
    """Return id and priority of the drops that bear an id and are not accepted yet."""
    for folder in ("", *fs.folders(layout.incoming)):
        priority = parse_priority(folder) or (DEFAULT_PRIORITY, "")
        for name in names_in_box(layout.incoming / folder):
            if name.endswith(DROP_SUFFIX) and is_id(name.removesuffix(DROP_SUFFIX)):
                yield name.removesuffix(DROP_SUFFIX), priority[0]
    for server in fs.folders(layout.accepting):
        for name in fs.names(layout.accepting_by(server)):
            taken = parse_taken(name)
            if taken is not None:
                yield taken.job_id, taken.priority


def is_arriving(layout: Layout, full_id: str) -> bool:
    """Return whether a drop of that id lies in ``incoming/`` or is being accepted."""
    return any(each == full_id for each, _ in unaccepted(layout))


def is_open(layout: Layout, full_id: str) -> bool:
    """Return whether a job is known and has not come to its end yet.

    One whose home is there and whose record cannot be seen, as a share may show it late, has ended when its
    ticket lies in its home; one whose home was removed has ended.
    """
    record = read_status(layout, full_id)
    if record is None and is_arriving(layout, full_id):
        return True
    record = record or read_status(layout, full_id)  # it may have been accepted between the two looks
    if record is not None:
        return not State(record["state"]).final
    home = layout.home(full_id)
    return home.name in fs.listed(home.parent) and not any(map(parse_final_name, fs.listed(home)))
