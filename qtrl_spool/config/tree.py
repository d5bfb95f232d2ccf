"""Frozen trees: what a configuration document is made of.

A document is a `Tree` (a mapping), whose values are numbers, text, true/false, null, `Items` (lists)
and further trees. Both are a dict and a list for all who read them; whoever tries to change one gets
a `TypeError`, so that subtrees can be shared between the default and the configurations of many jobs.
`copy.deepcopy` of either gives plain dicts and lists to play with.

A tree is reached by slash paths: ``tree['Q6/freq']``, ``tree['common/ZZ/56']`` (also where the key
is the number 56), ``tree['angles/0']``. What was read from a text knows its place in it.

Fails: a path that is not there is an `UnknownPathError` (a `KeyError`) with near misses.

Known limits: a key holds no slash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

from qtrl_spool.config.places import Place, place_at
from qtrl_spool.errors import ConfigError, UnknownPathError

Key = str | int
Path = tuple[Key, ...]
Scalar = str | int | float | bool | None

_MISSING = object()
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_MAX_DEPTH = 100
_NEAR_MISSES = 3
_LONGEST_WORD, _MOST_WORDS, _MOST_TOLD = 100, 2000, 8


@dataclass(frozen=True)
class New:
    """In a patch: ``!new value`` or ``{"$new": value}``, a key that the default may lack."""

    value: Any


@dataclass(frozen=True)
class Replace:
    """In a patch: ``!replace value`` or ``{"$replace": value}``, instead of whatever is there."""

    value: Any


@dataclass(frozen=True)
class Delete:
    """In a patch: ``!delete`` or ``{"$delete": true}``, take the key out."""


DELETE = Delete()


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("a configuration does not change: make a new one with merged(patch)")


class Tree(dict[Any, Any]):
    """A frozen mapping that is reached by slash paths.

    Attributes
    ----------
    marks:
        For each key the parser's marks of the key and of its value, or None if it was not read from a text.
    """

    __slots__ = ("marks",)
    marks: Mapping[Any, tuple[Any, Any]] | None

    def __init__(self, values: Mapping[Any, Any], marks: Mapping[Any, tuple[Any, Any]] | None = None) -> None:
        super().__init__(values)
        self.marks = marks

    def __missing__(self, path: Key) -> Any:
        found = find(self, split_path(path))
        if found is _MISSING:
            raise UnknownPathError(f"there is no {str(path)!r}", hint=near_path(self, path))
        return found

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or self.get(path, _MISSING) is not _MISSING  # type: ignore[arg-type]

    def get(self, path: Key, default: Any = None) -> Any:
        """Return what is at `path`, else `default`."""
        found = super().get(path, _MISSING)
        if found is _MISSING and isinstance(path, str | int):
            found = find(self, split_path(path))
        return default if found is _MISSING else found

    def __deepcopy__(self, memo: Any) -> dict[Key, Any]:
        return {key: plain(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Tree, (dict(self),)

    __setitem__ = __delitem__ = __ior__ = _refuse
    pop = popitem = clear = update = setdefault = _refuse


class Items(list[Any]):
    """A frozen list.

    Attributes
    ----------
    marks:
        The parser's mark of each item, or None if it was not read from a text.
    """

    __slots__ = ("marks",)
    marks: tuple[Any, ...] | None

    def __init__(self, values: Iterable[Any] = (), marks: tuple[Any, ...] | None = None) -> None:
        super().__init__(values)
        self.marks = marks

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return [plain(value) for value in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return Items, (list(self),)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse


def split_path(path: Key) -> Path:
    """Return the parts of a slash path, one trailing slash dropped; digits stay text."""
    if not isinstance(path, str):
        return (path,)
    return tuple(path.removesuffix("/").split("/")) if path else ()


def join_path(path: Iterable[Key]) -> str:
    """Return the parts of a path with slashes between."""
    return "/".join(map(str, path))


def own_key(tree: Mapping[Key, Any], key: Key) -> Key | None:
    """Return the key as `tree` spells it (``'56'`` finds 56 and 56 ``'56'``), or None if it is not there."""
    if dict.__contains__(tree, key):
        return key
    if isinstance(key, int):
        twin: Key = str(key)
    elif _WHOLE_NUMBER.fullmatch(key):
        twin = int(key)
    else:
        return None
    return twin if dict.__contains__(tree, twin) else None


def own_index(items: list[Any], key: Key) -> int | None:
    """Return `key` as an index of `items`, or None."""
    if isinstance(key, str) and not _WHOLE_NUMBER.fullmatch(key):
        return None
    index = int(key)
    return index if 0 <= index < len(items) else None


def step(value: Any, key: Key) -> Any:
    """Return what `key` names in a mapping or a list, or the module's `_MISSING`."""
    if isinstance(value, dict):
        found = own_key(value, key)
        return _MISSING if found is None else dict.__getitem__(value, found)
    if isinstance(value, list):
        index = own_index(value, key)
        return _MISSING if index is None else value[index]
    return _MISSING


def find(value: Any, path: Iterable[Key]) -> Any:
    """Walk down `path`; `_MISSING` if something is not there."""
    for key in path:
        value = step(value, key)
        if value is _MISSING:
            return _MISSING
    return value


def is_missing(value: Any) -> bool:
    """Return whether `find` or `step` found nothing."""
    return value is _MISSING


def near(word: object, known: Iterable[object], *, cutoff: float = 0.6) -> str | None:
    """Return ``did you mean 'freq'?`` for the nearest of `known`, whatever their case, or None."""
    from difflib import get_close_matches

    if len(str(word)) > _LONGEST_WORD:
        return None
    spelt: dict[str, str] = {}
    for each in islice(known, _MOST_WORDS):
        spelt.setdefault(str(each).casefold(), str(each))
    found = get_close_matches(str(word).casefold(), list(spelt), n=_NEAR_MISSES, cutoff=cutoff)
    return "did you mean " + " or ".join(repr(spelt[each]) for each in found) + "?" if found else None


def near_path(tree: Any, path: Key) -> str | None:
    """Return near misses at the first part of `path` that is not there, else what there is instead."""
    for key in split_path(path):
        below = step(tree, key)
        if below is _MISSING:
            return near(key, tree) or _there(tree) if isinstance(tree, dict) else None
        tree = below
    return None


def _there(tree: Mapping[Any, Any]) -> str | None:
    """Return ``there are 'Q0', 'Q1' and 3 more``."""
    if not tree:
        return None
    shown = ", ".join(repr(str(key)) for key in islice(tree, _MOST_TOLD))
    return f"there are {shown}{f' and {len(tree) - _MOST_TOLD} more' if len(tree) > _MOST_TOLD else ''}"


def place_of(root: Any, path: Iterable[Key], *, of_key: bool = False) -> Place | None:
    """Return where the value at `path` (or its key) was read; None if it did not come from a text.

    A path that goes on below what was read (into the value of a variable) has the place of the name.
    """
    best: Any = None
    for key in path:
        below = step(root, key)
        if below is _MISSING:
            break
        best = _mark_of(root, key, 0 if of_key else 1)
        root = below
    return None if best is None else place_at(best)


def _mark_of(container: Any, key: Key, which: int) -> Any:
    if isinstance(container, Tree):
        pair = (container.marks or {}).get(own_key(container, key) or key)
        return None if pair is None else pair[which]
    if isinstance(container, Items) and container.marks:
        return container.marks[int(key)]
    return None


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every scalar, and every empty mapping or list, with its path."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    elif isinstance(value, list) and value:
        for index, below in enumerate(value):
            yield from leaves(below, (*path, index))
    else:
        yield path, value


def plain(value: Any) -> Any:
    """Return a deep copy made of plain dicts, lists and numbers."""
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [plain(below) for below in value]
    return float(value) if isinstance(value, float) else value


def freeze(value: Any, path: Path = (), *, patch: bool = False) -> Any:
    """Return `value` as frozen trees; what is frozen already is kept as it is.

    Arrays and numbers of numpy become lists and numbers.

    Parameters
    ----------
    value:
        Dicts, lists and scalars.
    path:
        Where it belongs, for messages.
    patch:
        Whether `New`, `Replace` and `Delete` may stand in it.

    Raises
    ------
    ConfigError
        If it holds anything else, a number that is not finite, or a key that is no name.
    """
    if isinstance(value, Tree | Items) and not patch:
        return value
    if len(path) > _MAX_DEPTH:
        raise ConfigError(f"{join_path(path[:5])}/…: nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return _freeze_mapping(value, path, patch)
    if isinstance(value, list | tuple):
        items = [freeze(below, (*path, index), patch=patch) for index, below in enumerate(value)]
        return Items(items, getattr(value, "marks", None))
    if patch and isinstance(value, New | Replace):
        return type(value)(freeze(value.value, path, patch=True))
    if patch and isinstance(value, Delete):
        return value
    return _freeze_scalar(value, path)


def _freeze_mapping(value: Mapping[Any, Any], path: Path, patch: bool) -> Tree:
    for key in value:
        check_key(key, lambda: join_path(path), slashes=patch)
    frozen = {key: freeze(below, (*path, key), patch=patch) for key, below in value.items()}
    return Tree(frozen, getattr(value, "marks", None))


def _freeze_scalar(value: Any, path: Path) -> Scalar:
    if hasattr(value, "tolist"):
        value = value.tolist()
        if isinstance(value, list):
            return freeze(value, path)  # type: ignore[no-any-return]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{join_path(path)}: {value} is not a finite number")
    if value is None or isinstance(value, str | int | float):
        return value
    raise ConfigError(
        f"{join_path(path)}: a configuration holds numbers, text, true, false, null, lists and mappings, "
        f"not {type(value).__name__}"
    )


def check_key(key: Any, owner: Callable[[], str], *, slashes: bool) -> None:
    """Refuse a key that is no name and no whole number, or that holds a slash where none may be."""
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise ConfigError(f"{owner()}: a key is a name or a whole number, not {key!r}")
    if not slashes and isinstance(key, str) and ("/" in key or key.startswith("$") or not key):
        raise ConfigError(f"{owner()}: a key is a name without slash and without leading '$', not {key!r}")
