"""A three-level transmon: its Hamiltonian, its losses, and what a drive makes of its state.

With z the drive against its carrier, and in the frame of that carrier (U = W H W' + i dW/dt W')::

    H / 2 pi = -(f_drive - f_qubit) n + anharmonicity/2 n (n - 1) + drive_rate/2 (z a + z* a')

A step's propagator depends on |z| alone, but for a turn by arg z before and after: it is taken from
a Chebyshev interpolation in |z|, exact to rounding. Steps are multiplied up to *chunks* of at most
64. Loss, dephasing and a static detuning are slow against a chunk; they act as their average over
the chunk in the interaction picture (first order of Magnus' series), so that a chunk costs one
matrix of 9 x 9 and no accuracy is lost while the state turns many times within it.

States are density matrices written row by row as 9 numbers; so are the superoperators on them.
Pure. Checked against qutip in the tests.

Known limits: three levels; strong drives that reach a fourth are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.drive import Drive

Complex = NDArray[np.complex128]

LEVELS = 3
LOWER: NDArray[np.float64] = np.diag(np.sqrt([1.0, 2.0]), 1)
NUMBER: NDArray[np.float64] = np.diag([0.0, 1.0, 2.0])
COHERENCE: NDArray[np.float64] = np.subtract.outer(np.arange(3.0), np.arange(3.0)).ravel()
"""Of each of the 9 numbers of a state: how many quanta its row has more than its column."""
DIAGONAL = [0, 4, 8]

LONGEST_CHUNK = 64
BLOCK = 4
LOSS_PER_CHUNK = 0.02
TURN_PER_CHUNK = 0.05
PIECE = 1024
"""Steps that are worked out at a time: so few that BLAS does not wake a thread, which took twice as long."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """How the state changes in each chunk of each distinct drive, in the frame of its carrier.

    Attributes
    ----------
    change:
        Superoperator of the chunk [chunk, 9, 9].
    detuning:
        What a static detuning of 1 Hz adds before it, to first order [chunk, 9, 9].
    number:
        Which of these the chunks of the drives are, drive after drive; equal chunks share one.
    first, count:
        Where in `number` the chunks of each drive begin, and how many it has [drive].
    """

    change: Complex
    detuning: Complex
    number: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Idle:
    """The undriven evolution, diagonalised: rho(t) = from_modes e^{rates t} to_modes rho(0)."""

    rates: Complex
    to_modes: Complex
    from_modes: Complex


def jumps(qubit: Qubit) -> list[NDArray[np.float64]]:
    """Return the Lindblad operators: relaxation, excitation, pure dephasing [3, 3], 1/sqrt(s)."""
    down, up = qubit.rates
    return [np.sqrt(down) * LOWER, np.sqrt(up) * LOWER.T, np.sqrt(2 * qubit.dephasing_rate) * NUMBER]


def energies(qubit: Qubit, detuning: float) -> NDArray[np.float64]:
    """Return the levels in a frame that is `detuning` (Hz) above the qubit, rad/s."""
    n = np.arange(LEVELS)
    return np.asarray(2 * np.pi * (-detuning * n + qubit.anharmonicity / 2 * n * (n - 1)))


def idle(qubit: Qubit) -> Idle:
    """Return the evolution of an undriven qubit in its own frame."""
    levels = energies(qubit, 0.0)
    operators = jumps(qubit)
    loss = np.sum([np.kron(jump, jump) for jump in operators], axis=0)
    decay = np.sum([jump.T @ jump for jump in operators], axis=0)
    one = np.eye(LEVELS)
    generator = loss - (np.kron(decay, one) + np.kron(one, decay)) / 2
    rates, modes = np.linalg.eig(generator - 1j * np.diag(np.subtract.outer(levels, levels).ravel()))
    return Idle(rates=rates, to_modes=np.linalg.inv(modes), from_modes=modes)


def chunks(drives: Sequence[Drive], qubit: Qubit, local_oscillator: float, largest_detuning: float) -> Chunks:
    """Return what each distinct drive does to the qubit.

    Parameters
    ----------
    drives:
        The distinct drives.
    qubit:
        The qubit that they drive.
    local_oscillator:
        Frequency that the drives are mixed with, Hz.
    largest_detuning:
        Largest static detuning that will be asked for, Hz; it bounds the length of a chunk.
    """
    kinds: dict[tuple[float, float, int], list[int]] = {}
    for at, drive in enumerate(drives):
        length = _chunk_length(drive, qubit, largest_detuning)
        kinds.setdefault((drive.freq, drive.step, length), []).append(at)
    first = np.zeros(len(drives), dtype=np.int64)
    count = np.zeros(len(drives), dtype=np.int64)
    empty = np.zeros((0, LEVELS**2, LEVELS**2), dtype=np.complex128)
    changes, detunings, numbers, total, known = [empty], [empty], [np.zeros(0, dtype=np.int64)], 0, 0
    for (freq, step, length), members in kinds.items():
        rows, sizes, counts = _arranged([drives[at].samples for at in members], length)
        first[members] = total + np.cumsum(counts) - counts
        count[members] = counts
        rows, sizes, number = _shared(rows, sizes)
        numbers.append(known + number)
        total, known = total + len(number), known + len(rows)
        detuning = freq + local_oscillator - qubit.freq
        unitaries = _steps(rows, sizes, energies(qubit, detuning), qubit, step)
        change, added = _averaged(unitaries, sizes, qubit, step)
        changes.append(change)
        detunings.append(added)
    return Chunks(np.concatenate(changes), np.concatenate(detunings), np.concatenate(numbers), first, count)


def _chunk_length(drive: Drive, qubit: Qubit, largest_detuning: float) -> int:
    """Return how many steps of a drive make a chunk: a multiple of `BLOCK`."""
    loss = 2 / qubit.t1 + 4 * qubit.dephasing_rate
    slow = min(LOSS_PER_CHUNK / loss, TURN_PER_CHUNK / max(2 * np.pi * largest_detuning, 1e-300))
    longest = min(LONGEST_CHUNK, len(drive.samples), slow / drive.step)
    return BLOCK * max(1, int(np.ceil(min(longest, LONGEST_CHUNK) / BLOCK)))


def _arranged(
    samples: Sequence[Complex], length: int
) -> tuple[Complex, NDArray[np.int64], NDArray[np.int64]]:
    """Return the drives cut into rows of `length`, how much of each counts, and the rows of each drive."""
    sizes = np.array([len(one) for one in samples])
    counts = -(-sizes // length)
    rows = np.zeros(int(counts.sum()) * length, dtype=np.complex128)
    begin = 0
    for one, count in zip(samples, counts.tolist(), strict=True):
        rows[begin : begin + len(one)] = one
        begin += count * length
    filled = np.full(int(counts.sum()), length)
    filled[np.cumsum(counts) - 1] = sizes - (counts - 1) * length
    return rows.reshape(-1, length), filled, counts


def _shared(rows: Complex, sizes: NDArray[np.int64]) -> tuple[Complex, NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct rows, how much of each counts, and which of them each row is."""
    seen: dict[tuple[int, bytes], int] = {}
    number = [
        seen.setdefault((size, row.tobytes()), len(seen)) for size, row in zip(sizes, rows, strict=True)
    ]
    _, example = np.unique(number, return_index=True)
    return rows[example], sizes[example], np.array(number)


def _steps(
    z: Complex, sizes: NDArray[np.int64], levels: NDArray[np.float64], qubit: Qubit, step: float
) -> Complex:
    """Return the unitary of every step [chunk, step, 3, 3]; the identity after the end of a chunk."""
    size = np.abs(z).ravel()
    largest = max(float(size.max(initial=0.0)), 1e-12)
    coefficients = _chebyshev(levels, np.pi * qubit.drive_rate, largest, step)
    unitaries = _series(coefficients, 2 * size / largest - 1).reshape(*z.shape, LEVELS, LEVELS)
    turn = np.divide(z.ravel(), size, out=np.ones(len(size), dtype=np.complex128), where=size > 0)
    if not np.all(turn == 1):
        turn = turn.reshape(z.shape)
        for row, column in ((0, 1), (1, 2)):
            unitaries[..., row, column] *= turn
            unitaries[..., column, row] *= turn.conj()
        unitaries[..., 0, 2] *= turn**2
        unitaries[..., 2, 0] *= turn.conj() ** 2
    unitaries[np.arange(z.shape[1]) >= sizes[:, None]] = np.eye(LEVELS)
    return unitaries


def _chebyshev(levels: NDArray[np.float64], rate: float, largest: float, step: float) -> Complex:
    """Return coefficients [order, 9] of a step's unitary for amplitudes from 0 to `largest`."""
    order = 7 + int(np.ceil(8 * rate * largest * step))
    angles = np.pi * (np.arange(order) + 0.5) / order
    amplitudes = largest * (np.cos(angles) + 1) / 2
    coupling = LOWER + LOWER.T
    hamiltonians = np.diag(levels) + rate * amplitudes[:, None, None] * coupling
    values, vectors = np.linalg.eigh(hamiltonians)
    phases = np.exp(-1j * values * step)
    sampled = (vectors * phases[:, None, :]) @ vectors.transpose(0, 2, 1)
    transform = 2 / order * np.cos(np.outer(np.arange(order), angles))
    transform[0] /= 2
    return np.asarray(transform @ sampled.reshape(order, -1))


def _series(coefficients: Complex, x: NDArray[np.float64]) -> Complex:
    """Return the Chebyshev series of each of the 9 entries at `x` [x, 9]."""
    parts = np.ascontiguousarray(coefficients).view(np.float64)
    total = np.empty((len(x), LEVELS**2), dtype=np.complex128)
    table = np.empty((len(coefficients), PIECE))
    for begin in range(0, len(x), PIECE):
        piece = x[begin : begin + PIECE]
        orders = table[:, : len(piece)]
        orders[0], orders[1] = 1.0, piece
        for order in range(2, len(orders)):
            np.multiply(2 * piece, orders[order - 1], out=orders[order])
            orders[order] -= orders[order - 2]
        np.matmul(orders.T, parts, out=total[begin : begin + PIECE].view(np.float64))
    return total


def _averaged(
    unitaries: Complex, sizes: NDArray[np.int64], qubit: Qubit, step: float
) -> tuple[Complex, Complex]:
    """Return the change of the state over each chunk, and what a static detuning of 1 Hz adds."""
    blocks = unitaries
    for _ in range(BLOCK.bit_length() - 1):
        blocks = blocks[:, 1::2] @ blocks[:, ::2]
    prefix = np.empty((len(blocks), blocks.shape[1] + 1, LEVELS, LEVELS), dtype=np.complex128)
    prefix[:, 0] = np.eye(LEVELS)
    for at in range(blocks.shape[1]):
        np.matmul(blocks[:, at], prefix[:, at], out=prefix[:, at + 1])
    weights = step * _trapezoid(sizes, blocks.shape[1])
    slow, number = _interaction(prefix, weights, qubit)
    evolved = _exponential(slow)
    final = prefix[:, -1]
    turned = np.einsum("cij,ckl->cikjl", final, final.conj()).reshape(len(final), 9, 9)
    one = np.eye(LEVELS)
    commutator = _left(number, one) - _right(number, one)
    return turned @ evolved, -2j * np.pi * commutator


def _trapezoid(sizes: NDArray[np.int64], n_blocks: int) -> NDArray[np.float64]:
    """Return the weights of the block boundaries in an integral over a chunk [chunk, boundary], steps."""
    lengths = np.clip(sizes[:, None] - BLOCK * np.arange(n_blocks), 0, BLOCK)
    weights = np.zeros((len(sizes), n_blocks + 1))
    weights[:, :-1] += lengths / 2
    weights[:, 1:] += lengths / 2
    return weights


def _interaction(prefix: Complex, weights: NDArray[np.float64], qubit: Qubit) -> tuple[Complex, Complex]:
    """Return the integrals over a chunk, both as U' . U, of the losses [chunk, 9, 9] and n [chunk, 3, 3]."""
    adjoint = prefix.conj().swapaxes(2, 3)
    lower = adjoint[..., :2] @ (prefix[..., 1:, :] * np.sqrt([[1.0], [2.0]]))
    count = adjoint[..., 1:] @ (prefix[..., 1:, :] * np.array([[1.0], [2.0]]))
    down, up = qubit.rates
    emitted = _pairs(lower, weights)
    loss = down * emitted + up * emitted.conj().swapaxes(1, 2)
    loss += 2 * qubit.dephasing_rate * _pairs(count, weights)
    decay = np.einsum("ciiab->cba", loss.reshape(-1, 3, 3, 3, 3))
    one = np.eye(LEVELS)
    number = np.einsum("cb,cbij->cij", weights, count)
    return loss - (_left(decay, one) + _right(decay, one)) / 2, number


def _pairs(operator: Complex, weights: NDArray[np.float64]) -> Complex:
    """Return the integral of c x c* (as a superoperator rho -> c rho c') [chunk, 9, 9]."""
    flat = operator.reshape(*operator.shape[:2], 9)
    product = (flat * weights[..., None]).swapaxes(1, 2) @ flat.conj()
    return np.asarray(product.reshape(-1, 3, 3, 3, 3).transpose(0, 1, 3, 2, 4).reshape(-1, 9, 9))


def _left(operator: Complex, one: NDArray[np.float64]) -> Complex:
    return np.asarray(np.einsum("cij,kl->cikjl", operator, one).reshape(-1, 9, 9))


def _right(operator: Complex, one: NDArray[np.float64]) -> Complex:
    return np.asarray(np.einsum("ij,clk->cikjl", one, operator).reshape(-1, 9, 9))


def _exponential(small: Complex) -> Complex:
    """Return e to the power of small matrices, by Taylor's series to the fourth order."""
    square = small @ small
    rest = np.eye(9) / 2 + small / 6 + square / 24
    return np.asarray(np.eye(9) + small + square @ rest)
