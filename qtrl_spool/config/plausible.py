"""What is allowed in a configuration and is hardly meant: carriers faster than a sampled line can tell apart.

``freq: 5.41`` for 5.41 GHz is a right number in Hz, and makes every pulse of its qubit play far beside it.

Called by: ``run.warnings_of``.
Fails: never; what is no number is somebody else's problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qtrl_spool.config.tree import Path, join_path

SAMPLE_RATE = 1e9
"""Samples per second of a sequence that does not say its own."""


def implausible(pulses: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for each group of pulses with carriers beyond the sample rate.

    Parameters
    ----------
    pulses:
        The document, variables put in; ``freq`` in Hz.
    """
    beyond: dict[str, list[tuple[Path, float]]] = {}
    for path, freq in _carriers(pulses, ("pulses",)):
        if abs(freq) > SAMPLE_RATE:
            beyond.setdefault(str(path[1]), []).append((path, freq))
    return tuple(map(_sentence, beyond.values()))


def _sentence(found: list[tuple[Path, float]]) -> str:
    path, freq = found[0]
    more = f", and {len(found) - 1} more of {path[1]}" if found[1:] else ""
    return (
        f"{join_path(path)}: a carrier of {freq:g} Hz{more}, is beyond the sample rate of "
        f"{SAMPLE_RATE:g} Hz: are all frequencies it is made of in Hz, or with their unit, "
        "such as 5.41 GHz?"
    )


def _carriers(tree: Any, path: Path) -> Iterator[tuple[Path, float]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "freq" and isinstance(value, int | float):
                yield (*path, key), float(value)
            else:
                yield from _carriers(value, (*path, key))
    elif isinstance(tree, list | tuple):
        for n, value in enumerate(tree):
            yield from _carriers(value, (*path, n))
