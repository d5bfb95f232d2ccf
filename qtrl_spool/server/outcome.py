"""What becomes of a claimed job: done, failed, cancelled, or back to the queue.

Owns: the last moves of a job. Each is a rename of the ticket; what people see (events, status,
``result.h5``) follows from it and can be made again by `settle`, whatever died in between.
A job that is being moved is marked (see `spool.marks`), so that whoever goes on knows where to look.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import unpack
from qtrl_spool.errors import (
    BackendError,
    BundleError,
    InternalError,
    ManifestError,
    OperatorError,
    QtrlSpoolError,
    StorageError,
)
from qtrl_spool.job import State, final_name
from qtrl_spool.results.space import clear
from qtrl_spool.server.telling import do_all
from qtrl_spool.spool.edits import Edit, Edits, left
from qtrl_spool.spool.eligible import backoff_s
from qtrl_spool.spool.journal import (
    PARTIAL,
    RESULT,
    Journal,
    cancel_asked_for,
    claimed_result,
    holds_asked_for,
    is_to_retry,
    n_attempts,
    n_retries,
    paused_at,
    read_events,
)
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.tickets import Place, Tickets, find

_log = logging.getLogger(__name__)
_NOWHERE_S = 60.0
_MOST_LOOKS = 5
_OF_EVERY_EVENT = ("at", "event", "by")
_EVENT = {State.DONE: "committed", State.FAILED: "failed", State.CANCELLED: "cancelled", State.HELD: "held"}


class Outcome:
    """Ends jobs for one server.

    Parameters
    ----------
    layout:
        The spool.
    journal, moves:
        Of this server.
    server:
        Its name.
    max_attempts:
        Executions after which a job that never ended has failed.
    clock:
        Tells monotonic time, s.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        server: str,
        max_attempts: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._server = server
        self._marks = Marks(layout, server, durable=moves.durable)
        self._max_attempts = max_attempts
        self._clock = clock
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
        """Mark a job as one that this server is moving."""
        self._marks.open(job_id)

    def close(self, job_id: str) -> None:
        """Take the mark away: everything about the job is written."""
        self._marks.close(job_id)

    def close_if_idle(self, job_id: str) -> None:
        """Take the mark away, but for a job in the hands of a stage: it may be claimed by then.

        Without its mark nobody would make its record right if the server died at its end.
        """
        if not self.in_hands(job_id):
            self.close(job_id)

    # ------------------------------------------------------------ last moves

    def commit(self, place: Place) -> bool:
        """Publish the result that this claim wrote; False if the claim was lost."""
        done = self._moves.finish(place, State.DONE)
        if done is None:
            return self.lose(place)
        self._publish(done)
        return True

    def fail(self, place: Place, error: QtrlSpoolError, details: str) -> bool:
        """End a job as failed; False if the claim was lost."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        self._journal.note(job_id, claim, "error", error=error.record(), traceback=details)
        if self._moves.finish(place, State.FAILED) is None:
            return self.lose(place)
        self._journal.note(job_id, claim, "failed", error=error.record())
        clear(self._layout.home(job_id))
        self.close(job_id)
        _log.warning("%s failed: %s", job_id, error)
        return True

    def cancel(self, place: Place, why: str) -> bool:
        """End a job as cancelled; False if somebody else moved it first."""
        job_id = place.ticket.job_id
        self.open(job_id)
        if self._moves.finish(place, State.CANCELLED) is None:
            return self.lose(place)
        self._journal.note(job_id, place.ticket.claim, "cancelled", reason=why)
        clear(self._layout.home(job_id))
        self.close(job_id)
        _log.info("%s %s", job_id, why)
        return True

    def cancel_finished(self, place: Place, why: str) -> bool:
        """Cancel a job whose result is written but not published: what it measured is its partial result."""
        home = self._layout.home(place.ticket.job_id)
        written = home / claimed_result(place.ticket.claim)
        if fs.exists(written):
            fs.remove(home / PARTIAL)
            fs.move(written, home / PARTIAL, durable=self._moves.durable)
        return self.cancel(place, why)

    def requeue(self, place: Place, why: str) -> bool:
        """Give a claimed job back to the queue; False if the claim was lost."""
        job_id = place.ticket.job_id
        back = self._put_back(place)
        if back is None:
            return self.lose(place)
        self._journal.note(job_id, place.ticket.claim, "requeued", why=why)
        self._note_hold(place)
        self.keep_up(back)
        self.close(job_id)
        _log.info("%s goes back to the queue: %s", job_id, why)
        return True

    def keep_up(self, place: Place) -> None:
        """Settle a job whose ticket, which we put there, has moved on meanwhile.

        We may have been frozen between a move and its record, and others have run the job since: what we
        wrote of it then is older than what they did.

        Raises
        ------
        StorageError
            If it moves on and on, or a listing is stale.
        """
        if not fs.exists(place.path):
            self.settle_if_known(place.ticket.job_id)

    def _put_back(self, place: Place, order: int | None = None) -> Place | None:
        """Move a claimed ticket to the queue, or to ``held/`` if somebody asked for that while it ran.

        Whoever took the job over gave it back under the same name: what lies there is no proof that we did.
        """
        if fs.is_gone(place.path):
            return None
        if holds_asked_for(self._layout, place.ticket.job_id, place.ticket.claim):
            return self._moves.hold(place)
        return self._moves.enqueue(place, order=order)

    def _note_hold(self, place: Place) -> None:
        """Note the holds that were asked for while a job ran, once its ticket lies in ``held/``."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        asked = holds_asked_for(self._layout, job_id, claim)
        entries = [self._journal.entry("held", **each) for each in asked.values()]
        if entries:
            self._journal.append(job_id, claim, entries)
            self._journal.absorb(job_id, entries)

    def unclaim(self, place: Place) -> bool:
        """Give a job back of which nothing was begun: it was claimed in vain, and no event tells of that."""
        job_id = place.ticket.job_id
        asked = cancel_asked_for(self._layout, job_id)
        if asked is not None:
            return self.cancel(place, asked)
        back = self._put_back(place)
        if back is None:
            return self.lose(place)
        self._note_hold(place)
        self.keep_up(back)
        self.close(job_id)
        return True

    def pause(
        self, place: Place, why: str, *, batch: int, n_batches: int | None, order: int | None = None
    ) -> bool:
        """Give a job that keeps what it measured back to the queue; False if the claim was lost.

        The event comes first: a death in between is mended as a pause. `order` puts it behind others.
        """
        job_id, claim = place.ticket.job_id, place.ticket.claim
        if fs.is_gone(place.path):
            return self.lose(place)
        if not paused_at(self._layout, job_id):
            self._journal.note(job_id, claim, "paused", why=why, reason=why, batch=batch, n_batches=n_batches)
        back = self._put_back(place, order)
        if back is None:
            return self.lose(place)
        self._note_hold(place)
        self.keep_up(back)
        self.close(job_id)
        _log.info("%s pauses after %d batches: %s", job_id, batch, why)
        return True

    def retry(self, place: Place, error: QtrlSpoolError, details: str) -> bool:
        """Give a job that failed on the backend back to the queue; its manifest allows another attempt.

        It waits before that, twice as long with every failure. That is noted with the failure, before the
        ticket moves, so that it counts after a death, too; once, however often the rest of this is tried.
        """
        job_id, claim = place.ticket.job_id, place.ticket.claim
        if not is_to_retry(self._layout, job_id, claim):
            wait_s = backoff_s(1 + n_retries(self._layout, job_id, but=claim))
            note = {"error": error.record(), "traceback": details, "retry_at": self._journal.now(wait_s)}
            self._journal.note(job_id, claim, "error", **note)
        self._journal.forget(job_id)
        return self.requeue(place, f"another attempt after: {error.message}")

    def give_back(self, place: Place, why: str) -> bool:
        """Do with an interrupted job what was asked for: cancel it, let it fail, or queue it again."""
        job_id = place.ticket.job_id
        if self._is_published(job_id):
            return self._put_away(place)
        asked = cancel_asked_for(self._layout, job_id)
        if asked is None and paused_at(self._layout, job_id):
            progress = self._journal.record(job_id)["progress"]
            return self.pause(place, why, batch=progress["batch"], n_batches=progress["n_batches"])
        attempts = n_attempts(self._layout, job_id)
        if asked is not None:
            return self.cancel(place, asked)
        if attempts >= self._max_attempts:
            message = f"the job was started {attempts} times and never came to an end"
            return self.fail(place, OperatorError(message, hint=f"the last time, {why}"), "")
        if attempts and _on_interrupt(place) == "fail":
            hint = "its manifest says on_interrupt: fail"
            return self.fail(place, BackendError(f"the job was interrupted: {why}", hint=hint), "")
        return self.requeue(place, why)

    def _is_published(self, job_id: str) -> bool:
        self._journal.forget(job_id)
        is_done = self._journal.record(job_id)["state"] == State.DONE
        return is_done and fs.exists(self._layout.home(job_id) / RESULT)

    def _put_away(self, place: Place) -> bool:
        """Bring the ticket of a job that is done, and that somebody took out of its home, back there."""
        job_id = place.ticket.job_id
        if self._moves.finish(place, State.DONE) is None:
            return self.lose(place)
        self._journal.rewrite(job_id)
        self.close(job_id)
        _log.warning("%s is done: its ticket lay among the claimed ones, and is back in its home", job_id)
        return True

    def has_ended(self, place: Place) -> bool:
        """Return whether a claimed ticket lies in the job's home: this claim has ended the job."""
        home, claim = self._layout.home(place.ticket.job_id), place.ticket.claim
        return any(fs.exists(home / final_name(state, claim)) for state in _EVENT if state.final)

    def lose(self, place: Place) -> bool:
        """Publish nothing, because another server took the job over; make its record right again.

        That a move came to nothing proves no such thing: its reply may be lost, and the share away. So
        nothing is removed before the ticket was seen elsewhere. True if it is this claim that made it done.

        Raises
        ------
        StorageError
            If the ticket is nowhere to be seen; then everything is kept.
        """
        job_id, claim = place.ticket.job_id, place.ticket.claim
        there = self._elsewhere(place)
        if there is None:
            said = (
                "%s is let go of: its ticket has been nowhere for %.0f s; 'qtrl-spool doctor --repair' looks"
            )
            _log.error(said, job_id, _NOWHERE_S)
            return False
        is_ours = there.state is State.DONE and there.ticket.claim == claim
        if not is_ours:
            _log.warning("%s is no longer ours: nothing was published", job_id)
            home = self._layout.home(job_id)
            fs.remove(home / claimed_result(claim))
            if fs.exists(home / RESULT):
                fs.remove(home / PARTIAL)
        self.settle_if_known(job_id)
        self._journal.forget(job_id)
        if place.state is State.RUNNING:
            self.close(job_id)
        else:
            self.close_if_idle(job_id)
        return is_ours

    def _elsewhere(self, place: Place) -> Place | None:
        """Return where a ticket lies that another claim, or another end, took from where `place` says.

        A listing may be stale: a ticket that waits under an older claim is one of before ours. None if its
        folder has been there without it, and no other place with it, for `_NOWHERE_S`: somebody removed it.
        """
        job_id = place.ticket.job_id
        there = find(self._layout, job_id)
        is_old = there and not there.state.final and there.ticket.claim < place.ticket.claim
        if there is not None and not is_old and there.path != place.path:
            self._nowhere.pop(job_id, None)
            return there
        since = self._nowhere.setdefault(job_id, self._clock())
        if there is None and fs.is_gone(place.path) and self._clock() - since > _NOWHERE_S:
            del self._nowhere[job_id]
            return None
        raise StorageError(
            f"the ticket of {job_id} is nowhere to be seen: whose the job is cannot be told",
            hint="it is looked for again, and its data are kept; 'qtrl-spool doctor' looks for it, too",
        )

    # ------------------------------------------------------------ make it so

    def _publish(self, done: Place) -> None:
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
        told, is_paused = record["state"], (State.PAUSED, State.QUEUED)
        if place.state is State.DONE:
            is_there = fs.exists(self._layout.home(place.ticket.job_id) / RESULT)
            if told != State.DONE or not is_there:
                self._publish(place)
        elif place.state not in {State.RUNNING, told} and (told, place.state) != is_paused:
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
        self._note_hold(place)

    @staticmethod
    def _repair(place: Place, record: Mapping[str, Any]) -> dict[str, Any]:
        if place.state is State.QUEUED:
            kind = "released" if record["state"] == State.HELD else "requeued"
            return {"event": kind, "why": "the server died on the way"}
        if place.state is State.HELD:  # moved by hand, or by a server that died before it could note the hold
            return {"event": "held", "reason": "it was found among the held jobs; 'release' lets it go on"}
        known = {"error": record["error"]} if place.state is State.FAILED else {}
        return {"event": _EVENT[place.state], "reason": "the server died on the way", **known}

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

    def settle_all(self, ours: Callable[[str], bool] = lambda job_id: False) -> None:
        """Settle what was open when a server of this name ended, but for jobs that are `ours` now."""
        open_ = [job_id for job_id in self._marks.opened() if not ours(job_id)]
        do_all([self.settle_edits, *(partial(self._settle_alone, job_id) for job_id in open_)])

    def _settle_alone(self, job_id: str) -> None:
        """Settle a job that others are answered for: what they have not written yet, they shall not write."""
        self._journal.fence(job_id)
        self.settle_if_known(job_id)

    def inherit(self, dead: str, but: Container[str] = ()) -> None:
        """Settle what another server left open, but for some jobs; from now on this one answers for it.

        That server may only stand still. The order is that of `spool.marks`.
        """
        edits = Edits(self._layout, dead, self._moves)
        marks = Marks(self._layout, dead, durable=self.durable)
        edited = {edit.ticket.job_id for edit in left(self._layout.accepting_by(dead))}
        open_ = [job_id for job_id in sorted({*marks.opened(), *edited}) if job_id not in but]
        do_all(
            [partial(edits.recover, self.note_edit), *(partial(self._take, each, marks) for each in open_)]
        )

    def _take(self, job_id: str, marks: Marks) -> None:
        if find(self._layout, job_id) is None:
            return  # a listing may be stale: it is looked for again
        self.open(job_id)
        self._inherited.add(job_id)
        marks.close(job_id)
        self._settle_inherited(job_id)

    def settle_inherited(self) -> None:
        """Settle what was inherited, as far as the storage refused that before."""
        do_all([partial(self._settle_inherited, job_id) for job_id in sorted(self._inherited)])

    def _settle_inherited(self, job_id: str) -> None:
        self._settle_alone(job_id)
        self._inherited.discard(job_id)


def is_editing(layout: Layout, server: str) -> bool:
    """Return whether a server left an edit half done."""
    return any(True for _ in left(layout.accepting_by(server)))


def _on_interrupt(place: Place) -> str:
    try:
        return unpack(fs.read(place.path) or b"").manifest.on_interrupt
    except (BundleError, ManifestError):
        return "fail"
