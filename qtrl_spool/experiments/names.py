"""How the experiments understand what their callers name: qubits, readouts, times.

Pure. A wrong argument raises `UsageError`, which names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import UsageError
from qtrl_spool.sequence import SequenceWrapper, simultaneous

Qubit: TypeAlias = int | str
Qubits: TypeAlias = Qubit | Sequence[Qubit]

LEAD = 10e-9
"""s, from 'Start' to the first pulse."""

_FEMTOSECONDS = 9  # decimals of a microsecond that are kept on an x axis


def qubit_names(qubits: Qubits) -> tuple[str, ...]:
    """Return the pulse library's names of qubits: ``6``, ``'6'``, ``'Q6'`` or ``'R6'`` is ``'Q6'``.

    Raises
    ------
    UsageError
        No qubit, one twice, or what names no qubit.
    """
    given = qubits if isinstance(qubits, Iterable) and not isinstance(qubits, str) else [qubits]
    names = tuple(_qubit_name(qubit) for qubit in given)
    if not names or len(set(names)) < len(names):
        raise UsageError(
            f"qubits {qubits!r}: at least one, and each only once", hint="for example 6, 'Q6' or [5, 6]"
        )
    return names


def readout_names(readout: Qubits) -> tuple[str, ...]:
    """Return the labels of the readouts of qubits: ``6`` or ``'Q6'`` is ``'R6'``."""
    return tuple("R" + name[1:] for name in qubit_names(readout))


def _qubit_name(qubit: Any) -> str:
    number = str(qubit) if isinstance(qubit, Integral) else qubit
    if isinstance(number, str) and not isinstance(qubit, bool):
        number = number[1:] if number[:1] in {"Q", "R"} else number
        if number.isalnum():
            return "Q" + number
    raise UsageError(f"{qubit!r} names no qubit", hint="for example 6 or 'Q6'")


def together(names: Sequence[str], pulse: str) -> Any:
    """Return the one `pulse` of all the qubits `names`, to be played so that all end together."""
    keys = [f"{name}/{pulse}" for name in names]
    return keys[0] if len(keys) == 1 else simultaneous(*keys)


def steps(n_elements: int, step_size: float, start_time: float = 0.0) -> NDArray[np.float64]:
    """Return the swept times [element] in s, ``start_time + i * step_size``: always `n_elements` of them.

    Raises
    ------
    UsageError
        No element, or a time below zero.
    """
    if n_elements < 1:
        raise UsageError(f"n_elements {n_elements}: a sequence has at least one element")
    times: NDArray[np.float64] = start_time + step_size * np.arange(n_elements, dtype=np.float64)
    if not np.all(times >= 0):
        raise UsageError(
            f"step_size {step_size} s and start_time {start_time} s: a time may not be below zero"
        )
    return times


def microseconds(times: NDArray[np.float64]) -> list[float]:
    """Return `times` [element], given in s, as numbers of microseconds that print as they were meant."""
    return [float(value) for value in np.round(times * 1e6, _FEMTOSECONDS)]


def swept_in_time(name: str, axis: str, times: NDArray[np.float64]) -> SequenceWrapper:
    """Return an empty sequence whose elements stand for `times` [element] in s, shown in us as `axis`."""
    x_axis = {"name": axis, "unit": "us", "values": microseconds(times)}
    return SequenceWrapper(n_elements=len(times), x_axis=x_axis, name=name)
