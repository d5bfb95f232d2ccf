"""A result file, opened lazily.

A `Result` remembers a path; attributes and documents are read and the file is closed at once, while
`Result.dataset` keeps it open, because raw traces may be larger than the memory. How it is opened, and
how that fails, is told in `qtrl_spool.results.opened`. `resume_point` reads of a partial result what
is needed to go on after a pause.

Close it (or use it in a ``with``) to give the file back before the process ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtrl_spool.errors import NotFoundError, QtrlSpoolError, StorageError, UsageError
from qtrl_spool.results import layout
from qtrl_spool.results.measured import Contents
from qtrl_spool.results.opened import has_locks, open_result, plain
from qtrl_spool.results.summary import axis_label

if TYPE_CHECKING:
    from types import TracebackType

    import matplotlib.figure
    import xarray

    from qtrl_spool.bundle import Bundle
    from qtrl_spool.config import Configuration
    from qtrl_spool.config.tree import Tree
    from qtrl_spool.results.fitted import Fitted
    from qtrl_spool.results.stored import ResumePoint
    from qtrl_spool.sequence import SequenceWrapper

_PICTURES = (".png", ".pdf", ".svg")


class Result:
    """What a job measured.

    Parameters
    ----------
    path:
        The file ``result.h5`` (or ``partial.h5``).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._dataset: xarray.Dataset | None = None
        self._attrs: dict[str, Any] | None = None

    @property
    def attrs(self) -> dict[str, Any]:
        """Identity and provenance: job id, name, user, times, versions, hashes, …."""
        if self._attrs is None:
            with self._open() as file:
                self._attrs = {name: plain(value) for name, value in file.attrs.items()}
        return dict(self._attrs)

    @property
    def contents(self) -> Contents:
        """What there is, without reading the big data, and without xarray, which takes a second to import."""
        with self._open() as file:
            return _contents(file)

    @property
    def dataset(self) -> xarray.Dataset:
        """All variables with their coordinates, read from the file when they are used."""
        if self._dataset is None:
            import xarray

            with self._open() as file:
                locked = has_locks(file)
            self._dataset = xarray.open_dataset(
                self.path,
                engine="h5netcdf",
                decode_timedelta=False,
                driver_kwds={} if locked else {"locking": False},
            )
        return self._dataset

    @property
    def iq(self) -> xarray.DataArray:
        """Points as demodulated, complex64 [readout, repetition, element, trigger]."""
        iq = self._variable("iq")
        points = iq.isel(quadrature=0, drop=True).copy(data=_complex(iq.values))
        return points.assign_attrs(iq.attrs)

    @property
    def raw(self) -> xarray.DataArray:
        """Traces, if they were kept [quadrature, repetition, element, trigger, point]; read when used."""
        return self._variable("raw")

    @property
    def population(self) -> xarray.DataArray:
        """Population of each level [readout, level, element]."""
        return self._variable("population")

    @property
    def population_err(self) -> xarray.DataArray:
        """Standard errors of `population`."""
        return self._variable("population_err")

    @property
    def state(self) -> xarray.DataArray:
        """Level of each shot, -1 where it was discarded [readout, repetition, element]."""
        return self._variable("state")

    @property
    def documents(self) -> dict[str, str]:
        """The texts in the file: sequence, patch, config, …."""
        with self._open() as file:
            group = file.get(layout.DOCUMENTS, {})
            return {name: group[name].asstr()[()] for name in group}

    @property
    def sequence(self) -> SequenceWrapper:
        """The sequence as it was submitted; ``.compile(pulses)`` gives its waveforms."""
        from qtrl_spool.sequence import SequenceWrapper

        return SequenceWrapper.from_dict(self._document(layout.SEQUENCE))

    @property
    def config(self) -> Tree:
        """The effective configuration, variables resolved: ``config['variables/Q6/freq']``."""
        from qtrl_spool.config.tree import Tree, freeze

        return Tree({name: freeze(document) for name, document in self._document(layout.CONFIG).items()})

    @property
    def patch(self) -> dict[str, Any]:
        """What the job changed of the default configuration."""
        return dict(self._document(layout.PATCH) or {})

    @property
    def chain_patch(self) -> dict[str, Any]:
        """What was changed when it was processed again; empty for a job's own result."""
        text = self.documents.get(layout.CHAIN_PATCH)
        return {} if text is None else dict(_parse(text, layout.CHAIN_PATCH) or {})

    @property
    def default(self) -> Configuration:
        """The default configuration that the patch was merged into, as its files were written."""
        from qtrl_spool.config import Configuration

        version = int(self.attrs.get("config_version", -1))
        return Configuration.from_texts(
            self._document(layout.DEFAULT), version=version if version > 0 else None
        )

    @property
    def bundle(self) -> Bundle:
        """What was submitted: sequence, patch and manifest."""
        from qtrl_spool.bundle import Bundle, Manifest

        return Bundle(
            sequence=dict(self._document(layout.SEQUENCE)),
            patch=self._document(layout.PATCH) or {},
            manifest=Manifest.from_dict(self._document(layout.JOB)),
        )

    @property
    def fits(self) -> dict[str, Any]:
        """For each readout each kind of fit (``exp``, ``sin_exp``, ``cos``) and the name of the ``best``."""
        text = self.documents.get(layout.FITS)
        return {} if text is None else dict(json.loads(text))

    @property
    def classifier(self) -> dict[str, Any]:
        """For each readout what told its levels apart, given or fitted to the data."""
        text = self.documents.get(layout.CLASSIFIER)
        return {} if text is None else dict(json.loads(text))

    @property
    def fitted(self) -> dict[str, dict[str, Fitted]]:
        """For each readout the quantities that its best fit found, by name, in SI units."""
        from qtrl_spool.results.fitted import fitted

        with self._open() as file:
            axis = file["element"].attrs if "element" in file else {}
            name, unit = (str(plain(axis.get(each, ""))) for each in ("long_name", "units"))
        return fitted(self.fits, (name, unit))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the processing chain left out, and why."""
        return tuple(self.attrs.get(layout.NOTES, ()))

    def plot(self, file: str | Path | None = None) -> matplotlib.figure.Figure:
        """Draw populations with their fits, and the IQ points.

        Parameters
        ----------
        file:
            Where to write the picture (png, pdf, svg by its name); None only returns it.

        Raises
        ------
        UsageError
            If the name ends otherwise.
        NotFoundError
            If there is no such folder.
        StorageError
            If it cannot be written.
        """
        from qtrl_spool.results.plot import draw

        target = None if file is None else _picture(Path(file))
        figure = draw(self)
        if target is not None:
            _save(figure, target)
        return figure

    def text_plot(self, width: int = 72) -> str:
        """Return the populations as a plot of Unicode characters, `width` columns wide."""
        from qtrl_spool.results.textplot import text_plot

        return text_plot(self, width=width)

    def summary(self) -> str:
        """Return what was measured and found, in a few lines for people."""
        from qtrl_spool.results.summary import summary

        return summary(self)

    def close(self) -> None:
        """Give the file back; a later use opens it again."""
        if self._dataset is not None:
            self._dataset.close()
            self._dataset = None

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            attrs = self.attrs
        except QtrlSpoolError:
            return f"<Result {self.path}>"
        return f"<Result {attrs.get('name', '')} {attrs.get('job_id', '')}: {self.path}>"

    def _repr_html_(self) -> str:
        from qtrl_spool.results.notebook import html

        return html(self, self.plot())

    def _variable(self, name: str) -> xarray.DataArray:
        if name not in self.dataset:
            there = ", ".join(str(key) for key in self.dataset.data_vars)
            raise NotFoundError(f"this result has no {name!r}", where=str(self.path), hint=f"it has {there}")
        return self.dataset[name]

    def _document(self, name: str) -> Any:
        texts = self.documents
        if name not in texts:
            raise NotFoundError(f"this result has no document {name!r}", where=str(self.path))
        return _parse(texts[name], name)

    def _open(self) -> Any:
        return open_result(self.path)


def resume_point(path: str | Path) -> ResumePoint:
    """Return what a partial result holds for going on with its job, see `ResumePoint`.

    Raises
    ------
    NotFoundError
        If there is surely no such file, or no points in it.
    UsageError
        If it is no result, or its points are not those of whole batches.
    StorageError
        If it cannot be read at present.
    """
    from qtrl_spool.results.stored import ResumePoint

    return ResumePoint.of(Path(path))


def _contents(file: Any) -> Contents:
    import numpy as np

    scales = {name: item for name, item in file.items() if getattr(item, "is_scale", False)}
    variables = tuple(name for name in file if name not in scales and name != layout.DOCUMENTS)
    readouts = tuple(scales["readout"].asstr()[...]) if "readout" in scales else ()
    x_axis = "element"
    if "element" in scales:
        named = (str(plain(scales["element"].attrs.get(each, ""))) for each in ("long_name", "units"))
        x_axis = axis_label(*named)
    excited = {}
    if "population" in file and file["population"].shape[1] > 1:
        for label, row in zip(readouts, file["population"][:, 1], strict=True):
            good = row[np.isfinite(row)]
            if good.size:
                excited[label] = (float(good.min()), float(good.max()))
    sizes = {name: len(item) for name, item in scales.items()}
    return Contents(sizes, readouts, variables, x_axis, excited)


def _picture(path: Path) -> Path:
    if path.suffix.lower() not in _PICTURES:
        kinds = ", ".join(_PICTURES)
        raise UsageError(
            f"no picture is written to {path.name!r}", hint=f"let the name end with one of {kinds}"
        )
    if not path.absolute().parent.is_dir():
        raise NotFoundError(f"there is no folder {path.absolute().parent}", hint="make it first")
    return path


def _save(figure: matplotlib.figure.Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        raise StorageError(
            f"cannot write the picture {path}: {error.strerror or error}",
            hint="name a place that you may write to",
        ) from error


def _complex(pairs: Any) -> Any:
    """Return pairs of float32 along the last axis as complex64, in the same memory."""
    import numpy as np

    return np.ascontiguousarray(pairs, np.float32).view(np.complex64)[..., 0]


def _parse(text: str, name: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(text))
    except json.JSONDecodeError:
        from qtrl_spool.config.yaml12 import parse_yaml

        return dict(parse_yaml(text, name) or {})
