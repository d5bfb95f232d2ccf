"""Where an effective value comes from: the default at a version, a patch, a variable, a derivation.

Called by: ``config show PATH --why``.
Fails: `UnknownPathError` if the path is not there.
"""

from __future__ import annotations

from typing import Any

from qtrl_spool.config.configuration import Configuration
from qtrl_spool.config.tree import New, Path, Replace, Tree, is_missing, place_of, split_path, step


def why(configuration: Configuration, path: str) -> tuple[str, ...]:
    """Return how the value at `path` came about, one sentence for each step, the value itself first.

    Parameters
    ----------
    configuration:
        The default, or a job's effective configuration.
    path:
        Such as ``variables/Q6/mod_freq`` or ``pulses/Q6/180/0/freq``.
    """
    value = configuration[path]
    head = f"{path} = {_shown(value)}"
    document, _, name = path.partition("/")
    derivation = configuration.derived.get(name) if document == "variables" else None
    if derivation is not None:
        sources = [f"variables/{term}" for _, term in derivation.terms]
        return (f"{head}: derived, {derivation.formula}", *_steps(configuration, sources))
    written = configuration.get_raw(split_path(path))
    if isinstance(written, str) and document != "variables" and f"variables/{written}" in configuration:
        return (f"{head}: the variable {written}", *_steps(configuration, [f"variables/{written}"]))
    return (f"{head}: {_source(configuration, split_path(path))}",)


def _steps(configuration: Configuration, paths: list[str]) -> list[str]:
    return [f"  {sentence}" for path in paths for sentence in why(configuration, path)]


def _source(configuration: Configuration, path: Path) -> str:
    """Return who wrote the value: the patch, or the default at its version, with the place in the text."""
    place = place_of(configuration.documents.get(str(path[0])), path[1:])
    at = f", {place}" if place else ""
    if _is_said(configuration.patch, path):
        return f"the patch{at}"
    version = configuration.version
    return f"the default{'' if version is None else f' at version {version}'}{at}"


def _is_said(patch: Any, path: Path) -> bool:
    """Return whether a patch holds the value at `path`, itself or as part of something new."""
    for key in path:
        if not isinstance(patch, Tree):
            return isinstance(patch, New | Replace | list)
        patch = step(patch, key)
        if is_missing(patch):
            return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(map(str, value))}}}"
    return f"{value!r}"
