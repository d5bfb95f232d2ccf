"""Every problem of the effective documents at once, each with its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qtrl_spool.config.tree import Path, Tree


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    path:
        Where, beginning with the document.
    message:
        What.
    hint:
        How to mend it.
    """

    path: Path
    message: str
    hint: str | None = None


def validate(effective: Tree, old: Tree | None, unresolved: Mapping[Path, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the documents; what is the very same in `old` is not looked at."""
    yield from ()
