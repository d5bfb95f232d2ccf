"""What a sequence makes of two transmons that feel each other: each pair of levels at every trigger.

As `evolve` does for one; `coupling` has the physics. The static detunings of the two are averaged
over all their combinations that count. Levels that the trigger before finds rarely start without
that noise: they would not be seen in the mean, and there are many of them.

Called by `groups`. Pure. Checked against qutip in the tests.

Known limits: pairs only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator.chip import LEVELS, Pair, Qubit
from qtrl_spool.backends.simulator.coupling import BOTH, Table, Waiting, longest_step, table_of, waiting
from qtrl_spool.backends.simulator.drive import Schedule
from qtrl_spool.backends.simulator.outcomes import Outcomes
from qtrl_spool.backends.simulator.timeline import (
    NEGLIGIBLE,
    Clock,
    Line,
    Neighbour,
    detunings,
    duration,
    intervals,
    line,
)
from qtrl_spool.backends.simulator.transmon import DIAGONAL, Complex, Cuts, cut

LONGEST_CHUNK = 32
MOST_STATES = 8192
"""States that are worked out at a time: some 10 MB."""
RARE = 1e-3


def outcomes(
    plan: Schedule,
    pair: Pair,
    qubits: tuple[Qubit, Qubit],
    triggers: NDArray[np.int64],
    clock: Clock,
    neighbours: tuple[Sequence[Neighbour], Sequence[Neighbour]] = ((), ()),
) -> Outcomes:
    """Return the probabilities of the levels ``3 first + second`` of two qubits.

    Parameters
    ----------
    plan:
        Their drives, cut at the triggers; fields 0 and 1 are the drives of the two, 2 and 3 what drives
        the first by way of the second and the reverse, where there is any.
    pair, qubits:
        How they are coupled, and what they are.
    triggers:
        When both are measured, in samples [element, trigger]; at least one trigger.
    clock:
        Of the plan and of `triggers`.
    neighbours:
        What rests beside each of them.
    """
    longest = duration(plan, clock)
    each = [detunings(one, longest, beside) for one, beside in zip(qubits, neighbours, strict=True)]
    slow = longest_step(plan, pair, qubits, [values for values, _ in each])
    cuts = cut(plan.drives, slow, LONGEST_CHUNK, 1)
    idle = waiting(pair, qubits)
    one = _ensemble(cuts, pair, qubits, clock, idle, each)
    still = (np.zeros(1), np.ones(1))
    nominal = _ensemble(cuts, pair, qubits, clock, idle, [still, still]) if len(one.weights) > 1 else one
    interval, n_elements = intervals(plan, triggers), len(triggers)
    found: list[NDArray[np.float64]] = []
    for at in range(triggers.shape[1]):
        begin = triggers[:, at - 1] if at else np.zeros(n_elements, dtype=np.int64)
        laid = line(plan, interval == at, cuts, (begin, triggers[:, at]), qubits, clock)
        if not at:
            rest = np.outer(qubits[0].at_rest(), qubits[1].at_rest())
            found.append(one.populations(rest.reshape(1, BOTH), laid)[:, 0])
            continue
        found.append(_after(found, one, nominal, laid))
    empty = np.zeros((n_elements, 0, BOTH, BOTH))
    later = [each[:, None] for each in found[1:]]
    return Outcomes(first=found[0], later=np.concatenate([empty, *later], axis=1))


def _after(
    found: list[NDArray[np.float64]], one: _Ensemble, nominal: _Ensemble, laid: Line
) -> NDArray[np.float64]:
    """Return the populations after each level that the trigger before has found [element, level, level]."""
    before = found[0]
    for matrix in found[1:]:
        before = np.einsum("es,esl->el", before, matrix)
    likely = np.max(before, axis=0, initial=0.0) > RARE
    every = np.eye(BOTH)
    after = np.empty((len(before), BOTH, BOTH))
    for which, ensemble in ((likely, one), (~likely, nominal)):
        if which.any():
            after[:, which] = ensemble.populations(every[which], laid)
    return after


@dataclass(frozen=True, eq=False)
class _Ensemble:
    """What happens to the two for several static detunings.

    Attributes
    ----------
    table, idle:
        What the chunks and the waits do.
    static:
        Detunings of each qubit, Hz [qubit, node].
    number:
        Which detuning of the table each is [qubit, node].
    weights:
        Of the nodes [node].
    """

    table: Table
    idle: list[Waiting]
    static: NDArray[np.float64]
    number: NDArray[np.int64]
    weights: NDArray[np.float64]

    def populations(self, start: NDArray[np.float64], laid: Line) -> NDArray[np.float64]:
        """Return the mean populations at the end [element, start, level], from populations [start, level]."""
        found = np.empty((len(laid.order), len(start), BOTH))
        for places in self._pieces(len(laid.order), len(start)):
            ends = self._evolved(start, laid, places).real[..., DIAGONAL, :][..., DIAGONAL]
            mean = np.einsum("esnij,n->esij", ends, self.weights).reshape(-1, len(start), BOTH)
            mean = np.clip(mean, 0.0, None)
            found[laid.order[places]] = mean / mean.sum(axis=2, keepdims=True)
        return found

    def _pieces(self, n_elements: int, n_starts: int) -> Iterator[slice]:
        """Yield pieces of the elements, so that not too many states are worked out at a time."""
        size = max(1, MOST_STATES // (n_starts * len(self.weights)))
        for begin in range(0, n_elements, size):
            yield slice(begin, min(begin + size, n_elements))

    def _evolved(self, start: NDArray[np.float64], laid: Line, places: slice) -> Complex:
        """Return the states of some elements at the end [place, start, node, 9, 9]."""
        shape = (places.stop - places.start, len(start), len(self.weights))
        state = np.zeros((*shape, BOTH, BOTH), dtype=np.complex128)
        for level, (first, second) in enumerate(np.ndindex(LEVELS, LEVELS)):
            state[..., DIAGONAL[first], DIAGONAL[second]] = start[None, :, None, level]
        for row, active in enumerate(np.clip(laid.active - places.start, 0, shape[0]).tolist()):
            if not active:
                break
            here = slice(places.start, places.start + active)
            self._wait(state[:active], laid.wait[row, here], laid.turn[row, here])
            state[:active] = self._played(state[:active], laid.chunk[row, here])
        self._wait(state, laid.rest[places], np.zeros((shape[0], 2)))
        return state

    def _wait(self, state: Complex, duration: NDArray[np.float64], turn: NDArray[np.float64]) -> None:
        """Let nothing play for a time, s [place], and turn the frames, rad [place, qubit]."""
        concerned = np.flatnonzero((duration != 0) | turn.any(axis=1))
        if not len(concerned):
            return
        times, turns = duration[concerned], turn[concerned]
        angles = turns[:, :, None] - 2 * np.pi * times[:, None, None] * self.static
        before = state.reshape(*state.shape[:3], BOTH**2)[concerned]
        after = np.empty_like(before)
        for part in self.idle:
            rates = np.exp(part.modes.rates * times[:, None])
            change = (part.modes.from_modes * rates[:, None]) @ part.modes.to_modes
            turned = np.exp(1j * (angles[:, 0] * part.quanta[0] + angles[:, 1] * part.quanta[1]))
            here, there = part.places
            found = before[..., here] @ change.swapaxes(1, 2)[:, None]
            found *= turned[:, None, :, None]
            after[..., here] = found
            after[..., there] = found.conj()
        state[concerned] = after.reshape(-1, *state.shape[1:])

    def _played(self, state: Complex, chunk: NDArray[np.int64]) -> Complex:
        """Return the states after each element's chunk."""
        quarters = (*state.shape[:3], *(LEVELS,) * 4)
        matrix = state.reshape(quarters).swapaxes(4, 5).reshape(state.shape)
        coupling = self.table.coupling[chunk][:, None, None]
        coupled = coupling @ matrix @ coupling.conj().swapaxes(-1, -2)
        apart = coupled.reshape(quarters).swapaxes(4, 5).reshape(state.shape)
        changes = zip(self.table.change, self.number, strict=True)
        first, second = (change[chunk[:, None], number] for change, number in changes)
        return np.asarray(first[:, None] @ apart @ second.swapaxes(-1, -2)[:, None])


def _ensemble(
    cuts: Cuts,
    pair: Pair,
    qubits: tuple[Qubit, Qubit],
    clock: Clock,
    idle: list[Waiting],
    static: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> _Ensemble:
    """Return the ensemble of static detunings, given with their weights, that can be told from their mean."""
    values = [one for one, _ in static]
    weights = np.outer(static[0][1], static[1][1])
    seen = weights > NEGLIGIBLE
    number = np.array(np.nonzero(seen))
    chosen = np.array([values[at][number[at]] for at in (0, 1)])
    table = table_of(cuts, pair, qubits, values, clock)
    return _Ensemble(table, idle, chosen, number, weights[seen] / weights[seen].sum())
