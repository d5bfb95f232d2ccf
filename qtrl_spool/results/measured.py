"""What a summary and a picture need of a result.

`qtrl_spool.results.read.Result` is one; with this, those who draw and sum up need not know how a
result is opened, and nothing imports in a circle.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import xarray


class Measured(Protocol):
    """What a job measured; the axes are those of `Result`."""

    path: Path

    @property
    def attrs(self) -> dict[str, Any]:
        """Identity and provenance."""

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
    def fits(self) -> dict[str, Any]:
        """For each readout each kind of fit and the name of the best."""

    @property
    def patch(self) -> dict[str, Any]:
        """What the job changed of the default configuration."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the processing chain left out, and why."""
