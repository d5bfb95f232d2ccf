"""Tables that fit where they are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from qtrl_spool import Spool
from qtrl_spool.cli.look import narrow_row
from qtrl_spool.cli.tables import shortened
from qtrl_spool.job import Ticket, blank_record, make_id, utc
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import write_heartbeat

from .conftest import Run

LONG = "a-measurement-with-a-very-long-and-telling-name-" + "x" * 80


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("rabi", 4, "rabi"),
        ("rabi-q1-k3f9x", 9, "rabi…3f9x"),
        ("rabi-q1-k3f9x", 8, "rabi…f9x"),
        ("ab", 1, "…"),
    ],
)
def test_the_middle_of_what_is_too_long_is_left_out(text: str, most: int, short: str) -> None:
    assert shortened(text, most) == short


def waiting(spool: Spool) -> str:
    """Put a job with a long name into the queue as a server does, and return its id."""
    job_id = make_id(LONG, now=datetime.now(UTC), letters="k3f9x")
    home = Layout(spool.path).home(job_id)
    home.mkdir(parents=True)
    (home / "status.json").write_text(json.dumps({**blank_record(job_id, LONG), "user": "adalovelace"}))
    (spool.path / "queue" / "50-normal" / Ticket(50, 1, job_id).name).touch()
    return job_id


def test_a_long_name_does_not_widen_the_table_of_a_pipe(run: Run, spool: Spool) -> None:
    job_id = waiting(spool)
    line = run("queue").out.splitlines()[1]
    assert len(line) < 180 and job_id in line and "a-measurement-with-a…x" in line


def test_in_80_columns_a_long_id_leaves_room_for_the_reason(spool: Spool) -> None:
    waiting(spool)
    line = in_a_terminal("queue", columns=80).splitlines()[1]
    assert len(line) <= 80 and line.endswith("no server is running") and "-k3f9x" in line


def test_in_80_columns_there_is_room_for_the_start_and_a_reason() -> None:
    job_id = make_id(LONG, now=datetime.now(UTC), letters="k3f9x")
    at = "18:05:00 (18:00:00–18:20:00)"
    row = (12, job_id, LONG, "u" * 40, 50, "acquiring", "10/10", at, "waiting for 2 jobs")
    *others, start, _ = map(str, narrow_row(row))
    assert start == "18:05:00" and sum(len(each) + 2 for each in (*others, start)) <= 68


def test_an_indented_table_is_no_wider_than_the_terminal_and_its_headings_stand_out() -> None:
    made = "print(queue_table([tuple('x' * 40 for _ in range(9))], indent='     '))"
    shown = in_a_terminal("-c", f"from qtrl_spool.cli.look import queue_table; {made}", columns=80, module=())
    headings, row = shown.splitlines()
    assert headings.startswith("\x1b[1m     PLACE") and row.startswith("     x") and len(row) <= 80


@pytest.mark.parametrize(("n", "told"), [(1, "1 server ended"), (2, "2 servers ended")])
def test_top_counts_the_servers_that_ended(run: Run, spool: Spool, n: int, told: str) -> None:
    for name in "ab"[:n]:
        beat = {"name": name, "stopped": True, "updated": utc(datetime.now(UTC))}
        write_heartbeat(Layout(spool.path), beat)
    assert told in run("top").out


def in_a_terminal(
    *words: str, columns: int, module: tuple[str, ...] = ("-m", "qtrl_spool"), stderr: bool = False
) -> str:
    """Return what a command shows in a terminal of so many columns, with its words if `stderr`."""
    ours, theirs = os.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, *module, *words], stdout=theirs, stderr=theirs if stderr else None, env=env
    ):
        os.close(theirs)
        shown = b""
        while chunk := read(ours):
            shown += chunk
    os.close(ours)
    return shown.decode()


def read(terminal: int) -> bytes:
    """Return what a terminal shows next; nothing when its program has ended, which Linux calls an error."""
    try:
        return os.read(terminal, 10_000)
    except OSError:
        return b""
