"""What a sequence makes of qubits that belong together: the probabilities of what its triggers find.

One qubit, or two that are coupled; the levels of two are counted as ``3 first + second``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Probabilities of what the triggers find.

    Attributes
    ----------
    first:
        Of each level at the first trigger [element, level].
    later:
        Of each level at a later trigger, after each level at the one before it
        [element, trigger, level before, level].
    """

    first: NDArray[np.float64]
    later: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Group:
    """Qubits that are drawn together: one, or a pair.

    Attributes
    ----------
    names:
        Of its qubits.
    outcomes:
        What the triggers find.
    """

    names: tuple[str, ...]
    outcomes: Outcomes

    def populations(self, name: str) -> NDArray[np.float64]:
        """Return the probability of each level of one of its qubits at the last trigger [element, level]."""
        found = self.outcomes.first
        for trigger in range(self.outcomes.later.shape[1]):
            found = np.einsum("es,esl->el", found, self.outcomes.later[:, trigger])
        digits = found.reshape(len(found), *(3,) * len(self.names))
        others = tuple(1 + at for at, other in enumerate(self.names) if other != name)
        return np.asarray(digits.sum(axis=others))
