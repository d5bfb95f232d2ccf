"""A result for other programs: a table of comma-separated values, and netCDF.

The table is tidy, a row for each readout, level and element, its first line the names of the columns::

    readout,level,element,pulse width (us),population,population_err,fit

``fit`` is the readout's best fit at that x, where it has one, for level 1. A result without populations
gives the mean point and its standard error instead: ``I,I_err,Q,Q_err`` for each readout, trigger and
element. What is not known is an empty cell.

A result file *is* netCDF-4; `netcdf` copies it whole under a name that programs know.

Called by: ``qtrl-spool result JOB --csv FILE --netcdf FILE``.
Fails: `StorageError` if the file cannot be written, `NotFoundError` if its folder is not there.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool import fs
from qtrl_spool.errors import NotFoundError
from qtrl_spool.processing.fitting import evaluate
from qtrl_spool.results.stored import Stored

if TYPE_CHECKING:
    from qtrl_spool.results.measured import Measured

Row = list[Any]


def csv_text(result: Measured) -> str:
    """Return the populations of a result, else its mean points, as comma-separated values."""
    rows = _populations(result) if "population" in result.dataset else _points(result)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _populations(result: Measured) -> Iterator[Row]:
    population, error = result.population, result.population_err
    x = population["element"]
    yield ["readout", "level", "element", result.contents.x_axis, "population", "population_err", "fit"]
    for label in population["readout"].values:
        fitted = _fit(result.fits.get(str(label), {}), x.values)
        for level in population["level"].values:
            values, errors = (each.sel(readout=label, level=level).values for each in (population, error))
            for element in range(len(x)):
                fit = _cell(fitted[element]) if fitted is not None and level == 1 else ""
                cells = _cell(x.values[element]), _cell(values[element]), _cell(errors[element]), fit
                yield [label, level, element, *cells]


def _fit(kinds: dict[str, Any], x: NDArray[Any]) -> NDArray[Any] | None:
    best = kinds.get("best")
    return evaluate(best, kinds[best], x) if best else None


def _points(result: Measured) -> Iterator[Row]:
    x, readouts = result.dataset["element"], result.dataset["readout"].values
    yield ["readout", "trigger", "element", result.contents.x_axis, "I", "I_err", "Q", "Q_err"]
    mean, error = _mean(Stored.of(result.path, "iq", result.attrs.get("n_reps") or 1000))
    for label, means, errors in zip(readouts, mean, error, strict=True):
        for trigger in range(mean.shape[2]):
            for element in range(len(x)):
                pairs = zip(means[element, trigger], errors[element, trigger], strict=True)
                yield [
                    label,
                    trigger,
                    element,
                    _cell(x.values[element]),
                    *(_cell(e) for pair in pairs for e in pair),
                ]


def _mean(iq: Stored) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard error over the repetitions [readout, element, trigger, quadrature]."""
    n = iq.shape[1]
    first = next(iter(iq)).values[:, :1].astype(np.float64)
    total, squares = (np.zeros(first[:, 0].shape) for _ in range(2))
    for part in iq:
        away = part.values - first
        total += away.sum(axis=1)
        squares += (away**2).sum(axis=1)
    variance = np.maximum(squares / n - (total / n) ** 2, 0) * (n / max(n - 1, 1))
    error = np.sqrt(variance / n) if n > 1 else np.full(total.shape, np.nan)
    return first[:, 0] + total / n, error


def _cell(value: np.floating[Any]) -> str:
    """Return the shortest text that gives the same number of its kind again."""
    if not isfinite(value):
        return ""
    return str(value)


def write_csv(result: Measured, path: Path) -> None:
    """Write `csv_text` into a file."""
    fs.replace(_target(path), csv_text(result).encode(), durable=False)


def netcdf(result: Measured, path: Path) -> None:
    """Copy a result, all that is in it, to a file that is called netCDF."""
    with fs.reporting("read", result.path), result.path.open("rb") as source:
        fs.replace_by(_target(path), lambda file: shutil.copyfileobj(source, file, 2**20), durable=False)


def _target(path: Path) -> Path:
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"there is no folder {path.absolute().parent}", hint="make it first")
    return path
