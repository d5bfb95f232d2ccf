"""What coupling makes of two transmons: in each chunk of their drives, and while nothing drives them.

To what each of the two does alone (`transmon`) comes, in the frames of their carriers::

    H / 2 pi = zz n1 n2 + cr/2 (z1 a2 + z1* a2') S1 + cr_back/2 (z2 a1 + z2* a1') S2

z1 is what plays on the line of the first, seen from the frame of the second; S is +1 in level 0 of
the qubit whose line it is, and -1 above: the effective Hamiltonian of cross resonance (Magesan and
Gambetta, Phys. Rev. A 101, 052308; Krantz et al., Appl. Phys. Rev. 6, 021318, section V). Both are
slow against a chunk of at most 32 steps; they act as their average over it in the interaction
picture of the two undisturbed qubits, before these do what they do. Between drives the whole
generator is diagonalised, once, for each kind of coherence.

States are density matrices, written as [first, second], each of the two as 9 numbers like those of
`transmon`. Called by `couple`. Pure.

Known limits: the coupling itself does not mix the levels of the two (no exchange).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Pair, Qubit
from qtrl_spool.backends.simulator.drive import Schedule
from qtrl_spool.backends.simulator.timeline import Clock
from qtrl_spool.backends.simulator.transmon import (
    COHERENCE,
    Complex,
    Cuts,
    Idle,
    Rows,
    averaged,
    commutator,
    counted,
    energies,
    generator,
    longest_chunk,
    lowered,
    prefixes,
    steps,
)

BOTH = LEVELS**2
COUPLING_PER_CHUNK = 0.03
WORST_CONDITION = 1e7
NUDGE = 1.0
"""Hz by which a shift is changed where two modes of decay coincide and cannot be told apart."""


@dataclass(frozen=True, eq=False)
class Table:
    """What the distinct chunks do.

    Attributes
    ----------
    coupling:
        The unitary of the coupling [chunk, 9, 9], rows and columns ``3 first + second``.
    change:
        Superoperator of each qubit, for each of its static detunings [qubit][chunk, detuning, 9, 9].
    """

    coupling: Complex
    change: tuple[Complex, Complex]


@dataclass(frozen=True, eq=False)
class Waiting:
    """The undriven evolution of the part of a state whose coherences are of one kind.

    Attributes
    ----------
    places:
        Where that part lies among the 81 numbers of a state, and where its complex conjugate does.
    quanta:
        How many quanta of each qubit its rows have more than its columns.
    modes:
        The part evolves as from_modes e^{rates t} to_modes.
    """

    places: tuple[NDArray[np.int64], NDArray[np.int64]]
    quanta: tuple[int, int]
    modes: Idle


def longest_step(
    plan: Schedule, pair: Pair, qubits: tuple[Qubit, Qubit], static: Sequence[NDArray[np.float64]]
) -> float:
    """Return how long a chunk may be, s."""
    strongest = [
        max(
            (float(np.max(np.abs(drive.fields[2 + at]))) for drive in plan.drives if len(drive.fields) > 2),
            default=0,
        )
        for at in (0, 1)
    ]
    rate = abs(pair.zz) + abs(pair.cr_back) * strongest[0] + abs(pair.cr) * strongest[1]
    alone = [
        longest_chunk(one, float(np.max(np.abs(values)))) for one, values in zip(qubits, static, strict=True)
    ]
    return min(*alone, COUPLING_PER_CHUNK / max(2 * np.pi * rate, 1e-9))


def table_of(
    cuts: Cuts,
    pair: Pair,
    qubits: tuple[Qubit, Qubit],
    static: Sequence[NDArray[np.float64]],
    clock: Clock,
) -> Table:
    """Return what the distinct chunks do, for some static detunings of each qubit, Hz [qubit][detuning]."""
    couplings = [np.zeros((0, BOTH, BOTH), dtype=np.complex128)]
    changes: tuple[list[Complex], list[Complex]] = ([], [])
    for at in (0, 1):
        changes[at].append(np.zeros((0, len(static[at]), BOTH, BOTH), dtype=np.complex128))
    for rows in cuts.kinds:
        alone = [_alone(rows, at, qubits[at], clock) for at in (0, 1)]
        weights = _simpson(np.where(np.arange(len(rows.z[0]))[:, None] < rows.sizes, rows.step, 0.0))
        couplings.append(_unitary(_coupling(alone[0], alone[1], rows, weights, pair)))
        for at in (0, 1):
            change, number = averaged(alone[at], weights, qubits[at])
            changes[at].append(_detuned(change, number, static[at]))
    return Table(np.concatenate(couplings), (np.concatenate(changes[0]), np.concatenate(changes[1])))


def _alone(rows: Rows, at: int, qubit: Qubit, clock: Clock) -> Complex:
    """Return what has happened to one qubit, were it alone, up to each half step [3, 3, boundary, chunk]."""
    levels = energies(qubit, rows.freqs[at] + clock.local_oscillator - qubit.freq)
    halves = steps(rows.z[at], rows.sizes, levels, qubit, rows.step / 2)
    return prefixes(np.repeat(halves, 2, axis=2), 1)


def _simpson(values: NDArray[Any]) -> NDArray[Any]:
    """Return the weights of half steps in an integral of what is constant in each step [boundary, chunk]."""
    weights = np.zeros((2 * len(values) + 1, values.shape[1]), dtype=values.dtype)
    weights[:-1:2] += values / 6
    weights[1::2] += values * (2 / 3)
    weights[2::2] += values / 6
    return weights


def _detuned(change: Complex, number: Complex, static: NDArray[np.float64]) -> Complex:
    """Return the superoperators of chunks for each static detuning [chunk, detuning, 9, 9]."""
    turning = -2j * np.pi * commutator(number)
    first = change @ turning
    second = first @ turning / 2
    shift = static[None, :, None, None]
    return np.asarray(change[:, None] + shift * first[:, None] + shift**2 * second[:, None])


def _coupling(
    first: Complex, second: Complex, rows: Rows, weights: NDArray[np.float64], pair: Pair
) -> Complex:
    """Return the coupling of each chunk, averaged over what the two do alone, rad [chunk, 9, 9]."""
    total = pair.zz * _tensor(counted(first), weights * counted(second))
    if len(rows.z) > 2 and pair.cr:
        total = total + _tensor(_sense(first), pair.cr / 2 * _driven(second, rows.z[3], rows.step))
    if len(rows.z) > 2 and pair.cr_back:
        total = total + _tensor(pair.cr_back / 2 * _driven(first, rows.z[2], rows.step), _sense(second))
    ordered = total.reshape(-1, *(LEVELS,) * 4).transpose(0, 1, 3, 2, 4)
    return np.asarray(2 * np.pi * ordered.reshape(-1, BOTH, BOTH))


def _tensor(first: Complex, second: Complex) -> Complex:
    """Return the sum over boundaries of products of operators [chunk, 9 of the first, 9 of the second]."""
    left = np.ascontiguousarray(first.reshape(BOTH, *first.shape[2:]).transpose(2, 0, 1))
    right = np.ascontiguousarray(second.reshape(BOTH, *second.shape[2:]).transpose(2, 1, 0))
    return np.asarray(left @ right)


def _sense(prefix: Complex) -> Complex:
    """Return U' S U, S being 1 in level 0 and -1 above [3, 3, boundary, chunk]."""
    found = 2 * prefix[0].conj()[:, None] * prefix[0]
    found -= np.eye(LEVELS)[:, :, None, None]
    return np.asarray(found)


def _driven(prefix: Complex, z: Complex, step: float) -> Complex:
    """Return U' (z a + z* a') U, weighted for an integral over the chunk, s [3, 3, boundary, chunk]."""
    found = _simpson(step * z) * lowered(prefix)
    return np.asarray(found + found.conj().swapaxes(0, 1))


def _unitary(angle: Complex) -> Complex:
    """Return e to the power of -i times small Hermitian matrices, by Taylor's series to the sixth order."""
    x = -1j * angle
    one, square = np.eye(BOTH), x @ x
    high = one / 24 + x / 120 + square / 720
    return np.asarray(one + x + square @ (one / 2 + x / 6 + square @ high))


def waiting(pair: Pair, qubits: tuple[Qubit, Qubit]) -> list[Waiting]:
    """Return the evolution of the two while nothing drives them, each in its own frame.

    Neither losses nor shifts change how many quanta the rows have more than the columns, so that the
    state falls into parts of at most nine numbers; the part of the opposite sign is the conjugate.
    """
    one, level = np.eye(BOTH), np.arange(LEVELS)
    row, column = np.repeat(level, LEVELS), np.tile(level, LEVELS)
    shift = np.outer(row, row) - np.outer(column, column)
    losses = np.kron(generator(qubits[0]), one) + np.kron(one, generator(qubits[1]))
    quanta = np.array([np.repeat(COHERENCE, BOTH), np.tile(COHERENCE, BOTH)]).astype(np.int64)
    conjugate = (column * LEVELS + row)[:, None] * BOTH + (column * LEVELS + row)
    found = []
    for first, second in np.ndindex(LEVELS, 2 * LEVELS - 1):
        kind = (first, second - LEVELS + 1)
        if kind < (0, 0):
            continue
        places = np.flatnonzero((quanta[0] == kind[0]) & (quanta[1] == kind[1]))
        modes = _modes(losses[np.ix_(places, places)], shift.ravel()[places], pair.zz)
        found.append(Waiting((places, conjugate.ravel()[places]), kind, modes))
    return found


def _modes(losses: Complex, shift: NDArray[np.int64], zz: float, nudge: float = 0.0) -> Idle:
    rates, modes = np.linalg.eig(losses - 2j * np.pi * np.diag((zz + nudge) * shift))
    if np.linalg.cond(modes) > WORST_CONDITION and not nudge:
        return _modes(losses, shift, zz, NUDGE)
    return Idle(rates=rates, to_modes=np.linalg.inv(modes), from_modes=modes)
