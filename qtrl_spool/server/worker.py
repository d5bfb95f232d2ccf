"""The thread that runs claimed jobs, one after another.

Owns: the backend, from connecting to releasing it, and the files ``partial.h5`` and
``result.c<n>.h5`` of the job it runs. It reports through a queue and touches nothing else of the
spool: the main loop alone changes states. Nothing that goes wrong in a job ends the thread.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtrl_spool import fs, run
from qtrl_spool.backends import Backend
from qtrl_spool.bundle import Bundle
from qtrl_spool.config import Configuration
from qtrl_spool.errors import AbortedError, InternalError, QtrlSpoolError
from qtrl_spool.spool.journal import PARTIAL, claimed_result
from qtrl_spool.spool.tickets import Place

_log = logging.getLogger(__name__)
_PARTIAL_EVERY_S = 1.0
_PARTIAL_SHARE = 19.0


@dataclass(frozen=True)
class Order:
    """What the main loop orders: run this job.

    Attributes
    ----------
    place:
        The claimed ticket.
    home:
        The job's home.
    bundle:
        What to run.
    default:
        The default configuration at the version that counts for this job.
    identity:
        Root attributes of the result.
    now:
        Returns the time as records write it.
    stop, cancel, abort:
        Set to stop it after its batch; to stop it whatever it does, for good; to give up the batch.
    """

    place: Place
    home: Path
    bundle: Bundle
    default: Configuration
    identity: dict[str, Any]
    now: Callable[[], str]
    stop: threading.Event = field(default_factory=threading.Event)
    cancel: threading.Event = field(default_factory=threading.Event)
    abort: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Phase:
    """The worker begins with ``compiling``, ``acquiring``, ``processing`` or ``saving``."""

    order: Order
    phase: str
    n_batches: int = 0


@dataclass(frozen=True)
class Batch:
    """A batch was acquired."""

    order: Order
    batch: int
    n_batches: int


@dataclass(frozen=True)
class Finished:
    """The result lies in the job's home under the claim's name."""

    order: Order


@dataclass(frozen=True)
class Failed:
    """The job failed with this error."""

    order: Order
    error: QtrlSpoolError
    details: str


@dataclass(frozen=True)
class Stopped:
    """The job was told to stop, and did."""

    order: Order


Report = Phase | Batch | Finished | Failed | Stopped


class Worker:
    """Runs jobs in a thread of its own.

    Parameters
    ----------
    make_backend:
        Returns the backend, not yet connected.
    wake:
        Called after each report.
    durable:
        Whether results are synced.
    """

    def __init__(
        self, make_backend: Callable[[], Backend], wake: Callable[[], None], *, durable: bool
    ) -> None:
        self._make_backend = make_backend
        self._wake = wake
        self._durable = durable
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._backend: Backend | None = None
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hand_over(self, order: Order) -> None:
        """Run this job next; reports follow."""
        self._orders.put(order)

    def end(self, timeout: float) -> None:
        """Let the thread finish what it does, then release the backend."""
        self._orders.put(None)
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            self._report(self._outcome(order))
        if self._backend is not None:
            self._backend.release()

    def _report(self, report: Report) -> None:
        self.reports.put(report)
        self._wake()

    def _outcome(self, order: Order) -> Report:
        try:
            self._carry_out(order)
        except AbortedError as error:
            if order.stop.is_set() or order.abort.is_set():
                return Stopped(order)
            return Failed(order, error, traceback.format_exc())
        except QtrlSpoolError as error:
            self._reset_backend()
            return Failed(order, error, traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - the worker outlives whatever a job or a driver does
            self._reset_backend()
            mistake = InternalError(
                f"{type(error).__name__}: {str(error)[:500]}",
                hint="the job's log has the details: please report it",
            )
            return Failed(order, mistake, traceback.format_exc())
        return Finished(order)

    def _carry_out(self, order: Order) -> None:
        prepared = run.prepare(order.bundle, order.default)
        self._stop_early(order)
        backend = self._connected()
        plan = backend.prepare(run.measurement(prepared))
        started = order.now()
        self._report(Phase(order, "acquiring", prepared.settings.n_batches))
        partial = _Partial(self._save_partial, order, prepared, started)

        def on_batch(batch: int, so_far: Callable[[], run.Acquisition]) -> None:
            self._report(Batch(order, batch, prepared.settings.n_batches))
            partial.keep(so_far, is_last=batch == prepared.settings.n_batches)

        def stopping() -> bool:
            return order.stop.is_set() or fs.is_gone(order.place.path)

        try:
            data = run.acquire(
                prepared, backend, plan, stopping=stopping, aborting=order.abort.is_set, on_batch=on_batch
            )
        except QtrlSpoolError:
            partial.save()
            raise
        if order.cancel.is_set():
            self._save_partial(order, prepared, data, started)
            raise AbortedError("cancelled before it was processed")
        self._report(Phase(order, "processing"))
        facts = {"started": started, "finished": order.now(), **run.seed_of(plan)}
        image = run.conclude(prepared, data, {**order.identity, **facts})
        self._report(Phase(order, "saving"))
        fs.replace(order.home / claimed_result(order.place.ticket.claim), image, durable=self._durable)

    @staticmethod
    def _stop_early(order: Order) -> None:
        if order.stop.is_set() or order.abort.is_set():
            raise AbortedError("stopped before it was acquired")

    def _save_partial(
        self, order: Order, prepared: run.Prepared, data: run.Acquisition, started: str
    ) -> None:
        image = run.conclude(prepared, data, {**order.identity, "started": started}, partial=True)
        if not fs.is_gone(order.place.path):
            fs.replace(order.home / PARTIAL, image, durable=False)

    def _connected(self) -> Backend:
        if self._backend is None:
            backend = self._make_backend()
            backend.connect()
            self._backend = backend
        return self._backend

    def _reset_backend(self) -> None:
        """Let go of the backend after a failure: the next job connects anew."""
        backend, self._backend = self._backend, None
        if backend is not None:
            with contextlib.suppress(Exception):
                backend.abort()
                backend.release()


class _Partial:
    """Keeps what was acquired so far, and saves it now and then, in at most a twentieth of the time."""

    def __init__(
        self,
        save: Callable[[Order, run.Prepared, run.Acquisition, str], None],
        order: Order,
        prepared: run.Prepared,
        started: str,
    ) -> None:
        self._save = save
        self._about = order, prepared
        self._started = started
        self._so_far: Callable[[], run.Acquisition] | None = None
        self._next_at = time.monotonic() + _PARTIAL_EVERY_S

    def keep(self, so_far: Callable[[], run.Acquisition], *, is_last: bool) -> None:
        """Remember the data after a batch, and save them if it is time."""
        self._so_far = so_far
        if not is_last and time.monotonic() >= self._next_at:
            self.save()

    def save(self) -> None:
        """Save what there is."""
        if self._so_far is None:
            return
        began = time.monotonic()
        self._save(*self._about, self._so_far(), self._started)
        now = time.monotonic()
        self._next_at = now + max(_PARTIAL_EVERY_S, _PARTIAL_SHARE * (now - began))
