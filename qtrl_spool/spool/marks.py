"""Marks of the jobs that a server is moving, and that it answers for: ``running/<server>/<job-id>.open``.

Whoever dies leaves its marks, and so whoever goes on in its place knows whose records may not say what their
tickets say. A server that stands still for longer than its lease may yet wake, and put an older record in the
place of a newer one. So the order is fixed. Who writes a record writes it beside its place, looks at its own
mark, and only then puts it in its place. Who takes over sets a mark of its own, removes the other's, removes
what lies beside the record, and writes it anew (see `Journal`). Whatever wakes then finds nothing to put in
its place, or no mark.
"""

from __future__ import annotations

from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.job import is_id
from qtrl_spool.spool.layout import Layout

_OPEN = ".open"


class Marks:
    """The marks of one server.

    Parameters
    ----------
    layout:
        The spool.
    server:
        Its name.
    durable:
        Whether a mark survives a power cut.
    """

    def __init__(self, layout: Layout, server: str, *, durable: bool = True) -> None:
        self.server = server
        self._folder = layout.claimed_by(server)
        self._durable = durable

    def open(self, job_id: str) -> bool:
        """Mark a job; return whether it was marked already, which the storage itself is asked."""
        mark = self.path(job_id)
        if fs.touched(mark):
            return True
        fs.make_folder(self._folder, durable=self._durable)
        fs.create(mark, durable=self._durable)
        return False

    def path(self, job_id: str) -> Path:
        """Return where the mark of a job lies, if there is one."""
        return self._folder / f"{job_id}{_OPEN}"

    def close(self, job_id: str) -> None:
        """Take a mark away: everything about the job is written."""
        fs.remove(self.path(job_id))

    def opened(self) -> list[str]:
        """Return the ids of the marked jobs."""
        return [name.removesuffix(_OPEN) for name in fs.names(self._folder) if is_mark(name)]


def is_mark(name: str) -> bool:
    """Return whether a file of that name is a mark."""
    return name.endswith(_OPEN) and is_id(name.removesuffix(_OPEN))
