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
