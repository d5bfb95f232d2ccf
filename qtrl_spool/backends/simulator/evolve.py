"""What a sequence makes of one qubit: the probability of each level at every trigger.

A trigger measures: it leaves the qubit in the level that it found. From the start to the first
trigger the qubit evolves from thermal equilibrium; from each trigger to the next it evolves from
every level in turn, so that a herald selects. All elements, all levels and all values of the static
detuning evolve side by side; the time between drives is one step, however long.

The static detuning is a Gauss-Hermite average with as many nodes as the length of the sequence asks
for; it is taken anew after each trigger. Called by `Simulator.prepare`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import Qubit
from qtrl_spool.backends.simulator.drive import Schedule
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.transmon import (
    COHERENCE,
    DIAGONAL,
    LEVELS,
    Chunks,
    Complex,
    Idle,
    chunks,
    idle,
)

Number = TypeVar("Number", np.int64, np.float64)

MOST_NODES = 41
NODE_ACCURACY = 1e-6


@dataclass(frozen=True, eq=False)
class _Line:
    """What happens to every element, one row a chunk; an element whose chunks are over is left out.

    Elements are sorted by the number of their chunks, most first; `order` undoes it.
    """

    order: NDArray[np.int64]
    active: NDArray[np.int64]
    chunk: NDArray[np.int64]
    wait: NDArray[np.float64]
    turn: NDArray[np.float64]
    rest: NDArray[np.float64]


def outcomes(
    plan: Schedule,
    qubit: Qubit,
    triggers: NDArray[np.int64],
    *,
    sample_rate: float,
    local_oscillator: float,
) -> Outcomes:
    """Return the probabilities of the levels of one qubit.

    Parameters
    ----------
    plan:
        Its drives, cut at the triggers.
    qubit:
        What it is.
    triggers:
        When it is measured, in samples [element, trigger]; at least one trigger.
    sample_rate:
        Of the plan and of `triggers`, samples/s.
    local_oscillator:
        Frequency that the drives are mixed with, Hz.
    """
    n_elements, n_triggers = triggers.shape
    interval = np.sum(triggers[plan.element] <= plan.start[:, None], axis=1)
    detunings, weights = _detunings(qubit, plan, sample_rate, triggers)
    table = chunks(plan.drives, qubit, local_oscillator, float(np.max(np.abs(detunings))))
    undriven = idle(qubit)
    found = []
    for at in range(n_triggers):
        begin = triggers[:, at - 1] if at else np.zeros(n_elements, dtype=np.int64)
        line = _line(
            plan, interval == at, table, begin, triggers[:, at], sample_rate, local_oscillator - qubit.freq
        )
        start = np.diag(np.ones(LEVELS)) if at else qubit.at_rest()[None]
        found.append(_populations(_evolve(start, line, table, undriven, detunings), weights, line.order))
    later = [one[:, None] for one in found[1:]]
    empty = np.zeros((n_elements, 0, LEVELS, LEVELS))
    return Outcomes(first=found[0][:, 0], later=np.concatenate([empty, *later], axis=1))


def _detunings(
    qubit: Qubit, plan: Schedule, sample_rate: float, triggers: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the static detunings to average over, Hz, and their weights."""
    if not qubit.detuning_noise or not len(plan.start):
        return np.zeros(1), np.ones(1)
    longest = (int(np.max(plan.start + plan.n)) - int(np.min(plan.start))) / sample_rate
    nodes, weights = np.polynomial.hermite_e.hermegauss(_n_nodes(2 * np.pi * qubit.detuning_noise * longest))
    return qubit.detuning_noise * nodes, weights / weights.sum()


def _n_nodes(angle: float) -> int:
    """Return how many nodes average cos(angle x) over a normal x: the error is angle^2n n!/(2n)!."""
    for n in range(3, MOST_NODES):
        if 2 * n * log(max(angle, 1e-9)) + lgamma(n + 1) - lgamma(2 * n + 1) < log(NODE_ACCURACY):
            return n
    return MOST_NODES


def _line(
    plan: Schedule,
    wanted: NDArray[np.bool_],
    table: Chunks,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    sample_rate: float,
    offset: float,
) -> _Line:
    """Lay out what lies between two triggers; `offset` is the local oscillator minus the qubit, Hz."""
    element, start, drive = plan.element[wanted], plan.start[wanted], plan.drive[wanted]
    stop = start + plan.n[wanted]
    freq = np.array([one.freq for one in plan.drives])[drive] if len(drive) else np.zeros(0)
    phase_in = plan.phase[wanted] + 2 * np.pi * offset * start / sample_rate
    phase_out = phase_in + 2 * np.pi * (freq + offset) * (stop - start) / sample_rate
    follows = np.append(False, element[1:] == element[:-1])[: len(element)]
    wait = start - np.where(follows, np.roll(stop, 1), begin[element])
    turn = np.where(follows, phase_in - np.roll(phase_out, 1), 0.0)

    counts = table.count[drive]
    n_chunks = np.bincount(element, weights=counts, minlength=len(begin)).astype(np.int64)
    order = np.argsort(-n_chunks, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    length = int(n_chunks.max(initial=0))
    inner = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    owner = np.repeat(element, counts)
    row = np.arange(len(owner)) - (np.cumsum(n_chunks) - n_chunks)[owner]
    shape, cells = (length, len(begin)), (row, place[owner])
    last = begin.copy()
    last[element] = stop
    return _Line(
        order=order,
        active=np.sum(n_chunks[None] > np.arange(length)[:, None], axis=1),
        chunk=_filled(shape, cells, table.number[np.repeat(table.first[drive], counts) + inner]),
        wait=_filled(shape, cells, np.where(inner == 0, np.repeat(wait / sample_rate, counts), 0.0)),
        turn=_filled(shape, cells, np.where(inner == 0, np.repeat(turn, counts), 0.0)),
        rest=((end - last) / sample_rate)[order],
    )


def _filled(
    shape: tuple[int, int], cells: tuple[NDArray[np.int64], NDArray[np.int64]], values: NDArray[Number]
) -> NDArray[Number]:
    table = np.zeros(shape, dtype=values.dtype)
    table[cells] = values
    return table


def _evolve(
    start: NDArray[np.float64], line: _Line, table: Chunks, undriven: Idle, detunings: NDArray[np.float64]
) -> Complex:
    """Return the states at the end [element, 9, start, detuning], from populations [start, level]."""
    columns = (len(start), len(detunings))
    initial = np.zeros((LEVELS**2, *columns), dtype=np.complex128)
    initial[DIAGONAL] = start.T[:, :, None]
    state = np.tile(initial.reshape(1, LEVELS**2, -1), (len(line.order), 1, 1))
    static = np.tile(detunings, columns[0])
    for row, active in enumerate(line.active.tolist()):
        now = state[:active]
        now = _wait(now, line.wait[row, :active], line.turn[row, :active], undriven, static)
        number = line.chunk[row, :active]
        if static.any():
            now = _shifted(now, table.detuning[number], static)
        state[:active] = table.change[number] @ now
    rested = _wait(state, line.rest, np.zeros(len(line.order)), undriven, static)
    return rested.reshape(len(rested), LEVELS**2, *columns)


def _wait(
    state: Complex,
    duration: NDArray[np.float64],
    turn: NDArray[np.float64],
    undriven: Idle,
    static: NDArray[np.float64],
) -> Complex:
    """Return the states after an undriven time, s, and a turn of the frame, rad [element]."""
    if turn.any():
        state = state * np.exp(1j * turn[:, None] * COHERENCE)[:, :, None]
    if not duration.any():
        return state
    modes = undriven.to_modes @ state
    modes *= np.exp(undriven.rates * duration[:, None])[:, :, None]
    state = undriven.from_modes @ modes
    if static.any():
        angle = np.exp(-2j * np.pi * duration[:, None] * static)
        state *= angle[:, None, :] ** COHERENCE[:, None]
    return state


def _shifted(state: Complex, detuning: Complex, static: NDArray[np.float64]) -> Complex:
    """Return e^(static detuning) state, to the third order."""
    term, total = state, state
    for order in (1, 2, 3):
        term = (detuning @ term) * (static / order)
        total = total + term
    return total


def _populations(
    state: Complex, weights: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the averaged populations, elements in their own order [element, start, level]."""
    populations = np.clip(np.einsum("elsd,d->esl", state[:, DIAGONAL].real, weights), 0.0, None)
    sorted_back = np.empty_like(populations)
    sorted_back[order] = populations / populations.sum(axis=2, keepdims=True)
    return np.asarray(sorted_back)
