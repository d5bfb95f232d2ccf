"""From ``incoming/`` to ``queue/``: take drops, check them, make them jobs, or reject them.

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

Drops that are there together go through it together, up to 32 at once, so that they share syncs. Before
they are renamed they are synced themselves: what has left ``incoming/`` survives a power cut. A scan ends
after a second, the next goes on where it ended; a drop that the storage refuses does not keep the others.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.bundle import Bundle, Limits, job_name, pack
from qtrl_spool.bundle.names import escaped
from qtrl_spool.config import Configuration
from qtrl_spool.errors import StorageError
from qtrl_spool.job import DROP_SUFFIX, ID_LETTERS, is_id, make_id
from qtrl_spool.server.acceptance import Acceptance, Arrival, copies_in
from qtrl_spool.server.box import Box
from qtrl_spool.server.candidates import stem
from qtrl_spool.server.shares import Shares
from qtrl_spool.spool import copies, drops, servers
from qtrl_spool.spool.accepting import Taken, parse_taken, shortened
from qtrl_spool.spool.boxes import Boxes, Found, look_into, sync_boxes
from qtrl_spool.spool.find import is_arriving
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal, read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

_log = logging.getLogger(__name__)
_MOST_TOGETHER = 32
_MOST_BYTES_TOGETHER = 4 * 1024 * 1024
_ENOUGH_S = 1.0
_MOST_PENDING = 64
_LOOK_AGAIN_S = 0.5
_MOST_TROUBLES = 4

_Seen = tuple[Found, Taken, drops.Whole | drops.Bad]


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
    meanwhile:
        Called now and then while there are many: the instrument must not wait for them.
    settle:
        Called with the id of a job whose drop another server took meanwhile.
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
        meanwhile: Callable[[], None] = lambda: None,
        settle: Callable[[str], None] = lambda job_id: None,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._index = index
        self._folder = layout.accepting_by(server)
        limits = Limits.from_dict(settings.limits)
        self._box = Box[drops.Whole](drops.look, settings, limits, was_renamed)
        self._acceptance = Acceptance(
            layout, journal, server, limits, default,
            durable=settings.durable, meanwhile=meanwhile, came=index.came, settle=settle,
        )  # fmt: skip
        self._shares = Shares(
            limits.per_user_queued, limits.per_user_per_minute, lambda each: journal.record(each).get("uid")
        )
        self._seen_copied: dict[Path, str] = {}
        self._missed: set[str] = set()
        self._resume_after: tuple[int, str] | None = None
        self._troubles: list[StorageError] = []
        self._is_first = True

    @property
    def recheck_after_s(self) -> float | None:
        """When an unfinished drop should be looked at again; None if there is none."""
        return self._box.recheck_after_s

    def waiting(self) -> list[dict[str, str]]:
        """Return the unfinished drops, by their path in ``incoming/`` as it is shown, and what each lacks."""
        return [
            {"drop": escaped(path.relative_to(self._layout.incoming).as_posix()), "reason": reason}
            for path, reason in self._box.waiting.items()
        ]

    def next_order(self) -> int:
        """Return an order number behind all that wait."""
        self._acceptance.go_on_from(self._index.highest_order)
        return self._acceptance.next_order()

    # ------------------------------------------------------------ look

    def scan(self) -> int:
        """Look at the drops, for a second at most; take those that are whole. Return how many ended.

        Raises
        ------
        StorageError
            The first thing that the storage refused; what it did not refuse is done.
        """
        self._troubles = []
        self._index.look()
        self._acceptance.go_on_from(self._index.highest_order)
        ended = self.go_on()
        if len(self._pending()) < _MOST_PENDING:
            with ExitStack() as stack:
                ended += self._scan(look_into(self._layout.incoming, stack))
        if self._troubles:
            raise self._troubles[0]
        return ended

    def _scan(self, boxes: Boxes) -> int:
        paths = {each.path for each in boxes.found} | boxes.troubles.keys()
        self._box.begin(paths)
        self._box.waiting.update(boxes.shut)
        for path, trouble in boxes.troubles.items():
            self._note_trouble(trouble, path)
        if self._shares.counts:
            waiting = (place.ticket.job_id for place in (*self._index.queued, *self._index.held))
            self._shares.begin(waiting, time.monotonic())
        self._seen_copied = {path: mark for path, mark in self._seen_copied.items() if path in paths}
        self._missed = copies.forget_removed(self._layout, self._missed, self._troubles.append)
        if self._missed:
            self._box.look_again(_LOOK_AGAIN_S)
        return sum(self._take(group) for group in self._groups(self._in_turn(boxes.found)))

    def _in_turn(self, found: list[Found]) -> Iterator[Found]:
        """Yield drops as the storage saw them arrive, from where the last scan ended, until it is enough."""
        until = time.monotonic() + _ENOUGH_S
        later = [each for each in found if self._resume_after is None or each.arrival > self._resume_after]
        earlier = found[: len(found) - len(later)]
        self._resume_after = None
        for each in (*later, *earlier):
            if time.monotonic() > until:
                self._box.look_again(0.0)
                return
            yield each
            self._resume_after = each.arrival
        self._resume_after = None

    def _groups(self, found: Iterator[Found]) -> Iterator[list[_Seen]]:
        """Yield the drops that can be taken, in groups whose syncs are shared and whose ids differ."""
        group: list[_Seen] = []
        n_bytes = 0
        for each in found:
            seen = self._look(each)
            if seen is None:
                continue
            if any(taken.job_id == each.name.removesuffix(DROP_SUFFIX) for _, taken, _ in group):
                yield group
                group, n_bytes = [], 0
            group.append((each, self._named(each, seen), seen))
            n_bytes += each.facts.st_size
            if len(group) >= _MOST_TOGETHER or n_bytes > _MOST_BYTES_TOGETHER:
                yield group
                group, n_bytes = [], 0
        if group:
            yield group

    def _look(self, found: Found) -> drops.Whole | drops.Bad | None:
        path = found.path
        try:
            if path in self._seen_copied and self._seen_copied[path] == copies.fingerprint(path):
                return None
            refusal = self._shares.refusal(found.facts.st_uid, time.monotonic())
            if refusal is not None:
                self._box.waiting[path] = refusal[0]
                self._box.look_again(refusal[1])
                return None
            seen = self._box.look(path, found.box)
        except StorageError as error:
            self._note_trouble(error, path)
            return None
        if seen is not None:
            self._shares.take(found.facts.st_uid, time.monotonic())
        return seen

    def _note_trouble(self, error: StorageError, path: Path) -> None:
        self._troubles.append(error)
        self._box.waiting[path] = error.message

    # ------------------------------------------------------------ take

    def _take(self, group: list[_Seen]) -> int:
        """Take drops out of ``incoming/`` and bring them to their end."""
        secured = self._in_synced_boxes([each for each in group if self._is_secured(each[0], each[2])])
        moved = [(each, arrival) for each in secured if (arrival := self._moved(*each))]
        if self._settings.durable and moved:
            fs.sync_folder(self._folder)
        gone_for_good = self._in_synced_boxes([each for each, _ in moved])
        self._troubles += self._acceptance.finish(arrival for each, arrival in moved if each in gone_for_good)
        return len(moved)

    def _is_secured(self, found: Found, seen: drops.Whole | drops.Bad) -> bool:
        """Make a drop survive a power cut where it lies; False if it has gone, or cannot be read any more."""
        if not self._settings.durable or isinstance(seen, drops.Bad):
            return True
        try:
            with fs.reporting("sync", found.path):
                found.sync()
        except StorageError as error:
            if not drops.has_changed(error):
                self._note_trouble(error, found.path)
            self._box.look_again(_LOOK_AGAIN_S)
            return False
        return True

    def _in_synced_boxes(self, group: list[_Seen]) -> list[_Seen]:
        """Sync the boxes of drops; return the drops whose box was."""
        if not self._settings.durable:
            return group
        refused: dict[Path, StorageError] = {}
        for box in {found.box.path: found.box for found, _, _ in group}.values():
            try:
                with fs.reporting("sync", box.path):
                    box.sync()
            except StorageError as trouble:
                refused[box.path] = trouble
        for found, _, _ in group:
            if found.box.path in refused:
                self._note_trouble(refused[found.box.path], found.path)
        return [each for each in group if each[0].box.path not in refused]

    def _named(self, found: Found, seen: drops.Whole | drops.Bad) -> Taken:
        """Return the name that a drop shall have when it is taken."""
        bundle = seen.bundle if isinstance(seen, drops.Whole) else None
        return Taken(found.priority, self._id_for(found.name, bundle, seen), shortened(found.name))

    def _moved(self, found: Found, taken: Taken, seen: drops.Whole | drops.Bad) -> Arrival | None:
        target = self._folder / taken.file_name
        try:
            if not fs.move(found.path, target, durable=False, folder=found.box.descriptor):
                return None
        except StorageError as trouble:
            if fs.is_immovable(trouble):
                return self._tried_to_copy(found, taken, seen)
            self._note_trouble(trouble, found.path)
            return None
        self._box.forget(found.path)
        return Arrival(target, taken, seen)

    def _tried_to_copy(self, found: Found, taken: Taken, seen: drops.Whole | drops.Bad) -> Arrival | None:
        try:
            return self._copied(found, taken, seen)
        except StorageError as trouble:
            self._seen_copied.pop(found.path, None)
            self._note_trouble(trouble, found.path)
            return None

    def _copied(self, found: Found, taken: Taken, seen: drops.Whole | drops.Bad) -> Arrival | None:
        """Take a copy of a drop that the server may not move, unless any server took one before.

        A mark remembers what was copied, under which id, for as long as the drop lies there.
        """
        path, uid = found.path, found.facts.st_uid
        self._seen_copied[path] = mark = copies.fingerprint(path)
        content = seen.sha256 if isinstance(seen, drops.Whole) else mark
        with servers.claiming(self._layout):
            durable = self._settings.durable
            job_id = copies.mark(self._layout, path, uid, content, taken.job_id, durable=durable)
            if is_arriving(self._layout, job_id) or read_status(self._layout, job_id):
                return None
            copy = replace(taken, job_id=job_id, uid=uid)
            in_zip = replace(copy, name=copy.name + DROP_SUFFIX)
            target = self._folder / in_zip.file_name
            data = pack(seen.bundle) if isinstance(seen, drops.Whole) else b""
            fs.replace(target, data, durable=durable)
        _log.info("copied %s: it may not be moved, and can be removed by its owner", taken.name)
        return Arrival(target, copy, seen if isinstance(seen, drops.Bad) else None)

    def _id_for(self, name: str, bundle: Bundle | None, seen: drops.Whole | drops.Bad) -> str:
        """Return the id that a drop brings along, unless another job has it; else a new one."""
        wanted = name.removesuffix(DROP_SUFFIX)
        if is_id(wanted) and wanted != name and self._may_have(wanted, seen):
            return wanted
        plain = stem(shortened(name))
        called = job_name(bundle, plain) if bundle else plain
        return make_id(called, now=datetime.now(UTC), letters=new_letters())

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
        if self._is_first:
            self._remove_copies()
        pending = self._secured(self._pending())
        for first in range(0, len(pending), _MOST_TOGETHER):
            self._finish(pending[first : first + _MOST_TOGETHER])
        return len(pending)

    def _finish(self, group: list[Arrival]) -> None:
        """Bring drops to their end: together, or one by one if one of them keeps the others.

        Where the storage refuses the first few of them, too, it is the storage.
        """
        try:
            self._troubles += self._acceptance.finish(group)
            return
        except StorageError as trouble:
            troubles = [trouble]
        for each in group if len(group) > 1 else ():
            try:
                troubles += self._acceptance.finish([each])
            except StorageError as trouble:
                troubles.append(trouble)
            if len(troubles) > _MOST_TROUBLES:
                break
        self._troubles += troubles

    def _secured(self, pending: list[Arrival]) -> list[Arrival]:
        """Return the drops that have left their boxes for good, power cut or not: else they would come back.

        Whoever took them has perhaps died before it synced the boxes.
        """
        if not self._settings.durable or not pending:
            return pending
        refused = sync_boxes(self._layout.incoming)
        self._troubles += refused.values()
        return [each for each in pending if each.taken.priority not in refused]

    def _pending(self) -> list[Arrival]:
        """Return what was taken and has not come to its end; of one id the first."""
        found: dict[str, Arrival] = {}
        for name in fs.names(self._folder):
            taken = parse_taken(name)
            if taken is not None:
                found.setdefault(taken.job_id, Arrival(self._folder / name, taken))
        return list(found.values())

    def _remove_copies(self) -> None:
        """Remove the copies of bundles that a server of this name was about to queue when it died."""
        for copy in chain.from_iterable(copies_in(self._folder).values()):
            fs.remove(copy)
        self._is_first = False


__all__ = ["Intake", "new_letters"]
