"""Result files: HDF5 names, axes and units; written whole, read lazily, drawn.

`qtrl_spool.results.write.image` makes the whole file in memory (``run.py`` calls it; whoever owns
the path writes the bytes). `Result` opens one. `qtrl_spool.results.plot` draws it. h5py, xarray and
matplotlib are imported where they are used.
"""

from __future__ import annotations

from qtrl_spool.results.read import Result

__all__ = ["Result"]
