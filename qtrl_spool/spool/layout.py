"""Where everything lies in a spool: the only owner of its paths.

A spool is one directory; this module turns it into names and back, and makes a new one. It reads
directories to know the priorities, nothing else. Called by everything that touches the spool.
"""

from __future__ import annotations

import os
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError, StorageError, UsageError
from qtrl_spool.job import date_of, parse_priority

MARK = "spool.yaml"
DEFAULT_PRIORITY = 50
BOX_MODE = 0o3775
"""Permissions of a drop box: sticky, the group of the folder for what is dropped, writable for that group."""
FIRST_PRIORITIES = ("10-urgent", "30-high", "50-normal", "70-low", "90-idle")


class Layout:
    """The paths of one spool.

    Parameters
    ----------
    root:
        The spool's directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = root / MARK
        self.incoming = root / "incoming"
        self.accepting = root / "accepting"
        self.requests = root / "requests"
        self.answered = self.requests / "answered"
        self.queue = root / "queue"
        self.held = root / "held"
        self.running = root / "running"
        self.rejected = root / "rejected"
        self.jobs = root / "jobs"
        self.config = root / "config"
        self.servers = root / "servers"
        self.paused = self.servers / "paused"
        self.claim_lock = self.servers / "claim.lock"
        self.snapshot = root / "queue.json"

    @classmethod
    def of(cls, root: Path | str) -> Layout:
        """Return the layout of the spool at `root`.

        Raises
        ------
        NotFoundError
            If there is no spool.
        """
        layout = cls(Path(root).expanduser().absolute())
        if not fs.is_file(layout.mark):
            raise NotFoundError(
                f"there is no spool at {layout.root}: it holds no {MARK}",
                hint="is the share that it lies on mounted? --spool DIR or QTRL_SPOOL names another one; "
                f"'qtrl-spool init {layout.root}' makes a new, empty one",
            )
        return layout

    @property
    def folders(self) -> tuple[Path, ...]:
        """The directories that every spool has, but for those of its configuration."""
        return (
            self.incoming,
            self.accepting,
            self.requests,
            self.answered,
            self.queue,
            self.held,
            self.running,
            self.rejected,
            self.jobs,
            self.servers,
        )

    @property
    def drop_boxes(self) -> tuple[Path, ...]:
        """The directories in which people put things: a folder that is no priority was dropped itself."""
        names = (name for name in fs.folders(self.incoming) if parse_priority(name) is not None)
        return (self.incoming, *(self.incoming / name for name in names), self.requests)

    def home(self, job_id: str) -> Path:
        """Return a job's permanent home."""
        return self.jobs / date_of(job_id) / job_id

    def status(self, job_id: str) -> Path:
        """Return the path of a job's status record."""
        return self.home(job_id) / "status.json"

    def claimed_by(self, server: str) -> Path:
        """Return the folder of the tickets that `server` claimed."""
        return self.running / server

    def accepting_by(self, server: str) -> Path:
        """Return the folder of the drops that `server` is accepting."""
        return self.accepting / server

    def heartbeat(self, server: str) -> Path:
        """Return the path of a server's heartbeat."""
        return self.servers / f"{server}.json"

    def timings(self, server: str) -> Path:
        """Return the path of what a server has learnt of the times that jobs take."""
        return self.servers / f"{server}.timings.json"

    def server_lock(self, server: str) -> Path:
        """Return the path of the lock that a server holds for life."""
        return self.servers / f"{server}.lock"

    # ------------------------------------------------------------ priorities

    def priorities(self) -> dict[str, int]:
        """Return every priority's directory name and number, most urgent first.

        A directory made in ``incoming/`` or in ``queue/`` is a priority; two with one number are one.
        """
        found = {}
        for folder in (*fs.folders(self.incoming), *fs.folders(self.queue)):
            parsed = parse_priority(folder)
            if parsed is not None:
                found[folder] = parsed[0]
        return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))

    def priority_folder(self, number: int) -> str:
        """Return the first directory name of the priority `number`; the bare number if it has none yet."""
        return next((name for name, each in self.priorities().items() if each == number), str(number))

    def box(self, number: int) -> Path:
        """Return the drop box of the priority `number`, also if it is not there."""
        return self.incoming / (_numbered(self.incoming).get(number) or self.priority_folder(number))

    def lacking(self) -> list[Path]:
        """Return the folders of priorities that have one in only one of ``incoming/`` and ``queue/``."""
        boxes, waiting = _numbered(self.incoming), _numbered(self.queue)
        return [
            *(self.incoming / name for number, name in waiting.items() if number not in boxes),
            *(self.queue / name for number, name in boxes.items() if number not in waiting),
        ]

    def priority(self, word: str | int) -> int:
        """Return the number of a priority given as ``10``, ``urgent`` or ``10-urgent``.

        Raises
        ------
        UsageError
            If the spool has no such priority.
        """
        known = self.priorities()
        for folder, number in known.items():
            parsed = parse_priority(folder)
            label = parsed[1] if parsed else ""
            if str(word) in {folder, str(number), label}:
                return number
        raise UsageError(
            f"the spool has no priority {word!r}",
            hint=f"it has {', '.join(known)}; a new one is a directory made in {self.incoming}",
        )


def _numbered(folder: Path) -> dict[int, str]:
    """Return the first name of each priority that has a directory in `folder`, by its number."""
    names = ((parse_priority(name), name) for name in reversed(fs.folders(folder)))
    return {parsed[0]: name for parsed, name in names if parsed is not None}


def make(root: Path, settings: str) -> Layout:
    """Make the directories of a new spool; `settings` becomes its ``spool.yaml``, last of all.

    The configuration must be made by the caller before: ``spool.yaml`` marks a spool that is whole.

    Raises
    ------
    StorageError
        If there is a spool already, or the directory cannot be made.
    """
    layout = Layout(root.expanduser().absolute())
    if fs.exists(layout.mark):
        raise StorageError(f"there is a spool at {layout.root} already", hint="nothing was changed")
    for folder in (
        *(layout.incoming / name for name in FIRST_PRIORITIES),
        *(layout.queue / name for name in FIRST_PRIORITIES),
        *layout.folders,
    ):
        fs.make_folder(folder)
    _open_boxes(layout)
    fs.replace(layout.mark, settings.encode())
    return layout


def _open_boxes(layout: Layout) -> None:
    """Make the drop boxes sticky and group-writable, where the file system has such a thing."""
    if os.name == "nt":
        return
    for box in layout.drop_boxes:
        with fs.reporting("set the permissions of", box):
            box.chmod(BOX_MODE)
