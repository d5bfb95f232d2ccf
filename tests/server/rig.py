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


_BREAKING = """\
import os
from pathlib import Path

from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.errors import BackendError


class Rig(Simulator):
    def arm(self, plan):
        left = Path(os.environ["RIG_FAILS"])
        n = int(left.read_text())
        if n:
            left.write_text(str(n - 1))
            raise BackendError("no trigger")
        super().arm(plan)
"""


def install_breaking_rig(folder: Path, fails: int) -> dict[str, str]:
    """Write a rig that fails so often before it works; return the environment in which it can be used."""
    left = folder / "fails"
    install_rig(folder, _BREAKING)
    left.write_text(str(fails))
    return {"PYTHONPATH": str(folder), "RIG_FAILS": str(left)}


def install_rig(folder: Path, module: str = _MODULE) -> Path:
    """Write the package into `folder`, for PYTHONPATH."""
    info = folder / "rig-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "rig.py").write_text(module)
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    return folder
