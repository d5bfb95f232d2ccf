"""The drop boxes below ``incoming/``: which there are, and what lies in them, however much it is.

A box may be anybody's: a priority's directory is made by whoever wants one, and whoever made it can put a
link in its place. So each is opened once, never through a link, and what lies in it is looked at, read and
taken through that descriptor.

Called by the server's intake. Fails: `StorageError` if ``incoming/`` itself cannot be listed. A box that the
server may not look into does not keep the others: it is named in `Boxes.shut`; nor does one, or a drop, for
which the storage fails: it is named in `Boxes.troubles`, and what is called like a priority is never a drop
unless it was seen to be no folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.bundle.names import is_ignored
from qtrl_spool.errors import StorageError
from qtrl_spool.job import parse_priority
from qtrl_spool.spool.layout import DEFAULT_PRIORITY
from qtrl_spool.spool.untrusted import OpenFolder, opened_folder

MOST_BOXES, MOST_ENTRIES = 200, 50_000
"""So many boxes, and entries of one box, are looked at; what is more waits until others have gone."""
_MOST_MEMBERS = 1000
_NO_BOX = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM}
_SHUT = "the server may not look into it: make it readable (chmod g+rwx)"
_SURPLUS = f"there are more than {MOST_BOXES} priorities, it is not looked into"


@dataclass(frozen=True)
class Found:
    """Something that lies in a drop box.

    Attributes
    ----------
    priority:
        Of the box.
    box:
        The box, open.
    name:
        In the box.
    facts:
        What is known of it.
    """

    priority: int
    box: OpenFolder
    name: str
    facts: os.stat_result

    @property
    def path(self) -> Path:
        """Where it lies; to be shown, not to be opened."""
        return self.box.path / self.name

    @property
    def arrival(self) -> tuple[int, str]:
        """The sort key of drops that were found by one scan: as the storage saw them arrive."""
        return self.facts.st_ctime_ns, self.name

    def sync(self) -> None:
        """Make what it holds survive a power cut: whoever copied it in has perhaps not."""
        if not stat.S_ISDIR(self.facts.st_mode):
            with self.box.file(self.name) as file:
                file.sync()
            return
        with self.box.folder(self.name) as folder:
            for name, facts in folder.entries(_MOST_MEMBERS).items():
                if stat.S_ISREG(facts.st_mode):
                    with folder.file(name) as file:
                        file.sync()
            folder.sync()


@dataclass(frozen=True)
class Boxes:
    """What lies in all drop boxes.

    Attributes
    ----------
    found:
        What may be drops, in the order in which they arrived.
    shut:
        Why some boxes were not looked into.
    troubles:
        What the storage refused, of drops and of boxes.
    """

    found: list[Found] = field(default_factory=list)
    shut: dict[Path, str] = field(default_factory=dict)
    troubles: dict[Path, StorageError] = field(default_factory=dict)

    def seen(self, box: OpenFolder) -> dict[str, os.stat_result]:
        """Return what in a box may be a drop or a priority, by name; note what cannot be looked at."""
        found = {}
        for name in box.names(MOST_ENTRIES):
            try:
                facts = None if _is_no_drop(name) else box.facts_of(name)
            except PermissionError:
                self.shut[box.path] = _SHUT
                continue
            except OSError as error:
                self.troubles[box.path / name] = _told("look at", box.path / name, error)
                continue
            if facts is not None:
                found[name] = facts
        return found


def look_into(incoming: Path, stack: ExitStack) -> Boxes:
    """Return what lies in ``incoming/`` and its priorities; the boxes stay open until `stack` is closed.

    Raises
    ------
    StorageError
        If ``incoming/`` cannot be listed.
    """
    boxes = Boxes()
    if not fs.exists(incoming):
        return boxes
    with fs.reporting("list", incoming):
        top = stack.enter_context(opened_folder(incoming))
        seen = boxes.seen(top)
    inner = sorted(_priorities(seen))
    taken = {name for _, name in inner}
    boxes.found.extend(
        Found(DEFAULT_PRIORITY, top, name, facts) for name, facts in seen.items() if name not in taken
    )
    for number, name in inner[:MOST_BOXES]:
        try:
            box = stack.enter_context(top.folder(name))
            inside = boxes.seen(box)
        except PermissionError:
            boxes.shut[incoming / name] = _SHUT
        except FileNotFoundError:
            continue
        except OSError as error:
            boxes.troubles[incoming / name] = _told("list", incoming / name, error)
        else:
            boxes.found.extend(Found(number, box, each, facts) for each, facts in inside.items())
    boxes.shut.update({incoming / name: _SURPLUS for _, name in inner[MOST_BOXES:]})
    boxes.found.sort(key=lambda each: each.arrival)
    return boxes


def sync_boxes(incoming: Path) -> dict[int, StorageError]:
    """Make what was moved out of the boxes stay out of them; return what was refused, by priority.

    A box that is not there, or that the server may not look into, is left out.
    """
    refused: dict[int, StorageError] = {}
    if not fs.exists(incoming):
        return refused
    with fs.reporting("sync", incoming), opened_folder(incoming) as top:
        top.sync()
        for name in top.names(MOST_ENTRIES):
            parsed = parse_priority(name)
            if parsed is None:
                continue
            try:
                with top.folder(name) as box:
                    box.sync()
            except OSError as error:
                if error.errno not in _NO_BOX:
                    refused[parsed[0]] = _told("sync", incoming / name, error)
    return refused


def _told(doing: str, path: Path, error: OSError) -> StorageError:
    """Return an error of the system as the package tells it."""
    try:
        with fs.reporting(doing, path):
            raise error
    except StorageError as told:
        return told


def _priorities(seen: Mapping[str, os.stat_result]) -> Iterator[tuple[int, str]]:
    """Yield number and name of the real folders that are priorities."""
    for name, facts in seen.items():
        parsed = parse_priority(name)
        if parsed and stat.S_ISDIR(facts.st_mode):
            yield parsed[0], name


def _is_no_drop(name: str) -> bool:
    return is_ignored(name) and parse_priority(name) is None
