"""Experiments on two coupled qubits: the shift of one by the other, and cross resonance."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtrl_spool.experiments.names import LEAD, Qubit, microseconds, qubit_names, steps
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.sequence import SequenceWrapper


def zz(
    qubit: Qubit,
    neighbour: Qubit,
    n_elements: int = 102,
    step_size: float = 200e-9,
    *,
    detune: float = 0.0,
    start_time: float = 0.0,
    herald: bool = False,
    name: str = "zz",
) -> SequenceWrapper:
    """Return a Ramsey measurement with a neighbour in level 0 and in level 1, wait by wait.

    Parameters
    ----------
    qubit:
        The qubit that precesses.
    neighbour:
        The qubit that is excited first in every other element.
    n_elements:
        Number of elements of both together, a multiple of 2 for as many waits of each.
    step_size, start_time:
        s; the elements ``2 k`` and ``2 k + 1`` wait ``start_time + k * step_size``.
    detune:
        Hz, the artificial detuning.
    herald, name:
        Whether both are read before everything else too, and the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements ``2 k`` have the neighbour in level 0, elements ``2 k + 1`` in level 1; both qubits are read.
        The x axis holds the waits in us. The difference of the two frequencies is the shift.
    """
    one, other = _two(qubit, neighbour)
    waits = np.repeat(steps(-(-n_elements // 2), step_size, start_time), 2)[:n_elements]
    axis = {"name": "wait", "unit": "us", "values": microseconds(waits)}
    seq = SequenceWrapper(n_elements=n_elements, x_axis=axis, name=name)
    if herald:
        add_herald(seq, [one, other])
    for first in range(min(2, n_elements)):
        elements, swept = range(first, n_elements, 2), waits[first::2]
        where = slice(first, None, 2)
        begin, delay = "Start", LEAD
        if first:
            begin, delay = seq.append(f"{other}/X180", element=where, start_delay=LEAD)[1], 0.0
        _, tipped = seq.append(f"{one}/X90", element=where, start=begin, start_delay=delay)
        _, waited = seq.sweep(f"{one}/I", element=elements, start=tipped, start_delay=swept)
        if detune:
            seq.sweep(f"{one}/Z0", element=elements, start=waited, phase=2 * np.pi * detune * swept)
        _, end = seq.append(f"{one}/X90", element=where, start=waited)
        add_readout(seq, end, [one, other], element=where)
    return seq


def cross_resonance(
    control: Qubit,
    target: Qubit,
    n_elements: int = 102,
    step_size: float = 20e-9,
    *,
    start_time: float = 0.0,
    pulse: str = "CR",
    postpulse: str | None = None,
    herald: bool = False,
    name: str = "cross_resonance",
) -> SequenceWrapper:
    """Return what a cross-resonance pulse makes of a target, its control in level 0 and in level 1.

    Parameters
    ----------
    control:
        The qubit on whose line the pulse is played; the pulse is its own, such as ``Q3/CR``.
    target:
        The qubit at whose frequency it is played.
    n_elements:
        Number of elements of both together, a multiple of 2 for as many widths of each.
    step_size, start_time:
        s; the pulse of the elements ``2 k`` and ``2 k + 1`` has the width ``start_time + k * step_size``.
    pulse:
        Name of the pulse.
    postpulse:
        A pulse of the target before the readout, such as ``'X90'`` or ``'Y90'``: without it the sense in
        which the target turns is not seen.
    herald, name:
        Whether both are read before everything else too, and the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements ``2 k`` have the control in level 0, elements ``2 k + 1`` in level 1; both qubits are read.
        The x axis holds the widths in us.
    """
    driving, driven = _two(control, target)
    widths = np.repeat(steps(-(-n_elements // 2), step_size, start_time), 2)[:n_elements]
    axis = {"name": "pulse width", "unit": "us", "values": microseconds(widths)}
    seq = SequenceWrapper(n_elements=n_elements, x_axis=axis, name=name)
    if herald:
        add_herald(seq, [driving, driven])
    for first in range(min(2, n_elements)):
        elements, where = range(first, n_elements, 2), slice(first, None, 2)
        begin, delay = "Start", LEAD
        if first:
            begin, delay = seq.append(f"{driving}/X180", element=where, start_delay=LEAD)[1], 0.0
        played: dict[str, Any] = {"start": begin, "start_delay": delay, "width": widths[first::2]}
        _, end = seq.sweep(f"{driving}/{pulse}", element=elements, **played)
        if postpulse is not None:
            _, end = seq.append(f"{driven}/{postpulse}", element=where, start=end)
        add_readout(seq, end, [driving, driven], element=where)
    return seq


def _two(one: Qubit, other: Qubit) -> tuple[str, str]:
    names = qubit_names([one, other])
    return names[0], names[1]
