"""What is wrong with a job, by what lies in the spool of it. Pure.

Owns: the list of ailments (`Ailment`), in the order in which they are mended, and the rule which of several
tickets counts (`chosen`). Called by ``spool.survey``, ``spool.doctor`` and ``repair``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qtrl_spool.job import State
from qtrl_spool.spool.tickets import Place

_AGREEING = {State.QUEUED, State.PAUSED}
_RANK = {State.QUEUED: 0, State.HELD: 0, State.RUNNING: 1, State.CANCELLED: 2, State.FAILED: 3}


class Ailment(StrEnum):
    """What can be wrong with a job, each in words."""

    TWICE = "it has several tickets"
    UNREADABLE = "its ticket cannot be read"
    EMPTY = "its home is empty and it has no ticket"
    TICKETLESS = "it has no ticket"
    HOMELESS = "its ticket has no home"
    EVENTLESS = "its events are gone"
    TORN = "its events have torn lines"
    UNPUBLISHED = "its result is not published"
    RECORD = "its record is not what its ticket says"
    RESULTLESS = "it is done and its result is gone"


@dataclass(frozen=True)
class Seen:
    """What lies in the spool of one job.

    Attributes
    ----------
    job_id:
        The job.
    places:
        Its tickets, wherever they lie.
    names:
        What lies in its home, temporary files left out.
    record:
        Its status record, None if there is none or it cannot be read.
    kinds:
        The kinds of its events, in order.
    torn:
        Files of events with lines that are none.
    is_arriving:
        Whether its drop is not accepted yet.
    is_unreadable:
        Whether its ticket waits and is no bundle.
    """

    job_id: str
    places: tuple[Place, ...] = ()
    names: frozenset[str] = frozenset()
    record: Mapping[str, Any] | None = None
    kinds: tuple[str, ...] = ()
    torn: frozenset[str] = frozenset()
    is_arriving: bool = False
    is_unreadable: bool = False

    @property
    def place(self) -> Place | None:
        """The ticket that counts, if there is any."""
        return chosen(self.places, self.recorded)[0] if self.places else None

    @property
    def recorded(self) -> str | None:
        """The state that its record says."""
        return None if self.record is None else str(self.record.get("state"))

    @property
    def is_noted(self) -> bool:
        """Whether its events begin with what they must begin with."""
        return bool({"accepted", "rejected"} & set(self.kinds))

    @property
    def was_rejected(self) -> bool:
        """Whether it never became a job: then it needs no ticket."""
        return self.recorded == State.REJECTED or ("rejected" in self.kinds and "accepted" not in self.kinds)


def chosen(places: Sequence[Place], recorded: str | None) -> tuple[Place, list[Place]]:
    """Return which of a job's tickets counts, and the others; `recorded` is the state that its record says.

    A done one counts before all others, because its result was published; of several done ones the first.
    Else the one that was claimed more often counts, then the one that is further on its way, then the one
    that the record means.
    """

    def merit(place: Place) -> tuple[object, ...]:
        is_done = place.state is State.DONE
        claim = place.ticket.claim if is_done else -place.ticket.claim
        told = recorded is not None and agree(recorded, place.state)
        order = (place.ticket.priority, place.ticket.order)
        return not is_done, claim, -_RANK.get(place.state, 0), not told, order, str(place.path)

    ordered = sorted(places, key=merit)
    return ordered[0], ordered[1:]


def agree(recorded: str, state: State | None) -> bool:
    """Return whether a recorded state is what the place of a ticket says; None: there is no ticket."""
    if recorded == State.REJECTED:
        return state is None
    return recorded == state or (recorded in _AGREEING and state in _AGREEING)


def diagnose(seen: Seen) -> tuple[Ailment, ...]:
    """Return what is wrong with a job, in the order in which it is to be mended."""
    return tuple(sorted(_ailments(seen), key=list(Ailment).index))


def _ailments(seen: Seen) -> Iterator[Ailment]:
    if seen.places or not seen.is_arriving:
        yield from _of_the_ticket(seen)
        yield from _of_the_events(seen)
    place = seen.place
    if place is not None and place.state is State.DONE and "result.h5" not in seen.names:
        if f"result.c{place.ticket.claim}.h5" in seen.names:
            yield Ailment.UNPUBLISHED
        elif not (seen.record or {}).get("error"):
            yield Ailment.RESULTLESS


def _of_the_ticket(seen: Seen) -> Iterator[Ailment]:
    if len(seen.places) > 1:
        yield Ailment.TWICE
    if seen.is_unreadable:
        yield Ailment.UNREADABLE
    if seen.places:
        return
    if not seen.names:
        yield Ailment.EMPTY
    elif not seen.was_rejected:
        yield Ailment.TICKETLESS


def _of_the_events(seen: Seen) -> Iterator[Ailment]:
    if seen.torn:
        yield Ailment.TORN
    if not seen.is_noted:
        if seen.record is not None:
            yield Ailment.EVENTLESS
        elif seen.places:
            yield Ailment.HOMELESS
        return
    if _contradicts(seen):
        yield Ailment.RECORD


def _contradicts(seen: Seen) -> bool:
    """Return whether the record is missing or says other than the ticket; a running job is its server's."""
    record, place = seen.record, seen.place
    if record is None:
        return True
    if place is None:
        return seen.was_rejected and record.get("state") != State.REJECTED
    return place.state is not State.RUNNING and not agree(str(seen.recorded), place.state)
