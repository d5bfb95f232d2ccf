"""A three-level transmon: its Hamiltonian, its losses, and what a drive makes of its state.

With z the drive against its carrier, and in the frame of that carrier (U = W H W' + i dW/dt W')::

    H / 2 pi = -(f_drive - f_qubit) n + anharmonicity/2 n (n - 1) + drive_rate/2 (z a + z* a')

A step's propagator depends on |z| alone, but for a turn by arg z before and after: it is taken from
a Chebyshev interpolation in |z|, exact to rounding. Steps are multiplied up to *chunks* of at most
64; a chunk that occurs again, as most do in a long pulse with flat top, is worked out once. Loss,
dephasing and a static detuning are slow against a chunk; they act as their average over the chunk
in the interaction picture (first order of Magnus' series; Blanes et al., Phys. Rep. 470, 151), so
that a chunk costs one matrix of 9 x 9 and no accuracy is lost while the state turns many times in it.

States are density matrices written row by row as 9 numbers; so are the superoperators on them.
Unitaries are kept as [row, column, ..., chunk]: arithmetic on long rows is several times as fast as
a library call for each matrix of 3 x 3. Pure. Checked against qutip in the tests.

Known limits: three levels; strong drives that reach a fourth are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Qubit
from qtrl_spool.backends.simulator.drive import Drive

Complex = NDArray[np.complex128]

LOWER: NDArray[np.float64] = np.diag(np.sqrt([1.0, 2.0]), 1)
NUMBER: NDArray[np.float64] = np.diag([0.0, 1.0, 2.0])
COHERENCE: NDArray[np.float64] = np.subtract.outer(np.arange(3.0), np.arange(3.0)).ravel()
"""Of each of the 9 numbers of a state: how many quanta its row has more than its column."""
DIAGONAL = [0, 4, 8]

LONGEST_CHUNK = 64
BLOCK = 4
LOSS_PER_CHUNK = 0.02
TURN_PER_CHUNK = 0.05
ROUNDING = 1e-13
PIECE = 1024
"""Steps that are worked out at a time: so few that BLAS does not wake a thread, which took twice as long."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Distinct chunks of drives that have carrier and step in common.

    Attributes
    ----------
    z:
        The fields in each step; 0 after the end of a chunk [field, step, chunk].
    sizes:
        How many steps of each count [chunk].
    freqs:
        Of the carriers, Hz.
    step:
        Length of a step, s.
    """

    z: Complex
    sizes: NDArray[np.int64]
    freqs: tuple[float, ...]
    step: float


@dataclass(frozen=True, eq=False)
class Cuts:
    """Which chunks the drives are made of.

    Attributes
    ----------
    kinds:
        The distinct chunks, kind after kind.
    number:
        Which of these the chunks of the drives are, drive after drive; equal chunks share one.
    first, count:
        Where in `number` the chunks of each drive begin, and how many it has [drive].
    """

    kinds: tuple[Rows, ...]
    number: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    @property
    def durations(self) -> NDArray[np.float64]:
        """Length of each distinct chunk, s."""
        return np.concatenate([np.zeros(0), *(rows.sizes * rows.step for rows in self.kinds)])


@dataclass(frozen=True, eq=False)
class Chunks:
    """How the state of one qubit changes in each distinct chunk, in the frame of its carrier.

    Attributes
    ----------
    change:
        Superoperator of the chunk [chunk, 9, 9].
    detuning:
        What a static detuning of 1 Hz adds before it, to first order [chunk, 9, 9].
    """

    change: Complex
    detuning: Complex


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


def generator(qubit: Qubit) -> Complex:
    """Return what turns the state of an undriven qubit, in its own frame: d rho/dt = G rho [9, 9], 1/s."""
    levels = energies(qubit, 0.0)
    operators = jumps(qubit)
    loss = np.sum([np.kron(jump, jump) for jump in operators], axis=0)
    decay = np.sum([jump.T @ jump for jump in operators], axis=0)
    one = np.eye(LEVELS)
    turning = np.diag(np.subtract.outer(levels, levels).ravel())
    return np.asarray(loss - (np.kron(decay, one) + np.kron(one, decay)) / 2 - 1j * turning)


def idle(qubit: Qubit) -> Idle:
    """Return the evolution of an undriven qubit in its own frame."""
    rates, modes = np.linalg.eig(generator(qubit))
    return Idle(rates=rates, to_modes=np.linalg.inv(modes), from_modes=modes)


def longest_chunk(qubit: Qubit, largest_detuning: float) -> float:
    """Return how long a chunk may be, s: what is averaged over it must be slow against it."""
    loss = 2 / qubit.t1 + 4 * qubit.dephasing_rate
    turn = 2 * np.pi * largest_detuning
    return min(LOSS_PER_CHUNK / loss, TURN_PER_CHUNK / turn if turn else np.inf)


def cut(drives: Sequence[Drive], longest: float, most: int = LONGEST_CHUNK, block: int = BLOCK) -> Cuts:
    """Cut the distinct drives into chunks.

    Parameters
    ----------
    drives:
        The distinct drives.
    longest, most:
        Length of a chunk at most, in s and in steps.
    block:
        Of how many steps the length of a chunk is a multiple.
    """
    groups: dict[tuple[tuple[float, ...], float], list[int]] = {}
    for at, drive in enumerate(drives):
        groups.setdefault((drive.freqs, drive.step), []).append(at)
    first, count = (np.zeros(len(drives), dtype=np.int64) for _ in range(2))
    kinds, numbers, total, known = [], [np.zeros(0, dtype=np.int64)], 0, 0
    for (freqs, step), members in groups.items():
        fields = [drives[at].fields for at in members]
        length = min(most, longest / step, max(one.shape[1] for one in fields))
        rows, sizes, counts = _arranged(fields, block * max(1, int(np.ceil(length / block))))
        first[members] = total + np.cumsum(counts) - counts
        count[members] = counts
        examples, number = _distinct(rows, sizes)
        numbers.append(known + number)
        total, known = total + len(number), known + len(examples)
        z = np.ascontiguousarray(rows[examples].transpose(1, 2, 0))
        kinds.append(Rows(z=z, sizes=sizes[examples], freqs=freqs, step=step))
    return Cuts(tuple(kinds), np.concatenate(numbers), first, count)


def _arranged(fields: Sequence[Complex], length: int) -> tuple[Complex, NDArray[np.int64], NDArray[np.int64]]:
    """Return drives cut into rows [chunk, field, step], how much of each counts, and the rows of each."""
    sizes = np.array([one.shape[1] for one in fields])
    counts = -(-sizes // length)
    line = np.zeros((fields[0].shape[0], int(counts.sum()) * length), dtype=np.complex128)
    begin = 0
    for one, count in zip(fields, counts.tolist(), strict=True):
        line[:, begin : begin + one.shape[1]] = one
        begin += count * length
    filled = np.full(int(counts.sum()), length)
    filled[np.cumsum(counts) - 1] = sizes - (counts - 1) * length
    rows = line.reshape(len(line), -1, length).transpose(1, 0, 2)
    return np.ascontiguousarray(rows), filled, counts


def _distinct(rows: Complex, sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return an example of each distinct row, and which of them each row is.

    Rows are told apart by a sum of their bits with random weights, which is a tenth of the time that it
    takes to compare them; should two that differ have the same sum, all are taken for distinct.
    """
    bits = rows.reshape(len(rows), -1).view(np.int64)
    weights = np.random.Generator(np.random.SFC64(1)).integers(2**62, size=bits.shape[1]) | 1
    keys = np.sum(bits * weights, axis=1) + sizes
    _, example, number = np.unique(keys, return_index=True, return_inverse=True)
    same = np.array_equal(rows[example][number], rows) and np.array_equal(sizes[example][number], sizes)
    every = np.arange(len(rows))
    return (example, number) if same else (every, every)


def chunks(cuts: Cuts, qubit: Qubit, local_oscillator: float, *, static: bool = True) -> Chunks:
    """Return what each distinct chunk does to the qubit, the only one of its drives.

    Parameters
    ----------
    cuts:
        The chunks.
    qubit:
        The qubit that they drive.
    local_oscillator:
        Frequency that the drives are mixed with, Hz.
    static:
        Whether the effect of a static detuning is wanted too.
    """
    empty = np.zeros((0, LEVELS**2, LEVELS**2), dtype=np.complex128)
    changes, detunings = [empty], [empty]
    for rows in cuts.kinds:
        levels = energies(qubit, rows.freqs[0] + local_oscillator - qubit.freq)
        prefix = prefixes(steps(rows.z[0], rows.sizes, levels, qubit, rows.step), BLOCK)
        weights = rows.step * trapezoid(rows.sizes, BLOCK, prefix.shape[2] - 1)
        change, number = averaged(prefix, weights, qubit)
        changes.append(change)
        detunings.append(-2j * np.pi * commutator(number) if static else empty)
    return Chunks(np.concatenate(changes), np.concatenate(detunings))


def steps(
    z: Complex, sizes: NDArray[np.int64], levels: NDArray[np.float64], qubit: Qubit, step: float
) -> Complex:
    """Return the unitary of every step [3, 3, step, chunk]; the identity after the end of a chunk."""
    size = np.abs(z)
    largest = max(float(size.max(initial=0.0)), 1e-12)
    coefficients = _chebyshev(levels, np.pi * qubit.drive_rate, largest, step)
    unitaries = _series(coefficients, 2 * size.ravel() / largest - 1).reshape(LEVELS, LEVELS, *z.shape)
    turn = np.divide(z, size, out=np.ones(z.shape, dtype=np.complex128), where=size > 0)
    if not np.all(turn == 1):
        back = turn.conj()
        for row, column in ((0, 1), (1, 2)):
            unitaries[row, column] *= turn
            unitaries[column, row] *= back
        unitaries[0, 2] *= turn**2
        unitaries[2, 0] *= back**2
    late = np.arange(len(z))[:, None] >= sizes
    if late.any():
        unitaries[:, :, late] = np.eye(LEVELS)[:, :, None]
    return unitaries


def _chebyshev(levels: NDArray[np.float64], rate: float, largest: float, step: float) -> Complex:
    """Return coefficients [order, 9] of a step's unitary for amplitudes from 0 to `largest`."""
    order = _n_coefficients(rate * largest * step * np.sqrt(3.0))
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


def _n_coefficients(angle: float) -> int:
    """Return how many Chebyshev coefficients e^{-i angle x}, x from 0 to 1, takes; cf. (angle/4)^n/n!."""
    order, error = 4, 1.0
    while error > ROUNDING:
        order += 1
        error = exp(order * log(max(angle, 1e-9) / 4) - lgamma(order + 1))
    return order


def _series(coefficients: Complex, x: NDArray[np.float64]) -> Complex:
    """Return the Chebyshev series of each of the 9 entries at `x` [9, x]; the matrix is symmetric."""
    upper = coefficients[:, [0, 1, 2, 4, 5, 8]]
    parts = np.concatenate([upper.real.T, upper.imag.T])
    total = np.empty((LEVELS**2, len(x)), dtype=np.complex128)
    table = np.empty((len(coefficients), PIECE))
    for begin in range(0, len(x), PIECE):
        piece = x[begin : begin + PIECE]
        orders = table[:, : len(piece)]
        orders[0], orders[1] = 1.0, piece
        for order in range(2, len(orders)):
            np.multiply(2 * piece, orders[order - 1], out=orders[order])
            orders[order] -= orders[order - 2]
        found = parts @ orders
        for at, place in enumerate((0, 1, 2, 4, 5, 8)):
            entry = total[place, begin : begin + PIECE]
            entry.real, entry.imag = found[at], found[at + 6]
    total[[3, 6, 7]] = total[[1, 2, 5]]
    return total


def product(left: Complex, right: Complex) -> Complex:
    """Return the products of matrices of 3 x 3 that are kept as [row, column, ...]."""
    found = left[:, 0, None] * right[None, 0]
    found += left[:, 1, None] * right[None, 1]
    found += left[:, 2, None] * right[None, 2]
    return np.asarray(found)


def prefixes(unitaries: Complex, block: int) -> Complex:
    """Return what has happened up to each boundary of blocks of steps [3, 3, boundary, chunk].

    `block` is a power of 2 that divides the number of steps.
    """
    blocks = unitaries
    for _ in range(block.bit_length() - 1):
        blocks = product(blocks[:, :, 1::2], blocks[:, :, ::2])
    n_blocks, n_chunks = blocks.shape[2:]
    prefix = np.empty((LEVELS, LEVELS, n_blocks + 1, n_chunks), dtype=np.complex128)
    prefix[:, :, 0] = np.eye(LEVELS)[:, :, None]
    for at in range(n_blocks):
        prefix[:, :, at + 1] = product(blocks[:, :, at], prefix[:, :, at])
    return prefix


def trapezoid(sizes: NDArray[np.int64], block: int, n_blocks: int) -> NDArray[np.float64]:
    """Return the weights of the block boundaries in an integral over a chunk [boundary, chunk], steps."""
    lengths = np.clip(sizes - block * np.arange(n_blocks)[:, None], 0, block)
    weights = np.zeros((n_blocks + 1, len(sizes)))
    weights[:-1] += lengths / 2
    weights[1:] += lengths / 2
    return weights


def lowered(prefix: Complex) -> Complex:
    """Return U' a U, U what has happened so far [3, 3, boundary, chunk]."""
    found = prefix[0].conj()[:, None] * prefix[1]
    found += np.sqrt(2.0) * prefix[1].conj()[:, None] * prefix[2]
    return np.asarray(found)


def counted(prefix: Complex) -> Complex:
    """Return U' n U, U what has happened so far [3, 3, boundary, chunk]."""
    found = prefix[1].conj()[:, None] * prefix[1]
    found += 2.0 * prefix[2].conj()[:, None] * prefix[2]
    return np.asarray(found)


def averaged(prefix: Complex, weights: NDArray[np.float64], qubit: Qubit) -> tuple[Complex, Complex]:
    """Return the change of the state over each chunk [chunk, 9, 9], and the integral of n [chunk, 3, 3], s.

    Both with all that is slow averaged over the chunk; `weights` are those of `trapezoid`, in s.
    """
    lower, count = lowered(prefix), counted(prefix)
    down, up = qubit.rates
    emitted = _pairs(lower, weights)
    loss = down * emitted
    if up:
        loss += up * emitted.conj().swapaxes(1, 2)
    if qubit.dephasing_rate:
        loss += 2 * qubit.dephasing_rate * _pairs(count, weights)
    decay = np.einsum("ciiab->cba", loss.reshape(-1, 3, 3, 3, 3))
    one = np.eye(LEVELS)
    slow = loss - (_left(decay, one) + _right(decay, one)) / 2
    final = prefix[:, :, -1].transpose(2, 0, 1)
    turned = (final[:, :, None, :, None] * final.conj()[:, None, :, None, :]).reshape(-1, 9, 9)
    number = np.einsum("bc,ijbc->cij", weights, count)
    return turned @ _exponential(slow), number


def commutator(operator: Complex) -> Complex:
    """Return the superoperator of [operator, rho] [chunk, 9, 9]."""
    one = np.eye(LEVELS)
    return _left(operator, one) - _right(operator, one)


def _pairs(operator: Complex, weights: NDArray[np.float64]) -> Complex:
    """Return the integral of c x c* (as a superoperator rho -> c rho c') [chunk, 9, 9]."""
    flat = operator.reshape(LEVELS**2, *operator.shape[2:])
    weighted = np.ascontiguousarray((flat * weights).transpose(2, 0, 1))
    product = weighted @ flat.conj().transpose(2, 1, 0)
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
