"""Result files: HDF5 names, axes and units; written whole, read lazily, drawn.

`qtrl_spool.results.scratch` keeps the batches of a running job, in memory or on the local disk.
`qtrl_spool.results.write` streams them into a file (``run.py`` calls both; whoever owns the path gives
the file, see `qtrl_spool.fs.replace_by`). `Result` opens one. `qtrl_spool.results.plot` draws it.
h5py, xarray and matplotlib are imported where they are used.
"""

from __future__ import annotations

from qtrl_spool.results.read import Result

__all__ = ["Result"]
