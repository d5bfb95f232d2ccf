"""Acts on what the stages said, one report after another, so that one job's trouble keeps no other job.

Called by ``pipeline``. Fails with the first `StorageError` when all the rest is done; what it was about, and
all that was said later of the same job, is kept for the next time, in its order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qtrl_spool.errors import StorageError
from qtrl_spool.server.orders import Report


def act_on_all(
    said: deque[Report], act: Callable[[Report], None], after: Callable[[], None] = lambda: None
) -> None:
    """Act on reports, the first of which is always the one that is acted on.

    Parameters
    ----------
    said:
        The reports; what the storage refused stays.
    act:
        Acts on one; more may be said meanwhile.
    after:
        Called after each.

    Raises
    ------
    StorageError
        The first trouble; a file that a share has damaged may be refused for ever.
    """
    left: list[Report] = []
    troubles: dict[str | None, StorageError] = {}
    try:
        while said:
            job_id = _job_of(said[0])
            if job_id not in troubles:
                try:
                    act(said[0])
                except StorageError as trouble:
                    troubles[job_id] = trouble
            if job_id in troubles:
                left.append(said.popleft())
            else:
                said.popleft()
                after()
    finally:
        said.extendleft(reversed(left))
    for refused in troubles.values():
        raise refused


def _job_of(report: Report) -> str | None:
    order = getattr(report, "order", None)
    return None if order is None else str(order.job_id)
