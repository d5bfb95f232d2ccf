"""After the fault: a healthy server goes on until all is well, or its time is over."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qtrl_spool.errors import QtrlSpoolError

from . import forked
from .promise import is_open, tickets
from .scenarios import Ends, broken

DEADLINE_S = 60.0


def gone_on(root: Path, log: Path, heir: str, ends: Ends, *, deadline_s: float = DEADLINE_S) -> list[str]:
    """Let a healthy server bring everything to its end; return what went wrong."""
    drain = ends.drain and heir == "lab"
    child = forked.fork(lambda: forked.serve_here(root, heir, drain=drain), log)
    how = watched(child, root, replace(ends, drain=drain), deadline_s=deadline_s)
    if how in {0, -signal.SIGTERM}:
        return []
    return [f"a healthy server ended with {how}: {log.read_text()[-800:]}"]


def watched(
    child: int,
    root: Path,
    ends: Ends,
    look: Callable[[], None] = lambda: None,
    *,
    deadline_s: float = DEADLINE_S,
) -> int | None:
    """Wait for a server; stop one that does not drain when all is well. Return how it ended."""
    end = time.monotonic() + deadline_s
    stopped = ends.drain
    while time.monotonic() < end:
        if (how := forked.ended_by_now(child)) is not None:
            return how
        look()
        if not stopped and all_is_well(root, ends):
            os.kill(child, signal.SIGTERM)
            stopped = True
        time.sleep(0.005 if ends.drain else 0.05)
    forked.kill(child)
    return None


def all_is_well(root: Path, ends: Ends) -> bool:
    """Return whether nothing is left to do; a server is at work, and what is looked at may move on."""
    with contextlib.suppress(QtrlSpoolError, OSError):
        there = tickets(root)
        ending = [
            job for job, state in ends.jobs.items() if state != "held"
        ]  # which is no end, but may be meant
        return not any(is_open(there.get(job, ())) for job in ending) and not broken(root, ends).faults
    return False
