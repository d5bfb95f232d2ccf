"""``queue.json``: the whole queue at a glance, as the server writes it and as everybody reads it.

Owns: the keys of the short records, and the text of the file: one record a line, so that the
line of one job is found, and the first hundred of 100,000 are read, without parsing all.
Called by: ``server.board``, which alone writes; ``find``.

A file that is not there, is no snapshot, or was written by something else line for line differently
is read as whole JSON or as nothing: it can be made again at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qtrl_spool import fs
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.standing import waiting_for

if TYPE_CHECKING:
    from qtrl_spool.forecast.timetable import Foretold

FORMAT = "qtrl-queue/1"
ETAS = ("eta_start", "eta_start_low", "eta_start_high", "eta_finish", "eta_finish_low", "eta_finish_high")
VARYING = ("place", "ahead", "users_ahead", "reason", *ETAS)
"""The keys that change although nothing happened to the job itself."""
SHORT = (
    *("id", "name", "user", "state", "priority", *VARYING, "phase", "progress", "accepted", "started"),
    *("server", "attempt", "claim", "instrument", "after", "not_before"),
)
OWNER = "owner"
"""Only of a job whose label names somebody else than the owner of its file."""
SECTIONS = ("servers", "running", "queued", "held", "arriving")
_quoted = json.encoder.encode_basestring
_LAST_DAY = 1_000_000
_JOIN, _PIECE = ",\n", 1_000
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def short(record: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the short record of a job: some keys of its status, `more` before them; `OWNER` if it has."""
    found = {key: more[key] if key in more else record.get(key) for key in SHORT}
    return {**found, OWNER: record[OWNER]} if record.get(OWNER) else found


def document(sections: Mapping[str, Sequence[Mapping[str, Any]]], **head: Any) -> dict[str, Any]:
    """Return the document of ``queue.json``.

    Parameters
    ----------
    sections:
        Records by the names in `SECTIONS`; one that is missing is empty.
    **head:
        ``updated``, ``paused``, ``reason``, …
    """
    records = {name: [dict(each) for each in sections.get(name, ())] for name in SECTIONS}
    return {**_head(head, {name: len(each) for name, each in records.items()}), **records}


def _head(more: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    head = {"format": FORMAT, "updated": None, "paused": False, "reason": None, "pauses": [], **more}
    return {**head, "counts": {name: counts[name] for name in ("running", "queued", "held", "arriving")}}


# ---------------------------------------------------------------- write


def line(record: Mapping[str, Any]) -> str:
    """Return a record as its line of the file."""
    return _encoded(record)


class Card:
    """A waiting job's line of the file, of which only the varying part is written anew.

    Parameters
    ----------
    record:
        Its short record.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, record: Mapping[str, Any]) -> None:
        first = SHORT.index(VARYING[0])
        self._before = _encoded({key: record[key] for key in SHORT[:first]})[:-1]
        self._after = _encoded(dict(list(record.items())[first + len(VARYING) :]))[1:]

    def line(
        self, place: int | None, ahead: int | None, users: tuple[str, ...], reason: str, etas: str
    ) -> str:
        """Return the line, given what varies; `etas` is JSON already."""
        shown = "null" if place is None else place
        count = "null" if ahead is None else ahead
        return (
            f'{self._before},"place":{shown},"ahead":{count},"users_ahead":[{_listed(users)}],'
            f'"reason":{_quoted(reason)},{etas},{self._after}'
        )

    def behind(self, ahead: int, users: tuple[str, ...], words: str, etas: str) -> str:
        """Return the line of a job that waits for others, two at least, and for nothing else."""
        if ahead >= len(_PHRASES):
            _PHRASES.extend(map(_phrase, range(len(_PHRASES), 2 * ahead)))
        place, reason = _PHRASES[ahead]
        return f"{self._before}{place}{_listed(users)}{reason}{_inner(words)}{etas},{self._after}"


_PHRASES: list[tuple[str, str]] = []


def _phrase(ahead: int) -> tuple[str, str]:
    """Return what stands before the names of those ahead, and after them up to whose jobs they are."""
    reason = _quoted(waiting_for(ahead, ""))[:-1]
    return f',"place":{ahead + 1},"ahead":{ahead},"users_ahead":[', f'],"reason":{reason}'


@lru_cache(maxsize=64)
def _inner(words: str) -> str:
    return f"{_quoted(words)[1:]},"


@lru_cache(maxsize=64)
def _listed(users: tuple[str, ...]) -> str:
    return ",".join(map(_quoted, users))


NO_ETAS = ",".join(f'"{key}":null' for key in ETAS)


def etas(foretold: Foretold) -> str:
    """Return when a job is expected to start and to end, s since 1970, as part of its line; in whole s."""
    times = (*foretold.start, *foretold.finish)
    return ",".join(f'"{key}":"{_stamp(time)}"' for key, time in zip(ETAS, times, strict=True))


def _stamp(time: float) -> str:
    days, left = divmod(round(time), 86_400)
    hours, left = divmod(left, 3_600)
    return f"{_day(days)}T{hours:02d}:{left // 60:02d}:{left % 60:02d}.000000Z"


@lru_cache(maxsize=64)
def _day(days: int) -> str:
    return f"{date(1970, 1, 1) + timedelta(days=min(days, _LAST_DAY))}"


def retimed(line: str, etas: str) -> str:
    """Return the line of a waiting job with other times; inside of a name no such key can stand unquoted."""
    begin, end = line.index(f',"{ETAS[0]}":'), line.index(f',"{SHORT[SHORT.index(ETAS[-1]) + 1]}":')
    return f"{line[:begin]},{etas}{line[end:]}"


def text(head: Mapping[str, Any], sections: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Return the whole file, in pieces: one of 100,000 jobs, made at once, would hold up all other threads.

    Parameters
    ----------
    head:
        As for `document`.
    sections:
        Lines by the names in `SECTIONS`.
    """
    lines = {name: sections.get(name, ()) for name in SECTIONS}
    counts = {name: len(each) for name, each in lines.items()}
    yield fs.in_utf8(_encoded(_head(head, counts))[:-1])
    for name, each in lines.items():
        yield f',\n"{name}":[\n'.encode()
        for first in range(0, len(each), _PIECE):
            last = first + _PIECE >= len(each)
            yield fs.in_utf8(_JOIN.join(each[first : first + _PIECE]) + ("" if last else _JOIN))
        yield b"\n]"
    yield b"}\n"


# ---------------------------------------------------------------- read


class Snapshot:
    """``queue.json`` as it was read; records are parsed when they are asked for.

    Parameters
    ----------
    data:
        The bytes of the file.

    Raises
    ------
    ValueError
        If they are no snapshot.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._whole: dict[str, Any] | None = None
        self._spans = _spans(data)
        if self._spans:
            first = data[: data.index(b",\n")]
            self.head: dict[str, Any] = json.loads(first + b"}")
        else:
            self._whole = json.loads(data)
            self.head = self._whole if isinstance(self._whole, dict) else {}
        if self.head.get("format") != FORMAT:
            raise ValueError("no snapshot of a queue")

    def n(self, section: str) -> int:
        """Return how many records a section has."""
        counts = self.head.get("counts")
        return int(counts[section]) if isinstance(counts, dict) and section in counts else 0

    def records(self, section: str, most: int | None = None) -> list[dict[str, Any]]:
        """Return the first `most` records of a section, or all."""
        if self._whole is not None:
            return list(self._whole.get(section) or ())[:most]
        begin, end = self._spans[section]
        if most is not None:
            end = self._after_lines(begin, end, most)
        found: list[dict[str, Any]] = json.loads(b"[" + self._data[begin:end] + b"]")
        return found

    def _after_lines(self, begin: int, end: int, most: int) -> int:
        at = begin - 1
        for _ in range(most):
            at = self._data.find(b",\n", at + 1, end)
            if at < 0:
                return end
        return max(at, begin)

    def record(self, job_id: str) -> dict[str, Any] | None:
        """Return the short record of one job, or None if it is not in the snapshot."""
        if self._whole is not None:
            sections = (self._whole.get(name) or () for name in ("running", "queued", "held"))
            return next((each for some in sections for each in some if each.get("id") == job_id), None)
        at = self._data.find(b'\n{"id":' + _encoded(job_id).encode() + b",")
        if at < 0:
            return None
        end = self._data.find(b"\n", at + 1)
        found: dict[str, Any] = json.loads(self._data[at:end].rstrip(b","))
        return found


def _spans(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where the lines of each section begin and end; nothing if the file is not as `text` writes it.

    What stands behind the queue is looked for from the end: the queue may be long.
    """
    spans, last = {}, len(data) - 4
    for name in reversed(SECTIONS):
        mark = f',\n"{name}":[\n'.encode()
        begin = data.rfind(mark, 0, last + 1)
        if begin < 0 or data[last : last + 2] != b"\n]":
            return {}
        spans[name] = begin + len(mark), last
        last = begin - 2
    return spans


def read_snapshot(layout: Layout) -> Snapshot | None:
    """Return what ``queue.json`` says, or None if there is none that can be read."""
    data = fs.read(layout.snapshot)
    if data is None:
        return None
    try:
        return Snapshot(data)
    except ValueError:
        return None
