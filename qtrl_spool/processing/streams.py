"""Data that are too large to be held: changed, and gathered, batch by batch when they are asked for.

A result of a chain is `Data`: either a `Labelled` array in memory, or `Batches`, which hold one batch
at a time. IQ points, and all else that is as large as they are, travel as `Batches`; a step that
changes them adds a function to be applied to each batch (`changed`), and a step that makes something
small of them says what it makes of one batch and how such parts are joined (`gather`).

A `Memory` keeps what was gathered, so that a job which is processed again after each batch looks only
at the batches that are new. Pure but for that memory. Nothing here fails by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import BATCHED, Batches, Labelled

Data = Labelled | Batches
Change = Callable[[Labelled, slice], Labelled]
"""What a step makes of a batch; the slice tells which repetitions of the job these are."""
Part = TypeVar("Part")


@dataclass
class Memory:
    """What earlier calls found in the batches of a job: one for each job, given to each call.

    The batches that were there at an earlier call have to be the same, and in the same place.
    """

    found: dict[Hashable, tuple[int, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Changed:
    """`Batches` made of others, anew whenever they are asked for.

    Attributes
    ----------
    source:
        The batches they are made of.
    changes:
        What is done to each batch, in order.
    skipped:
        How many batches are left out at the start.
    """

    source: Batches
    changes: tuple[Change, ...] = ()
    skipped: int = 0

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return self._empty().axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along the axes of all batches together."""
        empty = self._empty()
        total = self.source.shape[self.source.axes.index(BATCHED)]
        return tuple(
            total if name == BATCHED else size
            for name, size in zip(empty.axes, empty.values.shape, strict=True)
        )

    def __iter__(self) -> Iterator[Labelled]:
        """Return the batches in the order in which they were acquired."""
        first = 0
        for number, batch in enumerate(self.source):
            repetitions = slice(first, first + batch.size(BATCHED))
            first = repetitions.stop
            if number >= self.skipped:
                yield self._changed(batch, repetitions)

    def _changed(self, batch: Labelled, repetitions: slice) -> Labelled:
        for change in self.changes:
            batch = change(batch, repetitions)
        return batch

    def _empty(self) -> Labelled:
        """Return a batch without repetitions: it has the axes and the other lengths of all."""
        shape = [
            0 if name == BATCHED else size
            for name, size in zip(self.source.axes, self.source.shape, strict=True)
        ]
        return self._changed(Labelled(np.empty(shape, np.float32), self.source.axes), slice(0, 0))


def changed(data: Data, change: Change) -> Data:
    """Return `data` with a change made to it, or to be made to each batch."""
    if isinstance(data, Labelled):
        return change(data, slice(None))
    if isinstance(data, Changed):
        return Changed(data.source, (*data.changes, change))
    return Changed(data, (change,))


def gather(
    data: Batches,
    each: Callable[[Labelled], Part],
    join: Callable[[Sequence[Part]], Part],
    *,
    memory: Memory,
    key: Hashable,
) -> Part:
    """Return what `join` makes of what `each` makes of the batches.

    Parameters
    ----------
    data:
        The batches; at least one.
    each:
        Makes something small of one batch.
    join:
        Makes one of several parts, in the order of their batches; what it made may be joined again.
    memory, key:
        Where to keep the outcome, and the name for it there; batches that were gathered under that
        name before are not looked at.
    """
    n_known, *known = memory.found.get(key, (0,))
    parts = [*known, *(each(batch) for batch in _after(data, n_known))]
    joined = parts[0] if len(parts) == 1 else join(parts)
    memory.found[key] = (n_known + len(parts) - len(known), joined)
    return joined


def _after(data: Batches, n: int) -> Iterator[Labelled]:
    """Return the batches after the first `n`, without changing those."""
    if isinstance(data, Changed):
        return iter(Changed(data.source, data.changes, skipped=n))
    return islice(iter(data), n, None)


def picked(data: Batches, repetition: int) -> Labelled:
    """Return one repetition of the whole job, without that axis."""
    for batch in data:
        if repetition < batch.size(BATCHED):
            return batch.take(BATCHED, repetition)
        repetition -= batch.size(BATCHED)
    raise IndexError(repetition)


def end_to_end(parts: Sequence[Labelled]) -> Labelled:
    """Return what belongs to successive batches as one; the axes are alike in all."""
    axes = parts[0].axes
    return Labelled(np.concatenate([part.values for part in parts], axis=axes.index(BATCHED)), axes)


def total(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the sum of what belongs to successive batches."""
    return np.asarray(np.sum(parts, axis=0))


def size(data: Data, name: str) -> int:
    """Return the length along the axis `name`, of all batches together."""
    return data.size(name) if isinstance(data, Labelled) else data.shape[data.axes.index(name)]
