"""Requests: what people ask of a server, and what it answered.

Owns: ``requests/`` and ``requests/answered/``. A request is a small YAML file; a command writes it
as one closed ``{…}`` under a temporary name and renames it in. An answered request lies in
``requests/answered/`` with the answer appended under ``answer:``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from qtrl_spool import fs
from qtrl_spool.spool.layout import Layout

VERBS = ("cancel", "hold", "release", "move", "config", "rollback")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,150}")


def send(layout: Layout, request: Mapping[str, Any], name: str) -> None:
    """Drop a request under `name`, whole; dropping the same one twice changes nothing."""
    target = layout.requests / name
    fs.replace(target, json.dumps(request, ensure_ascii=False).encode() + b"\n", mode=0o664)


def answer(layout: Layout, name: str) -> dict[str, Any] | None:
    """Return the answer to the request `name`, or None if there is none yet."""
    from qtrl_spool.config.yaml12 import parse_yaml

    text = fs.read_text(layout.answered / name)
    if text is None:
        return None
    tree = parse_yaml(text, name)
    found: dict[str, Any] | None = tree.get("answer") if isinstance(tree, Mapping) else None
    return found


def settle(layout: Layout, name: str, request: Mapping[str, Any] | None, reply: Mapping[str, Any]) -> None:
    """Write a request with its answer to ``requests/answered/``, then take it out of ``requests/``.

    A death in between leaves both: the request is then answered again, which changes nothing,
    because every request can be carried out twice.
    """
    from qtrl_spool.bundle import dump_patch

    document = {**(request or {}), "answer": dict(reply)}
    fs.replace(layout.answered / name, dump_patch(document).encode())
    fs.remove(layout.requests / name)


def pending(layout: Layout) -> list[str]:
    """Return the names of what lies in ``requests/``, oldest name first."""
    return [
        name for name in fs.names(layout.requests) if name != layout.answered.name and _NAME.fullmatch(name)
    ]
