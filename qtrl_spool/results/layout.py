"""The names inside a result file, format ``qtrl-result/1``: one home for writer and reader.

::

    /                  attributes: format and identity (job id, name, user, times, server, …)
    /readout …         one dimension scale for every axis that occurs, with its labels or values
    /iq …              one data set for every variable, its dimensions attached, units and long_name
    /documents/…       text (JSON or YAML): sequence, patch and job as submitted; config, as it counted;
                       default, the files of the default that the patch was merged into; fits, and the
                       classifier of each readout; processing_patch, what was changed when it was
                       processed once more
"""

from __future__ import annotations

import re

FORMAT = "qtrl-result/1"
DOCUMENTS = "documents"
SEQUENCE, PATCH, JOB = "sequence", "patch", "job"
CONFIG, DEFAULT, FITS, CLASSIFIER = "config", "default", "fits", "classifier"
CHAIN_PATCH = "processing_patch"
NOTES = "processing_notes"
COMPRESSION = "adc/acquisition_settings/compression"
CLAIM = "claim"
"""Root attribute: number of the claim that measured the data."""

IQ_UNIT = "arb. unit"

DIMENSIONS = {
    "readout": "readout",
    "repetition": "repetition",
    "element": "element",
    "trigger": "digitizer trigger within an element",
    "quadrature": "quadrature",
    "point": "sample of the digitizer within a trace",
    "level": "level",
}

LONG_NAMES = {
    "iq": ("demodulated signal, before rotation", IQ_UNIT),
    "raw": ("digitizer trace", IQ_UNIT),
    "state": ("level that each shot was found in, -1 = discarded", "1"),
    "population": ("population of each level", "1"),
    "population_err": ("standard error of the population", "1"),
    "kept": ("whether heralding keeps the shot", "1"),
}

_TIME_WORDS = {
    "nanoseconds": "ns",
    "microseconds": "us",
    "milliseconds": "ms",
    "seconds": "s",
    "minutes": "min",
    "hours": "h",
    "days": "d",
}
_INVERSE = {"ns": "GHz", "us": "MHz", "µs": "MHz", "ms": "kHz", "s": "Hz"} | {
    "GHz": "ns",
    "MHz": "us",
    "kHz": "ms",
    "Hz": "s",
}


def variable_name(name: str, taken: set[str]) -> str:
    """Return `name` as HDF5 and netCDF allow it, and different from those `taken`."""
    clean = re.sub(r"[^\w.+@-]", "_", name).strip(".") or "result"
    while clean in taken:
        clean += "_result"
    return clean


def unit(text: str) -> str:
    """Return the symbol of a unit: xarray takes ``seconds`` for a time difference and rewrites the data."""
    return _TIME_WORDS.get(text, text) or "1"


def inverse_unit(text: str) -> str:
    """Return the unit of 1/x: ``MHz`` for ``us``."""
    return _INVERSE.get(text, "1" if text in ("", "1") else f"1/{text}")
