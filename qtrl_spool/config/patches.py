"""Patches as values: one laid over another, and the spelling that JSON can carry.

Called by: ``client``, for ``submit`` (the bundle's patch, then the caller's) and for update requests.
Fails: `ConfigError` if one of them is no patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtrl_spool.config.merge import merged, parse_patch
from qtrl_spool.config.tree import Delete, Items, Key, New, Replace, Tree, own_key


def stacked(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> Tree:
    """Return the one patch that says what `below` says and then what `above` says.

    Parameters
    ----------
    below, above:
        Patches, in any spelling. Mappings merge, also into what `below` puts in as a whole; anything else
        in `above` replaces.

    Raises
    ------
    PatchError
        If `above` names what the whole new mapping or list of `below` does not have.
    """
    return _stacked(parse_patch(below), parse_patch(above))


def _stacked(below: Tree, above: Tree) -> Tree:
    values: dict[Key, Any] = dict(below)
    for key, value in above.items():
        own = own_key(values, key)
        old = None if own is None else values[own]
        values[key if own is None else own] = _over(old, value)
    return Tree(values, {**(below.marks or {}), **(above.marks or {})} or None)


def _over(old: Any, value: Any) -> Any:
    """Return what a patch says that says `old` and then `value` of the same path."""
    if not isinstance(value, Tree):
        return value
    if isinstance(old, Tree):
        return _stacked(old, value)
    if isinstance(old, New | Replace) and isinstance(old.value, Tree):
        return type(old)(merged(old.value, value))
    if isinstance(old, Items):
        return merged({"list": old}, {"list": value})["list"]
    return value


def without_places(value: Any) -> Any:
    """Return a patch, or a part of one, that no longer knows the text it was read from."""
    if isinstance(value, dict):
        return {key: without_places(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_places(each) for each in value]
    if isinstance(value, New | Replace):
        return type(value)(without_places(value.value))
    return value


def json_spelling(patch: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a patch as plain mappings and lists, its marks as ``{"$new": value}`` and the like."""
    return {str(key): _spelled(value) for key, value in parse_patch(patch).items()}


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_spelled(each) for each in value]
    if isinstance(value, New):
        return {"$new": _spelled(value.value)}
    if isinstance(value, Replace):
        return {"$replace": _spelled(value.value)}
    return {"$delete": True} if isinstance(value, Delete) else value
