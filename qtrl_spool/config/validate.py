"""Every problem of the effective documents at once, each with its path.

Called by: ``configuration``, whenever one is made.
Fails: never; problems are yielded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qtrl_spool.config.schemas import SCHEMAS
from qtrl_spool.config.shapes import UNKNOWN, Problem, View, old_at
from qtrl_spool.config.tree import Path, Tree


def validate(effective: Tree, old: Tree | None, unresolved: Mapping[Path, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the documents.

    Parameters
    ----------
    effective:
        All documents, as they count.
    old:
        Documents known to be right: what is the very same in them is not looked at.
    unresolved:
        Paths whose text is the name of a variable that is not there.
    """
    for name, tree in effective.items():
        shape = SCHEMAS.get(name)
        if shape is not None:
            before = UNKNOWN if old is None else old_at(old, name)
            yield from shape.problems(View(tree, before, (name,), unresolved))
