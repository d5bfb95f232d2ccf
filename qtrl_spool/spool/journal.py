"""A job's home: its events, its status record, its results.

Owns: ``jobs/<date>/<job-id>/``. Events are appended, one file for each claim, so that two hosts
never append to one file; the status record is the fold of all of them and is replaced whole. It is
written beside its place first, under a name that follows from the server's: whoever takes a job over removes
what others have not put in its place yet, so that a server which stood still meanwhile overwrites nothing.
Called by the server, which alone writes; read by everybody.
"""

from __future__ import annotations

import copy
import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import State, as_far_as, record_of, utc, with_event, with_progress
from qtrl_spool.spool.layout import Layout
from qtrl_spool.syncs import Syncs

RESULT = "result.h5"
PARTIAL = "partial.h5"
_REWRITES = 10
_REMEMBERED = 1_000


def claimed_result(claim: int) -> str:
    """Return the name of the result that one claim wrote, before it is published."""
    return f"result.c{claim}.h5"


def read_status(layout: Layout, job_id: str) -> dict[str, Any] | None:
    """Return a job's status record, or None if it has none (yet)."""
    return fs.read_json(layout.status(job_id))


def read_events(layout: Layout, job_id: str) -> list[dict[str, Any]]:
    """Return all events of a job in the order in which they happened; a torn line is left out."""
    return [event for events in _by_claim(layout, job_id).values() for event in events]


def _by_claim(layout: Layout, job_id: str) -> dict[int, list[dict[str, Any]]]:
    """Return the events of a job by the claim whose file they are in, in the order of the claims."""
    home = layout.home(job_id)
    logs = [name for name in fs.names(home) if name.startswith("events.c") and name.endswith(".jsonl")]
    return {_claim_of(name): _events_in(home / name) for name in sorted(logs, key=_claim_of)}


def _events_in(log: Path) -> list[dict[str, Any]]:
    events = []
    for line in (fs.read(log) or b"").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def n_attempts(layout: Layout, job_id: str) -> int:
    """Return how often a job's execution was started: in how many claims, however often one says so."""
    claims = _by_claim(layout, job_id).values()
    return sum(any(event["event"] == "started" for event in events) for events in claims)


def n_retries(layout: Layout, job_id: str, *, but: int) -> int:
    """Return in how many claims, but for one, the instrument failed a job that was given another attempt."""
    claims = _by_claim(layout, job_id).items()
    return sum(any(map(_gives_attempt, events)) for claim, events in claims if claim != but)


def is_to_retry(layout: Layout, job_id: str, claim: int) -> bool:
    """Return whether a claim has noted that the instrument failed it, and that there is another attempt."""
    return any(map(_gives_attempt, _events_in(layout.home(job_id) / f"events.c{claim}.jsonl")))


def _gives_attempt(event: Mapping[str, Any]) -> bool:
    return event["event"] == "error" and bool(event.get("retry_at"))


def paused_at(layout: Layout, job_id: str) -> bool:
    """Return whether a job ended its last execution with a pause: its data wait to be gone on with.

    A claim that came to nothing wrote no event, and changes nothing of that.
    """
    ends = [each["event"] for each in read_events(layout, job_id) if each["event"] in _ENDS]
    return bool(ends) and ends[-1] == "paused"


_ENDS = {"paused", "requeued", "started", "resumed", "failed"}


def cancel_asked_for(layout: Layout, job_id: str) -> str | None:
    """Return why a running job was to be cancelled, if it was."""
    asked = [event for event in read_events(layout, job_id) if event["event"] == "cancelling"]
    return str(asked[-1].get("why", "cancelled")) if asked else None


def holds_asked_for(layout: Layout, job_id: str, claim: int) -> dict[str, dict[str, Any]]:
    """Return the holds that shall park a running job and were asked for during that claim, by their kind."""
    holds: dict[str, dict[str, Any]] = {}
    for event in _events_in(layout.home(job_id) / f"events.c{claim}.jsonl"):
        if event["event"] != "holding":
            continue
        if event.get("off"):
            holds.pop(str(event.get("hold")), None)
        else:
            holds[str(event["hold"])] = {key: event.get(key) for key in ("hold", "held_by", "why", "request")}
    return holds


def _claim_of(name: str) -> int:
    digits = name.removeprefix("events.c").removesuffix(".jsonl")
    return int(digits) if digits.isdigit() else 0


class Journal:
    """Writes what happens to jobs.

    Parameters
    ----------
    layout:
        The spool.
    server:
        Name of the server that writes.
    durable:
        Whether every line is synced.
    clock:
        Returns the time, timezone-aware.
    answers:
        Whether the server still answers for a job; if it does not, it does so again from then on, and what
        others have written meanwhile counts (see `spool.marks`).
    """

    def __init__(
        self,
        layout: Layout,
        server: str,
        *,
        durable: fs.Durable = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        answers: Callable[[str], bool] = lambda job_id: True,
    ) -> None:
        self._layout = layout
        self._server = server
        self._durable = durable
        self._clock = clock
        self._answers = answers
        self._records: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._written: set[str] = set()

    def now(self, after_s: float = 0.0) -> str:
        """Return the time as records write it, or what it will be `after_s` s later."""
        return utc(self._clock() + timedelta(seconds=after_s))

    def with_syncs(self, syncs: Syncs, answers: Callable[[str], bool]) -> Journal:
        """Return this journal with syncs that are made when `syncs` are committed, and other `answers`."""
        other = copy.copy(self)
        other._durable, other._answers = syncs, answers
        return other

    def open_home(self, job_id: str) -> Path:
        """Make the home of a job."""
        home = self._layout.home(job_id)
        fs.make_folder(home, durable=self._durable)
        return home

    def note(self, job_id: str, claim: int, event: str, **details: Any) -> dict[str, Any]:
        """Append one event and replace the status record; return the record."""
        entry = self.entry(event, **details)
        self.append(job_id, claim, [entry])
        return self.absorb(job_id, [entry])

    def mention(self, job_id: str, claim: int, event: str, *, in_status: bool, **details: Any) -> None:
        """Append an event that is no change of state and need not survive a power cut.

        Without `in_status` the record on the disk is left alone: another event follows at once.
        """
        entry = self.entry(event, **details)
        self.append(job_id, claim, [entry], durable=False)
        if in_status:
            self.absorb(job_id, [entry])
        else:
            self._keep(job_id, with_event(self.record(job_id), entry))

    def entry(self, event: str, **details: Any) -> dict[str, Any]:
        """Return an event of this moment; it is not written yet."""
        return {"at": self.now(), "event": event, "by": self._server, **details}

    def append(
        self,
        job_id: str,
        claim: int,
        entries: Iterable[Mapping[str, Any]],
        *,
        is_open: bool = False,
        durable: bool = True,
    ) -> None:
        """Append events in one write; any thread may, the record is left to `absorb`.

        `is_open` says that the file was made by `open_log`; without `durable` it is not synced.
        """
        log = self._layout.home(job_id) / f"events.c{claim}.jsonl"
        lines = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        fs.append_line(log, lines, durable=durable and self._durable, is_named=is_open)

    def absorb(self, job_id: str, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Replace the status record by what it is after events that are written; return it."""
        record = self.record(job_id)
        for entry in entries:
            record = with_event(record, entry)
        return self._write(job_id, record)

    def open_log(self, job_id: str, claim: int) -> None:
        """Make the file that a claim's events will go to, so that the first of them is quick."""
        fs.create(self._layout.home(job_id) / f"events.c{claim}.jsonl", durable=self._durable)

    def secure(self, job_id: str, claim: int) -> None:
        """Sync what was noted before a death or a fault of the storage, and make the record again from it."""
        if isinstance(self._durable, Syncs):
            self._durable.again(self._layout.home(job_id) / f"events.c{claim}.jsonl")
        self._write(job_id, self._made(job_id, read_events(self._layout, job_id)))

    def progress(self, job_id: str, batch: int, n_batches: int) -> None:
        """Write how far a running job is; this is no event.

        It is synced like all the rest: a power cut leaves the record empty where only its name reached
        the disk (seen on xfs).
        """
        self._write(job_id, with_progress(self.record(job_id), batch, n_batches, self.now()))

    def record(self, job_id: str) -> dict[str, Any]:
        """Return a job's record as this server last knew it, else made again from its events."""
        known = self._records.get(job_id)
        if known is not None:
            self._records.move_to_end(job_id)
            return known
        return self._keep(job_id, self._made(job_id, read_events(self._layout, job_id)))

    def _made(self, job_id: str, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Make a record from events; how far a running job is, which is none, is what was last written."""
        record = record_of(job_id, events)
        if record["state"] != State.RUNNING:
            return record
        return as_far_as(record, read_status(self._layout, job_id))

    def take_written(self) -> set[str]:
        """Return the jobs whose records were written since this was last asked."""
        written = set(self._written)
        self._written.clear()
        return written

    def _keep(self, job_id: str, record: dict[str, Any]) -> dict[str, Any]:
        """Remember a record; those that were not asked for the longest are forgotten."""
        self._records[job_id] = record
        self._records.move_to_end(job_id)
        while len(self._records) > _REMEMBERED:
            self._records.popitem(last=False)
        return record

    def forget(self, job_id: str) -> None:
        """Read the job's events again when its record is wanted next: another server may have written."""
        self._records.pop(job_id, None)

    def rewrite(self, job_id: str) -> dict[str, Any]:
        """Make the status record again from the events, until no other server adds to them meanwhile."""
        events = read_events(self._layout, job_id)
        for _ in range(_REWRITES):
            record = self._write(job_id, self._made(job_id, events))
            known, events = events, read_events(self._layout, job_id)
            if events == known:
                break
        return record

    def fence(self, job_id: str) -> None:
        """Remove what other servers have not put in its place: what they know of a job is old.

        Their right to go on must have been taken away before.
        """
        known = {*fs.folders(self._layout.running), *fs.folders(self._layout.accepting)}
        for server in known - {self._server}:
            fs.remove(self._beside(job_id, server))

    def _beside(self, job_id: str, server: str) -> Path:
        return fs.temporary_name(self._layout.status(job_id), zlib.crc32(server.encode()))

    def _write(self, job_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
        path, beside = self._layout.status(job_id), self._beside(job_id, self._server)
        document = dict(record)
        for _ in range(_REWRITES):
            answers = partial(self._answers, job_id)
            if fs.replace_if(path, fs.in_json(document), beside, answers, durable=self._durable):
                break
            document = self._made(job_id, read_events(self._layout, job_id))
        else:
            raise StorageError(
                f"the record of {job_id} is taken away whenever it is written",
                hint="does another server serve under this name?",
            )
        self._keep(job_id, document)
        self._written.add(job_id)
        if State(document["state"]).final:
            self.forget(job_id)
        return document
