"""The one job that a server runs: claim it, hand it to the worker, act on what the worker reports.

Called by the main loop, a step at a time. Before anything is written about the job, its ticket is
looked for where this claim put it: if it is no longer there, another server took the job over, and
this one writes nothing more. Fails with `StorageError`; the same step is then tried again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import Bundle, unpack
from qtrl_spool.config import ConfigStore, Configuration
from qtrl_spool.errors import AbortedError, BackendError, InternalError, QtrlSpoolError, StorageError
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.roll import Choice
from qtrl_spool.server.worker import Batch, Failed, Finished, Order, Phase, Report, Stopped, Worker
from qtrl_spool.spool import servers, tickets
from qtrl_spool.spool.arriving import is_open
from qtrl_spool.spool.eligible import Facts, why_not
from qtrl_spool.spool.journal import Journal, n_attempts, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.pauses import pauses
from qtrl_spool.spool.tickets import Place, Tickets

_log = logging.getLogger(__name__)
_PROGRESS_EVERY_S = 0.2


class Running:
    """The running job of one server, if it has one.

    Parameters
    ----------
    layout:
        The spool.
    journal, moves, outcome, worker:
        Of this server.
    server, backend:
        Their names.
    store:
        The default configuration.
    choice:
        Of whose turn it is.
    """

    def __init__(
        self,
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        outcome: Outcome,
        worker: Worker,
        server: str,
        backend: str,
        store: ConfigStore,
        choice: Choice,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._outcome = outcome
        self._worker = worker
        self._server = server
        self._backend = backend
        self.instrument = server
        self._store = store
        self._choice = choice
        self._order: Order | None = None
        self._reports: deque[Report] = deque()
        self._cancelled: str | None = None
        self._overdue: str | None = None
        self._acquiring_since: float | None = None
        self._progress_at = 0.0

    @property
    def job_id(self) -> str | None:
        """Id of the running job."""
        return None if self._order is None else self._order.place.ticket.job_id

    # ------------------------------------------------------------ claim

    def claim_next(self) -> bool:
        """Claim the job whose turn it is, unless one runs already; return whether one was claimed."""
        if self._order is not None:
            return False
        mine = next(iter(tickets.running(self._layout, self._server)), None) or self._claim()
        if mine is None:
            return False
        self._begin(mine)
        return True

    def _claim(self) -> Place | None:
        with servers.claiming(self._layout):
            best = self._choice.next(partial(self._takes, self._known()))
            if best is None:
                return None
            self._outcome.open(best.ticket.job_id)
            mine = self._moves.claim(best, self._server)
        if mine is None:
            self._outcome.close(best.ticket.job_id)
        return mine

    def _known(self) -> Facts:
        """Return what decides, for this server, whether a job may run."""
        return Facts({self._server: self.instrument}, pauses(self._layout), partial(is_open, self._layout))

    def _takes(self, facts: Facts, place: Place, told: Mapping[str, Any]) -> bool:
        """Whether a job may run here, by what this server knows of it and then by its record."""
        now = datetime.now(UTC)
        if why_not(place, told, now=now, facts=facts) is not None:
            return False
        record = read_status(self._layout, place.ticket.job_id) or {}
        return why_not(place, record, now=now, facts=facts) is None

    def _begin(self, mine: Place) -> None:
        job_id, claim = mine.ticket.job_id, mine.ticket.claim
        self._journal.forget(job_id)
        if self._journal.record(job_id)["priority"] != mine.ticket.priority:
            self._journal.note(job_id, claim, "moved", priority=mine.ticket.priority)
        self._journal.note(job_id, claim, "claimed", server=self._server)
        _log.info("claimed %s", job_id)
        self._cancelled = self._overdue = self._acquiring_since = None
        try:
            bundle = unpack(fs.read(mine.path) or b"")
            default = self._default_for(bundle, job_id)
        except StorageError:
            raise
        except QtrlSpoolError as error:
            self._outcome.fail(mine, error, "")
            return
        self._order = Order(
            mine, self._layout.home(job_id), bundle, default, self._identity(mine, bundle), self._journal.now
        )
        self._worker.hand_over(self._order)

    def _default_for(self, bundle: Bundle, job_id: str) -> Configuration:
        wanted = bundle.manifest.config_version
        if wanted == "submitted":
            wanted = self._journal.record(job_id)["config_version"]
        return self._store.version(wanted) if isinstance(wanted, int) else self._store.current()

    def _identity(self, mine: Place, bundle: Bundle) -> dict[str, Any]:
        record = self._journal.record(mine.ticket.job_id)
        return {
            "job_id": mine.ticket.job_id,
            "name": record["name"],
            "user": record["user"] or "",
            "tags": list(bundle.manifest.tags),
            "notes": bundle.manifest.notes or "",
            "submitted": record["submitted"] or "",
            "accepted": record["accepted"] or "",
            "server": self._server,
            "backend": self._backend,
            "attempt": n_attempts(self._layout, mine.ticket.job_id) + 1,
            "claim": mine.ticket.claim,
        }

    # ------------------------------------------------------------ stop

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the job after its batch, or give the batch up; it goes back to the queue."""
        if self._order is not None:
            self._order.stop.set()
            if at_once:
                self._order.abort.set()

    def cancel(self, job_id: str, why: str, at_once: bool) -> None:
        """Stop the job for good, if it is this one; that it was asked for survives a death."""
        if self._order is None or self.job_id != job_id:
            return
        if self._cancelled is None:
            self._journal.note(job_id, self._order.place.ticket.claim, "cancelling", why=why)
        self._cancelled = why
        self._order.cancel.set()
        self.stop(at_once=at_once)

    def look_at_clock(self) -> None:
        """Give the job up when it takes longer than its manifest allows."""
        if self._order is None or self._acquiring_since is None or self._overdue is not None:
            return
        limit = self._order.bundle.manifest.max_duration
        if limit is not None and time.monotonic() - self._acquiring_since > limit:
            self._overdue = f"the acquisition took longer than the {limit:g} s that the job allows"
            self.stop(at_once=True)

    # ------------------------------------------------------------ reports

    def take_reports(self) -> None:
        """Act on everything that the worker has reported; what fails is kept and tried again."""
        while not self._worker.reports.empty():
            self._reports.append(self._worker.reports.get())
        while self._reports:
            self._take(self._reports[0])
            self._reports.popleft()
        if self._order is not None and not self._worker.alive:
            raise InternalError("the worker thread died", hint="please report it with the server's log")

    def _take(self, report: Report) -> None:
        place = report.order.place
        is_last = not isinstance(report, Batch | Phase)
        if fs.is_gone(place.path) and not self._outcome.has_ended(place):
            self.stop(at_once=True)
            if is_last:
                self._outcome.lose(place)
        elif isinstance(report, Batch):
            self._note_progress(report)
        elif isinstance(report, Phase):
            self._note_phase(report)
        else:
            self._end(report)
        if is_last:
            self._order = None

    def _end(self, report: Finished | Failed | Stopped) -> None:
        place = report.order.place
        if self._cancelled is not None:
            self._outcome.cancel_finished(place, self._cancelled)
        elif isinstance(report, Finished):
            self._outcome.commit(place)
        elif self._overdue is not None:
            hint = "raise max_duration, or measure less"
            self._outcome.fail(place, AbortedError(self._overdue, hint=hint), "")
        elif isinstance(report, Stopped):
            self._outcome.give_back(place, f"server {self._server!r} was stopped")
        elif self._may_retry(report):
            self._outcome.retry(place, report.error, report.details)
        else:
            self._outcome.fail(place, report.error, report.details)

    def _may_retry(self, failed: Failed) -> bool:
        if not isinstance(failed.error, BackendError):
            return False
        attempts = n_attempts(self._layout, failed.order.place.ticket.job_id)
        return attempts <= failed.order.bundle.manifest.retries

    def _note_phase(self, report: Phase) -> None:
        ticket, order = report.order.place.ticket, report.order
        if report.phase != "acquiring":
            self._acquiring_since = None
            self._journal.note(ticket.job_id, ticket.claim, "phase", phase=report.phase)
            return
        self._acquiring_since = time.monotonic()
        self._journal.note(
            ticket.job_id,
            ticket.claim,
            "started",
            attempt=order.identity["attempt"],
            n_batches=report.n_batches,
            config_version=order.default.version,
        )

    def _note_progress(self, report: Batch) -> None:
        now = time.monotonic()
        if report.batch < report.n_batches and now - self._progress_at < _PROGRESS_EVERY_S:
            return
        self._progress_at = now
        self._journal.progress(report.order.place.ticket.job_id, report.batch, report.n_batches)
