"""Numbers with units: ``30 ns``, ``5.41 GHz``, ``90 deg``, as people may write them.

A `Quantity` is a float in SI units that remembers its dimension and how it was written, so that a
time where a frequency is expected can be refused with the words of the file.

Called by: ``variables``, ``validate``.
Fails: never; what is no quantity is None.

Known limits: no products of units, no ``dBm`` (levels stay as they are written).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

SECONDS, HERTZ, RADIANS, VOLTS = "seconds", "hertz", "radians", "volts"

_DECIMAL_UNITS = {
    "ps": (SECONDS, -12), "ns": (SECONDS, -9), "us": (SECONDS, -6), "µs": (SECONDS, -6), "μs": (SECONDS, -6),
    "ms": (SECONDS, -3), "s": (SECONDS, 0),
    "Hz": (HERTZ, 0), "kHz": (HERTZ, 3), "MHz": (HERTZ, 6), "GHz": (HERTZ, 9),
    "uV": (VOLTS, -6), "mV": (VOLTS, -3), "V": (VOLTS, 0),
    "rad": (RADIANS, 0), "mrad": (RADIANS, -3),
}  # fmt: skip
_DEGREES = ("deg", "°")
_QUANTITY = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?)\s*([A-Za-zµμ°]+)")

_BY_KEY = {
    "anharmonicity": HERTZ, "batch_s": SECONDS, "chi": HERTZ, "delta": HERTZ, "df": HERTZ,
    "drive_rate": HERTZ, "freq": HERTZ, "frequencies": HERTZ, "frequency": HERTZ, "length": SECONDS,
    "mod_freq": HERTZ, "mod_freq_ef": HERTZ, "phase": RADIANS, "qubit_LO": HERTZ, "readout_LO": HERTZ,
    "res_freq": HERTZ, "res_mod_freq": HERTZ, "sample_rate": HERTZ, "t1": SECONDS, "t2": SECONDS,
    "width": SECONDS, "angles": RADIANS, "global_phase": RADIANS, "kappa": HERTZ, "detuning_noise": HERTZ,
    "zz": HERTZ, "cr": HERTZ, "cr_back": HERTZ,
}  # fmt: skip
_BY_DOCUMENT = {("dac", "amplitude"): VOLTS, ("dac", "dc_offset"): VOLTS}


class Quantity(float):
    """A number in SI units that was written with its unit.

    Attributes
    ----------
    dimension:
        ``seconds``, ``hertz``, ``radians`` or ``volts``.
    text:
        As it was written.
    """

    __slots__ = ("dimension", "text")
    dimension: str
    text: str


def quantity_of(text: str) -> Quantity | None:
    """Return the quantity that `text` writes, in SI units, or None if it is none.

    The decimal point is moved, nothing is multiplied: ``30 ns`` is 3e-08 exactly.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, unit = found.groups()
    if unit in _DEGREES:
        return _quantity(math.radians(float(number)), RADIANS, text)
    if unit not in _DECIMAL_UNITS:
        return None
    dimension, exponent = _DECIMAL_UNITS[unit]
    return _quantity(float(Decimal(number).scaleb(exponent)), dimension, text)


def _quantity(value: float, dimension: str, text: str) -> Quantity:
    quantity = Quantity(value)
    quantity.dimension = dimension
    quantity.text = text
    return quantity


def expected_dimension(document: str, key: object) -> str | None:
    """Return the dimension of the values under `key` in a document, or None if it has none that is known."""
    if not isinstance(key, str):
        return None
    return _BY_KEY.get(key) or _BY_DOCUMENT.get((document, key))
