"""JSON and text read strictly, for what comes from outside; and the canonical JSON that we write.

The standard reader takes duplicate keys, NaN, Infinity, ``1e999``, lone surrogates and numbers of a
million digits, and dies of deep nesting; here each is a `BundleError` that says so. A text which
only ends too early is an `UnfinishedError`: a slow copy may still bring the rest.

Known limit: the line of a duplicate key is not known, so the message shows the mapping it is in.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from qtrl_spool.bundle.limits import Limits, or_raise
from qtrl_spool.bundle.names import printable, shown
from qtrl_spool.errors import BundleError, UnfinishedError

_MAX_DIGITS = 20
_BEGINNING, _ENOUGH = 400, 8
_INT_RANGE = 2**63
_FRAGMENT_AT_END = re.compile(r"[\s{\[,:]*+[-+.\w]*+\s*+\Z")  # never taking back: one pass, whatever comes
_STRING_TO_END = re.compile(r'"(?:[^"\\]++|\\.)*+\\?\Z', re.DOTALL)
_ESCAPE_AT_END = re.compile(r"\\?u?[0-9A-Fa-f]{0,4}\Z")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89A-Fa-f]")


def decode(data: bytes, where: str) -> str:
    """Return the text of UTF-8 `data`, without a byte order mark.

    Raises
    ------
    UnfinishedError
        If it holds NUL bytes (room reserved by a copy that has not filled it) or ends within a character.
    BundleError
        If it is in another encoding.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or _is_wide(data):
        raise BundleError("the text is UTF-16", where=where, hint="save it as UTF-8")
    if b"\0" in data:
        raise UnfinishedError(
            "the text holds NUL bytes, as a copy does that was never finished",
            where=where,
            hint="copy it again",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":
            raise UnfinishedError(
                "the text ends within a character", where=where, hint="copy it again"
            ) from error
        line = data.count(b"\n", 0, error.start) + 1
        raise BundleError(
            "the text is not UTF-8", where=f"{where}:{line}", hint="save it as UTF-8"
        ) from error


def _is_wide(data: bytes) -> bool:
    """Return whether every other byte at the beginning is a NUL: UTF-16 without its mark, not a gap."""
    low, high = data[0:_BEGINNING:2], data[1:_BEGINNING:2]
    pairs = ((low, high), (high, low)) if len(high) >= _ENOUGH else ()
    return any(b"\0" not in text and rest.count(0) > 0.9 * len(rest) for text, rest in pairs)


def parse_json(text: str, where: str, limits: Limits) -> Any:
    """Return the tree of a JSON text.

    Raises
    ------
    UnfinishedError
        If the text ends before it is whole.
    BundleError
        If it is no JSON, or breaks one of the rules above.
    """
    if text.count(",") + text.count("[") + text.count("{") > limits.max_values:
        raise BundleError(
            f"the text holds more than {limits.max_values} values",
            where=where,
            hint=or_raise("max_values", "write sweeps as {sweep: …}"),
        )
    hooks = _Hooks(where)
    try:
        tree = json.loads(
            text,
            object_pairs_hook=hooks.mapping,
            parse_constant=hooks.constant,
            parse_float=hooks.decimal,
            parse_int=hooks.integer,
        )
    except RecursionError as error:
        raise _too_deep(where, limits) from error
    except json.JSONDecodeError as error:
        raise _syntax_error(text, where, error) from error
    _check_depth(tree, where, limits)
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(tree, where)
    return tree


@dataclass(frozen=True)
class _Hooks:
    """What the standard reader asks for each mapping and number; `where` goes into the messages."""

    where: str

    def mapping(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
            shown = f"{printable(twice)!r} stands twice in one mapping, {printable(json.dumps(found))}"
            self._refuse(f"the key {shown}", "keep one of them")
        return found

    def constant(self, word: str) -> NoReturn:
        self._refuse(f"{word} is no number that JSON or an instrument knows", "write a finite number")

    def decimal(self, digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            self._refuse(f"the number {printable(digits)} is too large", "write a finite number")
        return value

    def integer(self, digits: str) -> int:
        if len(digits) > _MAX_DIGITS or not -_INT_RANGE <= int(digits) < _INT_RANGE:
            self._refuse(f"the whole number {digits[:24]}… is too large", "write it as 1.0e20 if it is meant")
        return int(digits)

    def _refuse(self, message: str, hint: str) -> NoReturn:
        raise BundleError(message, where=self.where, hint=hint)


def _syntax_error(text: str, where: str, error: json.JSONDecodeError) -> BundleError:
    place = f"{where}:{error.lineno}:{error.colno}"
    if _may_grow(text, error):
        return UnfinishedError("the JSON ends before it is complete", where=place, hint="copy it again")
    return BundleError(
        f"this is no JSON: {error.msg}", where=place, hint="mend that line; YAML is read from *.yaml"
    )


def _may_grow(text: str, error: json.JSONDecodeError) -> bool:
    if error.msg == "Extra data":
        return False
    patterns = (_FRAGMENT_AT_END, _STRING_TO_END, _ESCAPE_AT_END)
    return any(pattern.match(text, error.pos) for pattern in patterns)


def _too_deep(where: str, limits: Limits) -> BundleError:
    return BundleError(
        f"lists or mappings are nested more than {limits.max_depth} deep",
        where=where,
        hint=or_raise("max_depth", "a sequence needs fewer than ten"),
    )


def _check_depth(tree: Any, where: str, limits: Limits) -> None:
    level = [tree]
    for _ in range(limits.max_depth + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep(where, limits)


def _check_surrogates(tree: Any, where: str) -> None:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = printable(str(error.object)[error.start])
        raise BundleError(
            f"{half} is half a character", where=where, hint="write the character itself"
        ) from error


def plain(tree: Any, where: str, limits: Limits, path: tuple[str, ...] = ()) -> Any:
    """Return a tree that was read from YAML as plain dicts and lists, just what JSON can hold.

    Raises
    ------
    BundleError
        With the path, where it holds other keys than text, a patch's marks, too large a number.
    """
    if len(path) > limits.max_depth:
        raise _too_deep(where, limits)
    if isinstance(tree, Mapping):
        _check_keys(tree, path, where)
        return {key: plain(value, where, limits, (*path, key)) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value, where, limits, (*path, str(index))) for index, value in enumerate(tree)]
    if not _is_plain(tree):
        raise BundleError(
            f"{'/'.join(path)} is {shown(tree)}, which a sequence cannot hold",
            where=where,
            hint="write texts, finite numbers, true, false, null, lists and mappings",
        )
    return tree


def _check_keys(node: Mapping[Any, Any], path: tuple[str, ...], where: str) -> None:
    for key in node:
        if not isinstance(key, str) or not _is_plain(key):
            raise BundleError(
                f"{'/'.join(path) or 'the top level'} has the key {shown(key)}, keys must be texts",
                where=where,
                hint="put it in quotes",
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_INT_RANGE <= value < _INT_RANGE
    return value is None


def canonical_json(tree: Any) -> bytes:
    """Return `tree` as compact UTF-8 JSON, keys in their order; floats read back exactly.

    Raises
    ------
    BundleError
        If it holds something that JSON cannot.
    """
    write: Callable[[Any], str] = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode
    try:
        return write(tree).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"the sequence cannot be written as JSON: {error}") from error
