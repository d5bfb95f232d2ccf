"""The names of drops on their way from ``incoming/`` to ``queue/``.

A server takes a drop by renaming it to ``accepting/<server>/<priority>~<job-id>~<name>``: that
rename decides between servers, and the name carries all that acceptance needs, so that a server
that dies in between goes on with the same id after a restart. A copy of a drop that could not be
renamed is called ``<priority>+<uid>~…``: it is the server's own file, but not its job. A request is
taken in the same way, under ``request~<token>~<name>``: the token tells it from every other request
that ever has the same name. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qtrl_spool.job import is_id

REQUEST = "request~"
"""What the name of a request that a server took begins with."""
_LONGEST = 120
_TAKEN_REQUEST = re.compile(REQUEST + r"[0-9a-f]{16}~(?P<name>.+)", re.DOTALL)
_TAKEN = re.compile(r"(?P<priority>\d+)(?:\+(?P<uid>\d+))?~(?P<id>[^~]+)~(?P<name>.+)", re.DOTALL | re.ASCII)


def shortened(name: str) -> str:
    """Return the end of a file's name, short enough to have something put before it.

    In plain UTF-8, and without control or direction characters, which would steer the terminal of whoever
    lists the folder or reads the log: ``_`` stands for them.
    """
    plain = "".join(each if each.isprintable() else "_" for each in name)
    return plain.encode()[-_LONGEST:].decode(errors="ignore")


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
    uid:
        Number of the user who dropped it, if it is a copy; else its file's owner tells.
    """

    priority: int
    job_id: str
    name: str
    uid: int | None = None

    @property
    def file_name(self) -> str:
        """The name in ``accepting/<server>/``."""
        owner = "" if self.uid is None else f"+{self.uid}"
        return f"{self.priority}{owner}~{self.job_id}~{shortened(self.name)}"


def parse_taken(file_name: str) -> Taken | None:
    """Return what the name of a taken drop says, or None if it is none."""
    match = _TAKEN.fullmatch(file_name)
    if match is None or not is_id(match["id"]):
        return None
    uid = None if match["uid"] is None else int(match["uid"])
    return Taken(int(match["priority"]), match["id"], match["name"], uid)


def taken_request(name: str, token: str) -> str:
    """Return what the request `name` is called once it is taken; `token` is 16 hexadecimal digits."""
    return f"{REQUEST}{token}~{name}"


def parse_taken_request(file_name: str) -> str | None:
    """Return the name of a request that a server has taken, or None if it is none."""
    match = _TAKEN_REQUEST.fullmatch(file_name)
    return None if match is None else match["name"]


def is_taken(name: str) -> bool:
    """Return whether a file in ``accepting/<server>/`` is a drop or a request that the server took."""
    return parse_taken(name) is not None or name.startswith(REQUEST)
