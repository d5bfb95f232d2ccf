"""Looks at all jobs of a spool, and at what lies where nothing should: what `diagnosis` judges.

Reads only. Called by ``spool.doctor`` and ``repair``. What it sees may be on its way while it looks: whoever
acts on it looks several times and believes what is there every time (`lasting`).
"""

from __future__ import annotations

import json
import re
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qtrl_spool import fs
from qtrl_spool.bundle import unpack
from qtrl_spool.errors import BundleError, ManifestError, SubmitterError
from qtrl_spool.job import State, Ticket, is_id, parse_final_name, parse_priority
from qtrl_spool.spool import tickets
from qtrl_spool.spool.accepting import parse_taken
from qtrl_spool.spool.arriving import is_arriving
from qtrl_spool.spool.diagnosis import Seen, diagnose
from qtrl_spool.spool.edits import is_edit, is_edited
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks, is_mark
from qtrl_spool.spool.tickets import Place

_T = TypeVar("_T")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
_EVENTS = re.compile(r"events\.c(\d+)\.jsonl")


def is_temporary(name: str) -> bool:
    """Return whether `fs.temporary_name` made a name."""
    return _TEMPORARY.fullmatch(name) is not None


def lasting(look: Callable[[], Mapping[str, _T]], n_looks: int, pause: Callable[[], None]) -> dict[str, _T]:
    """Return what every one of several looks finds, the same each time.

    Parameters
    ----------
    look:
        Returns what it finds, by name.
    n_looks:
        How often to look.
    pause:
        Called between two looks.
    """
    found = dict(look())
    for _ in range(n_looks - 1):
        if found:
            pause()
            again = look()
            found = {name: each for name, each in found.items() if again.get(name) == each}
    return found


# ---------------------------------------------------------------- jobs


def open_places(layout: Layout) -> dict[str, list[Place]]:
    """Return all tickets in ``queue/``, ``held/`` and ``running/``, by job."""
    found: dict[str, list[Place]] = defaultdict(list)
    for place in (*tickets.queued(layout), *tickets.held(layout), *tickets.running(layout)):
        if is_file(place.path):
            found[place.ticket.job_id].append(place)
    return found


def is_file(path: Path) -> bool:
    """Return whether a regular file lies there, no link and no folder."""
    facts = fs.facts(path)
    return facts is not None and stat.S_ISREG(facts.st_mode)


def all_homes(layout: Layout, since: str = "") -> Iterator[str]:
    """Yield the ids of all jobs that have a home, of that day (``2026-11-23``) or later."""
    for date in fs.folders(layout.jobs):
        if date >= since:
            yield from (name for name in fs.folders(layout.jobs / date) if is_id(name))


def look(
    layout: Layout, job_id: str, waiting: Iterable[Place] | None = None, *, thorough: bool = True
) -> Seen:
    """Return what lies in the spool of one job.

    Parameters
    ----------
    layout:
        The spool.
    job_id:
        The job.
    waiting:
        Its tickets outside its home, if they are known; else they are looked for.
    thorough:
        Whether to read its events and its ticket; without, what they say is taken for right.
    """
    home = layout.home(job_id)
    open_ = open_places(layout).get(job_id, []) if waiting is None else waiting
    names = frozenset(name for name in fs.names(home) if not is_temporary(name))
    places = (*open_, *_ended(layout, job_id, names))
    record = _record(layout, job_id)
    kinds, torn = _events(home, names) if thorough or record is None else (("accepted",), frozenset[str]())
    return Seen(
        job_id,
        places,
        names,
        record,
        kinds,
        torn,
        is_arriving=not places and (is_arriving(layout, job_id) or is_edited(layout, job_id)),
        is_unreadable=thorough and any(_is_unreadable(place) for place in places),
    )


def _record(layout: Layout, job_id: str) -> dict[str, Any] | None:
    """Return a job's record, None if it is none that can be: it is made anew then."""
    record = read_status(layout, job_id)
    return record if record is not None and record.get("state") in set(State) else None


def _ended(layout: Layout, job_id: str, names: Iterable[str]) -> Iterator[Place]:
    """Yield the tickets that lie in a job's home."""
    for name in sorted(names):
        parsed = parse_final_name(name)
        if parsed is not None:
            yield Place(Ticket(0, 0, job_id, parsed[1]), layout.home(job_id) / name, parsed[0])


def _events(home: Path, names: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the kinds of a job's events in order, and the files that have lines which are no events."""
    kinds: list[str] = []
    torn: set[str] = set()
    logs = ((int(match[1]), name) for name in names if (match := _EVENTS.fullmatch(name)))
    for _, name in sorted(logs):
        for line in (fs.read(home / name) or b"").splitlines():
            kind = kind_of(line)
            if kind is None:
                torn.add(name)
            else:
                kinds.append(kind)
    return tuple(kinds), frozenset(torn)


def kind_of(line: bytes) -> str | None:
    """Return the kind of the event that a line is, or None if it is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return str(event["event"]) if isinstance(event, dict) and "event" in event else None


def _is_unreadable(place: Place) -> bool:
    if place.state not in {State.QUEUED, State.HELD}:
        return False
    data = fs.read(place.path)
    return data is not None and not is_bundle(data)


def is_bundle(data: bytes) -> bool:
    """Return whether bytes are a bundle that a server can run."""
    try:
        unpack(data)
    except (BundleError, ManifestError, SubmitterError):
        return False
    return True


def ailing(
    layout: Layout, job_ids: Iterable[str] | None = None, *, since: str = "", thorough: bool = True
) -> dict[str, Seen]:
    """Return the jobs with which something is wrong, by one look.

    Parameters
    ----------
    layout:
        The spool.
    job_ids:
        The jobs to look at; None: all that are open, and all with a home of that day or later.
    since:
        A day, ``2026-11-23``.
    thorough:
        As for `look`.
    """
    waiting = open_places(layout)
    ids = sorted({*waiting, *all_homes(layout, since)}) if job_ids is None else job_ids
    seen = (look(layout, job_id, waiting.get(job_id, ()), thorough=thorough) for job_id in ids)
    return {each.job_id: each for each in seen if diagnose(each)}


# ---------------------------------------------------------------- places


def out_of_place(layout: Layout, living: Iterable[str] = ()) -> dict[str, Path | None]:
    """Return what lies in the server's folders and does not belong there, by path.

    With each comes where it should lie, if it is a ticket; None for a stray. What lies in the folders of
    `living` servers is left out.
    """
    found = dict(_in_queue(layout))
    found |= {str(path): None for path in _strays(layout.held, _is_ticket)}
    lives = set(living)
    for path in _visible(layout.running):
        if not fs.is_real_folder(path):
            found[str(path)] = _queue_for(layout, path)
        elif path.name not in lives:
            found |= {str(each): None for each in _strays(path, _belongs_to_server)}
    for path in _visible(layout.accepting):
        if not fs.is_real_folder(path):
            found[str(path)] = None
        elif path.name not in lives:
            found |= {str(each): None for each in _strays(path, _is_taken)}
    return found


def _in_queue(layout: Layout) -> Iterator[tuple[str, Path | None]]:
    for path in _visible(layout.queue):
        if not fs.is_real_folder(path):
            yield str(path), _queue_for(layout, path)
        elif parse_priority(path.name) is not None:
            yield from ((str(each), None) for each in _strays(path, _is_ticket))
        else:
            lost = [each for each in _visible(path) if _is_ticket(each)]
            yield from ((str(each), _queue_for(layout, each)) for each in lost)
            if not lost:
                yield str(path), None


def _queue_for(layout: Layout, path: Path) -> Path | None:
    """Return where a ticket waits, by its name and the record of its job; None if it is none."""
    ticket = Ticket.parse(path.name) if is_file(path) else None
    if ticket is None:
        return None
    if (read_status(layout, ticket.job_id) or {}).get("state") == State.HELD:
        return layout.held / path.name
    return layout.queue / layout.priority_folder(ticket.priority) / path.name


def _visible(folder: Path) -> list[Path]:
    return [folder / name for name in fs.names(folder) if not name.startswith(".")]


def _strays(folder: Path, belongs: Callable[[Path], bool]) -> list[Path]:
    return [path for path in _visible(folder) if not belongs(path) and fs.exists(path)]


def _is_ticket(path: Path) -> bool:
    return Ticket.parse(path.name) is not None and is_file(path)


def _belongs_to_server(path: Path) -> bool:
    return is_mark(path.name) or _is_ticket(path)


def _is_taken(path: Path) -> bool:
    return parse_taken(path.name) is not None or path.name.startswith("request~") or is_edit(path.name)


def marks(layout: Layout) -> dict[str, tuple[str, str]]:
    """Return the marks of open jobs, by path: which server made it, of which job."""
    every = ((server, Marks(layout, server)) for server in fs.folders(layout.running))
    return {str(each.path(job_id)): (server, job_id) for server, each in every for job_id in each.opened()}


def old_temporaries(layout: Layout, *, older_than_s: float, clock_offset_s: float = 0.0) -> list[Path]:
    """Return temporary files and folders older than so many s by the storage's clock."""
    now = time.time() + clock_offset_s
    found = []
    for folder in _tidied(layout):
        for name in fs.names(folder):
            is_copy = folder.parent == layout.accepting and Ticket.parse(name[1:]) is not None
            facts = fs.facts(folder / name) if is_copy or is_temporary(name) else None
            if facts is not None and now - facts.st_mtime > older_than_s:
                found.append(folder / name)
    return found


def _tidied(layout: Layout) -> Iterator[Path]:
    """Yield the folders in which this program makes temporary files."""
    yield layout.root
    yield from (*layout.folders, layout.config)
    for parent in (layout.incoming, layout.queue, layout.running, layout.accepting, layout.config):
        yield from (parent / name for name in fs.folders(parent) if not is_temporary(name))
    yield from (layout.home(job_id) for job_id in all_homes(layout))
