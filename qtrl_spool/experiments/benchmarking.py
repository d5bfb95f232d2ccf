"""Randomized benchmarking: random Clifford gates, and the one that undoes them all.

The 24 Clifford gates of a qubit are made of X180, Y180 and the four pi/2 pulses, as few as possible:
1.83 pulses on the average, the identity being none (Epstein et al., Phys. Rev. A 89, 062321). The
population of level 0 then decays as ``a p^m + b`` with the number m of gates, and ``(1 - p)/2`` is the
mean error of a gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import UsageError
from qtrl_spool.experiments.names import LEAD, Qubits, qubit_names, together
from qtrl_spool.experiments.readout import add_herald, add_readout
from qtrl_spool.sequence import SequenceWrapper

PULSES = ("X90", "X-90", "Y90", "Y-90", "X180", "Y180")
"""What the Clifford gates are made of."""

_Turn = NDArray[np.int64]


def rb(
    qubits: Qubits,
    lengths: Sequence[int] = (1, 50, 100, 200, 400),
    n_random: int = 10,
    *,
    seed: int = 0,
    interleaved: str | None = None,
    readout: Qubits | None = None,
    herald: bool = False,
    name: str = "rb",
) -> SequenceWrapper:
    """Return randomized benchmarking: random Clifford gates of several lengths, each undone at the end.

    Parameters
    ----------
    qubits:
        The qubits; all of them play the same gates at the same time.
    lengths:
        Numbers of gates, without the last one.
    n_random:
        How many random sequences there are of each length.
    seed:
        Of the random choice; the same seed gives the same sequences.
    interleaved:
        A pulse of `PULSES` that is played after each gate, to find its own error; none by default.
    readout, herald, name:
        What is read at the end (default: `qubits`), whether it is read before too, the sequence's name.

    Returns
    -------
    SequenceWrapper
        ``len(lengths) * n_random`` elements, all sequences of the first length first; the x axis holds
        the lengths. Ideally every element ends in the ground state.
    """
    names = qubit_names(qubits)
    _check(lengths, n_random, interleaved)
    every = np.repeat(np.asarray(lengths, dtype=np.int64), n_random).tolist()
    axis = {"name": "Clifford gates", "values": every}
    seq = SequenceWrapper(n_elements=len(every), x_axis=axis, name=name)
    read = names if readout is None else readout
    if herald:
        add_herald(seq, read)
    random = np.random.Generator(np.random.PCG64(seed))
    for element, length in enumerate(every):
        end, delay = "Start", LEAD
        for pulse in _pulses(length, interleaved, random):
            played: dict[str, Any] = {"element": element, "start": end, "start_delay": delay}
            end, delay = seq.append(together(names, pulse), **played)[1], 0.0
        add_readout(seq, end, read, element=element)
    return seq


def _check(lengths: Sequence[int], n_random: int, interleaved: str | None) -> None:
    if not len(lengths) or min(lengths) < 0 or n_random < 1:
        raise UsageError(
            f"lengths {list(lengths)!r} and n_random {n_random!r}: at least one length, none below 0, and "
            "one sequence of each"
        )
    if interleaved is not None and interleaved not in PULSES:
        raise UsageError(f"interleaved {interleaved!r} is not one of {', '.join(PULSES)}")


def _pulses(length: int, interleaved: str | None, random: np.random.Generator) -> list[str]:
    """Return the pulses of a random sequence, the ones that undo it included."""
    gates = cliffords()
    between = () if interleaved is None else (interleaved,)
    played: list[str] = []
    turned = np.eye(3, dtype=np.int64)
    for choice in random.integers(len(gates), size=length).tolist():
        chosen = (*gates[choice][1], *between)
        played += chosen
        turned = _turned(chosen, turned)
    back = next(pulses for turn, pulses in gates if np.array_equal(turn @ turned, np.eye(3)))
    return [*played, *back]


@cache
def cliffords() -> tuple[tuple[_Turn, tuple[str, ...]], ...]:
    """Return the 24 Clifford gates: how each turns the Bloch sphere [3, 3], and the pulses that make it."""
    found: dict[bytes, tuple[_Turn, tuple[str, ...]]] = {}
    shells: list[tuple[str, ...]] = [()]
    while len(found) < 24:
        for pulses in shells:
            turn = _turned(pulses, np.eye(3, dtype=np.int64))
            found.setdefault(turn.tobytes(), (turn, pulses))
        shells = [(*pulses, pulse) for pulses in shells for pulse in PULSES]
    return tuple(found.values())


def _turned(pulses: Sequence[str], turn: _Turn) -> _Turn:
    for pulse in pulses:
        turn = _quarter_turns(pulse[0], int(pulse[1:]) // 90) @ turn
    return turn


@cache
def _quarter_turns(axis: str, n: int) -> _Turn:
    """Return how `n` quarter turns about an axis turn the Bloch sphere [3, 3]."""
    about = {"X": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "Y": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]}[axis]
    return np.linalg.matrix_power(np.array(about, dtype=np.int64), n % 4)
