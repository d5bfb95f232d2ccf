"""Experiments that wait and see what is left: T1, Ramsey, echo, and the three interleaved.

Each is a chain of steps on some elements of a sequence. The wait is the time from the end of one
pulse to the start of the next. ``detune`` turns the last pulse on by ``360 * detune * time``
degrees, so that the signal oscillates at that frequency though the drive is on resonance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.experiments.names import LEAD, Qubits, qubit_names, steps, swept_in_time, together
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.sequence import SequenceWrapper

_Chain = Callable[[SequenceWrapper, tuple[str, ...], range, NDArray[np.float64], float], str]


def t1(
    qubits: Qubits,
    n_elements: int = 51,
    step_size: float = 2e-6,
    *,
    start_time: float = 0.0,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "t1",
) -> SequenceWrapper:
    """Return a relaxation measurement: X180, a growing wait, readout.

    Parameters
    ----------
    qubits:
        The qubits that are excited.
    n_elements:
        Number of waits.
    step_size, start_time:
        s; element ``i`` waits ``start_time + i * step_size``.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements in the order of the wait; the x axis holds the waits in us.
    """
    waits = steps(n_elements, step_size, start_time)
    seq = swept_in_time(name, "wait", waits)
    return _measured(seq, [(_t1, range(n_elements), waits)], qubits, 0.0, readout, herald)


def ramsey(
    qubits: Qubits,
    n_elements: int = 51,
    step_size: float = 200e-9,
    *,
    detune: float = 0.0,
    start_time: float = 0.0,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "ramsey",
) -> SequenceWrapper:
    """Return a Ramsey measurement: X90, a growing wait, Z(360 detune wait), X90, readout.

    Parameters
    ----------
    qubits:
        The qubits that precess.
    n_elements:
        Number of waits.
    step_size, start_time:
        s; element ``i`` waits ``start_time + i * step_size``.
    detune:
        Hz, the artificial detuning.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements in the order of the wait; the x axis holds the waits in us.
    """
    waits = steps(n_elements, step_size, start_time)
    seq = swept_in_time(name, "wait", waits)
    return _measured(seq, [(_ramsey, range(n_elements), waits)], qubits, detune, readout, herald)


def echo(
    qubits: Qubits,
    n_elements: int = 51,
    step_size: float = 500e-9,
    *,
    detune: float = 0.0,
    start_time: float = 0.0,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "echo",
) -> SequenceWrapper:
    """Return a Hahn echo: X90, a wait, Y180, the same wait, Z(360 detune 2 wait), X90, readout.

    Parameters
    ----------
    qubits:
        The qubits that precess.
    n_elements:
        Number of waits.
    step_size, start_time:
        s; element ``i`` waits ``start_time + i * step_size`` before the Y180 and again after it.
    detune:
        Hz, the artificial detuning, over both waits.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        Elements in the order of the wait; the x axis holds both waits together, in us.
    """
    waits = steps(n_elements, step_size, start_time)
    seq = swept_in_time(name, "both waits", 2 * waits)
    return _measured(seq, [(_echo, range(n_elements), waits)], qubits, detune, readout, herald)


def interleaved_coherence(
    qubits: Qubits,
    n_elements: int = 153,
    step_size: float = 500e-9,
    *,
    detune: float = 0.0,
    start_time: float = 0.0,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "interleaved_coherence",
) -> SequenceWrapper:
    """Return T1, Ramsey and echo element by element, so that a drift meets all three alike.

    Elements ``3 k``, ``3 k + 1`` and ``3 k + 2`` are element ``k`` of `t1`, `ramsey` and `echo` with the
    same arguments.

    Parameters
    ----------
    qubits:
        The qubits that are measured.
    n_elements:
        Number of elements of all three together, a multiple of 3 for as many waits of each.
    step_size, start_time:
        s; the elements ``3 k`` to ``3 k + 2`` wait ``start_time + k * step_size``, the echo twice.
    detune:
        Hz, the artificial detuning of Ramsey and echo.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        The x axis holds each element's whole wait in us: take every third element for one of the three.
    """
    waits = np.repeat(steps(-(-n_elements // 3), step_size, start_time), 3)[:n_elements]
    n_waits = np.where(np.arange(n_elements) % 3 == 2, 2, 1)
    seq = swept_in_time(name, "wait", waits * n_waits)
    kinds = [
        (chain, range(first, n_elements, 3), waits[first::3])
        for first, chain in enumerate((_t1, _ramsey, _echo))
        if first < n_elements
    ]
    return _measured(seq, kinds, qubits, detune, readout, herald)


def _measured(
    seq: SequenceWrapper,
    kinds: Sequence[tuple[_Chain, range, NDArray[np.float64]]],
    qubits: Qubits,
    detune: float,
    readout: Qubits | None,
    herald: bool,
) -> SequenceWrapper:
    names = qubit_names(qubits)
    read = names if readout is None else readout
    if herald:
        add_herald(seq, read)
    for chain, elements, waits in kinds:
        end = chain(seq, names, elements, waits, detune)
        add_readout(seq, end, read, element=_slice(elements))
    return seq


def _t1(
    seq: SequenceWrapper, names: tuple[str, ...], elements: range, waits: NDArray[np.float64], detune: float
) -> str:
    excited = _first(seq, names, "X180", elements)
    return _wait(seq, names, elements, excited, waits)


def _ramsey(
    seq: SequenceWrapper, names: tuple[str, ...], elements: range, waits: NDArray[np.float64], detune: float
) -> str:
    tipped = _first(seq, names, "X90", elements)
    waited = _wait(seq, names, elements, tipped, waits)
    return _last(seq, names, elements, waited, detune * waits)


def _echo(
    seq: SequenceWrapper, names: tuple[str, ...], elements: range, waits: NDArray[np.float64], detune: float
) -> str:
    tipped = _first(seq, names, "X90", elements)
    _, flipped = seq.sweep(together(names, "Y180"), element=elements, start=tipped, start_delay=waits)
    waited = _wait(seq, names, elements, flipped, waits)
    return _last(seq, names, elements, waited, 2 * detune * waits)


def _first(seq: SequenceWrapper, names: tuple[str, ...], pulse: str, elements: range) -> str:
    return seq.append(together(names, pulse), element=_slice(elements), start_delay=LEAD)[1]


def _wait(
    seq: SequenceWrapper, names: tuple[str, ...], elements: range, start: str, waits: NDArray[np.float64]
) -> str:
    return seq.sweep(f"{names[0]}/I", element=elements, start=start, start_delay=waits)[1]


def _last(
    seq: SequenceWrapper, names: tuple[str, ...], elements: range, start: str, turns: NDArray[np.float64]
) -> str:
    if np.any(turns):
        # Evenly spaced in a form that the file holds as three numbers, not as one for each element.
        phases = np.linspace(2 * np.pi * turns[0], 2 * np.pi * turns[-1], len(turns))
        for name in names:
            seq.sweep(f"{name}/Z0", element=elements, start=start, phase=phases)
    return seq.append(together(names, "X90"), element=_slice(elements), start=start)[1]


def _slice(elements: range) -> slice:
    return slice(elements.start, None, elements.step)
