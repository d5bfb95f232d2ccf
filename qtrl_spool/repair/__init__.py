"""Puts a damaged spool right: ``qtrl-spool doctor --repair``.

::

    folders and their permissions → what lies out of place → jobs → marks and temporary files left behind

Deletes nothing: what is in the way goes to ``lost+found/`` of the spool (``repair.parking``). May be done
while servers run: only what several looks find in the same place is touched, on a share a minute
apart, because a listing there may be that old; what a living server is busy with is left to it. Can be
killed anywhere and done again: then it goes on, and done once more it finds nothing.

Called by the command. Fails: `OperatorError` if the user may not change the spool, or another repair runs;
what the storage refuses of one thing is told, and the others are mended.

Known limits: who dropped a job whose home is lost is not known any more. The configuration is not
mended here ('qtrl-spool config validate' judges it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import TypeVar

from qtrl_spool.repair import places
from qtrl_spool.repair.jobs import Jobs
from qtrl_spool.repair.living import Living, alone
from qtrl_spool.repair.mending import FAILED, LEFT, MENDED, Mending
from qtrl_spool.repair.parking import Parking
from qtrl_spool.spool import probe, survey
from qtrl_spool.spool.diagnosis import Ailment, Seen, diagnose
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

__all__ = ["FAILED", "LEFT", "MENDED", "Mending", "repair"]

_T = TypeVar("_T")
_N_LOOKS, _BETWEEN_S = 3, 0.3
_N_LOOKS_SHARED, _BETWEEN_SHARED_S = 2, 65.0  # NFS may show a listing that is 60 s old, sshfs 20 s
_A_DAY_S = 86_400.0
_MOST_ROUNDS = 3


def repair(
    layout: Layout,
    settings: Settings,
    *,
    wait: Callable[[float], object] = time.sleep,
    old_s: float = _A_DAY_S,
) -> Iterator[Mending]:
    """Mend what is wrong with a spool, and yield what was done, one thing after another.

    Parameters
    ----------
    layout, settings:
        The spool.
    wait:
        Waits for so long (s) between two looks.
    old_s:
        Age (s) at which a temporary file was left behind.

    Raises
    ------
    OperatorError
        If this user may not mend it, or it is being mended already.
    """
    with ExitStack() as held:
        held.enter_context(places.acting_as_owner(layout))
        yield from places.mend_folders(layout)
        held.enter_context(alone(layout))
        storage = probe.look(layout)
        living = Living(layout, settings.lease_s)
        living.find(held)
        looks = _Looks(living, wait, is_shared=storage.mount is not None and storage.mount.is_shared)
        parking = Parking(layout)
        for _ in range(_MOST_ROUNDS):  # a folder that is none may hold tickets, and is put aside without them
            found = looks.lasting(lambda: survey.out_of_place(layout, living.names))
            if not found:
                break
            yield from places.mend_places(parking, found)
        yield from _mend_jobs(layout, Jobs(layout, settings, parking), living, looks)
        yield from places.mend_marks(layout, parking, living.names)
        offset_s = storage.clock_offset_s or 0.0
        old = survey.old_temporaries(layout, older_than_s=old_s, clock_offset_s=offset_s)
        yield from places.mend_leftovers(layout, parking, old)


class _Looks:
    """Several looks at one thing; on a share they are far apart, because a listing there may be old."""

    def __init__(self, living: Living, wait: Callable[[float], object], *, is_shared: bool) -> None:
        self._living = living
        self._wait = wait
        self._n_looks = _N_LOOKS_SHARED if is_shared else _N_LOOKS
        self._between_s = _BETWEEN_SHARED_S if is_shared else _BETWEEN_S

    def lasting(self, look: Callable[[], Mapping[str, _T]]) -> dict[str, _T]:
        """Return what every look finds, the same each time."""
        return survey.lasting(look, self._n_looks, self._pause)

    def _pause(self) -> None:
        self._wait(self._between_s)
        self._living.look_again()


def _mend_jobs(layout: Layout, jobs: Jobs, living: Living, looks: _Looks) -> Iterator[Mending]:
    suspects = survey.ailing(layout)
    found = looks.lasting(lambda: survey.ailing(layout, suspects)) if suspects else {}
    for job_id, seen in found.items():
        busy = _busy_with(layout, seen, living)
        if busy is None:
            yield from jobs.mend(job_id, diagnose(seen))
        elif Ailment.HOMELESS in diagnose(seen):  # no server can go on with it, nor be asked about it
            yield from islice(jobs.mend(job_id, [Ailment.HOMELESS]), 1)
        else:
            words = "; ".join(diagnose(seen))
            yield Mending(LEFT, job_id, f"{words}: left to server {busy!r}, which is busy with it")


def _busy_with(layout: Layout, seen: Seen, living: Living) -> str | None:
    """Return the living server that is moving or running a job; None if a job with several tickets has none.

    Of several tickets all but one are put aside, whoever holds them: that is how a server learns that it
    has lost a claim.
    """
    marked = {job_id: server for server, job_id in survey.marks(layout).values() if server in living.names}
    if seen.job_id in marked and len(seen.places) < 2:
        return marked[seen.job_id]
    place = seen.place
    if place is not None and place.server in living.names and len(seen.places) < 2:
        return place.server
    return None
