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
Where only the new ticket lies, the old one is taken out and put back, under its next claim number: an editor
that was frozen before it took it out looks for it in vain. An editor and whoever takes over for it may both
try: each rename has one winner. The old ticket is removed when the job was seen elsewhere, and synced there;
if the new one has gone, the old one comes back.

Called by ``server.editing`` and ``server.outcome``; `where_seen` by whoever must not miss a ticket that a
server has in its hands. Fails: `StorageError`; a ticket that somebody else moved first is no error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import State, Ticket
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets, find

_log = logging.getLogger(__name__)
_LOOKS = 5
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
        edit = self._edit_of(place)
        fs.remove(edit.new)
        fs.write_new(edit.new, data, durable=self._durable)
        if not self._moves.take_out(place, edit.taken):
            fs.remove(edit.new)
            return None
        return edit

    def _edit_of(self, place: Place) -> Edit:
        state = State.HELD if place.state is State.HELD else State.QUEUED
        return Edit(self._folder, state, place.ticket.claimed())

    def give_up(self, edit: Edit) -> bool:
        """Put the old ticket back; False if somebody else did, or if the edit counts already."""
        is_back = self._back(edit.taken, edit)
        if is_back:
            fs.remove(edit.new)
        return is_back

    def decide(self, edit: Edit) -> bool:
        """Make the edit count; False if another server, which took over, had put the old ticket back.

        The new ticket is left to `recover` then: whoever is not sure what happened removes nothing.
        """
        return fs.move(edit.taken, edit.decided, durable=self._durable) or fs.exists(edit.decided)

    def end(self, edit: Edit) -> Place:
        """Put the new ticket where the old one was, unless that is done already; remove the old one.

        If there is no new one, and the job is nowhere else, the old one is its last copy: it comes back.
        Return where the ticket then lies, if nobody has moved it on.
        """
        if self._back(edit.new, edit) or self._is_elsewhere(edit):
            fs.remove(edit.decided)
        elif self._back(edit.decided, edit):
            _log.warning("%s has its old bundle: the new one has gone", edit.ticket.job_id)
        return self._aim(edit)

    def _is_elsewhere(self, edit: Edit) -> bool:
        job_id = edit.ticket.job_id
        return where_seen(self._layout, job_id, durable=self._durable, but=edit) is not None

    def _back(self, path: Path, edit: Edit) -> bool:
        return self._moves.put_in(path, self._aim(edit))

    def _aim(self, edit: Edit) -> Place:
        held = self._layout.held
        folder = held if edit.state is State.HELD else self._moves.queue_folder(edit.ticket.priority)
        return Place(edit.ticket, folder / edit.ticket.name, edit.state)

    def recover(self, note: Callable[[Edit], None]) -> None:
        """Bring every edit to its end, or undo it; `note` is called for each that counts.

        Raises
        ------
        StorageError
            The first trouble, when the others are settled.
        """
        troubles: list[StorageError] = []
        for edit in left(self._folder):
            try:
                self._settle(edit, note)
            except StorageError as trouble:
                troubles.append(trouble)
        if troubles:
            raise troubles[0]

    def _settle(self, edit: Edit, note: Callable[[Edit], None]) -> None:
        if fs.exists(edit.taken) and self.give_up(edit):
            return
        if fs.exists(edit.decided):
            note(edit)
            self.end(edit)
        else:
            self._forestall(edit)

    def _forestall(self, edit: Edit) -> None:
        """Remove a new ticket that lies there alone, once nobody can take the old one out for it any more."""
        place = find(self._layout, edit.ticket.job_id)
        if place is None and not fs.is_gone(self._layout.home(edit.ticket.job_id)):
            raise StorageError(
                f"the ticket of {edit.ticket.job_id} is nowhere to be seen: its edit cannot be settled",
                hint="it is looked for again; 'qtrl-spool doctor --repair' looks for it, too",
            )
        if place is None or not self._may_be_taken_out(place, edit) or self._renumber(place):
            fs.remove(edit.new)

    @staticmethod
    def _may_be_taken_out(place: Place, edit: Edit) -> bool:
        return place.state in {State.QUEUED, State.HELD} and place.ticket.claim < edit.ticket.claim

    def _renumber(self, place: Place) -> bool:
        """Take a waiting ticket out and put it back, under its next claim number; False if it had gone."""
        edit = self._edit_of(place)
        return self._moves.take_out(place, edit.taken) and self.give_up(edit)


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


def is_editing(layout: Layout, server: str) -> bool:
    """Return whether a server left an edit half done."""
    return any(True for _ in left(layout.accepting_by(server)))


def is_edit(name: str) -> bool:
    """Return whether a file in ``accepting/<server>/`` belongs to an edit."""
    return _NAME.fullmatch(name) is not None


def is_edited(layout: Layout, job_id: str) -> bool:
    """Return whether a server is just now replacing the ticket of a job."""
    return any(True for _ in _of(layout, job_id))


def _of(layout: Layout, job_id: str) -> Iterator[Edit]:
    for server in fs.folders(layout.accepting):
        yield from (edit for edit in left(layout.accepting_by(server)) if edit.ticket.job_id == job_id)


def where_seen(layout: Layout, job_id: str, *, durable: bool, but: Edit | None = None) -> Path | None:
    """Return where the ticket of a job lies, be it in the hands of an editor; None if it is nowhere.

    Parameters
    ----------
    layout:
        The spool.
    job_id:
        The job.
    durable:
        Whether it shall survive a power cut where it was seen: its folder is synced while it lies there.
    but:
        An edit whose own files do not count.

    Raises
    ------
    StorageError
        If the storage fails, or the ticket moves on and on.
    """
    for _ in range(_LOOKS):
        path = _where(layout, job_id, but)
        if path is None or not durable:
            return path
        fs.sync_folder(path.parent)
        if fs.exists(path):
            return path
    raise StorageError(f"the ticket of {job_id} moves on whenever it is looked at", hint="it is tried again")


def _where(layout: Layout, job_id: str, but: Edit | None) -> Path | None:
    """Look where tickets lie, then in the hands of editors, then again: an edit may end between the two."""
    place = find(layout, job_id)
    if place is None:
        edits = (edit for edit in _of(layout, job_id) if edit != but)
        held = (path for edit in edits for path in (edit.taken, edit.decided))
        taken = next((path for path in held if fs.exists(path)), None)
        if taken is not None:
            return taken
        place = find(layout, job_id)
    return None if place is None else place.path
