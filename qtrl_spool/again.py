"""A job once more: on the spool where it ran, or with nothing but its result on another machine.

Where it ran, the same bundle is pinned to the version of the default that it ran with. Elsewhere the
default is another one: the patch then says all that differs between that default and the
configuration of the job, names of variables as names, so that what is set on top moves what follows
from it; and the job is pinned to the version of the default that the patch was made for. Either way
the compiled program is the same, to its SHA-256.

Called by: ``client`` (`Spool.submit` with ``like``, `Job.again`).
Fails: as merging and reading do.

Known limits: documents that only the other default has stay as they are there; pulses that name
variables which are not there, and so cannot be played, do not travel; the label ``user`` and ``hold``
are not taken over, nor, elsewhere, the ``instrument``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import Configuration
from qtrl_spool.config.configuration import VARIABLES
from qtrl_spool.config.merge import diff, without
from qtrl_spool.config.tree import Tree
from qtrl_spool.results import Result

PULSES = "pulses"
_PULSE = 3


class Ran(Protocol):
    """A job of some spool, as the client has it."""

    def bundle(self) -> Bundle:
        """Return what was submitted."""
        ...

    def configuration(self) -> Configuration:
        """Return the configuration that it ran with."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Return its status document."""
        ...


def from_job(job: Ran, default: Configuration, *, is_here: bool) -> Bundle:
    """Return the bundle that runs a job once more on `default`; `is_here`: in the spool where it ran."""
    if not is_here:
        return carried_over(job.bundle(), job.configuration(), default)
    record = job.status()
    return pinned(job.bundle(), record["config_version"] if record["started"] else None)


def from_result(path: Path, default: Configuration) -> Bundle:
    """Return the bundle that runs the job of a result file once more on `default`."""
    with Result(path) as result:
        bundle = result.bundle
        return carried_over(bundle, result.default.merged(bundle.patch), default)


def pinned(bundle: Bundle, version: int | None) -> Bundle:
    """Return a bundle that runs as it did with `version` of the default; None leaves what it says."""
    changes: dict[str, Any] = {"user": None, "hold": False}
    if version is not None:
        changes["config_version"] = version
    return replace(bundle, manifest=replace(bundle.manifest, **changes))


def carried_over(bundle: Bundle, ran_with: Configuration, default: Configuration) -> Bundle:
    """Return a bundle that runs on another default as it did.

    Parameters
    ----------
    bundle:
        What was submitted.
    ran_with:
        The configuration that it ran with, its patch merged.
    default:
        The one that it shall run on, with its version.
    """
    manifest: Manifest = replace(bundle.manifest, instrument=None)
    moved = Bundle(bundle.sequence, patch_between(default, ran_with), manifest)
    return pinned(moved, default.version)


def patch_between(default: Configuration, wanted: Configuration) -> Tree:
    """Return the patch that gives `default` all that `wanted` says; what only `default` has stays."""
    old, new = (_without(each.documents, wanted.derived) for each in (default, wanted))
    for path in wanted.unresolved:
        if wanted.get_raw(path) != default.get_raw(path):
            new = without(new, path[:_PULSE] if path[0] == PULSES else path)
    return diff(Tree({name: tree for name, tree in old.items() if name in new}), new)


def _without(documents: Mapping[str, Tree], derived: Mapping[str, Any]) -> Tree:
    """Return documents without the variables that follow from others: those may not be patched."""
    tree = Tree(documents)
    for path in derived:
        tree = without(tree, (VARIABLES, *path.split("/")))
    return tree
