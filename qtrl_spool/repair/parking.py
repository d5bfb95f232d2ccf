"""``lost+found/``: where a repair puts what lies in the wrong place. It deletes nothing.

Owns: ``lost+found/`` of a spool, in which everything lies under the path that it had. Where a file system has
a folder of that name for itself, at its root, the spool's is called ``lost+found.spool``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.spool.layout import Layout


def may_write(folder: Path) -> bool:
    """Return whether the user as whom this process acts may make files in a folder."""
    effective = os.access in os.supports_effective_ids
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=effective)


class Parking:
    """The place for what is found and not wanted where it is.

    Parameters
    ----------
    layout:
        The spool.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        first = layout.root / "lost+found"
        usable = not fs.exists(first) or may_write(first)
        self.folder = first if usable else layout.root / "lost+found.spool"

    def park(self, path: Path) -> Path | None:
        """Move a file or a folder here; None if it had gone."""
        target = self._free(path)
        fs.make_folder(target.parent)
        return target if fs.move(path, target) else None

    def keep(self, path: Path, data: bytes) -> Path:
        """Put a copy of a file's bytes here, before the file is written anew; the same copy once only."""
        target = next(each for each in self._names(path) if not fs.exists(each) or fs.read(each) == data)
        if not fs.exists(target):
            fs.make_folder(target.parent)
            fs.replace(target, data)
        return target

    def _free(self, path: Path) -> Path:
        return next(each for each in self._names(path) if not fs.exists(each))

    def _names(self, path: Path) -> Iterator[Path]:
        """Yield the names that a thing may have here: its own path, then with a number."""
        place = self.folder / path.relative_to(self._layout.root)
        yield place
        yield from (place.with_name(f"{place.name[:200]}~{n}") for n in count(2))

    def tickets_of(self, job_id: str) -> list[Path]:
        """Return the files here that were tickets of a job, or copies of them."""
        found = []
        for folder, _, names in os.walk(self.folder):
            found += [Path(folder) / name for name in names if job_id in name or job_id in folder]
        return sorted(path for path in found if ".qjob" in path.name)

    def below(self, path: Path) -> str:
        """Return a path as people name it: relative to the spool."""
        return path.relative_to(self._layout.root).as_posix()
