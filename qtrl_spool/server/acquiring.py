"""The second stage: the only one that touches the instrument, and the hand-over between two jobs.

Owns the backend from connecting to releasing it. Between the last batch of one job and the first of
the next stands only this::

    look at the instrument's health → claim the ticket (one rename) → write the claim's events, synced
      → arm → acquire

so the attempt is on record before the instrument begins. The rename is made durable a moment later,
by the main loop, while the instrument measures: a power cut in between leaves the ticket in the queue
and the attempt on record.

An instrument that cannot be opened, or that is not well, stops the queue with a reason; no job fails
for it. Fails with whatever a backend raises: the job fails, the backend is let go of and opened anew.
A stage whose backend never comes back is abandoned: it says nothing more.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from qtrl_spool import fs, run
from qtrl_spool.backends import Backend
from qtrl_spool.errors import AbortedError, StorageError
from qtrl_spool.server.orders import (
    Acquired,
    Batch,
    Begun,
    CheckUp,
    Connected,
    Execution,
    Failed,
    Halted,
    NotBegun,
    Order,
    Ready,
    Report,
    Unwell,
    Well,
)
from qtrl_spool.server.stage import Reports, Stage, as_error
from qtrl_spool.spool import servers
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets

_log = logging.getLogger(__name__)
_CONNECT_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Acquiring(Stage[Ready | CheckUp]):
    """Claims and acquires what is ready.

    Parameters
    ----------
    make_backend:
        Returns the backend, not yet connected.
    layout, journal, moves, server:
        Of this server, for the claim.
    reports:
        Where it says what becomes of its orders.
    keep:
        Called after each batch with the execution, so that its partial result may be written.
    """

    def __init__(
        self,
        make_backend: Callable[[], Backend],
        layout: Layout,
        journal: Journal,
        moves: Tickets,
        server: str,
        reports: Reports,
        keep: Callable[[Execution], None],
    ) -> None:
        super().__init__("acquiring", reports)
        self._make_backend = make_backend
        self._layout = layout
        self._journal = journal
        self._moves = moves
        self._server = server
        self._keep = keep
        self._backend: Backend | None = None
        self._abandoned = False
        self.busy: tuple[str, float] | None = None
        """What the instrument is asked for at present, and since when (s, monotonic)."""

    def report(self, report: Report) -> None:
        """Say something to the main loop, unless this stage was given up."""
        if not self._abandoned:
            super().report(report)

    def abandon(self) -> None:
        """Give the stage up, as its backend does not come back: what it still does counts for nothing."""
        self._abandoned = True
        self.ending.set()
        self.inbox.close()
        backend = self._backend
        if backend is not None:
            with contextlib.suppress(Exception):
                backend.abort()

    def abort(self) -> None:
        """Ask a backend that acquires to come back soon."""
        backend = self._backend
        if backend is not None:
            with contextlib.suppress(Exception):
                backend.abort()

    # ------------------------------------------------------------ the instrument

    def open(self) -> None:
        """Open the instrument; until that works, say why not and try again."""
        for wait in _waits():
            try:
                self._do("connect", self._connect)
            except Exception as error:  # noqa: BLE001 - a driver may raise anything
                _log.warning("the instrument cannot be opened: %s", error)
                self.report(Unwell(f"the instrument cannot be opened: {error}"))
                if self.ending.wait(wait):
                    return
            else:
                return

    def _connect(self) -> None:
        backend = self._make_backend()
        backend.connect()
        self._backend = backend
        self.report(Connected(backend))

    def shut(self) -> None:
        """Leave the instrument in a safe state."""
        self._let_go()

    def _let_go(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            with contextlib.suppress(Exception):
                backend.abort()
            with contextlib.suppress(Exception):
                backend.release()

    def _do(self, what: str, action: Callable[[], Any]) -> Any:
        self.busy = what, time.monotonic()
        try:
            return action()
        finally:
            self.busy = None

    def _illness(self, backend: Backend) -> str | None:
        try:
            found: str | None = self._do("health", backend.health)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything
            return f"it does not say how it is: {error}"
        return found

    # ------------------------------------------------------------ one job

    def carry_out(self, order: Ready | CheckUp) -> None:
        """Claim and acquire one job, or look whether one could be."""
        backend = self._backend
        if isinstance(order, CheckUp):
            illness = None if backend is None else self._illness(backend)
            self.report(Well() if illness is None else Unwell(illness))
            return
        if backend is None or order.backend is not backend:
            self.report(NotBegun(order.order))
            return
        illness = self._illness(backend)
        if illness is not None:
            self.report(Unwell(illness, order))
            return
        execution = self._begun(order)
        if execution is not None:
            self._acquire(execution, backend)

    def _begun(self, ready: Ready) -> Execution | None:
        """Claim the job and put the attempt on record; None if it is not ours to acquire."""
        order = ready.order
        try:
            mine = self._claim(order)
            if mine is None:
                self.report(NotBegun(order))
                return None
            events = self._events(ready)
            self._journal.append(order.job_id, mine.ticket.claim, events, is_open=True)
        except StorageError as trouble:
            self.report(NotBegun(order, trouble))
            return None
        execution = Execution(ready, ready.data, started=order.started or events[-1]["at"])
        self.report(Begun(execution, events))
        return execution

    def _claim(self, order: Order) -> Place | None:
        if self._abandoned or order.halt.is_set() or not order.is_current():
            return None
        with servers.claiming(self._layout):
            mine = self._moves.rename(order.waiting, self._server)
        if mine is not None and fs.mark_of(mine.path) != order.mark:
            return None  # its bundle was edited since it was read: the main loop gives it back
        return mine

    def _events(self, ready: Ready) -> tuple[Mapping[str, Any], ...]:
        order, entry = ready.order, self._journal.entry
        about = {
            "attempt": ready.attempt,
            "n_batches": ready.prepared.settings.n_batches,
            "config_version": order.default.version,
        }
        before = ready.before
        began = (
            entry("started", **about)
            if before is None
            else entry("resumed", batch=before.data.n_batches, **about)
        )
        return (*order.notes, entry("claimed", server=self._server), began)

    def _acquire(self, execution: Execution, backend: Backend) -> None:
        order = execution.order
        try:
            self._do("arm", lambda: backend.arm(execution.ready.plan))
            whole = self._batches(execution, backend)
        except AbortedError as error:
            if order.halt.is_set() or order.abort.is_set():
                self.report(Halted(execution))
            else:
                self._fail(execution, error)
        except Exception as error:  # noqa: BLE001 - a stage outlives whatever a job or a driver does
            self._fail(execution, error)
        else:
            self.report(Acquired(execution) if whole else Halted(execution))

    def _batches(self, execution: Execution, backend: Backend) -> bool:
        order = execution.order

        def on_batch(batch: int) -> None:
            self.busy = "acquire", time.monotonic()
            self.report(Batch(order, batch, execution.n_batches))
            self._keep(execution)

        def acquire() -> bool:
            return run.acquire(
                execution.ready.prepared,
                backend,
                execution.data,
                halting=lambda: order.halt.is_set() or fs.is_gone(order.place.path),
                aborting=order.abort.is_set,
                on_batch=on_batch,
            )

        whole: bool = self._do("acquire", acquire)
        return whole

    def _fail(self, execution: Execution, error: Exception) -> None:
        """Report a failed job, then open the instrument anew: nobody knows in which state it is."""
        problem = as_error(error)
        details = "".join(traceback.format_exception(error))
        self._let_go()
        self.report(Failed(execution.order, problem, details, execution))
        if not self._abandoned:
            self.open()


def _waits() -> Any:
    yield from _CONNECT_AGAIN_S
    while True:
        yield _CONNECT_AGAIN_S[-1]
