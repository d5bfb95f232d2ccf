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


@contextmanager
def showing(
    job_id: str, progress: bool | None, note: str = ""
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Show a progress bar while the body runs; it is given records through the yielded function.

    What `note` says stands behind it.
    """
    if progress is None:
        progress = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not progress:
        yield lambda record: None
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
