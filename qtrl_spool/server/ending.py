"""Why a job stops, and what becomes of it then: done, cancelled, failed, paused, or back to the queue.

Called by the pipeline, once what the job measured is safe. Fails with `StorageError`; it is then called
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from qtrl_spool.errors import BackendError, QtrlSpoolError
from qtrl_spool.job import State, Ticket
from qtrl_spool.server.orders import Before, Execution, Order
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.telling import do_all
from qtrl_spool.spool.journal import n_retries, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

_MOST_BEFORE = 4
_MAY_GO_ON = {State.PAUSED, State.HELD, State.QUEUED}


class Kind(StrEnum):
    """Why a job stops before its end."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    HELD = "held"
    PREEMPTED = "preempted"
    SLICED = "sliced"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Cause:
    """Why a job stops.

    Attributes
    ----------
    kind:
        What it is.
    why:
        In words, for people.
    error, details:
        What failed, and the traceback for the log.
    """

    kind: Kind
    why: str = ""
    error: QtrlSpoolError | None = None
    details: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the job ends with it, or begins anew, rather than being put back with what it measured."""
        return self.kind in {Kind.CANCELLED, Kind.FAILED}


def making_way(mine: Ticket, other: Ticket, ran_s: float, settings: Settings) -> Cause | None:
    """Return why the job that acquires should pause for one that is ready; None if it should go on.

    Parameters
    ----------
    mine, other:
        Tickets of the one that acquires and of the one that is ready.
    ran_s:
        For how long (s) the first one has run since its claim.
    settings:
        Of the spool.
    """
    if other.priority < mine.priority and settings.preempts(other.priority):
        return Cause(Kind.PREEMPTED, f"a more urgent job came: {other.job_id}")
    slice_s = settings.slice_of(mine.priority)
    if other.priority == mine.priority and slice_s is not None and ran_s > slice_s:
        return Cause(Kind.SLICED, f"its time slice is over: {other.job_id} is next")
    return None


def goes_on_before(pausing: Ticket, cause: Cause | None, other: Ticket) -> bool:
    """Return whether a job that is being paused just now goes on before another one may run.

    Its ticket is not back in the queue yet, and it has its turn there all the same.
    """
    if cause is None or cause.kind not in {Kind.PREEMPTED, Kind.SLICED}:
        return False
    if cause.kind is Kind.SLICED:  # it goes behind its equals
        return pausing.priority < other.priority
    return pausing.turn < other.turn


class Ending:
    """Ends the jobs of one server.

    Parameters
    ----------
    layout:
        The spool.
    outcome:
        Of this server.
    last_order:
        Returns an order number behind all that wait.
    """

    def __init__(self, layout: Layout, outcome: Outcome, last_order: Callable[[], int]) -> None:
        self._layout = layout
        self._outcome = outcome
        self._last_order = last_order
        self.before: dict[str, Before] = {}
        """What paused jobs measured that no partial result holds, by id: a few of them."""

    def forget_gone(self) -> None:
        """Give the room of paused jobs back that ended, or that another server goes on with."""
        do_all([partial(self._forget_if_gone, job_id) for job_id in self.before])

    def _forget_if_gone(self, job_id: str) -> None:
        record = read_status(self._layout, job_id) or {}
        if record.get("state") not in _MAY_GO_ON:
            self.before.pop(job_id).data.close()

    def finish(self, order: Order, cause: Cause | None) -> None:
        """Publish a result that is written, unless the job was cancelled meanwhile."""
        if cause is not None and cause.kind is Kind.CANCELLED:
            self._outcome.cancel_finished(order.place, cause.why)
        else:
            self._outcome.commit(order.place)

    def stop(self, order: Order, execution: Execution | None, cause: Cause) -> None:
        """Do with a job that stopped what it was stopped for."""
        if cause.kind is Kind.CANCELLED:
            self._outcome.cancel_finished(order.place, cause.why)
        elif cause.error is not None:
            self._fail(order, cause.error, cause.details)
        elif execution is None or self._must_not_pause(order, cause):
            self._outcome.give_back(order.place, cause.why)
        else:
            self._pause(order, execution, cause)

    @staticmethod
    def _must_not_pause(order: Order, cause: Cause) -> bool:
        return cause.kind is Kind.STOPPED and order.bundle.manifest.on_interrupt == "fail"

    def _pause(self, order: Order, execution: Execution, cause: Cause) -> None:
        if execution.ready.prepared.settings.keep_raw:  # a partial result has no raw traces
            self._remember(order, execution)
        self._outcome.pause(
            order.place,
            cause.why,
            batch=execution.data.n_batches,
            n_batches=execution.n_batches,
            order=self._last_order() if cause.kind is Kind.SLICED else None,
        )

    def _remember(self, order: Order, execution: Execution) -> None:
        seed = getattr(execution.ready.plan, "seed", None)
        program = execution.ready.prepared.sequence.program
        self.before[order.job_id] = Before(execution.data, seed, program.sha256)
        while len(self.before) > _MOST_BEFORE:
            self.before.pop(next(iter(self.before))).data.close()

    def _fail(self, order: Order, error: QtrlSpoolError, details: str) -> None:
        n_before = n_retries(self._layout, order.job_id, but=order.place.ticket.claim)
        if isinstance(error, BackendError) and n_before < order.bundle.manifest.retries:
            self._outcome.retry(order.place, error, details)
        else:
            self._outcome.fail(order.place, error, details)
