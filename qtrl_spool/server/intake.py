"""From ``incoming/`` to ``queue/``: take a drop, check it, make it a job, or reject it.

::

    incoming/50-normal/rabi.yaml
      → accepting/<server>/50~<id>~rabi.yaml      one rename: it decides between servers and fixes the id
      → jobs/<date>/<id>/ with status.json        the job can be asked for from here on
      → queue/50-normal/<ticket>                  one rename of the server's own copy: accepted
      → (the drop is removed)

A death after any arrow is mended by going through the rest again: every step can be done twice.
The drop itself is never the ticket: whoever dropped it may still hold it open. A drop that the
server may read but not move (somebody else's folder) is copied instead, and the copy is remembered
for as long as the drop lies there, so that it is run once however often it is seen.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.bundle import Bundle, Limits, job_name, pack
from qtrl_spool.config import Configuration
from qtrl_spool.errors import StorageError
from qtrl_spool.job import (
    DROP_SUFFIX,
    ID_LETTERS,
    is_id,
    make_id,
    parse_priority,
)
from qtrl_spool.server.acceptance import Acceptance, stem
from qtrl_spool.server.box import Box
from qtrl_spool.spool import copies, drops, servers
from qtrl_spool.spool.accepting import Taken, parse_taken, shortened
from qtrl_spool.spool.find import is_arriving
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal, read_events, read_status
from qtrl_spool.spool.layout import DEFAULT_PRIORITY, Layout
from qtrl_spool.spool.settings import Settings

_log = logging.getLogger(__name__)


def new_letters() -> str:
    """Return five random characters for a job id."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(5))


class Intake:
    """Accepts drops for one server.

    Parameters
    ----------
    layout, settings:
        The spool.
    journal:
        Of this server.
    server:
        Its name.
    default:
        Returns the default configuration at a version, or in force for ``latest`` and ``submitted``.
    was_renamed:
        Whether a path was seen to be renamed in: such a drop is whole.
    index:
        Of the tickets.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        journal: Journal,
        server: str,
        default: Callable[[int | str], Configuration],
        was_renamed: Callable[[Path], bool],
        index: Index,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._index = index
        self._server = server
        limits = Limits.from_dict(settings.limits)
        self._box = Box[drops.Whole](drops.look, settings, limits, was_renamed)
        self._acceptance = Acceptance(layout, journal, server, limits, default, durable=settings.durable)
        self._seen_copied: dict[Path, str] = {}

    @property
    def recheck_after_s(self) -> float | None:
        """When an unfinished drop should be looked at again; None if there is none."""
        return self._box.recheck_after_s

    def waiting(self) -> list[dict[str, str]]:
        """Return the unfinished drops, by their path in ``incoming/``, and what each lacks."""
        return [
            {"drop": path.relative_to(self._layout.incoming).as_posix(), "reason": reason}
            for path, reason in self._box.waiting.items()
        ]

    def next_order(self) -> int:
        """Return an order number behind all that wait."""
        self._acceptance.go_on_from(self._index.highest_order)
        return self._acceptance.next_order()

    # ------------------------------------------------------------ look

    def scan(self) -> int:
        """Look at every drop once; take those that are whole. Return how many came to an end."""
        found = self._drops()
        self._index.look()
        self._acceptance.go_on_from(self._index.highest_order)
        ended = self.go_on()
        self._box.begin(path for _, path in found)
        paths = {path for _, path in found}
        self._seen_copied = {path: mark for path, mark in self._seen_copied.items() if path in paths}
        copies.forget_removed(self._layout)
        for priority, path in found:
            ended += self._look(priority, path)
        return ended

    def _drops(self) -> list[tuple[int, Path]]:
        found = []
        for folder, number in (("", DEFAULT_PRIORITY), *self._layout.priorities().items()):
            place = self._layout.incoming / folder
            inner = set() if folder else {each for each in fs.folders(place) if parse_priority(each)}
            names = (name for name in fs.names(place) if name not in inner and not drops.is_ignored(name))
            found += [(number, place / name) for name in names]
        return sorted(found, key=_arrival)

    def _look(self, priority: int, path: Path) -> int:
        if path in self._seen_copied and self._seen_copied[path] == fs.fingerprint(path):
            return 0
        seen = self._box.look(path)
        if seen is None:
            return 0
        return self._take(priority, path, seen)

    # ------------------------------------------------------------ take

    def _take(self, priority: int, path: Path, seen: drops.Whole | drops.Bad) -> int:
        bundle = seen.bundle if isinstance(seen, drops.Whole) else None
        job_id = self._id_for(path, bundle, seen)
        taken = Taken(priority, job_id, shortened(path.name))
        target = self._layout.accepting_by(self._server) / taken.file_name
        error = seen.error if isinstance(seen, drops.Bad) else None
        try:
            if not fs.move(path, target, durable=self._settings.durable):
                return 0
        except StorageError as trouble:
            if not fs.is_immovable(trouble):
                raise
            return self._copy(taken, path, seen)
        self._box.forget(path)
        self._acceptance.finish(target, taken, error)
        return 1

    def _copy(self, taken: Taken, path: Path, seen: drops.Whole | drops.Bad) -> int:
        """Take a copy of a drop that the server may not move, unless any server took one before.

        A mark remembers what was copied, under which id, for as long as the drop lies there.
        """
        self._seen_copied[path] = fs.fingerprint(path)
        facts = fs.facts(path)
        if facts is None:
            return 0
        content = seen.sha256 if isinstance(seen, drops.Whole) else fs.fingerprint(path)
        with servers.claiming(self._layout):
            job_id = copies.mark(self._layout, path, facts.st_uid, content, taken.job_id)
            if is_arriving(self._layout, job_id) or read_status(self._layout, job_id):
                return 0
            copy = replace(taken, job_id=job_id, uid=facts.st_uid)
            in_zip = replace(copy, name=copy.name + DROP_SUFFIX)
            target = self._layout.accepting_by(self._server) / in_zip.file_name
            data = pack(seen.bundle) if isinstance(seen, drops.Whole) else b""
            fs.replace(target, data, durable=self._settings.durable)
        _log.info("copied %s: it may not be moved, and can be removed by its owner", path.name)
        self._acceptance.finish(target, copy, seen.error if isinstance(seen, drops.Bad) else None)
        return 1

    def _id_for(self, path: Path, bundle: Bundle | None, seen: drops.Whole | drops.Bad) -> str:
        """Return the id that a drop brings along, unless another job has it; else a new one."""
        wanted = path.name.removesuffix(DROP_SUFFIX)
        if is_id(wanted) and wanted != path.name and self._may_have(wanted, seen):
            return wanted
        plain = stem(shortened(path.name))
        name = job_name(bundle, plain) if bundle else plain
        return make_id(name, now=datetime.now(UTC), letters=new_letters())

    def _may_have(self, job_id: str, seen: drops.Whole | drops.Bad) -> bool:
        if read_status(self._layout, job_id) is None:
            return True
        return isinstance(seen, drops.Whole) and self._accepted_sha256(job_id) == seen.sha256

    def _accepted_sha256(self, job_id: str) -> str | None:
        for event in read_events(self._layout, job_id):
            if event["event"] == "accepted":
                return str(event.get("drop_sha256"))
        return None

    # ------------------------------------------------------------ accept or reject

    def go_on(self) -> int:
        """Bring what was taken, by this server or by one of its name that died, to its end."""
        ended = 0
        folder = self._layout.accepting_by(self._server)
        for name in fs.names(folder):
            taken = parse_taken(name)
            if taken is not None:
                self._acceptance.finish(folder / name, taken, None)
                ended += 1
        return ended


def _arrival(drop: tuple[int, Path]) -> tuple[int, str]:
    """Return the sort key of drops that were found by one scan: as the storage saw them arrive."""
    facts = fs.facts(drop[1])
    return (facts.st_ctime_ns if facts else 0), drop[1].name


__all__ = ["Intake", "new_letters"]
