"""What the appends say about their references: ``at[end] - at[start] = n`` samples.

Nearly always every append leads from a known reference to the one it makes, so that the references
form a tree: `tree_of` places them all in a few steps of doubling. Else `constraints_of` gives the
equations to `place`, which also finds what does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.sequence.place import Constraints
from qtrl_spool.sequence.resolve import Component, Resolver
from qtrl_spool.sequence.rows import Ints, Rows, Swept

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TableArrays:
    """The resolver's `Table` as arrays: its columns of rows, and of components."""

    rows: dict[str, Ints]
    components: dict[str, NDArray[Any]]

    @staticmethod
    def of(resolver: Resolver) -> TableArrays:
        """Return the arrays of what was resolved so far."""
        table = resolver.table
        names = ("first", "count", "total", "tick", "n_groups")
        kinds: dict[str, Any] = {"freq": float, "phase": float, "virtual": bool}
        columns = list(zip(*table.components, strict=True)) or [()] * len(Component._fields)
        return TableArrays(
            {name: np.array(getattr(table, name), np.int64) for name in names},
            {
                name: np.array(column, kinds.get(name, np.int64))
                for name, column in zip(Component._fields, columns, strict=True)
            },
        )


def tree_of(rows: Rows, table: TableArrays) -> Ints | None:
    """Return where all references lie, in samples from 'Start', if they form a tree; else None."""
    n = len(rows.row)
    if rows.swept or len(rows.names) != n + 1:
        return None
    delays = rows.before + rows.after
    groups = table.rows["n_groups"][rows.row]
    known, length = rows.start.copy(), table.rows["total"][rows.row] + delays * groups
    for index in rows.by_end:
        if rows.start[index] != index + 1 or groups[index] != 1:
            return None
        known[index], length[index] = rows.end[index], -length[index]
    parent, at = np.concatenate(([0], known)), np.concatenate(([0], length))
    for _ in range(n.bit_length() + 1):
        if not parent.any():
            return at
        at = at + at[parent]
        parent = parent[parent]
    return None


def constraints_of(rows: Rows, table: TableArrays, n_elements: int) -> Constraints:
    """Return the equations of all appends; a length is nan where an append could not be resolved."""
    delays = rows.before + rows.after
    known = rows.row >= 0
    mine = rows.row[known]
    whole, first = np.full((2, len(known)), np.nan)
    whole[known] = table.rows["total"][mine] + delays[known] * table.rows["n_groups"][mine]
    first[known] = table.rows["tick"][mine] + delays[known]
    lengths = _listed(whole)
    for index, swept in rows.swept.items():
        lengths[index] = _by_element(swept, table, n_elements, first_only=False)
    made = Constraints(
        rows.start.tolist(), rows.end.tolist(), lengths, list(range(len(known))), bool(rows.swept)
    )
    firsts = _listed(first)
    for index in rows.by_end:
        if index in rows.swept:
            firsts[index] = _by_element(rows.swept[index], table, n_elements, first_only=True)
        _name_both_ends(made, rows, index, firsts[index])
    return made


def _listed(lengths: Floats) -> list[Any]:
    listed: list[Any] = (lengths if np.isnan(lengths).any() else lengths.astype(np.int64)).tolist()
    return listed


def _name_both_ends(made: Constraints, rows: Rows, index: int, first: Any) -> None:
    """Where the caller names the end, it is that of the first group; the last one's has a name of its own."""
    last = f"ref{index + 1}" if rows.start[index] != index + 1 else f"ref{index + 1}.end"
    made.start.append(int(rows.start[index]))
    made.end.append(rows.names.setdefault(last, len(rows.names)))
    made.n.append(made.n[index])
    made.append.append(index)
    made.n[index] = first


def _by_element(swept: Swept, table: TableArrays, n_elements: int, *, first_only: bool) -> Floats:
    """Return the length of a swept append [element], nan where it does not play."""
    length = np.full(n_elements, np.nan)
    groups = 1 if first_only else table.rows["n_groups"][swept.row]
    ticks = table.rows["tick" if first_only else "total"][swept.row]
    length[swept.element] = ticks + (swept.before + swept.after) * groups
    return length
