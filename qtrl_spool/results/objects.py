"""The HDF5 objects of a result, made by h5py's low-level calls: a small result takes half the time.

It is made of some twenty data sets and sixty attributes, and a server that runs short jobs makes one for
each of them: 8 ms of CPU time instead of 14. Text is variable-length UTF-8, as h5py and netCDF
write it. No object tells the time it was made, so that the same input gives the same bytes.

Called by: `qtrl_spool.results.write`. Identifiers are those of `h5py.h5g`, `h5py.h5d`, ….
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5p, h5s, h5t
from numpy.typing import NDArray

_TEXT = h5py.string_dtype()


def attributes(owner: Any, values: Mapping[str, Any]) -> None:
    """Give an object attributes: text, numbers, flags (as 0 and 1), lists of text; None is left out."""
    for name, value in values.items():
        if value is not None:
            array = _array(value)
            made = h5a.create(owner, name.encode(), _kind(array.dtype), _space(array.shape))
            if array.size:
                made.write(array)


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, str):
        return np.array(value, _TEXT)
    if isinstance(value, list | tuple):
        return texts(value)
    return np.asarray(int(value) if isinstance(value, bool) else value)


def texts(values: Sequence[Any]) -> NDArray[Any]:
    """Return an array of texts as HDF5 stores them."""
    return np.array([str(value) for value in values], _TEXT)


def text(parent: Any, name: str, value: str) -> None:
    """Make a data set of one text."""
    full(parent, name, np.array(value, _TEXT))


def full(parent: Any, name: str, values: NDArray[Any]) -> Any:
    """Make a data set that holds `values`, and return its identifier."""
    made = h5d.create(parent, name.encode(), _kind(values.dtype), _space(values.shape), _plain(), _link(name))
    if values.size:
        made.write(h5s.ALL, h5s.ALL, values)
    return made


def empty(parent: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Make a data set that has its place in the file, and that HDF5 writes nothing of."""
    creation = _plain().copy()
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    return h5d.create(parent, name.encode(), _kind(dtype), _space(shape), creation, _link(name))


def chunked(
    parent: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], chunk: tuple[int, ...], level: int
) -> Any:
    """Make a data set that will have chunks, shuffled and deflated."""
    creation = _plain().copy()
    creation.set_chunk(chunk)
    creation.set_shuffle()
    creation.set_deflate(level)
    return h5d.create(parent, name.encode(), _kind(dtype), _space(shape), creation, _link(name))


def scale(made: Any, name: str) -> None:
    """Make a data set the scale of a dimension."""
    h5ds.set_scale(made, name.encode())


def attach(made: Any, scales: Sequence[Any]) -> None:
    """Attach a scale to each dimension of a data set."""
    for position, each in enumerate(scales):
        h5ds.attach_scale(made, each, position)


def _space(shape: tuple[int, ...]) -> Any:
    return h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)


def _kind(dtype: np.dtype[Any]) -> Any:
    return h5t.py_create(dtype, logical=True)


@cache
def _plain() -> Any:
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    return creation


@cache
def _links() -> Any:
    links = h5p.create(h5p.LINK_CREATE)
    links.set_char_encoding(h5t.CSET_UTF8)
    return links


def _link(name: str) -> Any:
    return None if name.isascii() else _links()
