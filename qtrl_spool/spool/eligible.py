"""May this job run now, and if not, why? One pure function for whoever claims and for whoever tells.

`why_not` looks at one waiting ticket, its record and what is known of servers and pauses. A server asks
it with its own name alone before it claims; a look at the queue asks it with every living server. A job
that may run still waits for its turn, which is no business of this module.

Called by: the server's claim, ``queue.json``, ``status`` and ``queue``. Facts come in as arguments;
``spool.pauses`` and ``spool.find`` gather them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any

from qtrl_spool.job import State

if TYPE_CHECKING:
    from qtrl_spool.spool.tickets import Place

_AFTER, _NOT_BEFORE, _TRIED_AGAIN = "after job", "not before", "the instrument failed: it is tried again at"
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 2.0, 300.0


@dataclass(frozen=True)
class Pause:
    """Why no job is taken for the time being.

    Attributes
    ----------
    server:
        Only this server takes none; None: nobody does.
    reason:
        As whoever paused it gave it.
    by:
        Login name; of a backend that paused its own server, the backend's.
    at:
        When, as records write it.
    by_backend:
        Whether the instrument itself asked for it; it ends when the instrument is well again.
    """

    server: str | None
    reason: str
    by: str
    at: str
    by_backend: bool = False

    def __str__(self) -> str:
        what = "the queue" if self.server is None else f"instrument {self.server}"
        return f"{what} is paused: {self.reason}"


@dataclass(frozen=True)
class Facts:
    """What `why_not` has to know besides the job.

    Attributes
    ----------
    servers:
        Those that may take jobs, the one that asks or all that live: name → the instrument that it drives.
    pauses:
        Of the spool.
    is_open:
        Returns whether a job, by its id, has not come to its end yet; what is unknown has.
    troubles:
        What the storage refuses to which of the servers, in words.
    aside:
        Why which jobs are left aside, by id: the storage refuses their files.
    """

    servers: Mapping[str, str]
    pauses: tuple[Pause, ...] = ()
    is_open: Callable[[str], bool] = lambda job_id: False
    troubles: Mapping[str, str] = field(default_factory=dict)
    aside: Mapping[str, str] = field(default_factory=dict)


def why_not(place: Place, record: Mapping[str, Any], *, now: datetime, facts: Facts) -> str | None:
    """Return in words why a waiting job may not run now; None if it may, when its turn comes.

    Parameters
    ----------
    place:
        Where its ticket lies.
    record:
        Its status record.
    now:
        The time, timezone-aware.
    facts:
        Of the spool.
    """
    if place.state is State.HELD:
        return record.get("reason") or "held until it is released"
    return keeping(facts)(record.get("instrument")) or kept(record, now=now, facts=facts)


def keeping(facts: Facts) -> Callable[[str | None], str | None]:
    """Return what says in words why no job runs that wants an instrument (None: any).

    That is: no server, a pause, or storage that fails all servers which would take it.
    """

    def said(instrument: str | None) -> str | None:
        if not facts.servers:
            return "no server is running"
        takers = [name for name, drives in facts.servers.items() if instrument in (None, name, drives)]
        if not takers:
            return f"no server takes instrument {instrument}"
        return stopped_by(facts.pauses, takers) or _failed(facts.troubles, takers)

    return said


def _failed(troubles: Mapping[str, str], takers: Collection[str]) -> str | None:
    """Return in words what the storage refuses to all of these servers; None if it serves one of them."""
    if any(each not in troubles for each in takers):
        return None
    said = {troubles[each]: None for each in sorted(takers)}
    return f"storage trouble: {'; '.join(said)}"


def stopped_by(pauses: Iterable[Pause], servers: Iterable[str]) -> str | None:
    """Return in words why none of `servers` takes a job for the time being; None if one does."""
    servers, pauses = sorted(servers), list(pauses)
    for pause in pauses:
        if pause.server is None:
            return str(pause)
    stopped = {pause.server: str(pause) for pause in pauses}
    if servers and all(each in stopped for each in servers):
        return "; ".join(stopped[each] for each in servers)
    return None


def kept(record: Mapping[str, Any], *, now: datetime, facts: Facts) -> str | None:
    """Return in words what keeps one job from running, whatever its turn: another job, the time.

    Parameters
    ----------
    record:
        Its status record, or a short one: ``after``, ``not_before``, ``retry_at``.
    now, facts:
        As for `why_not`.
    """
    return (
        _after(record.get("after") or (), facts)
        or _too_early(record.get("not_before"), now, _NOT_BEFORE)
        or _too_early(record.get("retry_at"), now, _TRIED_AGAIN, LONGEST_BACKOFF_S)
    )


def waits_apart(reason: str) -> bool:
    """Return whether a record's reason is one of those that `kept` gives: its turn is not what it lacks."""
    return reason.startswith((_AFTER, _NOT_BEFORE, _TRIED_AGAIN))


def _after(jobs: Iterable[str], facts: Facts) -> str | None:
    waited_for = [job_id for job_id in jobs if facts.is_open(job_id)]
    return f"{_AFTER} {', '.join(waited_for)}" if waited_for else None


def _too_early(time: str | None, now: datetime, words: str, most_s: float = inf) -> str | None:
    """Return that it is too early; a time further ahead than `most_s` was told by a clock that is wrong."""
    if time is None or not 0 < (moment(time) - now).total_seconds() <= most_s:
        return None
    return f"{words} {moment(time):%Y-%m-%d %H:%M:%S} UTC"


def moment(time: str) -> datetime:
    """Return the time that a record or a manifest writes, in UTC."""
    return datetime.fromisoformat(time).astimezone(UTC)


def backoff_s(n_failures: int) -> float:
    """Return how long (s) a job waits after the instrument failed it for the n-th time: 2, 4, 8, … 300."""
    return min(FIRST_BACKOFF_S * 2.0 ** (n_failures - 1), LONGEST_BACKOFF_S)
