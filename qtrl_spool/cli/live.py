"""``top``: the queue and the servers, live in a terminal, once in a pipe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.look import queue_row
from qtrl_spool.cli.options import Seconds, json_option, opened, spool_option
from qtrl_spool.cli.say import document, is_terminal
from qtrl_spool.cli.tables import when

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_JOBS = ("", "job", "user", "priority", "", "done", "start", "")
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
        Console().print(_picture(place.queue()))
        return
    try:
        with Live(_picture(place.queue()), screen=True, auto_refresh=False) as live:
            while True:
                live.update(_picture(place.queue()), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        return


def _picture(found: Mapping[str, Any]) -> Group:
    from rich.console import Group
    from rich.text import Text

    waiting = [*found["queued"], *found["held"]]
    count = f"{len(found['running'])} running, {len(found['queued'])} waiting, {len(found['held'])} held"
    return Group(
        _table("servers", _SERVERS, [_server_row(each) for each in found["servers"]]),
        _table("jobs", _JOBS, [_job_row(each) for each in (*found["running"], *waiting)]),
        Text(f"{count}   {when(found['updated'])}", style="dim"),
    )


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(*headings, title=title, title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    for row in rows:
        table.add_row(*(each if hasattr(each, "__rich_console__") else _cell(each) for each in row))
    return table


def _cell(value: object) -> str:
    from rich.markup import escape

    return "" if value is None else escape(str(value))


def _server_row(beat: Mapping[str, Any]) -> tuple[object, ...]:
    alive = "standby" if beat.get("standby") else "alive"
    state = alive if beat.get("alive") else "stopped" if beat.get("stopped") else "silent"
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

    place, job_id, _, user, priority, where, done, start, why = queue_row(record)
    bar: object = done
    if record["progress"] and record["progress"].get("fraction"):
        bar = ProgressBar(total=1.0, completed=record["progress"]["fraction"], width=20)
    return place, job_id, user, priority, where, bar, start, why
