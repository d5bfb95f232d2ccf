"""What a sequence makes of one qubit: the probability of each level at every trigger.

A trigger measures: it leaves the qubit in the level that it found. From the start to the first
trigger the qubit evolves from thermal equilibrium; from each trigger to the next it evolves from
every level in turn, so that a herald selects. All elements, all levels and all values of the static
detuning evolve side by side. Called by `groups`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Qubit
from qtrl_spool.backends.simulator.drive import Schedule
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.timeline import (
    Clock,
    Line,
    Neighbour,
    detunings,
    duration,
    intervals,
    line,
)
from qtrl_spool.backends.simulator.transmon import (
    COHERENCE,
    DIAGONAL,
    Chunks,
    Complex,
    Idle,
    chunks,
    cut,
    idle,
    longest_chunk,
)


def outcomes(
    plan: Schedule,
    qubit: Qubit,
    triggers: NDArray[np.int64],
    clock: Clock,
    neighbours: Sequence[Neighbour] = (),
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
    clock:
        Of the plan and of `triggers`.
    neighbours:
        What rests beside it.
    """
    n_elements, n_triggers = triggers.shape
    interval = intervals(plan, triggers)
    static, weights = detunings(qubit, duration(plan, clock), neighbours)
    cuts = cut(plan.drives, longest_chunk(qubit, float(np.max(np.abs(static)))))
    table = chunks(cuts, qubit, clock.local_oscillator, static=bool(np.any(static)))
    undriven = idle(qubit)
    found = []
    for at in range(n_triggers):
        begin = triggers[:, at - 1] if at else np.zeros(n_elements, dtype=np.int64)
        laid = line(plan, interval == at, cuts, (begin, triggers[:, at]), [qubit], clock)
        start = np.diag(np.ones(LEVELS)) if at else qubit.at_rest()[None]
        found.append(_populations(_evolve(start, laid, table, undriven, static), weights, laid.order))
    later = [one[:, None] for one in found[1:]]
    empty = np.zeros((n_elements, 0, LEVELS, LEVELS))
    return Outcomes(first=found[0][:, 0], later=np.concatenate([empty, *later], axis=1))


def _evolve(
    start: NDArray[np.float64], laid: Line, table: Chunks, undriven: Idle, values: NDArray[np.float64]
) -> Complex:
    """Return the states at the end [element, 9, start, detuning], from populations [start, level]."""
    columns = (len(start), len(values))
    initial = np.zeros((LEVELS**2, *columns), dtype=np.complex128)
    initial[DIAGONAL] = start.T[:, :, None]
    state = np.tile(initial.reshape(1, LEVELS**2, -1), (len(laid.order), 1, 1))
    static = np.tile(values, columns[0])
    for row, active in enumerate(laid.active.tolist()):
        now = state[:active]
        now = _wait(now, laid.wait[row, :active], laid.turn[row, :active, 0], undriven, static)
        number = laid.chunk[row, :active]
        if static.any():
            now = _shifted(now, table.detuning[number], static)
        state[:active] = table.change[number] @ now
    rested = _wait(state, laid.rest, np.zeros(len(laid.order)), undriven, static)
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
