"""A result file, written by plain writes wherever its bytes shall go.

HDF5 never touches the disk: it seeks back and forth, locks, leaves half a file behind when it is
killed, and a write of its own that fails ends the process. `write` makes the skeleton in memory and
streams the big data, batch by batch, into any binary file that can seek, such as the one that
`qtrl_spool.fs.replace_by` gives: a full disk is an ordinary `OSError`. `image` returns the bytes of a
small one. The same input gives the same bytes (older versions of h5py write
times into the headers).

Readable by HDF5 1.10 and later (bounds v110). By default not compressed, as IQ noise does not
compress; else with HDF5's own gzip and shuffle, which every reader has. Fails with `InternalError` if
two variables disagree about the length of an axis, and as the file fails.

Known limit: the results of the chain (a byte or a few for each shot) are held in memory by the caller.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from qtrl_spool import __version__
from qtrl_spool.axes import BATCHED, QUADRATURES, Batches, InMemory, Labelled
from qtrl_spool.errors import InternalError
from qtrl_spool.results import layout, objects
from qtrl_spool.results.chunks import LEVEL, Part, chunk_shape, deflated, put_contiguous
from qtrl_spool.results.hdf5 import MemoryFile, put

if TYPE_CHECKING:
    from qtrl_spool.processing import Processed

XAxis = tuple[str, str, NDArray[Any]]
GZIP = "gzip"
COMPRESSIONS = (None, GZIP)
_BIG_BYTES = 2**18
"""Data sets of so many bytes are streamed; smaller ones go the short way, through HDF5's memory."""
_PAGE_BYTES = 2**12


@dataclass(frozen=True)
class _Variable:
    """One data set of the file; `dtype` is how it is told in the file."""

    data: Batches | Labelled
    long_name: str
    units: str
    dtype: np.dtype[Any]
    is_flag: bool

    @classmethod
    def of(cls, data: Batches | Labelled, long_name: str, units: str) -> _Variable:
        first = data if isinstance(data, Labelled) else next(iter(data))
        kind = first.values.dtype
        stored = np.dtype({"?": "int8", "d": "float32"}.get(kind.char, kind))
        return cls(data, long_name, units, stored, kind.char == "?")

    @property
    def axes(self) -> tuple[str, ...]:
        return self.data.axes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.values.shape if isinstance(self.data, Labelled) else self.data.shape

    @property
    def n_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def batched(self) -> int:
        """Number of the axis along which the batches follow each other."""
        return self.axes.index(BATCHED) if BATCHED in self.axes else 0

    def parts(self) -> Iterator[Part]:
        start = 0
        for part in [self.data] if isinstance(self.data, Labelled) else self.data:
            values = np.ascontiguousarray(part.values, self.dtype)
            yield start, values
            start += values.shape[self.batched]

    def values(self) -> NDArray[Any]:
        return np.concatenate([values for _, values in self.parts()], axis=self.batched)


@dataclass(frozen=True)
class _Scale:
    """The coordinate along one axis."""

    values: NDArray[Any]
    long_name: str
    units: str


def write(
    file: BinaryIO,
    *,
    iq: Batches | None,
    raw: Batches | None,
    processed: Processed | None,
    readouts: Sequence[str],
    x_axis: XAxis,
    identity: Mapping[str, Any],
    documents: Mapping[str, str],
    compression: str | None = None,
) -> None:
    """Write a whole result file.

    Parameters
    ----------
    file:
        Empty, binary, can seek. The memory holds one batch at a time, however many there are.
    iq:
        Points as demodulated, before rotation; axes `IQ_AXES`. Written as float32.
    raw:
        Traces, only if they are kept; axes `RAW_AXES`.
    processed:
        What the chain made of it.
    readouts:
        Labels along the axis readout.
    x_axis:
        Name, unit and values of the elements.
    identity:
        Root attributes: text, numbers, lists of text; None is left out.
    documents:
        Texts: ``sequence`` (JSON), ``patch`` and ``config`` (YAML), ….
    compression:
        None or ``gzip``, of what is big.

    Raises
    ------
    OSError
        As the file does.
    """
    variables = _variables(iq, raw, processed)
    scales = _scales(variables, readouts, x_axis, processed)
    texts = dict(documents)
    attributes = {"format": layout.FORMAT, **identity}
    if processed is not None:
        texts[layout.FITS] = json.dumps(_with_units(processed.fits, x_axis[1]), ensure_ascii=False)
        if processed.classifier:
            texts[layout.CLASSIFIER] = json.dumps(processed.classifier)
        attributes[layout.NOTES] = list(processed.notes)
    _write(file, variables, scales, attributes, texts, compression)


def image(
    *,
    iq: Labelled | None,
    raw: Labelled | None,
    processed: Processed | None,
    readouts: Sequence[str],
    x_axis: XAxis,
    identity: Mapping[str, Any],
    documents: Mapping[str, str],
) -> bytes:
    """Return a whole result file that fits into memory; the parameters are those of `write`."""
    file = io.BytesIO()
    write(
        file,
        iq=None if iq is None else InMemory((iq,)),
        raw=None if raw is None else InMemory((raw,)),
        processed=processed,
        readouts=readouts,
        x_axis=x_axis,
        identity=identity,
        documents=documents,
    )
    return file.getvalue()


def software() -> str:
    """Return the versions of what computes and writes a result, for its root attribute ``software``."""
    import platform

    versions = f"qtrl-spool {__version__}, numpy {np.__version__}, h5py {h5py.__version__}"
    return f"{versions}, Python {platform.python_version()}"


def _variables(iq: Batches | None, raw: Batches | None, processed: Processed | None) -> dict[str, _Variable]:
    given = {"iq": iq, "raw": raw}
    variables = {
        name: _Variable.of(data, *layout.LONG_NAMES[name]) for name, data in given.items() if data is not None
    }
    results: dict[str, Batches | Labelled] = {}
    if processed is not None:
        results |= processed.variables
        results |= processed.points
    reserved = set(layout.DIMENSIONS) | {layout.DOCUMENTS, "iq", "raw"}
    for name, data in results.items():
        clean = layout.variable_name(name, reserved | set(variables) | set(data.axes))
        variables[clean] = _Variable.of(data, *_description(name, data))
    return variables


def _description(name: str, data: Batches | Labelled) -> tuple[str, str]:
    if name in layout.LONG_NAMES:
        return layout.LONG_NAMES[name]
    unit = layout.IQ_UNIT if "quadrature" in data.axes else "1"
    if name.endswith("_err"):
        return f"standard error of {name.removesuffix('_err')}", unit
    return f"{name} of the processing chain", unit


def _scales(
    variables: Mapping[str, _Variable], readouts: Sequence[str], x_axis: XAxis, processed: Processed | None
) -> dict[str, _Scale]:
    name, unit, values = x_axis
    known = {
        "readout": _Scale(objects.texts(readouts), layout.DIMENSIONS["readout"], "1"),
        "quadrature": _Scale(objects.texts(QUADRATURES), layout.DIMENSIONS["quadrature"], "1"),
        "element": _Scale(np.asarray(values, np.float64), name, layout.unit(unit)),
    }
    for axis, labels in ({} if processed is None else processed.coordinates).items():
        known[axis] = _Scale(objects.texts(labels), "levels found together, first readout first", "1")
    scales: dict[str, _Scale] = {}
    for variable_name, variable in variables.items():
        for axis, size in zip(variable.axes, variable.shape, strict=True):
            index = _Scale(np.arange(size, dtype=np.int32), layout.DIMENSIONS.get(axis, axis), "1")
            scale = scales.setdefault(axis, known.get(axis, index))
            if len(scale.values) != size:
                raise InternalError(f"{variable_name} has {size} along {axis}, expected {len(scale.values)}")
    return scales


def _write(
    file: BinaryIO,
    variables: Mapping[str, _Variable],
    scales: Mapping[str, _Scale],
    attributes: Mapping[str, Any],
    texts: Mapping[str, str],
    compression: str | None,
) -> None:
    memory = MemoryFile()
    places: dict[str, int] = {}
    with h5py.File(
        memory,
        "w",
        libver=("v110", "v110"),
        track_order=True,
        alignment_threshold=_BIG_BYTES,
        alignment_interval=_PAGE_BYTES,
    ) as hdf5:
        root = hdf5.id
        objects.attributes(root, attributes)
        made = {name: _write_scale(root, name, scale) for name, scale in scales.items()}
        for name, variable in variables.items():
            if variable.n_bytes < _BIG_BYTES:
                dataset = objects.full(root, name, variable.values())
            elif compression == GZIP:
                dataset = _write_chunks(root, name, variable, memory, file)
            else:
                dataset = objects.empty(root, name, variable.shape, variable.dtype)
                places[name] = dataset.get_offset()
            objects.attach(dataset, [made[axis] for axis in variable.axes])
            told = {"long_name": variable.long_name, "units": variable.units}
            objects.attributes(dataset, told | ({"dtype": "bool"} if variable.is_flag else {}))
        group = hdf5.create_group(layout.DOCUMENTS, track_order=True)
        for name, text in texts.items():
            objects.text(group.id, layout.variable_name(name, set()), text)
    memory.copy_to(file)
    for name, place in places.items():
        variable = variables[name]
        put_contiguous(file, place, variable.parts(), variable.shape, variable.batched)


def _write_chunks(root: Any, name: str, variable: _Variable, memory: MemoryFile, file: BinaryIO) -> Any:
    """Make a compressed data set whose chunks go into `file` as they come."""
    chunk = chunk_shape(variable.shape, variable.batched, variable.dtype.itemsize)
    dataset = objects.chunked(root, name, variable.shape, variable.dtype, chunk, LEVEL)
    for corner, data in deflated(variable.parts(), chunk, variable.batched):
        dataset.write_direct_chunk(corner, data)
        stored = dataset.get_chunk_info_by_coord(corner)
        put(file, stored.byte_offset, memory.take(stored.byte_offset, stored.size))
    return dataset


def _write_scale(root: Any, name: str, scale: _Scale) -> Any:
    dataset = objects.full(root, name, scale.values)
    objects.scale(dataset, name)
    objects.attributes(dataset, {"long_name": scale.long_name, "units": scale.units})
    return dataset


def _with_units(fits: Mapping[str, Mapping[str, Any]], x_unit: str) -> dict[str, Any]:
    """Return the fits with the units of their parameters told by name instead of by x."""
    units = {
        "x": layout.unit(x_unit),
        "1/x": layout.inverse_unit(layout.unit(x_unit)),
        "y": "1",
        "rad": "rad",
    }
    return {
        label: {kind: _named(record, units) for kind, record in kinds.items()}
        for label, kinds in fits.items()
    }


def _named(record: Any, units: Mapping[str, str]) -> Any:
    if not isinstance(record, Mapping) or "parameters" not in record:
        return record
    parameters = {
        name: {**entry, "unit": units[entry["unit"]]} for name, entry in record["parameters"].items()
    }
    return {**record, "parameters": parameters}
