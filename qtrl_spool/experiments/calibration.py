"""Experiments that calibrate a drive and its pulses: chevron, pi train, DRAG, three levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtrl_spool.errors import UsageError
from qtrl_spool.experiments.names import LEAD, Qubits, microseconds, qubit_names, steps, together
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.sequence import SequenceWrapper

DRAG_PAIRS = (("X180", "Y90"), ("Y180", "X90"))
"""The two sequences of `drag`: a wrong derivative moves their populations in opposite directions."""


def chevron(
    qubits: Qubits,
    detunings: Sequence[float],
    n_elements: int = 26,
    step_size: float = 20e-9,
    *,
    start_time: float = 0.0,
    pulse: str = "rabi",
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "chevron",
) -> SequenceWrapper:
    """Return Rabi oscillations at several detunings of the drive, one after the other.

    Parameters
    ----------
    qubits:
        The driven qubits.
    detunings:
        Of the drive from the frequency of the stored pulse, Hz, all of the same sign convention: positive
        is above it.
    n_elements:
        Number of widths at each detuning.
    step_size, start_time:
        s; element ``i`` of a detuning has the width ``start_time + i * step_size``.
    pulse:
        Name of the drive pulse of each qubit; it is played with raised-cosine edges, the shape that has a
        detuning of its own.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        ``len(detunings) * n_elements`` elements, all widths of the first detuning first; the x axis
        holds the widths in us, once for each detuning; its rows are the detunings in MHz.
    """
    names = qubit_names(qubits)
    widths = steps(n_elements, step_size, start_time)
    if not len(detunings):
        raise UsageError("detunings: at least one", hint="for example [-5e6, 0, 5e6]")
    rows = {"name": "detuning", "unit": "MHz", "values": [float(each) * 1e-6 for each in detunings]}
    values = microseconds(np.tile(widths, len(detunings)))
    axis = {"name": "pulse width", "unit": "us", "values": values, "rows": rows}
    seq = SequenceWrapper(n_elements=len(detunings) * n_elements, x_axis=axis, name=name)
    read = names if readout is None else readout
    if herald:
        add_herald(seq, read)
    for row, detuning in enumerate(detunings):
        elements = range(row * n_elements, (row + 1) * n_elements)
        # The shape turns by -df.
        shape = {"env_func": "cos_square", "kwargs": {"df": -float(detuning)}}
        played: dict[str, Any] = {"start": "Start", "start_delay": LEAD, "width": widths, **shape}
        _, end = seq.sweep(together(names, pulse), element=elements, **played)
        add_readout(seq, end, read, element=slice(elements.start, elements.stop))
    return seq


def pi_train(
    qubits: Qubits,
    n_elements: int = 21,
    *,
    pulse: str = "X180",
    prepulse: str = "X90",
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "pi_train",
) -> SequenceWrapper:
    """Return trains of pi pulses after a pi/2 pulse, which add up what each of them turns too far.

    Parameters
    ----------
    qubits:
        The qubits whose pulse is tried.
    n_elements:
        Element ``i`` plays `prepulse` and then ``i`` times `pulse`.
    pulse, prepulse:
        Names of the pulses.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        The x axis holds the number of pi pulses. With an error of e rad of each pi pulse (and e/2 of the
        pi/2 pulse) the population is ``1/2 + (-1)^i/2 sin(e (i + 1/2))``.
    """
    names = qubit_names(qubits)
    if n_elements < 1:
        raise UsageError(f"n_elements {n_elements}: a sequence has at least one element")
    axis = {"name": "pi pulses", "values": list(range(n_elements))}
    seq = SequenceWrapper(n_elements=n_elements, x_axis=axis, name=name)
    read = names if readout is None else readout
    if herald:
        add_herald(seq, read)
    for element in range(n_elements):
        _, end = seq.append(together(names, prepulse), element=element, start_delay=LEAD)
        for _ in range(element):
            _, end = seq.append(together(names, pulse), element=element, start=end)
        add_readout(seq, end, read, element=element)
    return seq


def drag(
    qubits: Qubits,
    alphas: Sequence[float],
    *,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "drag",
) -> SequenceWrapper:
    """Return the two sequences of `DRAG_PAIRS` for several weights of the derivative.

    Parameters
    ----------
    qubits:
        The qubits whose pulses, of the shape DRAG, are tried.
    alphas:
        Weights of the derivative, which replace the stored ones.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements ``2 k`` and ``2 k + 1`` play the first and the second sequence with weight ``k``; the x axis
        holds the weights. Where the two populations are equal the derivative cancels the phase error.
    """
    names = qubit_names(qubits)
    weights = np.asarray(alphas, dtype=np.float64)
    if not len(weights):
        raise UsageError("alphas: at least one", hint="for example [0, 0.5, 1]")
    axis = {"name": "DRAG weight", "values": np.repeat(weights, 2).tolist()}
    seq = SequenceWrapper(n_elements=2 * len(weights), x_axis=axis, name=name)
    read = names if readout is None else readout
    if herald:
        add_herald(seq, read)
    for first, pair in enumerate(DRAG_PAIRS):
        end, delay, elements = "Start", LEAD, range(first, 2 * len(weights), 2)
        for pulse in pair:
            played: dict[str, Any] = {"start": end, "start_delay": delay, "kwargs": {"alpha": weights}}
            _, end = seq.sweep(together(names, pulse), element=elements, **played)
            delay = 0.0
        add_readout(seq, end, read, element=slice(first, None, 2))
    return seq


def three_levels(
    qubits: Qubits,
    *,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "three_levels",
) -> SequenceWrapper:
    """Return the three preparations that calibrate a readout of levels 0, 1 and 2.

    Parameters
    ----------
    qubits:
        The qubits that are prepared; they need a pulse X180_ef.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Element ``k`` prepares level ``k`` of all the qubits.
    """
    names = qubit_names(qubits)
    read = names if readout is None else readout
    axis = {"name": "prepared level", "values": [0, 1, 2]}
    seq = SequenceWrapper(n_elements=3, x_axis=axis, name=name)
    if herald:
        add_herald(seq, read)
    add_readout(seq, "Start", read, element=0)
    _, end = seq.append(together(names, "X180"), element=[1, 2])
    add_readout(seq, end, read, element=1)
    _, end = seq.append(together(names, "X180_ef"), element=2, start=end)
    add_readout(seq, end, read, element=2)
    return seq
