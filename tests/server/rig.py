"""An instrument that is no simulator, as far as a server can tell: a package with an entry point."""

from __future__ import annotations

from pathlib import Path

_MODULE = """\
from qtrl_spool.backends.simulator import Simulator


class Rig(Simulator):
    pass
"""
_METADATA = "Metadata-Version: 2.1\nName: rig\nVersion: 1.0\n"
_ENTRY_POINTS = "[qtrl_spool.backends]\nrig = rig:Rig\n"


def install_rig(folder: Path) -> Path:
    """Write the package into `folder`, for PYTHONPATH."""
    info = folder / "rig-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "rig.py").write_text(_MODULE)
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    return folder
