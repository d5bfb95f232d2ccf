"""How a waiting person sees a job: in a few words, or as a progress bar.

Called by ``client`` for ``Job.wait``. The library that draws the bar is loaded when one is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qtrl_spool.job import State
from qtrl_spool.spool.moment import is_lost

_IN_ITS_TURN = ("waiting for ", "next", "about to move", "not yet accepted")
"""Begin the reasons of jobs that only have to wait."""


@contextmanager
def showing(
    job_id: str, progress: bool | None, note: str = "", tell: Callable[[str], object] | None = None
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show a progress bar while the body runs; it is given records through the yielded function.

    What `note` says stands behind it. Without a bar, `tell` is called with a sentence whenever something else
    than its turn keeps the job from its end.
    """
    if progress is None:
        progress = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not progress:
        yield _Teller(tell) if tell is not None else lambda record: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        *([TextColumn(note)] if note else []),
    )
    with Progress(*columns, console=Console(stderr="ipykernel" not in sys.modules)) as bar:
        line = bar.add_task(job_id, total=1.0, what="")
        yield lambda record: bar.update(
            line, completed=_fraction(record), what=describe(record), description=record["name"]
        )


class _Teller:
    """Tells once, and again when it is another one, what keeps a job from its end.

    Parameters
    ----------
    tell:
        Called with the sentence.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told: str | None = None

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Look at the record of the job."""
        said = obstacle(record)
        if said is not None and said != self._told:
            self._tell(f"job {record['id']} is {record['state']}: {said}")
        self._told = said


def obstacle(record: Mapping[str, Any]) -> str | None:
    """Return in words what else than time and its turn keeps a job from its end; None if nothing is known."""
    state, reason = State(record["state"]), str(record["reason"] or "")
    if state is State.RUNNING:
        return reason if is_lost(record) else None
    if state.final or not reason or reason.startswith(_IN_ITS_TURN):
        return None
    return reason


def _fraction(record: Mapping[str, Any]) -> float:
    return 1.0 if record["state"] == State.DONE else float(record["progress"]["fraction"])


def describe(record: Mapping[str, Any]) -> str:
    """Return in a few words where a job is: ``queued, place 3: waiting for 2 jobs``."""
    state, progress = record["state"], record["progress"]
    if state == State.QUEUED and record["place"] is not None:
        return f"queued, place {record['place']}: {record['reason']}"
    if state == State.RUNNING and is_lost(record):
        return f"running: {record['reason']}"
    if state == State.RUNNING and record["phase"] == "acquiring":
        return f"acquiring, batch {progress['batch']} of {progress['n_batches']}"
    if state == State.RUNNING:
        return str(record["phase"] or "running")
    reason = record["reason"] or (record["error"] or {}).get("message")
    return f"{state}: {reason}" if reason else str(state)
