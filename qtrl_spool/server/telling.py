"""Does one thing after another, so that one job's trouble keeps no other: what the stages said, and more.

Called by ``pipeline``, ``recovery`` and ``outcome``. Fails with the first `StorageError` when all the rest is
done; what a report was about, and all that was said later of the same job, is kept for the next time, in its
order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from qtrl_spool.errors import StorageError
from qtrl_spool.server.orders import Report

Tried: TypeAlias = "Callable[[str, Callable[[], object]], object]"
"""Does something about a job, by its id; or leaves it for later."""


def at_once(job_id: str, act: Callable[[], object]) -> object:
    """Do something about a job, whatever comes of it."""
    return act()


def do_all(actions: Iterable[Callable[[], object]]) -> None:
    """Do things one after another, whatever the storage refuses to one of them.

    Raises
    ------
    StorageError
        The first trouble, when the others are done.
    """
    troubles: list[StorageError] = []
    for act in actions:
        try:
            act()
        except StorageError as trouble:
            troubles.append(trouble)
    for first in troubles:
        raise first


class Once:
    """What is to be done once: what the storage refuses of it is done when this is called again."""

    def __init__(self) -> None:
        self.left: list[Callable[[], object]] = []

    def __call__(self) -> None:
        """Do what is left, in its order; fails as `do_all` does."""
        left, self.left = self.left, []
        do_all([partial(self._try, each) for each in left])

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except StorageError:
            self.left.append(action)
            raise


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
