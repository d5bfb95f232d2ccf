"""What a summary and a picture need of a result.

`qtrl_spool.results.read.Result` is one; with this, those who draw and sum up need not know how a
result is opened, and nothing imports in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import xarray

    from qtrl_spool.config.tree import Tree
    from qtrl_spool.sequence import SequenceWrapper


@dataclass(frozen=True)
class Contents:
    """What a result holds, told without reading its big data.

    Attributes
    ----------
    sizes:
        Length along each dimension.
    readouts:
        Labels along the dimension readout.
    variables:
        Names, in order.
    x_axis:
        Name and unit of the x axis, ``pulse width (us)``.
    excited:
        For each readout the least and the greatest population of level 1, where there are populations.
    """

    sizes: Mapping[str, int]
    readouts: tuple[str, ...]
    variables: tuple[str, ...]
    x_axis: str
    excited: Mapping[str, tuple[float, float]]


class Measured(Protocol):
    """What a job measured; the axes are those of `Result`."""

    path: Path

    @property
    def attrs(self) -> dict[str, Any]:
        """Identity and provenance."""

    @property
    def contents(self) -> Contents:
        """What there is, without reading the big data."""

    @property
    def dataset(self) -> xarray.Dataset:
        """All variables."""

    @property
    def iq(self) -> xarray.DataArray:
        """Points as complex numbers [readout, repetition, element, trigger]."""

    @property
    def population(self) -> xarray.DataArray:
        """Population of each level [readout, level, element]."""

    @property
    def population_err(self) -> xarray.DataArray:
        """Standard errors of `population`."""

    @property
    def state(self) -> xarray.DataArray:
        """Level of each shot [readout, repetition, element]."""

    @property
    def chain_patch(self) -> dict[str, Any]:
        """What was changed when it was processed again."""

    @property
    def fits(self) -> dict[str, Any]:
        """For each readout each kind of fit and the name of the best."""

    @property
    def classifier(self) -> dict[str, Any]:
        """For each readout what told its levels apart."""

    @property
    def sequence(self) -> SequenceWrapper:
        """The sequence as it was submitted."""

    @property
    def config(self) -> Tree:
        """The effective configuration."""

    @property
    def patch(self) -> dict[str, Any]:
        """What the job changed of the default configuration."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the processing chain left out, and why."""
