"""Making a job's record say what its ticket says, whatever died, failed or stood still in between.

The rename of a ticket is what counts; what people see (events, status, ``result.h5``) follows from it and can
be made again at any time. A job that is being moved is marked (see `spool.marks`), so that whoever goes on
knows where to look.

Called by: ``outcome``, whose moves these follow from, ``verbs``, ``editing`` and ``recovery``. Fails:
`StorageError`; then the mark stays, and the job is settled later.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import InternalError, StorageError
from qtrl_spool.job import State
from qtrl_spool.server.telling import Tried, at_once, do_all
from qtrl_spool.spool.edits import Edit, Edits, left, where_seen
from qtrl_spool.spool.journal import PARTIAL, RESULT, Journal, claimed_result, holds_asked_for, read_events
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.tickets import Place, Tickets, find

_log = logging.getLogger(__name__)
_NOWHERE_S = 60.0
_MOST_LOOKS = 5
_OF_EVERY_EVENT = ("at", "event", "by")
_EVENT = {State.DONE: "committed", State.FAILED: "failed", State.CANCELLED: "cancelled", State.HELD: "held"}


class Settling:
    """Settles jobs for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal, moves:
        Of this server.
    server:
        Its name.
    clock:
        Tells monotonic time, s.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        server: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._server = server
        self._clock = clock
        self._marks = Marks(layout, server, durable=moves.durable)
        self._nowhere: dict[str, float] = {}
        self._inherited: set[str] = set()
        self.in_hands: Callable[[str], bool] = lambda job_id: False
        """Whether a stage of this server has a job in its hands."""

    @property
    def durable(self) -> bool:
        """Whether what this does survives a power cut."""
        return self._moves.durable

    # ------------------------------------------------------------ open jobs

    def open(self, job_id: str) -> None:
        """Mark a job as one that this server is moving; if it was not yet, others may have moved it since."""
        if not self._marks.open(job_id):
            self._journal.forget(job_id)

    def close(self, job_id: str) -> None:
        """Take the mark away: everything about the job is written."""
        self._marks.close(job_id)
        self._nowhere.pop(job_id, None)

    def close_if_idle(self, job_id: str) -> None:
        """Take the mark away, but for a job in the hands of a stage: it may be claimed by then.

        Without its mark nobody would make its record right if the server died at its end.
        """
        if not self.in_hands(job_id) and job_id not in self._inherited:
            self.close(job_id)

    # ------------------------------------------------------------ one job

    def settle(self, job_id: str) -> None:
        """Make a job's record say what its ticket says, after a death in between.

        Raises
        ------
        InternalError
            If the job has no ticket.
        StorageError
            If it moves on and on, or a listing is stale.
        """
        for _ in range(_MOST_LOOKS):
            place = find(self._layout, job_id)
            if place is None:
                raise InternalError(f"job {job_id} has no ticket", hint="'qtrl-spool doctor' looks for it")
            record = self._journal.rewrite(job_id)
            if fs.exists(place.path):
                self._mend(place, record)
            if fs.exists(place.path):
                break
        else:
            raise StorageError(f"the ticket of {job_id} moves on and on", hint="it is looked for again")
        if place.server != self._server:
            self.close_if_idle(job_id)

    def _mend(self, place: Place, record: Mapping[str, Any]) -> None:
        """Do what is left to do where a ticket lies, if the record, made anew, does not tell of it."""
        told = record["state"]
        if place.state is State.DONE:
            is_there = fs.exists(self._layout.home(place.ticket.job_id) / RESULT)
            if told != State.DONE or not is_there:
                self.publish(place)
        elif place.state is not State.RUNNING and not _agree(told, place.state):
            self._note_repair(place, record)

    def settle_if_known(self, job_id: str) -> None:
        """Settle a job, unless it has no ticket: that is for the doctor."""
        with contextlib.suppress(InternalError):
            self.settle(job_id)

    def _note_repair(self, place: Place, record: Mapping[str, Any]) -> None:
        job_id, claim = place.ticket.job_id, place.ticket.claim
        if place.state is not State.HELD or not holds_asked_for(self._layout, job_id, claim):
            self._journal.note(job_id, claim, **self._repair(place, record))
            return
        if record["state"] == State.RUNNING:
            self._journal.note(job_id, claim, "requeued", why="the server died on the way")
        self.note_hold(place)

    @staticmethod
    def _repair(place: Place, record: Mapping[str, Any]) -> dict[str, Any]:
        if place.state is State.QUEUED:
            kind = "released" if record["state"] == State.HELD else "requeued"
            return {"event": kind, "why": "the server died on the way"}
        if place.state is State.HELD:  # moved by hand, or by a server that died before it could note the hold
            return {"event": "held", "reason": "it was found among the held jobs; 'release' lets it go on"}
        known = {"error": record["error"]} if place.state is State.FAILED else {}
        return {"event": _EVENT[place.state], "reason": "the server died on the way", **known}

    def publish(self, done: Place) -> None:
        """Make the result of a ticket that says ``done`` be there under its name, and note it."""
        job_id, claim = done.ticket.job_id, done.ticket.claim
        home = self._layout.home(job_id)
        result = home / RESULT
        if not fs.exists(result):
            fs.move(home / claimed_result(claim), result, durable=self._moves.durable)
        self._journal.note(
            job_id, claim, "committed", result=result.relative_to(self._layout.root).as_posix()
        )
        if fs.exists(result):
            fs.remove(home / PARTIAL)
        self.close(job_id)
        _log.info("%s is done", job_id)

    def keep_up(self, place: Place) -> None:
        """Settle a job whose ticket, which we put there, has moved on meanwhile, or whose record says else.

        We may have been frozen between a move and its record, and others have run the job since: what we
        wrote of it then is older than what they did.

        Raises
        ------
        StorageError
            If it moves on and on, is in somebody's hands, or a listing is stale.
        """
        if not self._is_told(place):
            self.settle_seen(place.ticket.job_id)

    def _is_told(self, place: Place) -> bool:
        """Return whether a ticket lies where it was put, and what was noted of the job tells so."""
        self._journal.forget(place.ticket.job_id)
        told = self._journal.record(place.ticket.job_id)["state"]
        return _agree(told, place.state) and fs.exists(place.path)

    def let_go(self, waiting: Place) -> None:
        """Take the mark away of a job of which nothing was begun; what trouble left of it is settled."""
        if self._is_told(waiting):
            self.close(waiting.ticket.job_id)
        else:
            self.settle_if_known(waiting.ticket.job_id)

    def settle_seen(self, job_id: str) -> None:
        """Settle a job whose ticket was seen a moment ago: one that is not to be seen is looked for again."""
        try:
            self.settle(job_id)
        except InternalError:
            raise unseen(job_id) from None

    def is_long_gone(self, job_id: str) -> bool:
        """Return whether a ticket that is not to be seen has been nowhere, in no hands, for `_NOWHERE_S`."""
        if where_seen(self._layout, job_id, durable=False) is not None:
            self._nowhere.pop(job_id, None)
            return False
        if self._clock() - self._nowhere.setdefault(job_id, self._clock()) <= _NOWHERE_S:
            return False
        del self._nowhere[job_id]
        _log.error(
            "%s is let go of: its ticket has been nowhere for %.0f s; 'qtrl-spool doctor --repair' looks",
            job_id, _NOWHERE_S,
        )  # fmt: skip
        return True

    def note_hold(self, place: Place) -> None:
        """Note the holds that were asked for while a job ran, once its ticket lies in ``held/``."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        asked = holds_asked_for(self._layout, job_id, claim)
        entries = [self._journal.entry("held", **each) for each in asked.values()]
        if entries:
            self._journal.append(job_id, claim, entries)
            self._journal.absorb(job_id, entries)

    # ------------------------------------------------------------ all that was left

    def settle_edits(self) -> None:
        """Bring every edit of a ticket to its end, or undo it, after a death in between."""
        Edits(self._layout, self._server, self._moves).recover(self.note_edit)

    def note_edit(self, edit: Edit) -> None:
        """Note that the edit which was last meant counts, unless that is noted, or done by another server."""
        job_id = edit.ticket.job_id
        events = read_events(self._layout, job_id)
        meant: dict[str, Any] = next((each for each in reversed(events) if each["event"] == "editing"), {})
        edited = [each.get("request") for each in events if each["event"] == "edited"]
        if meant.get("request") in edited or not fs.exists(edit.decided):
            return
        self._journal.forget(job_id)
        details = {key: value for key, value in meant.items() if key not in _OF_EVERY_EVENT}
        self._journal.note(job_id, edit.ticket.claim, "edited", **details)

    def settle_all(self, but: Callable[[str], bool], tried: Tried = at_once) -> None:
        """Settle what this server, or one of its name that died, left open, `but` some jobs."""
        open_ = [job_id for job_id in self._marks.opened() if not but(job_id)]
        do_all(partial(tried, each, partial(self._settle_alone, each, self._marks)) for each in open_)

    def inherit(self, dead: str, but: Container[str] = (), tried: Tried = at_once) -> None:
        """Settle what another server left open, `but` some jobs; from now on this one answers for it.

        That server may only stand still. The order is that of `spool.marks`.
        """
        edits = Edits(self._layout, dead, self._moves)
        marks = Marks(self._layout, dead, durable=self.durable)
        edited = {edit.ticket.job_id for edit in left(self._layout.accepting_by(dead))}
        open_ = [job_id for job_id in sorted({*marks.opened(), *edited}) if job_id not in but]
        alone = (partial(tried, job_id, partial(self._settle_alone, job_id, marks)) for job_id in open_)
        do_all([partial(edits.recover, self.note_edit), *alone])

    def _settle_alone(self, job_id: str, marks: Marks) -> None:
        """Settle a job that another server, or one of our name, has marked: it shall write no more of it."""
        place = find(self._layout, job_id)
        if place is None:
            if self.is_long_gone(job_id):
                marks.close(job_id)
            return  # else it is in an editor's hands, or a listing is stale
        if place.server == marks.server:
            return  # it is claimed: whoever gives it back, or ends it, settles it
        self.open(job_id)
        self._inherited.add(job_id)
        if marks.server != self._server:
            marks.close(job_id)
        self._journal.fence(job_id)
        self._inherited.discard(job_id)
        self.settle_if_known(job_id)


def _agree(told: str, state: State) -> bool:
    """Return whether a record tells of the state in which a ticket lies: a paused job waits in the queue."""
    return told == state or (told, state) == (State.PAUSED, State.QUEUED)


def unseen(job_id: str) -> StorageError:
    """Return what is wrong when the ticket of a job is not to be seen where it must be somewhere."""
    return StorageError(
        f"the ticket of {job_id} is nowhere to be seen: whose the job is cannot be told",
        hint="it is looked for again, and its data are kept; 'qtrl-spool doctor' looks for it, too",
    )
