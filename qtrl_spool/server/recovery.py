"""What a server that died left behind, and how it goes on.

A server looks after the remains of its own name when it starts, and after those of others when
their heartbeat has not changed for a lease of *its own* monotonic clock: clocks of two machines
are never compared. Everything here can be done twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.telling import Tried, at_once, do_all
from qtrl_spool.spool.accepting import is_taken, parse_taken
from qtrl_spool.spool.edits import is_editing
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.servers import heard, last_signs
from qtrl_spool.spool.tickets import running

_BLIND_S = 5.0
_ROUND_S = 5.0

_STRAY = "it lay among the claimed jobs, and nobody ran it"

DIED = "died"


def recover(
    layout: Layout,
    outcome: Outcome,
    server: str,
    ours: Callable[[str], bool] = lambda job_id: False,
    tried: Tried = at_once,
) -> None:
    """Give back what a server of the same name had claimed when it died, then settle what it left open.

    Parameters
    ----------
    layout, outcome, server:
        The spool, and for whom.
    ours:
        Whether a job is in the hands of the living server of that name: such are left alone.
    tried:
        As for `give_back`; a job that it leaves where it is is not settled.

    Raises
    ------
    StorageError
        If the storage failed for one job; the others are given back all the same.
    """
    give = partial(give_back, layout, outcome, server, ours, tried, _why(server, DIED))
    do_all([give, partial(outcome.settle_all, ours, tried)])


class Rounds:
    """Settles, every few seconds, what trouble left of the jobs that a living server moved.

    Parameters
    ----------
    outcome, ours, tried:
        As for `recover`.
    clock:
        Tells monotonic time, s.
    """

    def __init__(
        self,
        outcome: Outcome,
        ours: Callable[[str], bool],
        tried: Tried,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle = partial(outcome.settle_all, ours)
        self._tried = tried
        self._clock = clock
        self._next_at = clock()

    def hurry(self) -> None:
        """Go round with the next call: the storage works again."""
        self._next_at = self._clock()

    def __call__(self) -> None:
        """Go round, if it is time; what is refused of one record rests for itself, whatever its job does."""
        if self._clock() >= self._next_at:
            self._next_at = self._clock() + _ROUND_S
            self._settle(lambda job_id, act: self._tried(f"the record of {job_id}", act))

    def end(self) -> None:
        """Go round for the last time, whatever rests."""
        self._settle()


def _why(server: str, what: str) -> str:
    return f"server {server!r} {what} while it ran the job"


def give_back(
    layout: Layout,
    outcome: Outcome,
    server: str,
    ours: Callable[[str], bool],
    tried: Tried = at_once,
    why: str = _STRAY,
) -> None:
    """Give back what lies among the claimed tickets of a server, but for what is in its hands (`ours`).

    `tried` does that for one job, or not yet.

    Raises
    ------
    StorageError
        If the storage failed for one job; the others are given back all the same.
    """
    places = [place for place in running(layout, server) if not ours(place.ticket.job_id)]
    acts = ((place.ticket.job_id, partial(outcome.give_back, place, why)) for place in places)
    do_all([partial(tried, job_id, act) for job_id, act in acts])


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
        self._blind_s = max(lease_s / 2, _BLIND_S)
        self._looked_at = float("-inf")
        self._seen: dict[str, tuple[str | None, float]] = {}
        self.unread: Mapping[str, StorageError] = {}
        """The servers whose heartbeat cannot be read, and why."""

    def dead(self, now: float, *, beat_at: float) -> list[str]:
        """Return the other servers that left something behind and have not changed for a lease.

        A time in which this one could not look itself (the share was away, the process frozen) or not write
        (the disk was full) does not count: nobody else may have been able to. Everybody's lease then begins
        anew.

        Parameters
        ----------
        now:
            Monotonic time (s).
        beat_at:
            When this server last wrote a heartbeat of its own, in the same time.
        """
        found = heard(self._layout)
        self.unread, signs = found.unread, last_signs(self._layout, found)
        left = {*fs.folders(self._layout.running), *fs.folders(self._layout.accepting)} - {self._server}
        if now - min(self._looked_at, beat_at) > self._blind_s:
            self._seen.clear()
        self._looked_at = now
        for name in left:
            if name not in self._seen or self._seen[name][0] != signs.get(name):
                self._seen[name] = (signs.get(name), now)
        return sorted(
            name for name in left if now - self._seen[name][1] > self._lease_s and self._holds(name)
        )

    def _holds(self, name: str) -> bool:
        """Whether a server holds tickets, jobs that it was ending, drops or requests."""
        taken = (is_taken(each) for each in fs.names(self._layout.accepting_by(name)))
        is_left = any(taken) or is_editing(self._layout, name)
        return is_left or bool(running(self._layout, name)) or bool(Marks(self._layout, name).opened())


def silent(lease_s: float) -> str:
    """Return in words what is known of a server that the lease declares dead: it may as well be frozen."""
    return f"was not heard of for {lease_s:g} s"


def take_over(
    layout: Layout, outcome: Outcome, dead: str, server: str, what: str = DIED, tried: Tried = at_once
) -> None:
    """Give back what the server `dead` had claimed, and take the drops and requests that it was looking at.

    Parameters
    ----------
    layout:
        The spool.
    outcome:
        Of the server which takes over.
    dead, server:
        Name of the server that is dead, or stands still, and of that which takes over.
    what:
        What is known of its death, in words.
    tried:
        As for `give_back`.

    Raises
    ------
    StorageError
        The first thing that the storage refused; what else lay there is taken all the same.
    """
    give = partial(give_back, layout, outcome, dead, lambda job_id: False, tried, _why(dead, what))
    inherit = partial(_inherit, layout, outcome, dead, tried)
    do_all([give, inherit, partial(_take_drops, layout, outcome, dead, server)])


def _inherit(layout: Layout, outcome: Outcome, dead: str, tried: Tried) -> None:
    claimed = {place.ticket.job_id for place in running(layout, dead)}
    outcome.inherit(dead, but=claimed, tried=tried)


def _take_drops(layout: Layout, outcome: Outcome, dead: str, server: str) -> None:
    """Take drops and requests; a request that may be about an edit which is not settled comes later."""
    source, mine, durable = layout.accepting_by(dead), layout.accepting_by(server), outcome.durable
    fs.make_folder(mine, durable=durable)
    is_settled = not is_editing(layout, dead)
    names = [each for each in fs.names(source) if parse_taken(each) or (is_settled and is_taken(each))]
    do_all(partial(fs.move, source / name, mine / name, durable=durable) for name in names)
