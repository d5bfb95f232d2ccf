"""The names and the order of the axes of measured data: the one place that knows them.

Everything that is acquired or processed travels as a `Labelled` array: values and the names of
their axes. Processing looks axes up by name, never by number, and the result file takes its
dimensions from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IQ_AXES = ("readout", "repetition", "element", "trigger", "quadrature")
RAW_AXES = ("quadrature", "repetition", "element", "trigger", "point")
STATE_AXES = ("readout", "repetition", "element")
POPULATION_AXES = ("readout", "level", "element")
QUADRATURES = ("I", "Q")


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
