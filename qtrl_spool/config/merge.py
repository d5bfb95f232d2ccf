"""The one pure merge: a tree and a patch make a new tree, and the difference of two trees is a patch.

``merged(default, patch)`` changes neither; what the patch does not touch is shared with the default,
not copied. The rules:

* mappings merge, scalars and lists replace, null sets null;
* ``Q6/freq: 5.4e9`` says the same as ``Q6: {freq: 5.4e9}``; a whole number reaches an item of a list;
* a key that the default does not have is an error, unless it is marked ``!new``;
* a mapping in place of something else, or the reverse, is an error, unless it is marked ``!replace``;
* ``!delete`` takes a key out;
* in JSON and Python the marks are ``{"$new": v}``, ``{"$replace": v}``, ``{"$delete": true}``.

Called by: ``Configuration``, ``store``, the command line.
Fails: one `PatchError` whose ``problems`` are all that is wrong, each with its path and its place.

Known limits: of many problems the first hundred are told; a list grows or shrinks only as a whole;
`diff` of two trees whose keys differ only in being 56 or ``'56'`` replaces the mapping that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qtrl_spool.config.documents import raise_all
from qtrl_spool.config.places import place_at
from qtrl_spool.config.tree import (
    DELETE,
    Delete,
    Items,
    Key,
    New,
    Path,
    Replace,
    Tree,
    check_key,
    freeze,
    join_path,
    near,
    own_index,
    own_key,
)
from qtrl_spool.errors import PatchError

_ABSENT = object()
_DIGITS = re.compile("[0-9]{1,18}", re.ASCII)
MOST_PROBLEMS = 100
"""So many problems of one patch are told, not more."""
_JSON_MARKS: dict[Key, Callable[[Any], Any]] = {"$new": New, "$replace": Replace, "$delete": lambda _: DELETE}


def merged(default: Mapping[Any, Any], patch: Mapping[Any, Any]) -> Tree:
    """Return `default` with the values of `patch`; neither is changed.

    Parameters
    ----------
    default:
        A tree of values.
    patch:
        Only what differs, by the rules of this module.

    Raises
    ------
    PatchError
        All that is wrong with the patch, in ``problems``.
    """
    problems: list[PatchError] = []
    base = freeze(default)
    result = _merge_mapping(base, parse_patch(patch), (), False, problems)
    raise_all(problems)
    return result


def parse_patch(source: Mapping[Any, Any] | str | None, name: str = "patch") -> Tree:
    """Return a patch in its one form: nested, without slashes, marked by `New`, `Replace` and `Delete`.

    Parameters
    ----------
    source:
        YAML text, or a mapping; nothing (None, an empty text) is an empty patch.
    name:
        What messages call the text.

    Raises
    ------
    ConfigError
        If it is no mapping, or says the same path twice, or a mark makes no sense.
    """
    if isinstance(source, str):
        from qtrl_spool.config.yaml12 import parse_yaml

        source = parse_yaml(source, name)
    if source is None:
        return Tree({})
    if not isinstance(source, Mapping):
        raise PatchError(f"a patch is a mapping of documents, not {type(source).__name__}", where=name)
    return _normal_mapping(freeze(source, patch=True), ())


class _Growing(Tree):
    """A mapping that only `_combined` holds yet, and adds to: a new one for each key would take n² steps."""

    __slots__ = ()
    marks: dict[Any, tuple[Any, Any]]


def _normal_mapping(tree: Tree, path: Path) -> Tree:
    values: dict[Key, Any] = {}
    marks: dict[Key, Any] = {}
    for key, value in tree.items():
        place = (tree.marks or {}).get(key)
        parts = _parts(key, path, place)
        normal = _normal(value, (*path, *parts), place)
        for part in reversed(parts[1:]):
            normal = Tree({part: normal}, {part: place} if place else None)
        own = own_key(values, parts[0])
        first = parts[0] if own is None else own
        values[first] = _combined(values[own], normal, (*path, first), place) if own is not None else normal
        if place:
            marks.setdefault(first, place)
    return Tree(values, marks or None)


def _parts(key: Key, path: Path, place: Any) -> Path:
    """Return the parts of a key; digits inside a slash path are a number, as YAML would read them."""
    if not isinstance(key, str) or "/" not in key:
        check_key(key, lambda: join_path(path), slashes=False)
        return (key,)
    parts = key.removesuffix("/").split("/")
    if "" in parts:
        raise _problem(path, f"{key!r} is no path: a part between slashes is empty", place)
    return tuple(int(part) if _DIGITS.fullmatch(part) else part for part in parts)


def _combined(one: Any, other: Any, path: Path, place: Any) -> Any:
    if not isinstance(one, Tree) or not isinstance(other, Tree):
        raise _problem(path, "the patch says this twice", place, "leave one of them")
    grown = one if isinstance(one, _Growing) else _Growing(one, dict(one.marks or {}))
    for key, value in other.items():
        own = own_key(grown, key)
        new = value if own is None else _combined(grown[own], value, (*path, key), place)
        dict.__setitem__(grown, key if own is None else own, new)
    grown.marks.update(other.marks or {})
    return grown


def _normal(value: Any, path: Path, place: Any) -> Any:
    """Return a value in its one form; `place` holds the marks of the nearest key above, for messages."""
    if isinstance(value, Tree):
        mark = _json_mark(value, path, place)
        return _normal_mark(mark, path, place) if mark is not None else _normal_mapping(value, path)
    if isinstance(value, Items):
        items = [_normal(each, (*path, i), place) for i, each in enumerate(value)]
        return _value(Items(items, value.marks), path, place)
    return _normal_mark(value, path, place)


def _json_mark(tree: Tree, path: Path, place: Any) -> Any:
    """Return the mark that ``{"$new": …}`` stands for, or None."""
    marked = [key for key in tree if isinstance(key, str) and key.startswith("$")]
    if not marked:
        return None
    key = marked[0]
    if len(tree) > 1 or key not in _JSON_MARKS:
        raise _problem(path, f"{key!r} must stand alone and be one of '$new', '$replace', '$delete'", place)
    value = dict.__getitem__(tree, key)
    if key == "$delete" and value is not True:
        raise _problem(path, f"'$delete' takes true, not {value!r}", place)
    return _JSON_MARKS[key](value)


def _normal_mark(value: Any, path: Path, place: Any) -> Any:
    if isinstance(value, New | Replace):
        return type(value)(_value(_normal(value.value, path, place), path, place))
    return value


def _value(value: Any, path: Path, place: Any) -> Any:
    """Return what stands below ``!new`` or ``!replace`` or in a list: a value, no more marks."""
    if isinstance(value, New):
        return _value(value.value, path, place)
    if isinstance(value, Delete | Replace):
        raise _problem(path, "!delete and !replace make no sense inside a new value or a list", place)
    if isinstance(value, Tree):
        return Tree({key: _value(each, (*path, key), place) for key, each in value.items()}, value.marks)
    if isinstance(value, Items):
        return Items([_value(each, (*path, i), place) for i, each in enumerate(value)], value.marks)
    return value


def _merge_mapping(old: Tree, patch: Tree, path: Path, all_new: bool, problems: list[PatchError]) -> Tree:
    values: dict[Key, Any] = {}
    gone: list[Key] = []
    for key, change in patch.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        own = own_key(old, key)
        place = (patch.marks or {}).get(key)
        if own is None:
            values[key] = _added(old, key, change, (*path, key), all_new, problems, place)
        elif isinstance(change, Delete):
            gone.append(own)
        else:
            before = dict.__getitem__(old, own)
            values[own] = _changed(before, change, (*path, own), all_new, problems, place)
    if not gone and all(key in old and values[key] is dict.__getitem__(old, key) for key in values):
        return old
    return _rebuilt(old, values, gone, patch)


def _rebuilt(old: Tree, values: dict[Key, Any], gone: list[Key], patch: Tree) -> Tree:
    result = {**old, **values}
    marks = dict(old.marks or {})
    for key in values:
        here = (patch.marks or {}).get(key)
        if isinstance(patch[key], Tree) and key in marks:
            continue
        if here is None:
            marks.pop(key, None)
        else:
            marks[key] = here
    for key in gone:
        result.pop(key)
        marks.pop(key, None)
    return Tree(result, marks or None)


def _added(
    old: Tree, key: Key, change: Any, path: Path, all_new: bool, problems: list[PatchError], place: Any
) -> Any:
    if isinstance(change, New):
        return change.value
    if all_new and not isinstance(change, Delete | Replace):
        return change
    hint = near(key, old) or "to add it, mark it !new"
    owner = f"{join_path(path[:-1])!r}" if path[:-1] else "the configuration"
    problems.append(_problem(path, f"{owner} has no {key!r}", place, hint))
    return None


def _changed(old: Any, change: Any, path: Path, all_new: bool, problems: list[PatchError], place: Any) -> Any:
    if isinstance(change, New):
        return _changed(old, change.value, path, True, problems, place)
    if isinstance(change, Replace):
        return change.value
    if isinstance(change, Tree) and isinstance(old, Tree):
        return _merge_mapping(old, change, path, all_new, problems)
    if isinstance(change, Tree) and isinstance(old, Items) and change:
        return _merge_items(old, change, path, all_new, problems)
    if isinstance(change, Tree) != isinstance(old, Tree):
        problems.append(_mismatch(old, change, path, place))
        return old
    return old if same(old, change) else change


def _merge_items(old: Items, patch: Tree, path: Path, all_new: bool, problems: list[PatchError]) -> Items:
    values = list(old)
    marks = list(old.marks) if old.marks else None
    for key, change in patch.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        index = own_index(old, key)
        place = (patch.marks or {}).get(key)
        if index is None or isinstance(change, Delete):
            problems.append(_not_an_item(old, key, index, (*path, key), place))
            continue
        values[index] = _changed(old[index], change, (*path, index), all_new, problems, place)
        if marks and not isinstance(change, Tree):
            marks[index] = place[1] if place else None
    if all(new is before for new, before in zip(values, old, strict=True)):
        return old
    return Items(values, tuple(marks) if marks else None)


def _not_an_item(old: Items, key: Key, index: int | None, path: Path, place: Any) -> PatchError:
    if index is not None:
        return _problem(path, "one item of a list cannot be deleted", place, "write the whole list")
    return _problem(
        path,
        f"{join_path(path[:-1])!r} is a list of {len(old)} items, counted from 0; {key!r} is none of them",
        place,
        "write the whole list to make it longer, or mark a mapping !replace",
    )


def _mismatch(old: Any, change: Any, path: Path, place: Any) -> PatchError:
    hint = "to replace it all the same, mark it !replace"
    if isinstance(old, str) and "/" in old:
        hint = f"it may be the name of a variable: patch variables/{old}"
    return _problem(
        path, f"the patch has {kind_of(change)} where the default has {kind_of(old)}", place, hint
    )


def kind_of(value: Any) -> str:
    """Return what a value is, in words."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _problem(path: Path, message: str, place: Any, hint: str | None = None) -> PatchError:
    at = place_at(place[0]) if place else None
    where = f"{at}: {join_path(path)}" if at else join_path(path)
    return PatchError(message, where=where or None, hint=hint, excerpt=at.excerpt if at else None)


def without(tree: Tree, path: Path) -> Tree:
    """Return a tree without what is at `path`, as far as mappings lead there."""
    if not path:
        return tree
    key = own_key(tree, path[0])
    if key is None:
        return tree
    below = dict.__getitem__(tree, key)
    if path[1:] and isinstance(below, Tree):
        return Tree({**tree, key: without(below, path[1:])}, tree.marks)
    return Tree({each: value for each, value in tree.items() if each != key}, tree.marks)


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal, and 1, 1.0 and true are three things."""
    if a is b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(
            dict.__contains__(b, key) and same(value, dict.__getitem__(b, key)) for key, value in a.items()
        )
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def diff(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Tree:
    """Return the patch that makes `b` of `a`: ``merged(a, diff(a, b)) == b``."""
    found = _diff(freeze(a), freeze(b))
    if isinstance(found, Replace):
        raise PatchError("these two differ in whether a key at the top is a number or text")
    return Tree({}) if found is _ABSENT else found


def _diff(a: Any, b: Any) -> Any:
    if same(a, b):
        return _ABSENT
    if isinstance(a, Tree) and isinstance(b, Tree):
        return _diff_mappings(a, b)
    if isinstance(a, Items) and isinstance(b, Items) and len(a) == len(b):
        pairs = ((index, _diff(one, other)) for index, (one, other) in enumerate(zip(a, b, strict=True)))
        return Tree({index: each for index, each in pairs if each is not _ABSENT})
    return Replace(b) if isinstance(a, Tree) or isinstance(b, Tree) else b


def _diff_mappings(a: Tree, b: Tree) -> Any:
    if any(own_key(a, key) not in (None, key) for key in b):
        return Replace(b)
    patch: dict[Key, Any] = {key: DELETE for key in a if own_key(b, key) is None}
    for key, value in b.items():
        old = dict.get(a, key, _ABSENT)
        each = New(value) if old is _ABSENT else _diff(old, value)
        if each is not _ABSENT:
            patch[key] = each
    return Tree(patch)


def changes(a: Any, b: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield ``(path, old, new)`` for all that differs; a `Delete` stands for what is not there."""
    if same(a, b):
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if own_key(a, key) is None)]:
            old, new = _at(a, key), _at(b, key)
            yield from changes(old, new, (*path, key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (old, new) in enumerate(zip(a, b, strict=True)):
            yield from changes(old, new, (*path, index))
    else:
        yield path, a, b


def _at(tree: Any, key: Key) -> Any:
    own = own_key(tree, key)
    return DELETE if own is None else dict.__getitem__(tree, own)
