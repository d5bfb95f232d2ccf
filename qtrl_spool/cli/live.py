"""``top`` and ``watch``: the queue, the servers, and what a running job has measured so far.

Live in a terminal, once in a pipe. The data are those of ``partial.h5``, which a running job replaces about
every second; they are read again only when the file is another one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool import fs
from qtrl_spool.cli.command import INTERRUPTED
from qtrl_spool.cli.look import SHOWN, narrow_row, queue_row, told_of
from qtrl_spool.cli.options import Seconds, json_option, opened, spool_option
from qtrl_spool.cli.say import document, is_terminal
from qtrl_spool.cli.tables import when
from qtrl_spool.errors import NotFoundError, StorageError, UsageError, harmless
from qtrl_spool.job import State
from qtrl_spool.spool.servers import is_silent

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from qtrl_spool.client import Job, Spool

_JOBS = ("", "job", "user", "", "done", "start", "")
_LEAST = 16
_SERVERS = ("server", "", "host", "backend", "runs", "config", "heard of")


@click.command()
@click.option("--every", metavar="S", type=Seconds(min=0.1), default=1.0, show_default=True)
@spool_option
@json_option
def top(every: float, spool: str, as_json: bool) -> None:
    """Show the queue, the servers and the running job, live; Ctrl-C ends it."""
    from rich.console import Console
    from rich.live import Live

    place = opened(spool)
    if as_json:
        document(place.queue())
        return
    if not is_terminal():
        Console().print(_picture(place.queue(SHOWN)))
        return
    data = _Data(place)
    with suppress(KeyboardInterrupt), Live(screen=True, auto_refresh=False) as live:
        while True:
            found = place.queue(SHOWN)
            live.update(_picture(found, data.of_running(found)), refresh=True)
            time.sleep(every)


@click.command()
@click.argument("job", metavar="JOB")
@click.option("--every", metavar="S", type=Seconds(min=0.1), default=1.0, show_default=True)
@spool_option
def watch(job: str, every: float, spool: str) -> int:
    """Show one job and what it has measured so far, until it ends; exit status 0 only if it is done.

    In a pipe it shows that once.
    """
    from rich.console import Console
    from rich.live import Live

    place = opened(spool)
    watched = place.job(job)
    data = _Data(place)
    if not is_terminal():
        Console().print(_sheet(watched, watched.status(), data.of(watched.id)))
        return 0
    with suppress(KeyboardInterrupt), Live(auto_refresh=False) as live:
        while True:
            status = watched.status()
            live.update(_sheet(watched, status, data.of(watched.id)), refresh=True)
            if State(status["state"]).final:
                return 0 if status["state"] == State.DONE else 1
            time.sleep(every)
    return INTERRUPTED


class _Data:
    """Plots of what jobs have measured, drawn anew when there is more.

    Parameters
    ----------
    place:
        The spool.
    """

    def __init__(self, place: Spool) -> None:
        self._place = place
        self._drawn: dict[str, tuple[str, str]] = {}

    def of_running(self, found: Mapping[str, Any]) -> str:
        """Return the plot of the first running job that has data."""
        plots = (self.of(str(each["id"])) for each in found["running"])
        return next((plot for plot in plots if plot), "")

    def of(self, job_id: str) -> str:
        """Return the plot of a job; an empty text where there is nothing to draw yet."""
        job = self._place.job(job_id)
        try:
            with job.partial() as result:
                mark = fs.mark_of(result.path)
                if self._drawn.get(job_id, ("", ""))[0] != mark:
                    self._drawn[job_id] = mark, result.text_plot(width=72)
        except (NotFoundError, StorageError, UsageError):  # none yet, or it is being replaced
            return ""
        return self._drawn[job_id][1]


def _sheet(watched: Job, status: Mapping[str, Any], plot: str) -> Group:
    from rich.console import Group
    from rich.text import Text

    said = told_of(watched, status)
    text = f"{harmless(status['name'])}  {status['id']}\n{harmless(said)}"
    return Group(Text(text), Text(plot or "no data yet", style="" if plot else "dim"))


def _picture(found: Mapping[str, Any], plot: str = "") -> Group:
    from rich.console import Group
    from rich.text import Text

    waiting = [*found["queued"], *found["held"]]
    n = found["counts"]
    count = f"{n['running']:,} running, {n['queued']:,} waiting, {n['held']:,} held"
    count += f", {len(found['arriving'])} not yet accepted" if found.get("arriving") else ""
    ended = [each for each in found["servers"] if each.get("stopped")]
    count += f", {len(ended)} server{'s' if len(ended) > 1 else ''} ended" if ended else ""
    count += f"; as of {when(found['as_of'])}, no server is running" if found.get("as_of") else ""
    return Group(
        _table("servers", _SERVERS, [_server_row(each) for each in found["servers"] if each not in ended]),
        _table("jobs", _JOBS, [_job_row(each) for each in (*found["running"], *waiting)]),
        Text(f"{count}   {when(found['updated'])}", style="dim"),
        Text(plot),
    )


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0))
    for n, heading in enumerate(headings):
        widest = max((len(str(row[n])) for row in rows if isinstance(row[n], str)), default=0)
        is_last = n == len(headings) - 1
        least = None if is_last else min(max(widest, len(heading)), _LEAST)
        table.add_column(
            heading, no_wrap=True, overflow="ellipsis", min_width=least, ratio=1 if is_last else None
        )
    for row in rows:
        table.add_row(*(each if hasattr(each, "__rich_console__") else _cell(each) for each in row))
    return table


def _cell(value: object) -> str:
    from rich.markup import escape

    return "" if value is None else escape(str(value))


def _server_row(beat: Mapping[str, Any]) -> tuple[object, ...]:
    alive = "standby" if beat.get("standby") else "alive"
    silent = is_silent(beat, now=datetime.now(UTC))
    state = alive if beat.get("alive") and not silent else "silent"
    trouble = beat.get("trouble") or ("config edit refused" if beat.get("config_refused") else None)
    return (
        beat.get("name"),
        trouble or state,
        beat.get("host"),
        beat.get("backend"),
        beat.get("running"),
        beat.get("config_version"),
        when(beat.get("updated")),
    )


def _job_row(record: Mapping[str, Any]) -> tuple[object, ...]:
    from rich.progress_bar import ProgressBar

    place, job_id, user, where, done, start, why = narrow_row(queue_row(record))
    bar: object = done
    if record["progress"] and record["progress"].get("fraction"):
        bar = ProgressBar(total=1.0, completed=record["progress"]["fraction"], width=10)
    return place, job_id, user, where, bar, start, why
