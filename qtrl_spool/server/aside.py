"""Jobs that are left aside for a while, because the storage refuses one of their files.

A file that a share has damaged may be refused for ever: its job then waits alone, with the reason, and is
looked at again after 1 s, 2 s, … `_LONGEST_S`. What fails for every job, such as a full disk, is no matter of
one job: `is_of_one_job` tells the two apart. Called by ``choosing`` and ``pipeline``. Fails never.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from qtrl_spool.errors import StorageError

_log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S, _MET_S = 1.0, 16.0, 2.0
MOST_BROKEN = 16
"""How many jobs are left aside at once without a rest for all."""
_OF_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTCONN}


def is_of_one_job(trouble: StorageError) -> bool:
    """Return whether trouble with a job's file is likely to be that file's own, not the whole storage's."""
    cause = trouble.__cause__
    return isinstance(cause, OSError) and cause.errno not in _OF_ALL


@dataclass
class _Resting:
    trouble: StorageError
    until: float
    rest_s: float


class Aside:
    """The jobs of one server's queue that wait for their files.

    Parameters
    ----------
    clock:
        Tells monotonic time, s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[str, _Resting] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def rests(self, job_id: str) -> StorageError | None:
        """Return what the storage refused if it is too early to look at a job again."""
        found = self._jobs.get(job_id)
        return found.trouble if found is not None and self._clock() < found.until else None

    def put(self, job_id: str, trouble: StorageError) -> None:
        """Leave a job aside; it rests twice as long as the last time."""
        known = self._jobs.get(job_id)
        if known is None or str(known.trouble) != str(trouble):
            _log.error("%s is left aside, and tried again: %s", job_id, trouble)
        rest_s = _FIRST_S if known is None else min(2 * known.rest_s, _LONGEST_S)
        self._jobs[job_id] = _Resting(trouble, self._clock() + rest_s, rest_s)

    def tried(self, job_id: str, act: Callable[[], object]) -> None:
        """Do something about a job, unless it rests; leave it aside if the storage refuses that."""
        if self.rests(job_id):
            return
        try:
            act()
        except StorageError as trouble:
            if not is_of_one_job(trouble):
                raise
            self.put(job_id, trouble)
        else:
            self.take(job_id)

    @property
    def is_crowded(self) -> bool:
        """Whether that many jobs are aside that more than single files is wrong."""
        return len(self.told()) > MOST_BROKEN

    def take(self, job_id: str) -> None:
        """Note that all files of a job can be read."""
        if self._jobs.pop(job_id, None) is not None:
            _log.info("%s is aside no longer", job_id)

    def told(self) -> dict[str, str]:
        """Return in words why which jobs are left aside; those that are no longer met are forgotten."""
        now = self._clock()
        self._jobs = {job: each for job, each in self._jobs.items() if now < each.until + _LONGEST_S}
        met = {job: each for job, each in self._jobs.items() if now < each.until + _MET_S}
        return {job: str(each.trouble) for job, each in met.items()}
