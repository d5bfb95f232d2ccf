"""Who serves a spool while it is repaired, and the locks of those who do not.

A server lives if its heartbeat looks recent, or if its name's lock is held. The lock of every other name
is held for as long as the repair lasts, so that none of them starts in its midst.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import OperatorError, ServerNameTakenError, UsageError
from qtrl_spool.spool import servers
from qtrl_spool.spool.layout import Layout

REPAIR = "doctor"
"""Whom events name that a repair writes, and the lock that keeps two repairs apart."""


class Living:
    """The servers that live, by name.

    Parameters
    ----------
    layout:
        The spool.
    lease_s:
        After so long without a heartbeat a server looks dead.
    """

    def __init__(self, layout: Layout, lease_s: float) -> None:
        self._layout = layout
        self._lease_s = lease_s
        self._beats: dict[str, Any] = {}
        self.names: set[str] = set()

    def find(self, held: ExitStack) -> None:
        """Find out who lives, and hold the names of those who do not until `held` is closed."""
        now = datetime.now(UTC)
        beats = {str(beat.get("name")): beat for beat in servers.heartbeats(self._layout)}
        self._beats = {name: beat.get("updated") for name, beat in beats.items()}
        known = {*beats, *fs.folders(self._layout.running), *fs.folders(self._layout.accepting)}
        for name in sorted(known - {".copied"}):
            beat = beats.get(name)
            if beat is not None and servers.looks_alive(beat, now=now, lease_s=self._lease_s):
                self.names.add(name)
            elif beat is None or not beat.get("standby"):
                self._hold(name, held)

    def _hold(self, name: str, held: ExitStack) -> None:
        try:
            held.enter_context(servers.holding_name(self._layout, servers.check_name(name)))
        except ServerNameTakenError:
            self.names.add(name)
        except UsageError:
            return

    def look_again(self) -> None:
        """Count those as living, too, whose heartbeat has changed meanwhile: their clock may be wrong."""
        for beat in servers.heartbeats(self._layout):
            if self._beats.get(str(beat.get("name"))) != beat.get("updated"):
                self.names.add(str(beat.get("name")))


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Keep a second repair off for as long as this one lasts.

    Raises
    ------
    OperatorError
        If there is one.
    """
    with ExitStack() as held:
        try:
            held.enter_context(servers.holding_name(layout, f"{REPAIR}-repair"))
        except ServerNameTakenError:
            raise OperatorError(
                f"{layout.root} is being repaired already", hint="wait until that repair has ended"
            ) from None
        yield
