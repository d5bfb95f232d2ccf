"""Requests: what people ask of a server, and what it answered.

Owns: ``requests/`` and ``requests/answered/``. A request is a small YAML file; a command writes it
as one closed ``{…}`` under a temporary name and renames it in. An answered request lies in
``requests/answered/`` with the answer appended under ``answer:``, for 30 days, and no more than 10,000 of
them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from qtrl_spool import fs
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.spool.layout import Layout

_LONGEST_NAME = 200
MOST_ANSWERS, KEEP_ANSWERS_S = 10_000, 30 * 86_400.0


def send(layout: Layout, request: Mapping[str, Any], name: str, *, durable: bool = True) -> None:
    """Drop a request under `name`, whole; dropping the same one twice changes nothing.

    The server can read it, whatever the sender's umask says.
    """
    data = json.dumps(request, ensure_ascii=False).encode() + b"\n"
    fs.replace(layout.requests / name, data, durable=durable, mode=0o664, is_shared=True)


def answer(layout: Layout, name: str) -> dict[str, Any] | None:
    """Return the answer to the request `name`, or None if there is none yet."""
    from qtrl_spool.config.yaml12 import parse_yaml

    text = fs.read_text(layout.answered / name)
    if text is None:
        return None
    tree = parse_yaml(text, name)
    found: dict[str, Any] | None = tree.get("answer") if isinstance(tree, Mapping) else None
    return found


def settle(
    layout: Layout,
    name: str,
    request: Mapping[str, Any] | None,
    text: str | None,
    reply: Mapping[str, Any],
    *,
    durable: bool = True,
) -> None:
    """Write a request with its answer to ``requests/answered/``, in the place of an older one of that name.

    Parameters
    ----------
    layout:
        The spool.
    name:
        Of the request's file.
    request, text:
        What it said: as it was read, else as text. What no YAML can say is kept as text, too.
    reply:
        The answer.
    durable:
        Whether it survives a power cut.
    """
    fs.replace(
        layout.answered / name, _answered(request, text, reply).encode(errors="replace"), durable=durable
    )


def _answered(request: Mapping[str, Any] | None, text: str | None, reply: Mapping[str, Any]) -> str:
    from qtrl_spool.bundle import dump_patch

    try:
        return dump_patch({**(request or {"request": text}), "answer": dict(reply)})
    except (QtrlSpoolError, ValueError, RecursionError):
        return dump_patch({"request": None if text is None else ascii(text), "answer": dict(reply)})


def clear_answered(layout: Layout, *, now: float) -> int:
    """Remove old answers: those older than 30 days, and of more than 10,000 the oldest; return how many.

    Parameters
    ----------
    layout:
        The spool.
    now:
        The time, in s since 1970.
    """
    ages = {}
    for name in fs.names(layout.answered):
        facts = fs.facts(layout.answered / name)
        if facts is not None:
            ages[name] = now - facts.st_mtime
    newest = sorted(ages, key=ages.__getitem__)
    old = [name for n, name in enumerate(newest) if n >= MOST_ANSWERS or ages[name] > KEEP_ANSWERS_S]
    for name in old:
        fs.remove(layout.answered / name)
    return len(old)


def pending(layout: Layout) -> list[str]:
    """Return the names of what lies in ``requests/``, by name; temporary and system files are left out."""
    return [name for name in fs.names(layout.requests) if name != layout.answered.name and _may_be(name)]


def _may_be(name: str) -> bool:
    from qtrl_spool.bundle.names import is_ignored

    return len(os.fsencode(name)) <= _LONGEST_NAME and not is_ignored(name)
