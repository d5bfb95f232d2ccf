"""Accept or reject what was taken out of ``incoming/``, many drops with few syncs.

Called by ``intake`` with files and folders in ``accepting/<server>/``, whose names say under which id and at
which priority. Several are brought to their end together:

::

    write homes, events, records, copies of the bundles     a sync for each file, then for each folder
    rename the copies into queue/ or held/,
    what is bad into rejected/                              a sync for each folder
    remove the drops: now they are acknowledged

Every step can be done twice: a job that was noted as accepted is not checked again, one that has a ticket
is left alone, once that ticket's folder is synced. Before a drop is gone on with that another server took, or
this one before it died, the copies of its bundle are removed wherever they lie, and so is what others wrote
beside its record: whoever was frozen right before the rename of one then has nothing to rename. What fails in
one drop stops that drop alone, which stays where it is and is tried again.
"""

from __future__ import annotations

import contextlib
import logging
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qtrl_spool import fs, host
from qtrl_spool.bundle import Limits
from qtrl_spool.config import Configuration
from qtrl_spool.errors import (
    ConfigError,
    NotFoundError,
    QtrlSpoolError,
    StorageError,
    SubmitterError,
    harmless,
)
from qtrl_spool.job import OWNERS, State, Ticket, utc
from qtrl_spool.server.after import check_after
from qtrl_spool.server.box import unreadable_by_us
from qtrl_spool.server.candidates import Candidate, candidate, stem
from qtrl_spool.spool import drops
from qtrl_spool.spool.accepting import Taken
from qtrl_spool.spool.edits import where_seen
from qtrl_spool.spool.journal import Journal, read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.untrusted import may_write
from qtrl_spool.syncs import Syncs

_log = logging.getLogger(__name__)
_MOST_TOLD = 50
LEFT = ".left~"
"""Begins the name of what a server can neither move on nor remove: it stays in ``accepting/<server>/``."""


@dataclass(frozen=True)
class Arrival:
    """A drop that was taken.

    Attributes
    ----------
    path:
        Where it lies now.
    taken:
        What that name says.
    seen:
        What it was seen to be before it was taken; None if that is not known.
    """

    path: Path
    taken: Taken
    seen: drops.Whole | drops.Bad | None = None


@dataclass(frozen=True)
class _Ending:
    """What is left to do for one drop when all is written: one rename, and perhaps a removal."""

    job_id: str
    source: Path
    target: Path
    drop: Path | None
    said: Callable[[], None]


class _TakenOverError(Exception):
    """A drop is no longer ours."""


class Acceptance:
    """Accepts or rejects for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal:
        Of this server.
    server:
        Its name.
    limits:
        Of drops.
    default:
        Returns the default configuration at a version, or in force for ``latest`` and ``submitted``.
    durable:
        Whether what is accepted is synced.
    meanwhile:
        Called before each drop is checked: what must not wait for many of them.
    came:
        Called with the path of each ticket that was put into the queue or aside.
    settle:
        Called with the id of a job whose drop another server took meanwhile: what was noted of it is old.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        server: str,
        limits: Limits,
        default: Callable[[int | str], Configuration],
        *,
        durable: bool,
        meanwhile: Callable[[], None] = lambda: None,
        came: Callable[[Path], None] = lambda ticket: None,
        settle: Callable[[str], None] = lambda job_id: None,
    ) -> None:
        self._layout = layout
        self._meanwhile, self._came, self._settle = meanwhile, came, settle
        self._server = server
        self._limits = limits
        self._default = default
        self._durable = durable
        self._syncs = Syncs(durable=durable, meanwhile=meanwhile)
        self._named: set[Path] = set()
        self._naming: set[Path] = set()
        self._copies: dict[str, list[Path]] | None = None
        self._drops: dict[str, Path] = {}
        self._journal = journal.with_syncs(self._syncs, self._has_drop)
        self._last_order = 0

    def go_on_from(self, order: int) -> None:
        """Learn the highest order number of any ticket: the next is higher, also than any given here."""
        self._last_order = max(self._last_order, order)

    def finish(self, arrivals: Iterable[Arrival]) -> list[StorageError]:
        """Accept or reject what was taken. Return what the storage refused: those drops are tried again.

        Raises
        ------
        StorageError
            If what was written cannot be synced; then nothing was acknowledged.
        """
        troubles: list[StorageError] = []
        endings: list[_Ending] = []
        self._copies, self._naming, self._drops = None, set(), {}
        try:
            for arrival in arrivals:
                ending = self._guarded(self._prepared_if_ours, arrival, troubles)
                endings += [ending] if ending else []
            self._syncs.commit()
            self._named |= self._naming
            moved = [each for each in endings if self._guarded(self._move, each, troubles)]
            self._syncs.commit()
        finally:
            self._syncs.forget()
            self._remove_copies(endings)
        for each in moved:
            self._guarded(self._acknowledge, each, troubles)
        return troubles

    @staticmethod
    def _remove_copies(endings: Iterable[_Ending]) -> None:
        """Remove the copies that could not be moved: the next attempt writes them under another name."""
        for each in endings:
            if each.drop is not None:
                with contextlib.suppress(StorageError):
                    fs.remove(each.source)

    @staticmethod
    def _guarded(act: Callable[[Any], Any], what: Any, troubles: list[StorageError]) -> Any:
        try:
            return act(what)
        except StorageError as error:
            troubles.append(error)
            return None

    # ------------------------------------------------------------ write

    def _prepared_if_ours(self, arrival: Arrival) -> _Ending | None:
        self._drops[arrival.taken.job_id] = arrival.path
        try:
            return self._prepared(arrival)
        except _TakenOverError:
            self._settle(arrival.taken.job_id)
            return None

    def _has_drop(self, job_id: str) -> bool:
        """Let a record be written as long as the drop is ours: who takes it over has removed ours else."""
        if not fs.exists(self._drops[job_id]):
            raise _TakenOverError
        return True

    def _prepared(self, arrival: Arrival) -> _Ending | None:
        self._meanwhile()
        path, taken = arrival.path, arrival.taken
        if arrival.seen is None:
            self._remove_others(taken.job_id)
        if self._has_ticket(taken.job_id, is_new=arrival.seen is not None):
            _log.info("%s was dropped again: nothing to do", taken.job_id)
            self._put_away(path)
            return None
        try:
            fit = self._checked(arrival)
        except (SubmitterError, NotFoundError) as problem:
            return self._rejected(path, taken, problem) if fs.exists(path) else None
        return self._accepted(path, taken, fit)

    def _remove_others(self, job_id: str) -> None:
        """Remove what others were about to put in its place, copies and records: the drop is ours now."""
        self._journal.fence(job_id)
        if self._copies is None:
            self._copies = _copies_in(self._layout)
        for copy in self._copies.get(job_id, ()):
            fs.remove(copy)

    def _has_ticket(self, job_id: str, *, is_new: bool) -> bool:
        """Return whether a job has a ticket, be it in an editor's hands; it survives a power cut then."""
        if is_new and not fs.exists(self._layout.home(job_id)):
            return False
        return where_seen(self._layout, job_id, durable=self._durable) is not None

    def _is_noted(self, job_id: str) -> bool:
        return any(event["event"] == "accepted" for event in read_events(self._layout, job_id))

    def _checked(self, arrival: Arrival) -> Candidate:
        """Return what a taken drop says, checked as far as acceptance does."""
        taken, seen = arrival.taken, arrival.seen
        if isinstance(seen, drops.Bad):
            raise seen.error
        name = arrival.path.name if taken.uid is not None else taken.name
        try:
            whole = drops.take(arrival.path, self._limits, name=name, known=seen)
            default = self._default(whole.bundle.manifest.config_version)
            is_new = not self._is_noted(taken.job_id)
            if is_new:
                check_after(self._layout, taken.job_id, whole.bundle.manifest.after)
            return candidate(whole, default, taken.name, check=is_new)
        except (QtrlSpoolError, OSError):
            raise
        except Exception as error:
            _log.exception("cannot read %s", taken.name)
            raise unreadable_by_us(error) from error

    def _accepted(self, path: Path, taken: Taken, fit: Candidate) -> _Ending:
        ticket = Ticket(taken.priority, self.next_order(), taken.job_id)
        self._open_home(taken.job_id)
        if self._is_noted(taken.job_id):
            self._journal.secure(taken.job_id, 0)
        else:
            who = self._who(path, taken, fit.label)
            self._journal.note(taken.job_id, 0, "accepted", **who, priority=taken.priority, **fit.noted)
        if fit.hold and self._journal.record(taken.job_id)["state"] != State.HELD:
            by = self._journal.record(taken.job_id)["user"]
            self._journal.note(taken.job_id, 0, "held", hold=OWNERS, held_by=by, why="until it is released")
        copy = self._layout.accepting_by(self._server) / f".{ticket.name}"
        fs.remove(copy)
        try:
            fs.write_new(copy, fit.ticket, durable=self._syncs)
        except StorageError:
            with contextlib.suppress(StorageError):
                fs.remove(copy)
            raise
        folder = self._layout.held if fit.hold else self._queue_folder(taken.priority)
        said = f"accepted {taken.job_id} from {taken.name}"
        return _Ending(taken.job_id, copy, folder / ticket.name, path, lambda: _log.info("%s", said))

    def _queue_folder(self, priority: int) -> Path:
        folder = self._layout.queue / self._layout.priority_folder(priority)
        fs.make_folder(folder, durable=self._syncs)
        self._secure_name(folder)
        return folder

    def _open_home(self, job_id: str) -> None:
        home = self._layout.home(job_id)
        is_old = fs.exists(home)
        self._journal.open_home(job_id)
        self._secure_name(home.parent)
        if is_old:
            self._syncs.folder(home.parent)

    def _secure_name(self, folder: Path) -> None:
        """Sync the name of a folder with the rest, once: whoever made it may have died before."""
        if folder not in self._named:
            self._syncs.folder(folder.parent)
            self._naming.add(folder)

    def _rejected(self, path: Path, taken: Taken, problem: QtrlSpoolError) -> _Ending:
        problem.where = problem.where or taken.name
        problems = getattr(problem, "problems", (problem,))
        self._open_home(taken.job_id)
        target = self._resting_place(path, f"{taken.job_id}~{taken.name}")
        if read_status(self._layout, taken.job_id) is None:
            self._journal.note(
                taken.job_id,
                0,
                "rejected",
                **self._who(path, taken, None),
                name=stem(taken.name),
                priority=taken.priority,
                error=problem.record(),
                rejected=str(target.relative_to(self._layout.root)),
            )
        text = harmless(rejection(taken, problems)).encode()
        fs.replace(self._layout.rejected / f"{taken.job_id}.txt", text, durable=self._syncs)
        said = f"rejected {taken.name}: {problem}"
        return _Ending(taken.job_id, path, target, None, lambda: _log.warning("%s", said))

    def _resting_place(self, path: Path, name: str) -> Path:
        """Return where a rejected drop will lie: a folder that the server may not write to cannot go far."""
        facts = fs.facts(path)
        if facts is not None and stat.S_ISDIR(facts.st_mode) and not may_write(path):
            return path.with_name(LEFT + name)
        return self._layout.rejected / name

    @staticmethod
    def _who(path: Path, taken: Taken, label: str | None) -> dict[str, Any]:
        facts = fs.facts(path)
        uid = taken.uid if taken.uid is not None else facts.st_uid if facts else -1
        now = datetime.now(UTC)
        dropped = min(_time_of(facts.st_mtime), now) if facts else now
        owner = host.user_name(uid)
        known = {"owner": owner} if label and label != owner else {}
        return {"uid": uid, "user": label or owner, **known, "submitted": utc(dropped)}

    def next_order(self) -> int:
        """Return the next order number."""
        self._last_order += 1
        return self._last_order

    # ------------------------------------------------------------ move and acknowledge

    def _move(self, ending: _Ending) -> bool:
        if ending.drop is not None and not fs.exists(ending.drop):
            fs.remove(ending.source)  # another server took the drop over while we were away
            self._settle(ending.job_id)
            return False
        is_there = fs.move(ending.source, ending.target, durable=self._syncs)
        if not is_there:
            self._settle(ending.job_id)
        if is_there and ending.drop is not None:
            self._came(ending.target)  # all that arrived together is known before a look decides who is first
        return is_there

    def _acknowledge(self, ending: _Ending) -> None:
        if ending.drop is not None:
            self._put_away(ending.drop)
        ending.said()

    @staticmethod
    def _put_away(path: Path) -> None:
        """Remove a drop; what its owner does not let us remove is left here, and never looked at again."""
        try:
            fs.remove(path)
        except StorageError as error:
            if not fs.is_immovable(error):
                raise
            fs.move(path, path.with_name(LEFT + path.name), durable=False)
            _log.warning("%s: it is left there under the name %s…", error, LEFT)


def copies_in(folder: Path) -> dict[str, list[Path]]:
    """Return the copies of bundles in an ``accepting/<server>/``, which are about to be queued, by job."""
    found: dict[str, list[Path]] = {}
    for name in fs.names(folder):
        ticket = Ticket.parse(name[1:]) if name.startswith(".") else None
        if ticket is not None:
            found.setdefault(ticket.job_id, []).append(folder / name)
    return found


def _copies_in(layout: Layout) -> dict[str, list[Path]]:
    """Return the copies of all servers, by job."""
    found: dict[str, list[Path]] = {}
    for server in fs.folders(layout.accepting):
        for job_id, copies in copies_in(layout.accepting_by(server)).items():
            found.setdefault(job_id, []).extend(copies)
    return found


def _time_of(timestamp: float) -> datetime:
    """Return a file's time, whatever its owner set it to."""
    try:
        return datetime.fromtimestamp(max(0.0, timestamp), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def rejection(taken: Taken, problems: tuple[QtrlSpoolError, ...]) -> str:
    """Return the text that is put beside a rejected drop: what is wrong, where, how to mend it."""
    lines = [f"{taken.name} was not accepted.", ""]
    for problem in problems[:_MOST_TOLD]:
        lines.append(f"what:   {problem.message}")
        lines += [f"where:  {problem.where}"] if problem.where else []
        excerpt = problem.excerpt if isinstance(problem, ConfigError) else None
        lines += [f"        {line}" for line in (excerpt or "").splitlines()]
        lines += [f"remedy: {problem.hint}"] if problem.hint else []
        lines.append("")
    if len(problems) > _MOST_TOLD:
        lines += [f"And {len(problems) - _MOST_TOLD} more of them.", ""]
    return "\n".join([*lines, "Mend it and drop it again; nothing else needs to be done.", ""])
