"""What ``doctor`` finds, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass

FINE, NOTE, WRONG = "fine", "note", "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what:
        The thing.
    verdict:
        ``fine``, ``note`` (worth knowing) or ``wrong``.
    said:
        What was found.
    hint:
        What to change.
    """

    what: str
    verdict: str
    said: str
    hint: str | None = None
