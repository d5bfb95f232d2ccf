"""What a repair did, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass

from qtrl_spool.errors import StorageError

MENDED, LEFT, FAILED = "mended", "left", "failed"


@dataclass(frozen=True)
class Mending:
    """One thing that was wrong.

    Attributes
    ----------
    verdict:
        ``mended``; ``left`` to a server that lives or starts; ``failed``: it could not be mended.
    what:
        The thing: a job's id, or a path in the spool.
    said:
        What was wrong and what was done.
    hint:
        What is left to do.
    """

    verdict: str
    what: str
    said: str
    hint: str | None = None


def refused(what: str, error: StorageError | OSError, doing: str = "") -> Mending:
    """Return that the storage refused to have a thing mended."""
    before = f"{doing}: " if doing else ""
    if isinstance(error, StorageError):
        return Mending(FAILED, what, f"{before}{error.message}", error.hint)
    return Mending(FAILED, what, f"{before}the storage says: {error}", "repair again when it works")
