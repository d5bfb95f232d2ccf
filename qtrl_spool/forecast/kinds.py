"""What makes two jobs alike, as far as the time is concerned that they take. Pure.

A `Kind` is what is known of a job when it is accepted. Its `keys` name the jobs that it is like, from those
that are the same in everything to all jobs; what was learnt of the first of them that ran before
counts most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

LONGEST_NAME = 60


class Kind(NamedTuple):
    """What is known of a job before it runs.

    Attributes
    ----------
    name, user:
        As its status says them.
    n_reps, n_elements, n_triggers, n_readouts:
        What one batch acquires.
    n_batches:
        How many of them.
    least_batch_s:
        The least time that a batch takes, where the configuration says so (the simulator's ``batch_s``), s.
    """

    name: str = ""
    user: str = ""
    n_reps: int = 1
    n_elements: int = 1
    n_triggers: int = 1
    n_readouts: int = 1
    n_batches: int = 1
    least_batch_s: float = 0.0

    @property
    def shots(self) -> int:
        """Triggers in a batch."""
        return self.n_reps * self.n_elements * self.n_triggers

    @property
    def keys(self) -> tuple[str, str, str, str]:
        """The names of those that it is like: the same user, name and shape; name and shape; name; all."""
        shape = f"{self.n_reps}x{self.n_elements}x{self.n_triggers}x{self.n_readouts}/{self.least_batch_s:g}"
        name = self.name[:LONGEST_NAME].replace("|", "/")
        user = self.user[:LONGEST_NAME].replace("|", "/")
        return f"{user}|{name}|{shape}", f"|{name}|{shape}", f"|{name}|", ""


def kind_of(record: Mapping[str, Any]) -> Kind:
    """Return the kind of the job of a status record, as far as it tells; what is missing or odd is 1."""
    shape = record.get("shape")
    told: Mapping[str, Any] = shape if isinstance(shape, Mapping) else {}
    progress = record.get("progress")
    n_batches = progress.get("n_batches") if isinstance(progress, Mapping) else None
    least: Any = told.get("batch_s")
    return Kind(
        name=str(record.get("name") or ""),
        user=str(record.get("user") or ""),
        n_batches=_count(n_batches),
        least_batch_s=float(least) if _is_time(least) else 0.0,
        **{key: _count(told.get(key)) for key in ("n_reps", "n_elements", "n_triggers", "n_readouts")},
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 10**12 else 1


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 1e9
