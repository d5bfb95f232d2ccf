"""The jobs in the hands of one server: which is next, which acquires, which are being written.

::

    queue/ ──choose──▶ Preparing ──ready──▶ Acquiring ──data──▶ Finishing ──▶ done
               ▲                              │  ▲
               └──────── paused ◀─────────────┘  └── claim: one rename, by the second stage

The main loop calls `step`: hear the reports, choose, then write what there is to write. The next job is
prepared before it is claimed, so what was made ready is simply thrown away when something more urgent,
another bundle or a new configuration comes. Before anything is written about a claimed job, its ticket is
looked for where the claim put it: if it is no longer there, another server took the job over, and this
one writes nothing more. Fails with `StorageError`; the same step is then tried again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from qtrl_spool import fs
from qtrl_spool.backends import Backend
from qtrl_spool.config import ConfigStore
from qtrl_spool.errors import StorageError
from qtrl_spool.server import orders
from qtrl_spool.server.acquiring import Acquiring
from qtrl_spool.server.choosing import Choosing, Names
from qtrl_spool.server.ending import Cause, Ending, Kind, goes_on_before, making_way
from qtrl_spool.server.finishing import Finishing, Keep, Result
from qtrl_spool.server.health import Health
from qtrl_spool.server.orders import Execution, Order
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.patience import BESIDES_S, Now, hung, overdue
from qtrl_spool.server.preparing import Preparing
from qtrl_spool.server.recovery import give_back
from qtrl_spool.server.roll import Choice
from qtrl_spool.server.slot import Slot
from qtrl_spool.server.stage import Reports
from qtrl_spool.server.telling import act_on_all, do_all
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.tickets import Place, Tickets

_log = logging.getLogger(__name__)
_PROGRESS_EVERY_S = 0.2
_LOOK_AGAIN_S = 1.0
_MOST_FINISHING = 16
_GRACE_S = 10.0


class Pipeline:
    """The jobs of one server.

    Parameters
    ----------
    layout, settings:
        The spool.
    journal, moves, outcome, names:
        Of this server.
    store, choice:
        The default configuration; of whose turn it is.
    make_backend:
        Returns the backend, not yet connected.
    reports:
        Where its stages say what becomes of their orders.
    last_order:
        Returns an order number behind all that wait.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        store: ConfigStore,
        choice: Choice,
        names: Names,
        make_backend: Callable[[], Backend],
        reports: Reports,
        last_order: Callable[[], int],
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._journal = journal
        self._moves = moves
        self._outcome = outcome
        self._server = names.server
        self._make_backend = make_backend
        self._choosing = Choosing(layout, journal, moves, outcome, store, choice, names)
        self.aside = self._choosing.aside
        self._ending = Ending(layout, outcome, last_order)
        self._health = Health(layout, journal, names.server, names.backend, durable=settings.durable)
        self._reports = reports
        self._slot = Slot(layout, names.server, self._reports, lambda: self._acquiring.inbox)
        self._preparing = Preparing(self._reports, self._slot.hand_over)
        self._finishing = Finishing(self._reports, journal.now, durable=settings.durable)
        self._acquiring = self._new_acquiring()
        self._backend: Backend | None = None
        self._said: deque[orders.Report] = deque()
        self._now: Now | None = None
        self._written: dict[str, Execution] = {}
        self._keeping: set[str] = set()
        self._causes: dict[str, Cause] = {}
        self._progress_at = 0.0
        self._again_at = 0.0
        self._closed = self._is_refused = False
        self.trouble: str | None = None
        """What the storage refused to one of the stages."""

    def _new_acquiring(self) -> Acquiring:
        where = self._layout, self._journal, self._moves, self._server
        return Acquiring(self._make_backend, *where, self._reports, self._finishing.offer_partial)

    # ------------------------------------------------------------ life

    def begin(self) -> None:
        """Start the stages."""
        for stage in (self._preparing, self._acquiring, self._finishing):
            stage.begin()

    def end(self, timeout: float) -> None:
        """End the stages; the instrument is left in a safe state."""
        for stage in (self._preparing, self._acquiring, self._finishing):
            stage.end(timeout)

    @property
    def job_id(self) -> str | None:
        """Id of the job that acquires, else of one that is being written."""
        return next(iter(self._written), None) if self._now is None else self._now.order.job_id

    @property
    def is_idle(self) -> bool:
        """Whether no job is in this server's hands."""
        return self._now is None and not self._written and self._slot.order is None and not self._said

    @property
    def illness(self) -> str | None:
        """Why the instrument cannot measure at present."""
        return self._health.illness

    @property
    def is_stuck(self) -> bool:
        """Whether what was measured, or what became of a job, cannot be written at present."""
        return self._is_refused or (bool(self._written) and self.trouble is not None)

    @property
    def announced_bytes(self) -> int:
        """Bytes that the jobs in our hands will write, as far as no room could be set apart for them."""
        hands = [*self._written.values(), *(() if self._now is None else (self._now.execution,))]
        return sum(each.ready.room.announced for each in hands)

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more jobs; the one that acquires stops after its batch, or gives it up."""
        self._closed = True
        if self._now is not None:
            self._halt(self._now, self._stopped(), at_once=at_once)

    def _stopped(self) -> Cause:
        return Cause(Kind.STOPPED, f"server {self._server!r} was stopped")

    def cancel(self, job_id: str, why: str, at_once: bool) -> None:
        """Stop a claimed job for good, if it is ours; that it was asked for survives a death."""
        order = self._order_of(job_id)
        if order is None:
            return
        self.look_up(anew=True)  # the instrument will go on with what is ready then
        known = self._causes.get(job_id)
        if known is None or known.kind is not Kind.CANCELLED:
            self._journal.note(job_id, order.place.ticket.claim, "cancelling", why=why)
        self._causes[job_id] = Cause(Kind.CANCELLED, why)
        order.cancel.set()
        order.halt.set()
        if at_once:
            order.abort.set()
            if self._now is not None and self._now.order is order:
                self._acquiring.abort()

    def park(self, job_id: str, why: str, note: Callable[[], object]) -> bool:
        """Stop a job of ours after its batch, to be held; False if it has measured all and ends anyway.

        `note` is called before: a job that has stopped already, but for its end, is held by it.
        """
        self._hear()
        order, cause = self._order_of(job_id), self._causes.get(job_id)
        is_ending = cause.is_final if cause and job_id in self._keeping else job_id in self._written
        if order is None or is_ending or not fs.exists(order.place.path):
            return False
        note()
        self._causes.setdefault(job_id, Cause(Kind.HELD, why))
        order.halt.set()
        return True

    def _order_of(self, job_id: str) -> Order | None:
        known = (self._slot.order, *(each.order for each in (*self._written.values(), self._now) if each))
        return next((each for each in known if each and each.job_id == job_id), None)

    def has(self, job_id: str) -> bool:
        """Whether a job is in our hands, or something that the stages said of it is still to be acted on."""
        said = (getattr(report, "order", None) for report in self._said)
        return self._order_of(job_id) is not None or any(each and each.job_id == job_id for each in said)

    def _halt(self, now: Now, cause: Cause, *, at_once: bool = False) -> None:
        self._causes.setdefault(now.order.job_id, cause)
        now.order.halt.set()
        if at_once and not now.order.abort.is_set():
            now.order.abort.set()
            self._acquiring.abort()

    # ------------------------------------------------------------ choose

    def step(self) -> None:
        """Look at the clock, choose what is next, act on what the stages said: one's trouble keeps no other.

        The next job is chosen first; what is to be written comes after: no instrument waits for a disk.
        """
        self._look_at_clock()
        if self._backend is not None:
            self._health.ask_again(self._acquiring.inbox)
        strays = partial(give_back, self._layout, self._outcome, self._server, self.has, self.aside.tried)
        do_all([self._ending.forget_gone, self._choose, self._act_on_said, strays])

    def _act_on_said(self) -> None:
        self._is_refused = True
        act_on_all(self._said, self._act, self.look_up)
        self._is_refused = False
        for stage in (self._preparing, self._acquiring, self._finishing):
            stage.need_alive()

    def look_up(self, *, anew: bool = False) -> None:
        """Choose in the midst of other work, if a stage has news or nothing to do, or `anew`; never fails."""
        with suppress(StorageError):  # the next step meets it again, and tells
            if anew or self._slot.order is None or not self._reports.is_heard:
                self._choose()

    def _choose(self) -> None:
        self._hear()
        best = self._best()
        if self._slot.order is not None and not self._choosing.is_still(self._slot.order, best):
            order = self._slot.take_back()
            if order is not None:
                self._outcome.let_go(order.waiting)
        if self._slot.order is None and best is not None and len(self._written) < _MOST_FINISHING:
            self._consider(best)
        now, ready = self._now, self._slot.ready
        if now is not None and ready is not None and not now.order.halt.is_set():
            ran_s, mine, other = time.monotonic() - now.since, now.order.place, ready.order.waiting
            cause = making_way(mine.ticket, other.ticket, ran_s, self._settings)
            if cause is not None:
                self._halt(now, cause)

    def _best(self) -> Place | None:
        """Return the ticket whose turn it is; None while one that goes on before it is being paused."""
        best = None if self._closed or self.is_waiting else self._choosing.best(besides=self._written)
        pausing = ((self._written[each].order, self._causes.get(each)) for each in self._keeping)
        if best and any(goes_on_before(order.place.ticket, why, best.ticket) for order, why in pausing):
            return None
        return best

    @property
    def is_waiting(self) -> bool:
        """Whether nothing can be taken at present: no instrument, an unwell one, trouble a moment ago."""
        return self._backend is None or self.illness is not None or time.monotonic() < self._again_at

    def _consider(self, best: Place) -> None:
        """Have the job made ready whose turn it is."""
        order = self._choosing.order(best, self._ending.before)
        if order is not None and self._backend is not None:
            self._slot.fill(order, self._preparing.inbox, self._backend)

    def _look_at_clock(self) -> None:
        """Give up what takes longer than it may, and a backend that does not come back."""
        busy, time_now = self._acquiring.busy, time.monotonic()
        if busy is None:
            return
        what, since, now = *busy, self._now
        if now is None:
            if time_now - since > BESIDES_S and what != "acquire":
                self._abandon(what, time_now - since)
            return
        if now.gave_up is not None:
            if time_now - now.gave_up > _GRACE_S:
                self._abandon(what, time_now - since)
            return
        error = overdue(now, what, since, time_now, hang_s=self._settings.hang_s)
        if error is not None:
            now.gave_up = time_now
            cause = self._causes.setdefault(now.order.job_id, Cause(Kind.FAILED, error=error))
            self._halt(now, cause, at_once=True)

    def _abandon(self, what: str, seconds: float) -> None:
        """Give a stage up whose backend never came back, and begin another; its job fails."""
        now, self._now = self._now, None
        _log.error("the backend did not come back from %r for %.0f s: it is given up", what, seconds)
        self._acquiring.abandon()
        self._backend = None
        self._slot.empty()
        self._acquiring = self._new_acquiring()
        self._acquiring.begin()
        if now is not None:
            self._causes.setdefault(now.order.job_id, Cause(Kind.FAILED, error=hung(what, seconds)))
            self._keep(now.execution)

    # ------------------------------------------------------------ what a report changes at once

    def _hear(self) -> None:
        """Take note of what the stages said since; the rest of it waits in `_said`."""
        for report in self._reports.take():
            hear = _HEAR.get(type(report))
            if hear is not None:
                hear(self, report)
            self._said.append(report)

    def _connected(self, report: orders.Connected) -> None:
        self._backend = report.backend
        self._health.hear(report)

    def _heard_of_health(self, report: orders.Unwell | orders.Well) -> None:
        self._health.hear(report)
        if isinstance(report, orders.Unwell) and report.ready is not None:
            report.ready.room.release()
            self._slot.empty(report.ready.order)

    def _begun(self, report: orders.Begun) -> None:
        self._slot.empty(report.order)
        self._now = Now(report.execution, time.monotonic())
        self._ending.before.pop(report.order.job_id, None)
        self.trouble = None
        if self._closed:
            self.stop()

    def _heard_batch(self, report: orders.Batch) -> None:
        if self._now is not None and self._now.order is report.order:
            self._now.note_batch(time.monotonic())

    def _acquired(self, report: orders.Acquired) -> None:
        self._now = None
        self._written[report.order.job_id] = report.execution
        self._finishing.inbox.put(Result(report.execution))

    def _halted(self, report: orders.Halted) -> None:
        self._now = None
        self._keep(report.execution)

    def _keep(self, execution: Execution) -> None:
        self._written[execution.order.job_id] = execution
        self._keeping.add(execution.order.job_id)
        self._finishing.inbox.put(Keep(execution))

    def _let_go(self, report: orders.Failed) -> None:
        """Note that the instrument is opened anew after a failure."""
        if self._now is not None and self._now.order is report.order:
            self._now, self._backend = None, None
            self._slot.empty()
            if report.execution is not None:
                self._written[report.order.job_id] = report.execution

    # ------------------------------------------------------------ what is written about it

    def _act(self, report: orders.Report) -> None:
        act = _ACT.get(type(report))
        if act is not None and not self._is_lost(report):
            act(self, report)

    def _is_lost(self, report: Any) -> bool:
        """Notice that another server took the job over; then nothing more is written about it."""
        order: Order | None = getattr(report, "order", None)
        if order is None or isinstance(report, orders.Unfit | orders.NotBegun):
            return False  # nothing was claimed, or it is looked at there
        if not fs.is_gone(order.place.path) or self._outcome.has_ended(order.place):
            return False
        order.halt.set()
        order.abort.set()
        if isinstance(report, orders.Failed | orders.Finished | orders.Kept):
            self._outcome.lose(order.place)
            self._forget(order)
        return True

    def _forget(self, order: Order) -> None:
        if (written := self._written.pop(order.job_id, None)) is not None:
            written.ready.room.end()
            if order.job_id not in self._ending.before:
                written.data.close()
        self._keeping.discard(order.job_id)
        self._causes.pop(order.job_id, None)

    def _note_health(self, report: orders.Unwell | orders.Well | orders.Connected) -> None:
        self._health.note(report)
        if isinstance(report, orders.Unwell) and report.ready is not None:
            self._outcome.let_go(report.ready.order.waiting)

    def _drop_unfit(self, report: orders.Unfit) -> None:
        if report.order is self._slot.order:
            self._choosing.refuse(report.order.waiting, report.error, report.details)
            self._slot.empty(report.order)

    def _not_begun(self, report: orders.NotBegun) -> None:
        """Give back what was claimed in vain; what was claimed by another is that one's."""
        order, trouble = report.order, report.trouble
        self._slot.empty(order)
        if trouble is not None and not self._choosing.leaves_aside(order.job_id, trouble):
            if str(trouble) != self.trouble:
                _log.error("storage trouble, trying again: %s", trouble)
            self.trouble = str(trouble)
            self._again_at = time.monotonic() + _LOOK_AGAIN_S
        is_claimed = fs.exists(order.place.path)
        if is_claimed or not fs.exists(order.waiting.path):
            self._moves.settle(order.waiting, order.place if is_claimed else None)
        if self._order_of(order.job_id) is not None:
            return  # it is under way once more
        self._causes.pop(order.job_id, None)
        if is_claimed:
            self._outcome.unclaim(order.place)
        else:
            self._outcome.let_go(order.waiting)

    def _note_begun(self, report: orders.Begun) -> None:
        order = report.order
        self.aside.take(order.job_id)
        self._moves.settle(order.waiting, order.place)
        self._journal.absorb(order.job_id, report.events)
        _log.info("claimed %s", order.job_id)

    def _note_batch(self, report: orders.Batch) -> None:
        now = time.monotonic()
        is_soon = report.batch < report.n_batches and now - self._progress_at < _PROGRESS_EVERY_S
        if is_soon or self._is_overtaken(report.order):
            return
        self._progress_at = now
        self._journal.progress(report.order.job_id, report.batch, report.n_batches)

    def _failed(self, report: orders.Failed) -> None:
        """Let what a failed job measured be kept; it fails when that is done."""
        job_id = report.order.job_id
        self._causes.setdefault(job_id, Cause(Kind.FAILED, error=report.error, details=report.details))
        if job_id in self._keeping or report.execution is None:
            self._stop(report.order, None)
        else:
            self._keep(report.execution)

    def _note_phase(self, report: orders.Phase) -> None:
        ticket = report.order.place.ticket
        in_status = not self._is_overtaken(report.order)
        self._journal.mention(ticket.job_id, ticket.claim, "phase", in_status=in_status, phase=report.phase)

    def _is_overtaken(self, order: Order) -> bool:
        """Return whether the stages have said more of a job since: its record is written then."""
        later = islice(self._said, 1, None)
        return any(getattr(report, "order", None) is order and type(report) in _ACT for report in later)

    def _note_trouble(self, report: orders.Trouble) -> None:
        self.trouble = str(report.error)

    def _finished(self, report: orders.Finished) -> None:
        self.trouble = None
        self._ending.finish(report.order, self._causes.get(report.order.job_id))
        self._forget(report.order)

    def _kept(self, report: orders.Kept) -> None:
        self.trouble = None
        self._stop(report.order, report.execution)

    def _stop(self, order: Order, execution: Execution | None) -> None:
        self._ending.stop(order, execution, self._causes.get(order.job_id) or self._stopped())
        self._forget(order)


_HEAR: dict[type, Callable[[Pipeline, Any], None]] = {
    orders.Connected: Pipeline._connected,
    orders.Unwell: Pipeline._heard_of_health,
    orders.Well: Pipeline._heard_of_health,
    orders.Begun: Pipeline._begun,
    orders.Batch: Pipeline._heard_batch,
    orders.Acquired: Pipeline._acquired,
    orders.Halted: Pipeline._halted,
    orders.Failed: Pipeline._let_go,
}
_ACT: dict[type, Callable[[Pipeline, Any], None]] = {
    orders.Connected: Pipeline._note_health,
    orders.Unwell: Pipeline._note_health,
    orders.Well: Pipeline._note_health,
    orders.Unfit: Pipeline._drop_unfit,
    orders.NotBegun: Pipeline._not_begun,
    orders.Begun: Pipeline._note_begun,
    orders.Batch: Pipeline._note_batch,
    orders.Failed: Pipeline._failed,
    orders.Phase: Pipeline._note_phase,
    orders.Trouble: Pipeline._note_trouble,
    orders.Finished: Pipeline._finished,
    orders.Kept: Pipeline._kept,
}
