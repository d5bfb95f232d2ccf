"""The third stage: process what was acquired, and write the result, while the next job acquires.

Owns the files ``partial.h5`` and ``result.c<n>.h5`` of the jobs in its hands. It changes no state: a
result counts when the main loop moves the ticket. When the storage fails, what was measured is kept,
and writing it is tried again until it works or the server ends.

A partial result is written in at most a twentieth of the time, and at most once a second.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from qtrl_spool import fs, run
from qtrl_spool.errors import QtrlSpoolError, StorageError
from qtrl_spool.server.orders import Execution, Failed, Finished, Kept, Phase, Trouble
from qtrl_spool.server.stage import Reports, Stage, as_error
from qtrl_spool.spool.journal import PARTIAL, claimed_result

_log = logging.getLogger(__name__)
_PARTIAL_EVERY_S = 1.0
_PARTIAL_SHARE = 19.0
_TRY_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, eq=False)
class Result:
    """Order to process a whole acquisition and to write its result."""

    execution: Execution


@dataclass(frozen=True, eq=False)
class Keep:
    """Order to write what was measured so far, for a job that stops here, and to say when it is safe."""

    execution: Execution


@dataclass(frozen=True, eq=False)
class Partial:
    """Order to write what was measured so far, while the job goes on."""

    execution: Execution


class Finishing(Stage[Result | Keep | Partial]):
    """Writes results, whole and partial.

    Parameters
    ----------
    reports:
        Where it says what becomes of its orders.
    now:
        Returns the time as records write it.
    durable:
        Whether results are synced.
    """

    def __init__(self, reports: Reports, now: Callable[[], str], *, durable: bool) -> None:
        super().__init__("finishing", reports)
        self._now = now
        self._durable = durable

    def open(self) -> None:
        """Load what the first result needs: its job should not wait for that."""
        import h5py  # noqa: F401
        import scipy.optimize  # noqa: F401

    def offer_partial(self, execution: Execution) -> None:
        """Take note that there are new data; called by the second stage after each batch."""
        now = time.monotonic()
        if execution.partial_due == 0.0:
            execution.partial_due = now + _PARTIAL_EVERY_S
        is_last = execution.data.n_batches == execution.n_batches
        if now >= execution.partial_due and not is_last:
            execution.partial_due = float("inf")
            self.inbox.put(Partial(execution))

    def carry_out(self, order: Result | Keep | Partial) -> None:
        """Write one file."""
        if isinstance(order, Partial):
            self._write_partial(order.execution)
        elif isinstance(order, Keep):
            self._insist(order.execution, self._keep)
        else:
            self._insist(order.execution, self._finish)

    def _insist(self, execution: Execution, write: Callable[[Execution], None]) -> None:
        """Write, again and again while the storage fails; nothing measured is thrown away for that."""
        attempt = 0
        while True:
            try:
                write(execution)
            except StorageError as error:
                self.report(Trouble(execution.order, error))
                if self.ending.wait(_TRY_AGAIN_S[min(attempt, len(_TRY_AGAIN_S) - 1)]):
                    return
                attempt += 1
            except Exception as error:  # noqa: BLE001 - a stage outlives whatever a job does
                details = traceback.format_exc()
                self.report(Failed(execution.order, as_error(error), details, execution))
                return
            else:
                return

    # ------------------------------------------------------------ whole

    def _finish(self, execution: Execution) -> None:
        order, ready = execution.order, execution.ready
        if order.cancel.is_set():
            self._keep(execution)
            return
        self._say(execution, "processing")
        facts = {"started": execution.started, "finished": self._now(), **run.seed_of(ready.plan)}
        write = run.conclude(ready.prepared, execution.data, {**ready.identity, **facts})
        self._say(execution, "saving")
        target = order.home / claimed_result(order.place.ticket.claim)
        fs.replace_by(target, write, durable=self._durable, into=ready.room.into)
        self.report(Finished(order))

    def _say(self, execution: Execution, phase: str) -> None:
        if phase not in execution.said:
            execution.said.add(phase)
            self.report(Phase(execution.order, phase))

    # ------------------------------------------------------------ partial

    def _keep(self, execution: Execution) -> None:
        if execution.data.n_batches:
            self._save_partial(execution, durable=self._durable)
        self.report(Kept(execution))

    def _write_partial(self, execution: Execution) -> None:
        if execution.order.halt.is_set():
            execution.partial_due = 0.0
            return  # it stops here: Keep follows
        began = time.monotonic()
        try:
            self._save_partial(execution, durable=False)
        except QtrlSpoolError as error:
            if str(error) not in execution.said:
                execution.said.add(str(error))
                _log.warning("no partial result of %s: %s", execution.order.job_id, error)
        now = time.monotonic()
        execution.partial_due = now + max(_PARTIAL_EVERY_S, _PARTIAL_SHARE * (now - began))

    def _save_partial(self, execution: Execution, *, durable: bool) -> None:
        order, ready = execution.order, execution.ready
        facts = {"started": execution.started, **run.seed_of(ready.plan)}
        write = run.conclude(ready.prepared, execution.data, {**ready.identity, **facts}, partial=True)
        if not fs.is_gone(order.place.path):
            fs.replace_by(order.home / PARTIAL, write, durable=durable)
