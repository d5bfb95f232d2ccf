"""The names of drops on their way from ``incoming/`` to ``queue/``.

A server takes a drop by renaming it to ``accepting/<server>/<priority>~<job-id>~<name>``: that
rename decides between servers, and the name carries all that acceptance needs, so that a server
that dies in between goes on with the same id after a restart. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from qtrl_spool.job import is_id

_LONGEST = 120


def shortened(name: str) -> str:
    """Return the end of a file's name, short enough to have something put before it; in plain UTF-8."""
    return name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")


@dataclass(frozen=True)
class Taken:
    """What the name of a taken drop says.

    Attributes
    ----------
    priority:
        Where it was dropped.
    job_id:
        The id that the job will have.
    name:
        The end of the name that it was dropped under.
    """

    priority: int
    job_id: str
    name: str

    @property
    def file_name(self) -> str:
        """The name in ``accepting/<server>/``."""
        return f"{self.priority}~{self.job_id}~{shortened(self.name)}"


def parse_taken(file_name: str) -> Taken | None:
    """Return what the name of a taken drop says, or None if it is none."""
    priority, _, rest = file_name.partition("~")
    job_id, _, name = rest.partition("~")
    if not priority.isdigit() or not is_id(job_id) or not name:
        return None
    return Taken(int(priority), job_id, name)
