"""The names and the order of the axes of measured data: the one place that knows them.

Everything that is acquired or processed travels as a `Labelled` array: values and the names of
their axes. Processing looks axes up by name, never by number, and the result file takes its
dimensions from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

IQ_AXES = ("readout", "repetition", "element", "trigger", "quadrature")
RAW_AXES = ("quadrature", "repetition", "element", "trigger", "point")
STATE_AXES = ("readout", "repetition", "element")
POPULATION_AXES = ("readout", "level", "element")
QUADRATURES = ("I", "Q")
BATCHED = "repetition"
"""The axis along which the batches of a job follow each other."""


@dataclass(frozen=True)
class Labelled:
    """An array with named axes.

    Attributes
    ----------
    values:
        The numbers, one axis for each name.
    axes:
        Names of the axes of `values`, in order.
    """

    values: NDArray[Any]
    axes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != len(self.axes):
            raise ValueError(f"{self.values.ndim} axes in the data, {len(self.axes)} names: {self.axes}")

    def axis(self, name: str) -> int:
        """Return the position of the axis `name`."""
        return self.axes.index(name)

    def size(self, name: str) -> int:
        """Return the length along the axis `name`."""
        return int(self.values.shape[self.axis(name)])

    def take(self, name: str, index: int) -> Labelled:
        """Return the data at one `index` (negative counts from the end) along the axis `name`, without it."""
        at = self.axis(name)
        return Labelled(np.take(self.values, index, axis=at), self.axes[:at] + self.axes[at + 1 :])


class Batches(Protocol):
    """The data of a job, batch by batch along the axis `BATCHED`, as often as they are asked for.

    Whoever takes `Batches` holds one batch in memory at a time, however many there are.
    """

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along the axes of all batches together."""

    def __iter__(self) -> Iterator[Labelled]:
        """Return the batches in the order in which they were acquired."""


@dataclass(frozen=True)
class InMemory:
    """`Batches` that lie in memory.

    Attributes
    ----------
    parts:
        One entry for each batch, at least one; alike in all axes but `BATCHED`.
    """

    parts: Sequence[Labelled]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return self.parts[0].axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along the axes of all batches together."""
        first, at = self.parts[0], self.parts[0].axis(BATCHED)
        total = sum(part.size(BATCHED) for part in self.parts)
        return (*first.values.shape[:at], total, *first.values.shape[at + 1 :])

    def __iter__(self) -> Iterator[Labelled]:
        """Return the batches in the order in which they were acquired."""
        return iter(self.parts)


def whole(batches: Batches) -> Labelled:
    """Return all batches as one array, in memory."""
    parts = list(batches)
    values = np.concatenate([part.values for part in parts], axis=batches.axes.index(BATCHED))
    return Labelled(values, batches.axes)
