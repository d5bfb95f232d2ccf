"""Experiments that turn a qubit and read how far it went: Rabi, AllXY, pi and no pi."""

from __future__ import annotations

import numpy as np

from qtrl_spool.experiments.names import LEAD, Qubits, qubit_names, steps, swept_in_time, together
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.sequence import SequenceWrapper

ALL_XY_PAIRS = (
    # ends in the ground state
    ("I", "I"),
    ("X180", "X180"),
    ("Y180", "Y180"),
    ("X180", "Y180"),
    ("Y180", "X180"),
    # ends on the equator
    ("X90", "I"),
    ("Y90", "I"),
    ("X90", "Y90"),
    ("Y90", "X90"),
    ("X90", "Y180"),
    ("Y90", "X180"),
    ("X180", "Y90"),
    ("Y180", "X90"),
    ("X90", "X180"),
    ("X180", "X90"),
    ("Y90", "Y180"),
    ("Y180", "Y90"),
    # ends in the excited state
    ("X180", "I"),
    ("Y180", "I"),
    ("X90", "X90"),
    ("Y90", "Y90"),
)
"""The 21 pairs of `all_xy` in their order; ideally 5 populations of 0, 12 of 0.5 and 4 of 1."""


def rabi(
    qubits: Qubits,
    n_elements: int = 51,
    step_size: float = 20e-9,
    *,
    start_time: float = 0.0,
    pulse: str = "rabi",
    prepulse: str | None = None,
    postpulse: str | None = None,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "rabi",
) -> SequenceWrapper:
    """Return a Rabi oscillation: a drive pulse whose width grows from element to element.

    Parameters
    ----------
    qubits:
        The driven qubits.
    n_elements:
        Number of widths.
    step_size, start_time:
        s; element ``i`` has the width ``start_time + i * step_size``.
    pulse:
        Name of the drive pulse of each qubit.
    prepulse, postpulse:
        Names of pulses before and after it, such as ``'X180'`` for ``pulse='rabi_ef'``; none by default.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements in the order of the width; the x axis holds the widths in us.
    """
    names = qubit_names(qubits)
    widths = steps(n_elements, step_size, start_time)
    seq = swept_in_time(name, "pulse width", widths)
    start, delay = "Start", LEAD
    if prepulse is not None:
        start, delay = seq.append(together(names, prepulse), start_delay=LEAD)[1], 0.0
    drive = together(names, pulse)
    _, end = seq.sweep(drive, element=range(n_elements), start=start, start_delay=delay, width=widths)
    if postpulse is not None:
        _, end = seq.append(together(names, postpulse), start=end)
    add_readout(seq, end, names if readout is None else readout, herald=herald)
    return seq


def all_xy(
    qubits: Qubits,
    *,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "all_xy",
) -> SequenceWrapper:
    """Return AllXY: the 21 pairs of `ALL_XY_PAIRS`, each twice, which tell one pulse error from another.

    Parameters
    ----------
    qubits:
        The qubits that play the pairs.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        42 elements, pair ``i`` in elements ``2 i`` and ``2 i + 1``; the x axis holds ``i``.
    """
    names = qubit_names(qubits)
    read = names if readout is None else readout
    pairs = np.repeat(np.arange(len(ALL_XY_PAIRS)), 2)
    seq = SequenceWrapper(n_elements=len(pairs), x_axis={"name": "pair", "values": pairs.tolist()}, name=name)
    if herald:
        add_herald(seq, read)
    for index, (first, second) in enumerate(ALL_XY_PAIRS):
        element = [2 * index, 2 * index + 1]
        _, between = seq.append(together(names, first), element=element, start_delay=LEAD)
        _, end = seq.append(together(names, second), element=element, start=between)
        add_readout(seq, end, read, element=element)
    return seq


def pi_no_pi(
    qubits: Qubits,
    *,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "pi_no_pi",
) -> SequenceWrapper:
    """Return the two preparations that calibrate a readout: nothing, and a pi pulse on all the qubits.

    Parameters
    ----------
    qubits:
        The qubits that are prepared.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Element 0 prepares the ground state, element 1 the excited state.
    """
    names = qubit_names(qubits)
    read = names if readout is None else readout
    seq = SequenceWrapper(n_elements=2, x_axis={"name": "prepared level", "values": [0, 1]}, name=name)
    if herald:
        add_herald(seq, read)
    add_readout(seq, "Start", read, element=0)
    _, end = seq.append(together(names, "X180"), element=1, end_delay=LEAD)
    add_readout(seq, end, read, element=1)
    return seq
