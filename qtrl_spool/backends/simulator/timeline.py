"""When things happen to each element: drives cut into chunks, waits, turns of the frame, and slow noise.

The time between drives is one step, however long. Elements are laid side by side, so that a chunk of
all of them is one step of the calculation. The static detuning is a Gauss-Hermite average with as many
nodes as the length of the sequence asks for; it is taken anew after each trigger. A neighbour that
nothing drives shifts a qubit by where it happens to rest, which averages in the same way.

Called by `evolve` and `couple`. Pure.

Known limits: a neighbour that rests keeps its level from trigger to trigger, and where it is found
by a readout of its own is drawn apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.drive import Schedule
from qtrl_spool.backends.simulator.transmon import Cuts

Number = TypeVar("Number", np.int64, np.float64)

MOST_NODES = 41
NODE_ACCURACY = 1e-6
NEGLIGIBLE = 1e-6
"""A node of less weight is left out; of 25 nodes it is half."""


@dataclass(frozen=True)
class Clock:
    """What times and frequencies of a program are counted in.

    Attributes
    ----------
    sample_rate:
        Of the program, samples/s.
    local_oscillator:
        Frequency that the drives are mixed with, Hz.
    """

    sample_rate: float
    local_oscillator: float


@dataclass(frozen=True)
class Neighbour:
    """A qubit that rests beside another one, and by how much its level 1 shifts that one, Hz."""

    qubit: Qubit
    zz: float


@dataclass(frozen=True, eq=False)
class Line:
    """What happens to every element, one row a chunk; an element whose chunks are over is left out.

    Elements are sorted by the number of their chunks, most first.

    Attributes
    ----------
    order:
        Which element stands at each place [place].
    active:
        How many elements each row concerns [row].
    chunk:
        Which chunk plays [row, place].
    wait:
        How long nothing plays before it, s [row, place].
    turn:
        By how much the frame of each qubit turns before that wait's end, rad [row, place, qubit].
    rest:
        How long nothing plays at the end, s [place].
    """

    order: NDArray[np.int64]
    active: NDArray[np.int64]
    chunk: NDArray[np.int64]
    wait: NDArray[np.float64]
    turn: NDArray[np.float64]
    rest: NDArray[np.float64]


def intervals(plan: Schedule, triggers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return between which triggers each span lies: 0 is before the first [span]."""
    return np.asarray(np.sum(triggers[plan.element] <= plan.start[:, None], axis=1))


def duration(plan: Schedule, clock: Clock) -> float:
    """Return how long it is from the first drive to the end of the last, of all elements, s."""
    if not len(plan.start):
        return 0.0
    return (int(np.max(plan.start + plan.n)) - int(np.min(plan.start))) / clock.sample_rate


def detunings(
    qubit: Qubit, longest: float, neighbours: Sequence[Neighbour] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the static detunings to average over, Hz, and their weights.

    Parameters
    ----------
    qubit:
        Whose.
    longest:
        How long its phase counts, s.
    neighbours:
        What rests beside it.
    """
    values, weights = np.zeros(1), np.ones(1)
    if qubit.detuning_noise and longest:
        n = n_nodes(2 * np.pi * qubit.detuning_noise * longest)
        nodes, chances = np.polynomial.hermite_e.hermegauss(n)
        chances /= chances.sum()
        seen = chances > NEGLIGIBLE
        values, weights = qubit.detuning_noise * nodes[seen], chances[seen] / chances[seen].sum()
    for beside in neighbours if longest else ():
        excited = 1 - beside.qubit.at_rest()[0]
        if excited:
            values = np.add.outer(values, [0.0, beside.zz]).ravel()
            weights = np.outer(weights, [1 - excited, excited]).ravel()
    return values, weights


def n_nodes(angle: float) -> int:
    """Return how many nodes average cos(angle x) over a normal x: the error is angle^2n n!/(2n)!."""
    for n in range(3, MOST_NODES):
        if 2 * n * log(max(angle, 1e-9)) + lgamma(n + 1) - lgamma(2 * n + 1) < log(NODE_ACCURACY):
            return n
    return MOST_NODES


def line(
    plan: Schedule,
    wanted: NDArray[np.bool_],
    cuts: Cuts,
    span: tuple[NDArray[np.int64], NDArray[np.int64]],
    qubits: Sequence[Qubit],
    clock: Clock,
) -> Line:
    """Lay out what lies between two triggers.

    Parameters
    ----------
    plan, cuts:
        The drives of the qubits, and their chunks.
    wanted:
        Which spans lie between the two [span].
    span:
        First and last sample of the interval [element], each.
    qubits:
        The qubits; each turns in its own frame while nothing drives it.
    clock:
        Of the program.
    """
    begin, end = span
    element, start, drive = plan.element[wanted], plan.start[wanted], plan.drive[wanted]
    stop = start + plan.n[wanted]
    offset = clock.local_oscillator - np.array([qubit.freq for qubit in qubits])
    freq = np.array([one.freqs for one in plan.drives]).reshape(-1, len(qubits))[drive]
    into = plan.phase[wanted] + 2 * np.pi * offset * start[:, None] / clock.sample_rate
    out = into + 2 * np.pi * (freq + offset) * (stop - start)[:, None] / clock.sample_rate
    follows = np.append(False, element[1:] == element[:-1])[: len(element)]
    wait = start - np.where(follows, np.roll(stop, 1), begin[element])
    turn = np.where(follows[:, None], into - np.roll(out, 1, axis=0), 0.0)

    counts = cuts.count[drive]
    n_chunks = np.bincount(element, weights=counts, minlength=len(begin)).astype(np.int64)
    order = np.argsort(-n_chunks, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    length = int(n_chunks.max(initial=0))
    inner = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    owner = np.repeat(element, counts)
    row = np.arange(len(owner)) - (np.cumsum(n_chunks) - n_chunks)[owner]
    shape, cells = (length, len(begin)), (row, place[owner])
    heads = (row[inner == 0], place[element])
    last = begin.copy()
    last[element] = stop
    turns = np.zeros((*shape, len(qubits)))
    turns[heads] = turn
    return Line(
        order=order,
        active=np.sum(n_chunks[None] > np.arange(length)[:, None], axis=1),
        chunk=_filled(shape, cells, cuts.number[np.repeat(cuts.first[drive], counts) + inner]),
        wait=_filled(shape, heads, wait / clock.sample_rate),
        turn=turns,
        rest=((end - last) / clock.sample_rate)[order],
    )


def _filled(
    shape: tuple[int, int], cells: tuple[NDArray[np.int64], NDArray[np.int64]], values: NDArray[Number]
) -> NDArray[Number]:
    table = np.zeros(shape, dtype=values.dtype)
    table[cells] = values
    return table
