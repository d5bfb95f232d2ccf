"""What a server that died left behind, and how it goes on.

A server looks after the remains of its own name when it starts, and after those of others when
their heartbeat has not changed for a lease of *its own* monotonic clock: clocks of two machines
are never compared. Everything here can be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from qtrl_spool import fs
from qtrl_spool.bundle import unpack
from qtrl_spool.errors import BackendError, BundleError, ManifestError, OperatorError
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.spool.accepting import parse_taken
from qtrl_spool.spool.journal import read_events
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import heartbeats
from qtrl_spool.spool.tickets import Place, running

_log = logging.getLogger(__name__)


def n_attempts(layout: Layout, job_id: str) -> int:
    """Return how often a job's execution was started."""
    return sum(event["event"] == "started" for event in read_events(layout, job_id))


def recover(layout: Layout, outcome: Outcome, server: str, max_attempts: int) -> None:
    """Requeue or fail what `server` had claimed when it died, then settle what it left open."""
    for place in running(layout, server):
        _give_back(layout, outcome, place, max_attempts)
    outcome.settle_all()


def _give_back(layout: Layout, outcome: Outcome, place: Place, max_attempts: int) -> None:
    attempts = n_attempts(layout, place.ticket.job_id)
    why = f"server {place.server!r} died while it ran the job"
    if attempts >= max_attempts:
        error: OperatorError = OperatorError(
            f"the job was started {attempts} times and never came to an end", hint=f"the last time, {why}"
        )
    elif attempts and _on_interrupt(place) == "fail":
        error = BackendError(f"the job was interrupted: {why}", hint="its manifest says on_interrupt: fail")
    else:
        outcome.requeue(place, why)
        return
    outcome.fail(place, error, "")


def _on_interrupt(place: Place) -> str:
    try:
        return unpack(fs.read(place.path) or b"").manifest.on_interrupt
    except (BundleError, ManifestError):
        return "fail"


class Watch:
    """Notices servers whose heartbeat stands still.

    Parameters
    ----------
    layout:
        The spool.
    server:
        Name of the server that watches.
    lease_s:
        For how long, by this machine's monotonic clock.
    """

    def __init__(self, layout: Layout, server: str, lease_s: float) -> None:
        self._layout = layout
        self._server = server
        self._lease_s = lease_s
        self._seen: dict[str, tuple[Any, float]] = {}

    def dead(self, now: float) -> list[str]:
        """Return the other servers that left something behind and have not changed for a lease.

        Parameters
        ----------
        now:
            Monotonic time (s).
        """
        beats = {str(beat["name"]): beat.get("updated") for beat in heartbeats(self._layout)}
        left = {*fs.folders(self._layout.running), *fs.folders(self._layout.accepting)} - {self._server}
        for name in left:
            if self._seen.get(name, (None, 0.0))[0] != (beats.get(name), True):
                self._seen[name] = ((beats.get(name), True), now)
        return sorted(
            name for name in left if now - self._seen[name][1] > self._lease_s and self._holds(name)
        )

    def _holds(self, name: str) -> bool:
        taken = (parse_taken(each) for each in fs.names(self._layout.accepting_by(name)))
        return bool(running(self._layout, name)) or any(taken)


def take_over(
    layout: Layout, outcome_of: Callable[[str], Outcome], dead: str, server: str, max_attempts: int
) -> None:
    """Give a dead server's jobs back to the queue, and take the drops that it was accepting."""
    _log.warning("server %r has not been heard of for a lease: taking over what it left", dead)
    recover(layout, outcome_of(dead), dead, max_attempts)
    mine = layout.accepting_by(server)
    fs.make_folder(mine)
    for name in fs.names(layout.accepting_by(dead)):
        if parse_taken(name) is not None and fs.move(layout.accepting_by(dead) / name, mine / name):
            _drop_copies(layout, dead, name)


def _drop_copies(layout: Layout, dead: str, name: str) -> None:
    """Remove the copies that `dead` was about to move into the queue: its next rename then fails."""
    taken = parse_taken(name)
    for copy in fs.names(layout.accepting_by(dead)):
        if taken is not None and copy.startswith(".") and taken.job_id in copy:
            fs.remove(layout.accepting_by(dead) / copy)
