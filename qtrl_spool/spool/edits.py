"""Replacing a waiting ticket by another one of the same job: either all of it happens, or nothing.

A ticket cannot be written over where it lies: a claim that moves it away in the same moment would leave
two. So a server takes it out, as a claim does, under its next claim number; from then on the renames of
this one file decide who goes on, whoever is frozen or dies:

::

    accepting/<server>/.edit~<state>~<ticket>       the new ticket is written and synced
    queue/… or held/… → accepting/<server>/edit~<state>~<ticket>     taken: no claim gets it any more
    edit~<state>~<ticket> → edited~<state>~<ticket>                   from here on the edit counts
    .edit~<state>~<ticket> → queue/… or held/…                        the new ticket waits
    (edited~… is removed)

What is found as ``edit~`` after a death is put back; what is found as ``edited~`` is brought to its end.
An editor and whoever takes over for it may both try: each rename has one winner.

Called by ``server.editing`` and ``server.outcome``. Fails: `StorageError`; a ticket that somebody else
moved first is no error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.job import State, Ticket
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets

_TAKEN, _DECIDED, _NEW = "edit", "edited", ".edit"
_NAME = re.compile(r"(?P<step>edit|edited|\.edit)~(?P<state>queued|held)~(?P<ticket>.+)")


@dataclass(frozen=True)
class Edit:
    """A ticket that is being replaced.

    Attributes
    ----------
    folder:
        ``accepting/<server>/`` of the server that does it.
    state:
        Queued or held: where the ticket goes back to.
    ticket:
        As it is called then.
    """

    folder: Path
    state: State
    ticket: Ticket

    def _file(self, step: str) -> Path:
        return self.folder / f"{step}~{self.state}~{self.ticket.name}"

    @property
    def taken(self) -> Path:
        """The old ticket, taken out."""
        return self._file(_TAKEN)

    @property
    def decided(self) -> Path:
        """The old ticket, once the edit counts."""
        return self._file(_DECIDED)

    @property
    def new(self) -> Path:
        """The new ticket, not yet in its place."""
        return self._file(_NEW)


class Edits:
    """The steps of an edit, for one server.

    Parameters
    ----------
    layout:
        The spool.
    server:
        Name of the server whose edits these are.
    moves:
        Of the server that acts.
    """

    def __init__(self, layout: Layout, server: str, moves: Tickets) -> None:
        self._layout = layout
        self._folder = layout.accepting_by(server)
        self._moves = moves
        self._durable = moves.durable

    def begin(self, place: Place, data: bytes) -> Edit | None:
        """Write the new ticket and take the old one out; None if it was no longer there."""
        state = State.HELD if place.state is State.HELD else State.QUEUED
        edit = Edit(self._folder, state, place.ticket.claimed())
        fs.remove(edit.new)
        fs.write_new(edit.new, data, durable=self._durable)
        if not self._moves.take_out(place, edit.taken):
            fs.remove(edit.new)
            return None
        return edit

    def give_up(self, edit: Edit) -> bool:
        """Put the old ticket back; False if somebody else did, or if the edit counts already."""
        is_back = self._back(edit.taken, edit)
        if is_back:
            fs.remove(edit.new)
        return is_back

    def decide(self, edit: Edit) -> bool:
        """Make the edit count; False if another server, which took over, had put the old ticket back."""
        if fs.move(edit.taken, edit.decided, durable=self._durable):
            return True
        fs.remove(edit.new)
        return False

    def end(self, edit: Edit) -> None:
        """Put the new ticket where the old one was, unless that is done already."""
        if fs.exists(edit.new):
            self._back(edit.new, edit)
        fs.remove(edit.decided)

    def _back(self, path: Path, edit: Edit) -> bool:
        held = self._layout.held
        folder = held if edit.state is State.HELD else self._moves.queue_folder(edit.ticket.priority)
        return self._moves.put_in(path, Place(edit.ticket, folder / edit.ticket.name, edit.state))

    def recover(self, note: Callable[[Edit], None]) -> None:
        """Bring every edit to its end, or undo it; `note` is called for each that counts."""
        for edit in left(self._folder):
            if fs.exists(edit.taken) and self.give_up(edit):
                continue
            if fs.exists(edit.decided):
                note(edit)
                self.end(edit)
            else:
                fs.remove(edit.new)


def left(folder: Path) -> Iterator[Edit]:
    """Yield the edits that have files in an ``accepting/<server>/``, each once."""
    found = {}
    for name in fs.names(folder):
        match = _NAME.fullmatch(name)
        ticket = Ticket.parse(match["ticket"]) if match else None
        if match and ticket:
            edit = Edit(folder, State(match["state"]), ticket)
            found[edit.taken.name] = edit
    yield from found.values()


def is_edit(name: str) -> bool:
    """Return whether a file in ``accepting/<server>/`` belongs to an edit."""
    return _NAME.fullmatch(name) is not None


def is_edited(layout: Layout, job_id: str) -> bool:
    """Return whether a server is just now replacing the ticket of a job."""
    folders = (layout.accepting_by(server) for server in fs.folders(layout.accepting))
    return any(edit.ticket.job_id == job_id for folder in folders for edit in left(folder))
