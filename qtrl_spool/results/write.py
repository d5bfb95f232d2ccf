"""A result file, built whole in memory and returned as bytes.

HDF5 never touches the share: it seeks back and forth, locks, and leaves half a file behind when it
is killed. Whoever owns the path writes these bytes and renames them into place. The same input gives
the same bytes.

Readable by HDF5 1.10 and later (bounds v110); no compression: IQ noise does not compress. Fails with
`InternalError` if two variables disagree about the length of an axis.

Known limit: the file has to fit into memory, twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import QUADRATURES, Labelled, whole
from qtrl_spool.errors import InternalError
from qtrl_spool.results import layout

if TYPE_CHECKING:
    from qtrl_spool.processing import Processed

XAxis = tuple[str, str, NDArray[Any]]
_BLOCK_BYTES = 2**20
_serial = count()


@dataclass(frozen=True)
class _Variable:
    """One data set of the file."""

    data: Labelled
    long_name: str
    units: str


@dataclass(frozen=True)
class _Scale:
    """The coordinate along one axis."""

    values: NDArray[Any]
    long_name: str
    units: str


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
    """Return a whole result file.

    Parameters
    ----------
    iq:
        Points as demodulated, before rotation; axes `IQ_AXES`.
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
    """
    variables = _variables(iq, raw, processed)
    scales = _scales(variables, readouts, x_axis, processed)
    texts = dict(documents)
    attributes = {"format": layout.FORMAT, **identity}
    if processed is not None:
        texts[layout.FITS] = json.dumps(_with_units(processed.fits, x_axis[1]), ensure_ascii=False)
        attributes[layout.NOTES] = list(processed.notes)
    return _file(variables, scales, attributes, texts)


def _variables(
    iq: Labelled | None, raw: Labelled | None, processed: Processed | None
) -> dict[str, _Variable]:
    given = {"iq": iq, "raw": raw}
    variables = {
        name: _Variable(data, *layout.LONG_NAMES[name]) for name, data in given.items() if data is not None
    }
    results: dict[str, Labelled] = {}
    if processed is not None:
        results |= processed.variables
        results |= {name: whole(batches) for name, batches in processed.points.items()}
    reserved = set(layout.DIMENSIONS) | {layout.DOCUMENTS, "iq", "raw"}
    for name, data in results.items():
        clean = layout.variable_name(name, reserved | set(variables) | set(data.axes))
        variables[clean] = _Variable(data, *_description(name, data))
    return variables


def _description(name: str, data: Labelled) -> tuple[str, str]:
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
        "readout": _Scale(_text(readouts), layout.DIMENSIONS["readout"], "1"),
        "quadrature": _Scale(_text(QUADRATURES), layout.DIMENSIONS["quadrature"], "1"),
        "element": _Scale(np.asarray(values, np.float64), name, layout.unit(unit)),
    }
    for axis, labels in ({} if processed is None else processed.coordinates).items():
        known[axis] = _Scale(_text(labels), "levels found together, first readout first", "1")
    scales: dict[str, _Scale] = {}
    for variable_name, variable in variables.items():
        for axis, size in zip(variable.data.axes, variable.data.values.shape, strict=True):
            index = _Scale(np.arange(size, dtype=np.int32), layout.DIMENSIONS.get(axis, axis), "1")
            scale = scales.setdefault(axis, known.get(axis, index))
            if len(scale.values) != size:
                raise InternalError(f"{variable_name} has {size} along {axis}, expected {len(scale.values)}")
    return scales


def _file(
    variables: Mapping[str, _Variable],
    scales: Mapping[str, _Scale],
    attributes: Mapping[str, Any],
    texts: Mapping[str, str],
) -> bytes:
    import h5py

    n_bytes = sum(variable.data.values.nbytes for variable in variables.values())
    with h5py.File(
        f"result-{next(_serial)}",
        "w",
        driver="core",
        backing_store=False,
        block_size=max(_BLOCK_BYTES, n_bytes // 8),
        libver=("v110", "v110"),
        track_order=True,
    ) as file:
        for name, value in attributes.items():
            if value is not None:
                file.attrs[name] = _attribute(value)
        for name, scale in scales.items():
            _write_scale(file, name, scale)
        for name, variable in variables.items():
            _write_variable(file, name, variable)
        group = file.create_group(layout.DOCUMENTS, track_order=True)
        for name, text in texts.items():
            group.create_dataset(layout.variable_name(name, set()), data=text, dtype=h5py.string_dtype())
        file.flush()
        return bytes(file.id.get_file_image())


def _write_scale(file: Any, name: str, scale: _Scale) -> None:
    dataset = file.create_dataset(name, data=scale.values)
    dataset.make_scale(name)
    dataset.attrs["long_name"] = scale.long_name
    dataset.attrs["units"] = scale.units


def _write_variable(file: Any, name: str, variable: _Variable) -> None:
    values = variable.data.values
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    is_flag = values.dtype == np.bool_
    dataset = file.create_dataset(name, data=values.astype(np.int8) if is_flag else values)
    for position, axis in enumerate(variable.data.axes):
        dataset.dims[position].attach_scale(file[axis])
    dataset.attrs["long_name"] = variable.long_name
    dataset.attrs["units"] = variable.units
    if is_flag:
        dataset.attrs["dtype"] = "bool"


def _attribute(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _text(value)
    if isinstance(value, bool):
        return int(value)
    return value


def _text(values: Sequence[Any]) -> NDArray[Any]:
    import h5py

    return np.array([str(value) for value in values], dtype=h5py.string_dtype())


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
