"""What a paused job needs of its partial result to go on: exactly the points that it measured.

Called by the server's first stage. A partial result that is not there, or that is none, is None: the
job then starts over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtrl_spool.axes import IQ_AXES, Labelled


@dataclass(frozen=True)
class Partial:
    """What a partial result says.

    Attributes
    ----------
    iq:
        The points so far, axes `IQ_AXES`, float32.
    seed:
        Of the simulator, if the data are simulated.
    program_sha256:
        Of the compiled program.
    """

    iq: Labelled
    seed: int | None
    program_sha256: str


def read_partial(path: Path) -> Partial | None:
    """Return what the partial result at `path` holds, or None if there is none."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            seed = file.attrs.get("seed")
            iq = Labelled(np.asarray(file["iq"], np.float32), IQ_AXES)
            return Partial(iq, None if seed is None else int(seed), str(file.attrs["program_sha256"]))
    except (OSError, KeyError):
        return None
