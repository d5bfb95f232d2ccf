"""Tickets: where they lie, and the renames that move them. Each rename is a change of state.

Owns: looking at ``queue/``, ``held/`` and ``running/``, the order of the queue, and every move of
a ticket. Called by the server; the client only looks.
Fails: a ticket that somebody else moved first is no error: the move returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.job import State, Ticket, final_name, parse_final_name, parse_priority
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.orders import Order


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


def turn(place: Place) -> tuple[int, int, str, str]:
    """Return the sort key that holds the whole ordering rule: priority, then order number."""
    return place.ticket.turn


@dataclass(frozen=True)
class Shelf:
    """A directory that tickets lie in, and what it says of them.

    Attributes
    ----------
    folder:
        The directory.
    state:
        Of the jobs whose tickets lie there.
    server:
        Whose directory it is, if it is one of ``running/``.
    priority:
        Which it gives, if it is one of ``queue/``.
    """

    folder: Path
    state: State
    server: str | None = None
    priority: int | None = None

    def place(self, name: str) -> Place | None:
        """Return the ticket of that file name as it lies here, or None if it names none."""
        ticket = Ticket.parse(name)
        if ticket is None:
            return None
        if self.priority is not None and self.priority != ticket.priority:
            ticket = ticket.at(self.priority)
        return Place(ticket, self.folder / name, self.state, self.server)

    def places(self) -> list[Place]:
        """Return the tickets that lie here now, in no order."""
        return [place for name in fs.listed(self.folder) if (place := self.place(name)) is not None]


def waiting_shelves(layout: Layout) -> list[Shelf]:
    """Return the directories of ``queue/``, one for each name of a priority."""
    known = ((folder, parse_priority(folder)) for folder in fs.folders(layout.queue))
    return [Shelf(layout.queue / name, State.QUEUED, None, parsed[0]) for name, parsed in known if parsed]


def held_shelf(layout: Layout) -> Shelf:
    """Return ``held/``."""
    return Shelf(layout.held, State.HELD)


def running_shelves(layout: Layout, server: str | None = None) -> list[Shelf]:
    """Return the directories of ``running/``, of one server or of all."""
    names = fs.folders(layout.running) if server is None else [server]
    return [Shelf(layout.claimed_by(name), State.RUNNING, name) for name in names]


def queued(layout: Layout) -> list[Place]:
    """Return the waiting tickets in the order in which they run."""
    return sorted((place for shelf in waiting_shelves(layout) for place in shelf.places()), key=turn)


def held(layout: Layout) -> list[Place]:
    """Return the parked tickets, in their order."""
    return sorted(held_shelf(layout).places(), key=turn)


def running(layout: Layout, server: str | None = None) -> list[Place]:
    """Return the claimed tickets, of one server or of all."""
    found = (place for shelf in running_shelves(layout, server) for place in shelf.places())
    return sorted(found, key=lambda place: (place.server or "", place.path.name))


def find(layout: Layout, job_id: str) -> Place | None:
    """Return where the ticket of a job lies, or None if it has none.

    It looks in the order in which tickets travel, twice, so that one that moves on is met.
    """
    for _ in range(2):
        for shelf in _way(layout):
            for name in fs.listed(shelf.folder):
                place = shelf.place(name) if job_id in name else None
                if place is not None and place.ticket.job_id == job_id:
                    return place
        ended = _ended(layout, job_id)
        if ended:
            return ended[0]
    return None


def _way(layout: Layout) -> Iterator[Shelf]:
    """Yield the directories in the order in which tickets travel; the later ones are looked up later."""
    yield from waiting_shelves(layout)
    yield held_shelf(layout)
    yield from running_shelves(layout)


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
    moved:
        Told of every move: where the ticket lay and where it lies; None where it is no longer looked
        for, because its job ended or somebody else moved it first.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        durable: bool = True,
        moved: Callable[[Place, Place | None], None] = lambda before, after: None,
    ) -> None:
        self._layout = layout
        self.durable = durable
        self._moved = moved

    def claimed(self, place: Place, server: str) -> Place:
        """Return where a claim by `server` would put a waiting ticket: under its next claim number."""
        ticket = place.ticket.claimed()
        return Place(ticket, self._layout.claimed_by(server) / ticket.name, State.RUNNING, server)

    def claim(self, place: Place, server: str) -> Place | None:
        """Move a waiting ticket to ``running/<server>/`` under its next claim number."""
        mine = self.rename(place, server, durable=self.durable)
        self._moved(place, mine)
        return mine

    def rename(self, place: Place, server: str, *, durable: bool = False) -> Place | None:
        """Claim a ticket by the rename alone, which any thread may; `settle` makes the rest true."""
        mine = self.claimed(place, server)
        return mine if fs.move(place.path, mine.path, durable=durable) else None

    def settle(self, place: Place, mine: Place | None) -> None:
        """Make a claim by `rename` survive a power cut, and tell of it; None if it was lost."""
        self._moved(place, mine)
        if mine is not None and self.durable:
            fs.sync_folder(mine.path.parent)
            if fs.is_folder(place.path.parent):
                fs.sync_folder(place.path.parent)

    def enqueue(self, place: Place, priority: int | None = None, order: int | None = None) -> Place | None:
        """Move a ticket to ``queue/``: a release, a new priority, or back from ``running/``.

        `order` gives it another place in its priority: behind all that wait, after a time slice.
        """
        ticket = place.ticket if priority is None else place.ticket.at(priority)
        ticket = ticket if order is None else replace(ticket, order=order)
        return self._move(place, self.queue_folder(ticket.priority), ticket, State.QUEUED)

    def hold(self, place: Place) -> Place | None:
        """Move a waiting ticket to ``held/``."""
        return self._move(place, self._layout.held, place.ticket, State.HELD)

    def reprioritize(self, place: Place, priority: int, order: Order | None = None) -> Place | None:
        """Give a waiting or a held ticket another priority; its order number stays, unless one is given."""
        ticket = place.ticket.at(priority)
        if order is not None:
            ticket = ticket.placed(*order)
        folder = self._layout.held if place.state is State.HELD else self.queue_folder(priority)
        return self._move(place, folder, ticket, place.state)

    def take_out(self, place: Place, path: Path) -> bool:
        """Move a waiting ticket to a file that only the caller makes; False if it had gone."""
        is_ours = fs.move(place.path, path, durable=self.durable)
        self._moved(place, None)
        return is_ours

    def put_in(self, path: Path, place: Place) -> bool:
        """Move a ticket that was taken out, or a new one, to its place; False if `path` had gone."""
        is_ours = fs.move(path, place.path, durable=self.durable)
        self._moved(replace(place, path=path), place if is_ours else None)
        return is_ours

    def finish(self, place: Place, state: State) -> Place | None:
        """Move a ticket to the job's home: the move that ends the job."""
        home = self._layout.home(place.ticket.job_id)
        target = home / final_name(state, place.ticket.claim)
        ended = fs.move(place.path, target, durable=self.durable)
        self._moved(place, None)
        return Place(place.ticket, target, state) if ended else None

    def queue_folder(self, priority: int) -> Path:
        """Return the folder of ``queue/`` for a priority, made if it is not there."""
        folder = self._layout.queue / self._layout.priority_folder(priority)
        fs.make_folder(folder, durable=self.durable)
        return folder

    def _move(
        self, place: Place, folder: Path, ticket: Ticket, state: State, server: str | None = None
    ) -> Place | None:
        target = folder / ticket.name
        if target == place.path:
            return place
        is_ours = fs.move(place.path, target, durable=self.durable)
        after = Place(ticket, target, state, server) if is_ours else None
        self._moved(place, after)
        return after
