"""A stage: one thread that takes orders out of an inbox, one after another, and reports.

Three of them stand in a row, of equal shape::

    Preparing    merge, compile, plan                  no instrument, no claim
    Acquiring    claim, arm, acquire batch by batch    the only one that touches the instrument
    Finishing    process, write the result             no instrument

so that the next job is made ready and the last one is written while the present one acquires.
Nothing that goes wrong in a job ends a stage.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from qtrl_spool.errors import InternalError, QtrlSpoolError
from qtrl_spool.server.orders import Report

T = TypeVar("T")


class Inbox(Generic[T]):
    """Orders that wait for a stage; one that is not yet taken can be taken back."""

    def __init__(self) -> None:
        self._orders: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, order: T) -> None:
        """Leave an order."""
        with self._changed:
            self._orders.append(order)
            self._changed.notify()

    def withdraw(self, order: T) -> bool:
        """Take an order back; False if the stage has it already."""
        with self._changed:
            if order in self._orders:
                self._orders.remove(order)
                return True
            return False

    def take(self) -> T | None:
        """Return the oldest order, when there is one; None when the inbox is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._orders or self._closed)
            return self._orders.popleft() if self._orders else None

    def close(self) -> None:
        """Let no more orders be waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Reports:
    """What the stages say, in order.

    Parameters
    ----------
    wake:
        Called after each report.
    hear:
        Called with each report at the moment at which it is made, by the thread that makes it.
    """

    def __init__(
        self, wake: Callable[[], None], hear: Callable[[Report], None] = lambda report: None
    ) -> None:
        self._said: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._wake = wake
        self._hear = hear

    def put(self, report: Report) -> None:
        """Say something."""
        self._hear(report)
        self._said.put(report)
        self._wake()

    @property
    def is_heard(self) -> bool:
        """Whether nothing was said since it was last asked for."""
        return self._said.empty()

    def take(self) -> list[Report]:
        """Return what was said since it was last asked for."""
        taken = []
        while not self._said.empty():
            taken.append(self._said.get())
        return taken


class Stage(Generic[T]):
    """A thread that carries out orders. A subclass says how, in `carry_out`.

    Parameters
    ----------
    name:
        Of the thread.
    reports:
        Where it says what becomes of its orders.
    """

    def __init__(self, name: str, reports: Reports) -> None:
        self.inbox: Inbox[T] = Inbox()
        self.ending = threading.Event()
        self._reports = reports
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self, timeout: float) -> None:
        """Let the thread finish what it does."""
        self.ending.set()
        self.inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def need_alive(self) -> None:
        """Raise `InternalError` if the thread died."""
        if not self.alive and not self.ending.is_set():
            raise InternalError(
                f"the stage {type(self).__name__} died", hint="please report it, with the log"
            )

    def report(self, report: Report) -> None:
        """Say something to the main loop."""
        self._reports.put(report)

    def open(self) -> None:
        """Do what comes before the first order."""

    def carry_out(self, order: T) -> None:
        """Carry out one order and report."""
        raise NotImplementedError

    def shut(self) -> None:
        """Do what comes after the last order."""

    def _work(self) -> None:
        self.open()
        while (order := self.inbox.take()) is not None:
            self.carry_out(order)
        self.shut()


def as_error(error: Exception) -> QtrlSpoolError:
    """Return an error as the package tells it: a mistake of a driver or of ours is an `InternalError`."""
    if isinstance(error, QtrlSpoolError):
        return error
    return InternalError(
        f"{type(error).__name__}: {str(error)[:500]}", hint="the job's log has the details: please report it"
    )
