"""The reader of YAML 1.2, for everything that people write: documents, patches, manifests, jobs.

Built on the event stream of libyaml, never on its loader: nothing is recursive (``[[[[…`` ends the
process in libyaml's own composer), an alias is counted as often as it is used before anything is
made of it, and no tag makes an object.

What a plain scalar means is YAML 1.2's core schema, with numbers as physicists write them: ``1e9``,
``1.e-06``, ``5E6`` and ``017`` are numbers; ``on``, ``no``, ``1:30`` and ``2026-11-23`` are text.

Tags: the standard ones are read (``!!omap`` as a mapping), ``!delete``, ``!new`` and ``!replace``
make the marks of a patch, every other is refused.

Called by: ``config``, ``bundle``, ``spool.requests``, the command line.
Fails: `ConfigError` with ``where='name:line:column'``, the line and a caret.

Known limits: one document in a text; keys are names or whole numbers; no merge keys (``<<``); no
``.inf`` and ``.nan``, because nothing that is configured may be either.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from qtrl_spool.config.places import Source, excerpt_of, place_at
from qtrl_spool.config.tree import DELETE, Items, New, Replace, Tree, check_key, own_key
from qtrl_spool.errors import ConfigError

_NUMBER_START = frozenset("-+.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NO_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_DIGITS = 40
_STANDARD = "tag:yaml.org,2002:"
_MAPPINGS = {None, "!", _STANDARD + "map", _STANDARD + "omap", _STANDARD + "set"}
_SEQUENCES = {None, "!", _STANDARD + "seq", _STANDARD + "omap", _STANDARD + "pairs"}
_SCALARS: dict[str, tuple[type, ...]] = {
    _STANDARD + "int": (int,),
    _STANDARD + "float": (float, int),
    _STANDARD + "bool": (bool,),
    _STANDARD + "null": (type(None),),
}
_TEXTS = {"!", _STANDARD + "str", _STANDARD + "timestamp"}
_MARKS: dict[str, Callable[[Any], Any]] = {"!new": New, "!replace": Replace, "!delete": lambda _: DELETE}
_TAG_BEFORE = re.compile(r"!\w+$")
_NO_KEY = object()
_TOO_DEEP = (
    "exceeded maximum nesting depth"  # newer libyaml has a limit of its own, which its parser meets first
)


@dataclass(frozen=True)
class Limits:
    """What a text may ask for.

    Attributes
    ----------
    n_characters:
        Of the text.
    depth:
        Of nesting.
    n_nodes:
        Values of all kinds, each alias counted with all that it stands for.
    if_deep, if_many:
        What to do about a text that is nested deeper, or has more values.
    """

    n_characters: int = 64_000_000
    depth: int = 100
    n_nodes: int = 2_000_000
    if_deep: str | None = None
    if_many: str | None = None


@dataclass
class _Frame:
    """A mapping or list whose end has not come yet."""

    values: Any
    start: Any
    tag: str | None
    anchor: str | None
    n_before: int
    marks: Any
    key: Any = _NO_KEY
    key_mark: Any = None


def parse_yaml(text: str, name: str, *, document: bool = False, limits: Limits = Limits()) -> Any:
    """Return what a YAML 1.2 text says, as a frozen `Tree`, `Items` or scalar; None for an empty text.

    Parameters
    ----------
    text:
        The YAML. JSON is YAML.
    name:
        What messages call it: the file's name.
    document:
        True for a document of the configuration: the marks of a patch and slashes in keys are refused.
    limits:
        What the text may ask for.

    Raises
    ------
    ConfigError
        With the place, the line and a caret.
    """
    if len(text) > limits.n_characters:
        raise ConfigError(f"longer than {limits.n_characters} characters", where=name)
    _refuse_characters(text, name)
    try:
        return _Reader(text, name, document, limits).read()
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"cannot be read: {error.reason}", where=name) from error
    except yaml.MarkedYAMLError as error:
        raise _unreadable(text, error, limits.if_deep) from error


def problem_at(text: str, mark: Any, message: str, *, hint: str | None = None) -> ConfigError:
    """Return the error that `message` is, at the place of `mark` in `text`."""
    if mark is None:
        return ConfigError(message, hint=hint)
    return ConfigError(
        message,
        where=str(place_at(mark)),
        hint=hint,
        excerpt=excerpt_of(text, mark.line + 1, mark.column + 1),
    )


def _unreadable(text: str, error: yaml.MarkedYAMLError, if_deep: str | None) -> ConfigError:
    """Return what the parser stumbled over; libyaml wants a blank after a tag, even in ``{…}``."""
    mark = error.problem_mark
    tag = _TAG_BEFORE.search(text[: mark.index]) if mark is not None else None
    if tag is not None and error.context == "while scanning a tag":
        return problem_at(text, mark, f"a blank is missing after {tag[0]}", hint=f"write '{tag[0]} '")
    if error.problem == _TOO_DEEP:
        return problem_at(text, mark, "nested deeper than this reader goes", hint=if_deep)
    context = f" {error.context}" if error.context else ""
    return problem_at(text, mark, f"this is not YAML:{context} {error.problem}")


def _refuse_characters(text: str, name: str) -> None:
    """Refuse control characters and halves of surrogate pairs."""
    found = _NO_YAML.search(text)
    if found is None:
        return
    before = text[: found.start()]
    line, column = before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1
    character = f"U+{ord(found.group()):04X}"
    raise ConfigError(f"the character {character} may not stand in YAML", where=f"{name}:{line}:{column}")


class _Named(io.StringIO):
    """A text that the parser's marks know by `name`."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = Source.of(name, text)


class _Reader:
    """Turns the events of one text into one value."""

    def __init__(self, text: str, name: str, document: bool, limits: Limits) -> None:
        self.text = text
        self.document = document
        self.limits = limits
        self.parser: Any = yaml.CSafeLoader(_Named(text, name))
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.n_nodes = 0
        self.result: Any = None
        self.n_documents = 0

    def read(self) -> Any:
        """Return the value of the text."""
        act = {
            yaml.ScalarEvent: self.on_scalar,
            yaml.MappingStartEvent: self.on_start,
            yaml.SequenceStartEvent: self.on_start,
            yaml.MappingEndEvent: self.on_end,
            yaml.SequenceEndEvent: self.on_end,
            yaml.AliasEvent: self.on_alias,
            yaml.DocumentStartEvent: self.on_document,
        }
        next_event = self.parser.get_event
        while (event := next_event()) is not None:
            action = act.get(type(event))
            if action is not None:
                action(event)
        return self.result

    def fail(self, mark: Any, message: str, hint: str | None = None) -> ConfigError:
        """Return the error to raise."""
        return problem_at(self.text, mark, message, hint=hint)

    def on_document(self, event: Any) -> None:
        """Refuse a second document."""
        self.n_documents += 1
        if self.n_documents > 1:
            raise self.fail(event.start_mark, "a second document begins here", "one text holds one document")

    def count(self, n: int, mark: Any) -> None:
        """Count `n` more values against the limit."""
        self.n_nodes += n
        if self.n_nodes > self.limits.n_nodes:
            raise self.fail(
                mark, f"more than {self.limits.n_nodes} values, aliases written out", self.limits.if_many
            )

    def on_scalar(self, event: Any) -> None:
        """Take a scalar."""
        self.count(1, event.start_mark)
        if event.tag is None and event.style:
            value: Any = event.value
        elif event.tag is None:
            value = self.plain(event)
        else:
            value = self.tagged(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self.take(value, event)

    def plain(self, event: Any) -> Any:
        """Return what a scalar without quotes means."""
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        return self.number(event) if text[0] in _NUMBER_START else text

    def number(self, event: Any) -> Any:
        """Return what a scalar that begins like a number means."""
        text = event.value
        if _INTEGER.fullmatch(text) or _BASED.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise self.fail(event.start_mark, f"a whole number of more than {_MAX_DIGITS} digits")
            return int(text, 0 if _BASED.fullmatch(text) else 10)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if math.isinf(value):
                raise self.fail(event.start_mark, f"{text[:_MAX_DIGITS]} is too large for a number")
            return value
        if _NOT_FINITE.fullmatch(text):
            raise self.fail(event.start_mark, f"{text} is not a finite number")
        return text

    def tagged(self, event: Any) -> Any:
        """Return what a scalar with a tag means."""
        tag = event.tag
        if tag in _TEXTS:
            return event.value
        value = event.value if event.style and tag not in _SCALARS else self.plain(event)
        if tag in _MARKS and not self.document:
            if tag == "!delete" and event.value:
                raise self.fail(event.start_mark, "!delete stands alone, it takes no value")
            return _MARKS[tag](value)
        if tag in _SCALARS and isinstance(value, _SCALARS[tag]):
            return float(value) if isinstance(value, int) and tag == _STANDARD + "float" else value
        if tag in _SCALARS:
            raise self.fail(event.start_mark, f"{event.value!r} is no {tag.removeprefix(_STANDARD)}")
        raise self.unknown_tag(event)

    def unknown_tag(self, event: Any) -> ConfigError:
        """Return the error that a tag is."""
        tag = event.tag.replace(_STANDARD, "!!")
        if self.document and event.tag in _MARKS:
            return self.fail(event.start_mark, f"{tag} belongs into a patch, not into the default")
        return self.fail(event.start_mark, f"the tag {tag} is refused", "no tag makes an object here")

    def on_start(self, event: Any) -> None:
        """Open a mapping or a list."""
        self.count(1, event.start_mark)
        if len(self.frames) >= self.limits.depth:
            said = f"nested deeper than {self.limits.depth} levels"
            raise self.fail(event.start_mark, said, self.limits.if_deep)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        known = _MAPPINGS if is_mapping else _SEQUENCES
        if event.tag not in known and (self.document or event.tag not in _MARKS or event.tag == "!delete"):
            raise self.unknown_tag(event)
        if self.frames and isinstance(self.frames[-1].values, dict) and self.frames[-1].key is _NO_KEY:
            raise self.fail(event.start_mark, "a key is a name or a whole number, not a mapping or a list")
        values: Any = {} if is_mapping else []
        marks: Any = {} if is_mapping else []
        self.frames.append(_Frame(values, event.start_mark, event.tag, event.anchor, self.n_nodes - 1, marks))

    def on_end(self, event: Any) -> None:
        """Close a mapping or a list."""
        frame = self.frames.pop()
        if isinstance(frame.values, dict):
            value: Any = Tree(frame.values, frame.marks)
        elif frame.tag == _STANDARD + "omap":
            value = self.ordered_mapping(frame)
        else:
            value = Items(frame.values, tuple(frame.marks))
        if frame.tag in _MARKS:
            value = _MARKS[frame.tag](value)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (value, self.n_nodes - frame.n_before)
        self.take(value, frame)

    def ordered_mapping(self, frame: _Frame) -> Tree:
        """Return the mapping that an ``!!omap`` list of single pairs stands for."""
        values: dict[Any, Any] = {}
        marks: dict[Any, Any] = {}
        for mark, pair in zip(frame.marks, frame.values, strict=True):
            if not isinstance(pair, Tree) or len(pair) != 1:
                raise self.fail(mark, "an !!omap is a list of single 'key: value' pairs")
            (key,) = pair.keys()
            self.refuse_twice(values, marks, key, pair.marks[key][0] if pair.marks else mark)
            values[key] = pair[key]
            marks |= pair.marks or {}
        return Tree(values, marks)

    def on_alias(self, event: Any) -> None:
        """Take what an alias stands for."""
        if event.anchor not in self.anchors:
            raise self.fail(event.start_mark, f"*{event.anchor} stands for nothing that ended before it")
        value, n_nodes = self.anchors[event.anchor]
        self.count(n_nodes, event.start_mark)
        self.take(value, event)

    def take(self, value: Any, source: Any) -> None:
        """Put a value where it belongs: into the open mapping or list, or at the root."""
        mark = source.start if isinstance(source, _Frame) else source.start_mark
        if not self.frames:
            self.result = value
            return
        frame = self.frames[-1]
        if isinstance(frame.values, list):
            frame.values.append(value)
            frame.marks.append(mark)
        elif frame.key is _NO_KEY:
            self.take_key(frame, value, mark)
        else:
            frame.values[frame.key] = value
            frame.marks[frame.key] = (frame.key_mark, mark)
            frame.key = _NO_KEY

    def take_key(self, frame: _Frame, key: Any, mark: Any) -> None:
        """Remember the key whose value comes next."""
        if key == "<<":
            raise self.fail(mark, "merge keys (<<) are not read", "write the keys out")
        try:
            check_key(key, str, slashes=not self.document)
        except ConfigError as error:
            raise self.fail(mark, error.message.removeprefix(": ")) from error
        self.refuse_twice(frame.values, frame.marks, key, mark)
        frame.key = key
        frame.key_mark = mark

    def refuse_twice(self, values: dict[Any, Any], marks: dict[Any, Any], key: Any, mark: Any) -> None:
        """Refuse a key that the mapping has already, in whatever spelling."""
        twin = own_key(values, key)
        if twin is None:
            return
        lines = f"in line {marks[twin][0].line + 1} and in line {mark.line + 1}"
        raise self.fail(mark, f"the key {key!r} stands here twice, {lines}", "leave one of them")
