"""The samples of a program's envelopes, end to end, each distinct one once.

Called by the compiler when all lengths are known and found to fit. Envelopes that differ only in
amplitude and phase share one drawing of their shape, as long as they follow each other.

Known limit: more than `MAX_DRAWN` samples together are refused; the caller checks before it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.sequence.envelopes import SCALING, Shape64, bare, factor_of
from qtrl_spool.sequence.program import Program
from qtrl_spool.sequence.pulse import frozen
from qtrl_spool.sequence.resolve import Table

MAX_DRAWN = 2**27
"""Most samples that all envelopes of a program may have together (1 GiB of complex64)."""


def drawn(
    used: NDArray[np.int64], table: Table, sample_rate: float
) -> tuple[NDArray[np.complex64], NDArray[np.int64]]:
    """Return the `used` envelopes end to end, and for every envelope where it begins.

    Parameters of absurd size give samples that are no finite numbers, silently; see `not_finite`.
    """
    offsets = np.zeros(len(table.envelopes), np.int64)
    samples = np.empty(sum(table.envelopes[number][2] for number in used.tolist()), np.complex64)
    parameters: dict[tuple[str, int], tuple[Any, complex]] = {}
    kept: tuple[Any, Shape64] = (None, np.zeros(0))
    end = 0
    with np.errstate(all="ignore"):
        for number in used.tolist():
            env_func, kwargs, n = table.envelopes[number]
            place = (env_func, id(kwargs))
            if place not in parameters:
                parameters[place] = (_shape_key(kwargs), factor_of(env_func, kwargs))
            shape, factor = parameters[place]
            if kept[0] != (env_func, n, shape):
                kept = ((env_func, n, shape), bare(env_func, n, kwargs, sample_rate))
            offsets[number], begin, end = end, end, end + n
            np.multiply(kept[1], factor, out=samples[begin:end], casting="same_kind")
    return samples, offsets


def not_finite(program: Program) -> NDArray[np.int64]:
    """Return the plays that hold samples which are no finite numbers."""
    if np.isfinite(program.samples.view(np.float32)).all():
        return np.zeros(0, np.int64)
    wrong = np.concatenate(([0], np.cumsum(~np.isfinite(program.samples))))
    first = program.plays["offset"]
    return np.flatnonzero(wrong[first + program.plays["n"]] > wrong[first])


def _shape_key(kwargs: Mapping[str, Any]) -> Any:
    """Return the parameters without amplitude and phase, as a hashable."""
    return frozen({name: value for name, value in kwargs.items() if name not in SCALING})
