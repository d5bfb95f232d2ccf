"""What is in a result file, told by h5py alone, so that it can be compared for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def facts(path: Path) -> dict[str, Any]:
    """Return attributes, variables with the digest of their values, coordinates and documents."""
    with h5py.File(path) as file:
        texts = {name: np.frombuffer(item[()], np.uint8) for name, item in file["documents"].items()}
        items = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        return {
            "attributes": {name: _plain(value) for name, value in file.attrs.items()},
            "variables": {name: _variable(item) for name, item in items.items() if not item.is_scale},
            "coordinates": {name: _coordinate(item) for name, item in items.items() if item.is_scale},
            "documents": {name: digest(text) for name, text in texts.items()},
        }


def digest(values: Any) -> str:
    """Return the SHA-256 of numbers, in the kind and order that they have."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _variable(item: Any) -> dict[str, Any]:
    return {
        "dims": [dim[0].name.removeprefix("/") for dim in item.dims],
        "dtype": item.dtype.name,
        "sha256": digest(item[...]),
        "long_name": item.attrs["long_name"],
        "units": item.attrs["units"],
    }


def _coordinate(item: Any) -> dict[str, Any]:
    values = item.asstr()[...] if item.dtype.kind == "O" else item[...]
    return {
        "values": values.tolist(),
        "long_name": item.attrs["long_name"],
        "units": item.attrs["units"],
    }


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
