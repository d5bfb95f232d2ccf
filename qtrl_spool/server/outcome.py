"""What becomes of a claimed job: done, failed, cancelled, or back to the queue.

Owns: the last moves of a job. Each is a rename of the ticket, under a mark; what follows from it is made by
``settling``, whatever died in between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from qtrl_spool import fs
from qtrl_spool.bundle import unpack
from qtrl_spool.errors import (
    BackendError,
    BundleError,
    ManifestError,
    OperatorError,
    QtrlSpoolError,
)
from qtrl_spool.job import State, final_name
from qtrl_spool.results.space import clear
from qtrl_spool.server.settling import Settling, unseen
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
)
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets, find

_log = logging.getLogger(__name__)


class Outcome(Settling):
    """Ends jobs for one server, and settles them.

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
        super().__init__(layout, journal, moves, server, clock)
        self._max_attempts = max_attempts

    # ------------------------------------------------------------ last moves

    def commit(self, place: Place) -> bool:
        """Publish the result that this claim wrote; False if the claim was lost."""
        self.open(place.ticket.job_id)
        done = self._moves.finish(place, State.DONE)
        if done is None:
            return self.lose(place)
        self.publish(done)
        return True

    def fail(self, place: Place, error: QtrlSpoolError, details: str) -> bool:
        """End a job as failed; False if the claim was lost."""
        job_id, claim = place.ticket.job_id, place.ticket.claim
        self.open(job_id)
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
        self.note_hold(place)
        self.keep_up(back)
        self.close(job_id)
        _log.info("%s goes back to the queue: %s", job_id, why)
        return True

    def _put_back(self, place: Place, order: int | None = None) -> Place | None:
        """Move a claimed ticket to the queue, or to ``held/`` if somebody asked for that while it ran.

        Whoever took the job over gave it back under the same name: what lies there is no proof that we did.
        """
        if fs.is_gone(place.path):
            return None
        self.open(place.ticket.job_id)
        if holds_asked_for(self._layout, place.ticket.job_id, place.ticket.claim):
            return self._moves.hold(place)
        return self._moves.enqueue(place, order=order)

    def unclaim(self, place: Place) -> bool:
        """Give a job back of which nothing was begun: it was claimed in vain, and no event tells of that."""
        job_id = place.ticket.job_id
        asked = cancel_asked_for(self._layout, job_id)
        if asked is not None:
            return self.cancel(place, asked)
        back = self._put_back(place)
        if back is None:
            return self.lose(place)
        self.note_hold(place)
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
        self.note_hold(place)
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
        self.open(job_id)
        if self._moves.finish(place, State.DONE) is None:
            return self.lose(place)
        self._journal.rewrite(job_id)
        self.close(job_id)
        _log.warning("%s is done: its ticket lay among the claimed ones, and is back in its home", job_id)
        return True

    def has_ended(self, place: Place) -> bool:
        """Return whether a claimed ticket lies in the job's home: this claim has ended the job."""
        home, claim = self._layout.home(place.ticket.job_id), place.ticket.claim
        return any(fs.exists(home / final_name(state, claim)) for state in State if state.final)

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
            self.close(job_id)
            return False
        is_ours = there.state is State.DONE and there.ticket.claim == claim
        if not is_ours:
            if there.state.final or there.ticket.claim != claim:
                _log.warning("%s is no longer ours: nothing was published", job_id)
            home = self._layout.home(job_id)
            fs.remove(home / claimed_result(claim))
            if fs.exists(home / RESULT):
                fs.remove(home / PARTIAL)
        self.settle_seen(job_id)
        self._journal.forget(job_id)
        if there.server == self._server:
            return is_ours  # it is ours again, under another claim, whose mark it is
        if place.server == self._server:
            self.close(job_id)
        else:
            self.close_if_idle(job_id)
        return is_ours

    def _elsewhere(self, place: Place) -> Place | None:
        """Return where a ticket lies that another claim, or another end, took from where `place` says.

        A listing may be stale: a ticket that waits under an older claim is one of before ours. None if it is
        long gone: somebody removed it.
        """
        job_id = place.ticket.job_id
        there = find(self._layout, job_id)
        is_old = there and not there.state.final and there.ticket.claim < place.ticket.claim
        if there is not None and not is_old and there.path != place.path:
            self._nowhere.pop(job_id, None)
            return there
        if there is None and fs.is_gone(place.path) and self.is_long_gone(job_id):
            return None
        raise unseen(job_id)


def _on_interrupt(place: Place) -> str:
    try:
        return unpack(fs.read(place.path) or b"").manifest.on_interrupt
    except (BundleError, ManifestError):
        return "fail"
