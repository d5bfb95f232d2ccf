"""A drop that was read, checked, and found fit to become a job: all that acceptance needs to know of it.

Called by ``acceptance``. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qtrl_spool import run
from qtrl_spool.bundle import job_name, pack
from qtrl_spool.config import Configuration
from qtrl_spool.job import DROP_SUFFIX, is_id
from qtrl_spool.spool.drops import Whole


@dataclass(frozen=True)
class Candidate:
    """What was dropped, ready to be queued.

    Attributes
    ----------
    ticket:
        The bytes of its ticket: the bundle, packed anew.
    label:
        The user's name that its manifest gives, if any.
    hold:
        Whether it is parked.
    noted:
        What the event of its acceptance says of it.
    """

    ticket: bytes
    label: str | None
    hold: bool
    noted: dict[str, Any]


def candidate(whole: Whole, default: Configuration, drop: str, *, check: bool) -> Candidate:
    """Return what acceptance needs to know of a whole drop.

    Parameters
    ----------
    whole:
        What it says.
    default:
        The default configuration that it is checked against.
    drop:
        The name that it was dropped under.
    check:
        False if it was accepted before, and only its last steps are wanting.

    Raises
    ------
    SubmitterError
        If it cannot run.
    """
    bundle = whole.bundle
    shape = run.check(bundle, default) if check else {"n_batches": 1}
    noted = {
        "name": job_name(bundle, stem(drop)),
        "tags": list(bundle.manifest.tags),
        "instrument": bundle.manifest.instrument,
        "after": list(bundle.manifest.after),
        "not_before": bundle.manifest.not_before,
        "drop": drop,
        "drop_sha256": whole.sha256,
        "config_version": default.version,
        "n_batches": shape["n_batches"],
        "shape": shape,
    }
    return Candidate(pack(bundle), bundle.manifest.user, bundle.manifest.hold, noted)


def stem(name: str) -> str:
    """Return the name that a drop's file name gives a job."""
    plain = name.removesuffix(DROP_SUFFIX)
    return plain[16:-6] if is_id(plain) else (name.rpartition(".")[0] or name)
