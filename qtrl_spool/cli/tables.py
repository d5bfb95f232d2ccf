"""Columns of text, times and durations, for people.

Plain text instead of a library of tables: ``queue`` and ``status`` must start at once, and that
library alone takes 60 ms.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from qtrl_spool.cli.say import is_terminal
from qtrl_spool.errors import harmless

_GAP = "  "


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "") -> str:
    """Return rows below their headings; columns without any entry are left out.

    Every line begins with `indent`. In a terminal the headings stand out and no line is wider than it; in a
    pipe nothing is cut.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    used = [column for column, _ in enumerate(headings) if any(row[column] for row in cells)]
    lines = [[headings[column] for column in used], *([row[column] for column in used] for row in cells)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(used))]
    text = [
        indent + _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    if not is_terminal():
        return "\n".join(line.rstrip() for line in text)
    width = shutil.get_terminal_size().columns
    text = [line.rstrip() if len(line.rstrip()) <= width else line[: width - 1] + "…" for line in text]
    return "\n".join([click.style(text[0], bold=True), *text[1:]])


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; of a longer one the middle is left out."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def fits(text: str) -> bool:
    """Return whether nobody would have to look past the edge of a terminal; a pipe has none."""
    if not is_terminal():
        return True
    longest = max(map(len, click.unstyle(text).splitlines()), default=0)
    return longest < shutil.get_terminal_size().columns


def facts(pairs: Mapping[str, object]) -> str:
    """Return one fact a line; what is None or empty is left out."""
    told = {name: _cell(value) for name, value in pairs.items() if _cell(value)}
    width = max(map(len, told), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in told.items())


def _cell(value: object) -> str:
    return "" if value is None else harmless(str(value))


def when(time: object, *, now: datetime | None = None) -> str:
    """Return a time of a record in this machine's time zone; the day is left out if it is today."""
    if not isinstance(time, str):
        return ""
    local = datetime.fromisoformat(time).astimezone()
    today = (now or datetime.now()).astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"


def progress(record: Mapping[str, Any]) -> str:
    """Return how far a job is, such as ``3/10``."""
    done = record.get("progress") or {}
    return f"{done['batch']}/{done['n_batches']}" if done.get("n_batches") and done.get("batch") else ""
