"""How the instrument of a server is: well, or not, and why; while it is not, its queue is paused.

Called by the pipeline, with what the second stage says. The pause is a file of the spool like any other,
told apart as the instrument's own; it goes when the instrument is well again. Fails with `StorageError`.
"""

from __future__ import annotations

import logging
import time

from qtrl_spool.server.orders import CheckUp, Connected, Ready, Unwell, Well
from qtrl_spool.server.stage import Inbox
from qtrl_spool.spool.eligible import Pause
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.pauses import pause, pauses, resume

_log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 1.0


class Health:
    """Of one server's instrument.

    Parameters
    ----------
    layout, journal:
        Of the spool and of the server.
    server, backend:
        Their names.
    durable:
        Whether a pause survives a power cut.
    """

    def __init__(self, layout: Layout, journal: Journal, server: str, backend: str, *, durable: bool) -> None:
        self._layout = layout
        self._journal = journal
        self._server = server
        self._backend = backend
        self._durable = durable
        self._again_at = 0.0
        self.illness: str | None = None
        """Why the instrument cannot measure at present."""

    def hear(self, report: Unwell | Well | Connected) -> None:
        """Take note of what the second stage says."""
        illness = report.reason if isinstance(report, Unwell) else None
        if illness is not None and illness != self.illness:
            _log.warning("the instrument cannot measure: %s", illness)
        self.illness = illness
        self._again_at = time.monotonic() + _LOOK_AGAIN_S

    def ask_again(self, inbox: Inbox[Ready | CheckUp]) -> None:
        """Have an unwell instrument asked, now and then, how it is."""
        if self.illness is not None and time.monotonic() > self._again_at:
            self._again_at = time.monotonic() + _LOOK_AGAIN_S
            inbox.put(CheckUp())

    def note(self, report: Unwell | Well | Connected) -> None:
        """Pause the instrument's queue, or let it go on."""
        if isinstance(report, Unwell):
            self._pause(report.reason)
        elif resume(self._layout, self._server, by_backend=True, durable=self._durable):
            _log.info("the instrument is well again")

    def _pause(self, reason: str) -> None:
        said = Pause(self._server, reason, self._backend, self._journal.now(), by_backend=True)
        mine = [each for each in pauses(self._layout) if each.by_backend and each.server == self._server]
        if reason not in [each.reason for each in mine]:
            pause(self._layout, said, durable=self._durable)
