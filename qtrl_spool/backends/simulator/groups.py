"""Who is worked out together: single qubits, and pairs that feel each other in a program.

A pair is coupled in a job if its program drives both, by their own lines, by crosstalk or by cross
resonance, and long enough for the coupling to matter. Every qubit has at most one partner: those
with cross resonance come first, then the stronger shift. What else is beside a qubit shifts it by
the level in which it rests. Which groups there are follows from the program and the chip, not from
who is read. Called by `simulator`. Pure.

Known limits: of several driven neighbours of a qubit one is its partner, the others count as at rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.backends.simulator import couple, evolve
from qtrl_spool.backends.simulator.chip import Chip, Pair
from qtrl_spool.backends.simulator.drive import Source, reached, schedule
from qtrl_spool.backends.simulator.outcomes import Group
from qtrl_spool.backends.simulator.timeline import Clock, Neighbour

if TYPE_CHECKING:
    from qtrl_spool.sequence import Program

FAINT = 0.02
"""A drive that is weaker against its detuning excites less than 4e-4, and less still with soft edges."""
LOUD = 0.1
"""A drive that is weaker against its detuning makes no partner of a qubit: it excites less than 1e-2."""
SLIGHT = 0.01
"""rad: a shift that turns a qubit less than this in the whole program is left out."""


@dataclass(frozen=True, eq=False)
class Played:
    """A program on a chip.

    Attributes
    ----------
    program:
        The compiled waveforms.
    chip:
        What they drive.
    triggers:
        When qubits are measured, in samples [element, trigger].
    local_oscillator:
        Frequency that the drives are mixed with, Hz.
    faint:
        Cross resonance that is weaker than this against its detuning is left out.
    """

    program: Program
    chip: Chip
    triggers: NDArray[np.int64]
    local_oscillator: float
    faint: float = FAINT

    @property
    def clock(self) -> Clock:
        """What its times and frequencies are counted in."""
        return Clock(self.program.sample_rate, self.local_oscillator)

    @cached_property
    def partners(self) -> dict[str, Pair]:
        """The pair of each qubit that has a partner, by its name."""
        found: dict[str, Pair] = {}
        for pair in sorted(self._coupled(), key=self._rank):
            if pair.first not in found and pair.second not in found:
                found[pair.first] = found[pair.second] = pair
        return found

    def _rank(self, pair: Pair) -> tuple[float, float]:
        resonance = self._resonance(pair)
        return -resonance if resonance > self.faint else 0.0, -abs(pair.zz)

    def _coupled(self) -> Iterable[Pair]:
        for pair in self.chip.pairs:
            both = self._driven(pair.first) and self._driven(pair.second)
            if self._resonance(pair) > self.faint or (both and self._matters(pair.zz)):
                yield pair

    def _driven(self, name: str) -> bool:
        """Whether anything near one of a qubit's two transitions is played on a line that it feels."""
        qubit = self.chip.qubits[name]
        lower = qubit.freq - self.local_oscillator
        aimed = [
            replace(source, rate=qubit.drive_rate, near=near)
            for source in self._felt(name, 0)
            for near in (lower, lower + qubit.anharmonicity)
        ]
        return any(reached(self.program, source) > LOUD for source in aimed)

    def _matters(self, zz: float) -> bool:
        plays = self.program.plays
        if not len(plays):
            return False
        longest = (int(np.max(self.triggers)) - int(np.min(plays["start"]))) / self.program.sample_rate
        return 2 * np.pi * abs(zz) * longest > SLIGHT

    def _resonance(self, pair: Pair) -> float:
        """Return how strongly the program drives one of a pair by way of the other."""
        return max((reached(self.program, source) for source in self._crossed(pair)), default=0.0)

    def _crossed(self, pair: Pair) -> list[Source]:
        """Return the sources of cross resonance of a pair, the qubits being 0 and 1."""
        first, second = self.chip.qubits[pair.first], self.chip.qubits[pair.second]
        found = []
        if pair.cr:
            near = second.freq - self.local_oscillator
            found.append(Source(first.channels, field=3, rate=pair.cr, near=near, faint=self.faint))
        if pair.cr_back:
            near = first.freq - self.local_oscillator
            found.append(Source(second.channels, field=2, rate=pair.cr_back, near=near, faint=self.faint))
        return found

    def _felt(self, name: str, field: int) -> list[Source]:
        """Return the lines that a qubit feels."""
        qubit = self.chip.qubits[name]
        leaks = [
            Source(self.chip.qubits[other].channels, leak.factor, field)
            for other, leak in qubit.crosstalk.items()
            if leak.amp
        ]
        return [Source(qubit.channels, field=field), *leaks]

    def _neighbours(self, name: str, partner: str | None) -> list[Neighbour]:
        """Return what rests beside a qubit."""
        beside = [(pair.other(name), pair.zz) for pair in self.chip.pairs]
        return [
            Neighbour(self.chip.qubits[other], zz)
            for other, zz in beside
            if other is not None and other != partner and self._matters(zz)
        ]

    def solved(self, name: str) -> Group:
        """Return the group of a qubit, and what the triggers find in it."""
        pair = self.partners.get(name)
        names = (name,) if pair is None else (pair.first, pair.second)
        qubits = [self.chip.qubits[each] for each in names]
        sources = [source for at, each in enumerate(names) for source in self._felt(each, at)]
        sources += [] if pair is None else self._crossed(pair)
        rest = [qubit.freq - self.local_oscillator for qubit in qubits]
        plan = schedule(self.program, sources, rest, self.triggers)
        beside = [self._neighbours(each, None if pair is None else pair.other(each)) for each in names]
        if pair is None:
            alone = evolve.outcomes(plan, qubits[0], self.triggers, self.clock, beside[0])
            return Group(names, alone)
        both = (qubits[0], qubits[1])
        coupled = couple.outcomes(plan, pair, both, self.triggers, self.clock, (beside[0], beside[1]))
        return Group(names, coupled)

    def groups(self, names: Iterable[str]) -> tuple[Group, ...]:
        """Return the groups of some qubits, each once."""
        found: dict[str, Group] = {}
        for name in names:
            if name not in found:
                group = self.solved(name)
                found.update(dict.fromkeys(group.names, group))
        return tuple(dict.fromkeys(found.values()))
