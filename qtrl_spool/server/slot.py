"""The place between the first two stages: the one job that is made ready, or is ready, for the instrument.

The main loop fills it and may take back what is in it, for as long as the instrument has not begun; the
first stage hands its work over here, from its own thread, so that the second stage finds the next job
the moment it ends the last one, whatever the main loop does meanwhile. Room for what the job will
measure is set apart at that moment: a job for which there is none waits, with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from qtrl_spool import run
from qtrl_spool.backends import Backend
from qtrl_spool.errors import StorageError
from qtrl_spool.gathered import Data
from qtrl_spool.results import space
from qtrl_spool.server.orders import CheckUp, NotBegun, Order, Ready
from qtrl_spool.server.stage import Inbox, Reports
from qtrl_spool.spool import servers
from qtrl_spool.spool.journal import claimed_result
from qtrl_spool.spool.layout import Layout


class Slot:
    """The next job of one server.

    Parameters
    ----------
    layout, server:
        The spool, and the server's name.
    reports:
        Where it says that there is no room.
    instrument:
        Returns the inbox of the second stage.
    """

    def __init__(
        self, layout: Layout, server: str, reports: Reports, instrument: Callable[[], Inbox[Ready | CheckUp]]
    ) -> None:
        self._layout = layout
        self._server = server
        self._reports = reports
        self._instrument = instrument
        self._lock = threading.Lock()
        self.order: Order | None = None
        """What is being made ready."""
        self.ready: Ready | None = None
        """The same when it is ready, until the instrument begins."""

    def fill(self, order: Order, inbox: Inbox[tuple[Order, Backend]], backend: Backend) -> None:
        """Have an order made ready."""
        self.order, self.ready = order, None
        inbox.put((order, backend))

    def hand_over(self, ready: Ready) -> None:
        """Leave what is ready for the instrument, if it is still wanted; called by the first stage."""
        if ready.order is not self.order:
            return
        try:
            with_room = self._with_room(ready)
        except StorageError as shortage:
            self._reports.put(NotBegun(ready.order, shortage))
            return
        with self._lock:
            if ready.order is self.order:
                self.ready = with_room
                self._instrument().put(with_room)
                return
        with_room.room.release()

    def _with_room(self, ready: Ready) -> Ready:
        """Set room apart for what the job measures, on the local disk and in the spool."""
        order, need = ready.order, run.need_of(ready.prepared, ready.backend.capabilities)
        result = order.home / claimed_result(order.place.ticket.claim)
        promised = servers.announced(self._layout, besides=self._server)
        room = space.reserve(result, need.result, promised=promised)
        try:
            data = Data(need) if ready.before is None else ready.before.data
        except StorageError:
            room.release()
            raise
        return replace(ready, data=data, room=room)

    def take_back(self) -> Order | None:
        """Empty the slot and return what was in it; None if it is empty, or the instrument has it already."""
        with self._lock:
            order, ready = self.order, self.ready
            if order is None or (ready is not None and not self._instrument().withdraw(ready)):
                return None
            self.order = self.ready = None
        order.halt.set()
        if ready is not None:
            ready.room.release()
        return order

    def empty(self, order: Order | None = None) -> None:
        """Note that the instrument has begun, or refused, what was in it; None: whatever it was."""
        with self._lock:
            if order is None or order is self.order:
                self.order = self.ready = None
