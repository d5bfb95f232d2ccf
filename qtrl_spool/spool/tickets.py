"""Tickets: where they lie, and the renames that move them. Each rename is a change of state.

Owns: looking at ``queue/``, ``held/`` and ``running/``, the order of the queue, and every move of
a ticket. Called by the server; the client only looks.
Fails: a ticket that somebody else moved first is no error: the move returns None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.job import State, Ticket, final_name, parse_final_name, parse_priority
from qtrl_spool.spool.layout import Layout


@dataclass(frozen=True)
class Place:
    """A ticket and where it lies.

    Attributes
    ----------
    ticket:
        What its name says; `priority` is that of the directory where it waits.
    path:
        The file.
    state:
        Queued, held, running, or how the job ended.
    server:
        Who claimed it, while it is running.
    """

    ticket: Ticket
    path: Path
    state: State
    server: str | None = None


def turn(place: Place) -> tuple[int, int, str]:
    """Return the sort key that holds the whole ordering rule: priority, then order of acceptance."""
    return place.ticket.priority, place.ticket.order, place.ticket.job_id


def queued(layout: Layout) -> list[Place]:
    """Return the waiting tickets in the order in which they run."""
    found = []
    for folder in fs.folders(layout.queue):
        parsed = parse_priority(folder)
        if parsed is not None:
            found += [
                Place(place.ticket.at(parsed[0]), place.path, State.QUEUED)
                for place in _in(layout.queue / folder, State.QUEUED)
            ]
    return sorted(found, key=turn)


def held(layout: Layout) -> list[Place]:
    """Return the parked tickets, in their order."""
    return sorted(_in(layout.held, State.HELD), key=turn)


def running(layout: Layout, server: str | None = None) -> list[Place]:
    """Return the claimed tickets, of one server or of all."""
    servers = fs.folders(layout.running) if server is None else [server]
    return [place for each in servers for place in _in(layout.claimed_by(each), State.RUNNING, each)]


def _in(folder: Path, state: State, server: str | None = None) -> Iterator[Place]:
    for name in fs.names(folder):
        ticket = Ticket.parse(name)
        if ticket is not None:
            yield Place(ticket, folder / name, state, server)


def find(layout: Layout, job_id: str) -> Place | None:
    """Return where the ticket of a job lies, or None if it has none.

    It looks in the order in which tickets travel, twice, so that one that moves on is met.
    """
    for _ in range(2):
        for places in (queued(layout), held(layout), running(layout), _ended(layout, job_id)):
            for place in places:
                if place.ticket.job_id == job_id:
                    return place
    return None


def _ended(layout: Layout, job_id: str) -> list[Place]:
    home = layout.home(job_id)
    found = []
    for name in fs.names(home):
        parsed = parse_final_name(name)
        if parsed is not None:
            found.append(Place(Ticket(0, 0, job_id, parsed[1]), home / name, parsed[0]))
    return found


class Tickets:
    """The moves of tickets.

    Parameters
    ----------
    layout:
        The spool.
    durable:
        Whether every rename is synced.
    """

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self._layout = layout
        self._durable = durable

    def claim(self, place: Place, server: str) -> Place | None:
        """Move a waiting ticket to ``running/<server>/`` under its next claim number."""
        folder = self._layout.claimed_by(server)
        fs.make_folder(folder)
        return self._move(place, folder, place.ticket.claimed(), State.RUNNING, server)

    def enqueue(self, place: Place, priority: int | None = None) -> Place | None:
        """Move a ticket to ``queue/``: a release, a new priority, or back from ``running/``."""
        ticket = place.ticket if priority is None else place.ticket.at(priority)
        return self._move(place, self.queue_folder(ticket.priority), ticket, State.QUEUED)

    def hold(self, place: Place) -> Place | None:
        """Move a waiting ticket to ``held/``."""
        return self._move(place, self._layout.held, place.ticket, State.HELD)

    def reprioritize(self, place: Place, priority: int) -> Place | None:
        """Give a waiting or a held ticket another priority; its order stays."""
        if place.state is State.HELD:
            return self._move(place, self._layout.held, place.ticket.at(priority), State.HELD)
        return self.enqueue(place, priority)

    def finish(self, place: Place, state: State) -> Place | None:
        """Move a ticket to the job's home: the move that ends the job."""
        home = self._layout.home(place.ticket.job_id)
        target = home / final_name(state, place.ticket.claim)
        if not fs.move(place.path, target, durable=self._durable):
            return None
        return Place(place.ticket, target, state)

    def queue_folder(self, priority: int) -> Path:
        """Return the folder of ``queue/`` for a priority, made if it is not there."""
        folder = self._layout.queue / self._layout.priority_folder(priority)
        fs.make_folder(folder)
        return folder

    def _move(
        self, place: Place, folder: Path, ticket: Ticket, state: State, server: str | None = None
    ) -> Place | None:
        target = folder / ticket.name
        if target == place.path:
            return place
        if not fs.move(place.path, target, durable=self._durable):
            return None
        return Place(ticket, target, state, server)
