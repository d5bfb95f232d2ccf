"""qtrl-spool: queue experiments on a shared quantum processor through nothing but a shared folder.

The names below are the public Python API. Each is imported when it is first used, so that
``import qtrl_spool`` costs next to nothing and a client never loads numpy before it needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtrl_spool.client import Job, Spool
    from qtrl_spool.config import Configuration, load_config
    from qtrl_spool.errors import QtrlSpoolError
    from qtrl_spool.results import Result
    from qtrl_spool.sequence import (
        Pulse,
        PulseEnvelope,
        Sequence,
        SequenceWrapper,
        VirtualEnvelope,
        sequential,
        simultaneous,
    )

__version__ = "0.1.0"

_HOME = {
    "Configuration": "config",
    "Job": "client",
    "Pulse": "sequence",
    "PulseEnvelope": "sequence",
    "QtrlSpoolError": "errors",
    "Result": "results",
    "Sequence": "sequence",
    "SequenceWrapper": "sequence",
    "Spool": "client",
    "VirtualEnvelope": "sequence",
    "load_config": "config",
    "sequential": "sequence",
    "simultaneous": "sequence",
}

__all__ = [
    "Configuration",
    "Job",
    "Pulse",
    "PulseEnvelope",
    "QtrlSpoolError",
    "Result",
    "Sequence",
    "SequenceWrapper",
    "Spool",
    "VirtualEnvelope",
    "load_config",
    "sequential",
    "simultaneous",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qtrl_spool' has no attribute {name!r}")
    return getattr(import_module(f"qtrl_spool.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
