"""YAML out: whole documents, and changed values in a text whose every other byte stays.

`edited_text` finds where each changed value stands and puts the new one there: comments, order,
spelling and layout of all the rest survive. A key that is added goes to the end of its mapping; a
value that changes its kind is written anew in its place. The result is read again and must hold
exactly what was wanted.

Called by: ``store``, ``configuration`` (`dump_yaml`, `dump_documents`).
Fails: `ConfigError` if the text does not come out right (a value that stands behind an alias).

Known limits: a comment inside a value that is written anew as a whole goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from qtrl_spool.config.merge import same
from qtrl_spool.config.tree import Items, Key, Tree, own_key, plain
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import ConfigError

_NUMBER = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
_LINE = 100
_ONE_LINE = 2**30
_BOM = "\ufeff"


class _Dumper(yaml.CSafeDumper):
    """Quotes each text that YAML 1.1 or 1.2 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_NUMBER})$", re.ASCII), list("-+.0123456789")
)


class Splice(NamedTuple):
    """Text to put in place of the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


class _Entry(NamedTuple):
    """A key of a mapping in the text, and its value."""

    key: Any
    value: Any


def dump_yaml(tree: Any) -> str:
    """Return `tree` as YAML that reads the same under 1.1 and 1.2."""
    return yaml.dump(plain(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE)


def dump_documents(documents: Tree) -> str:
    """Return what `dump_yaml` returns; what was dumped before, entry by entry, is not made again.

    From job to job a configuration differs in a few values; making all of it anew takes 8 ms.
    """
    texts = [_dumped_document(name, tree) for name, tree in plain(documents).items()]
    return "".join(texts) if texts else dump_yaml(documents)


def _dumped_document(name: str, tree: Any) -> str:
    if not isinstance(tree, dict) or not tree:
        return dump_yaml({name: tree})
    parts = [_dumped_entry(name, key, value) for key, value in tree.items()]
    return parts[0][0] + "".join(text for _, text in parts)


def _dumped_entry(name: str, key: Any, value: Any) -> tuple[str, str]:
    """Return the line that begins the document, and those of one of its entries."""
    seen = repr(value)
    known = _DUMPED.get((name, repr(key)))
    if known is not None and known[0] == seen:
        return known[1]
    head, _, rest = dump_yaml({name: {key: value}}).partition("\n")
    if len(_DUMPED) >= _MOST_DUMPED:
        _DUMPED.clear()
    made = _DUMPED[name, repr(key)] = seen, (f"{head}\n", rest)
    return made[1]


_MOST_DUMPED = 5_000
_DUMPED: dict[tuple[str, str], tuple[str, tuple[str, str]]] = {}


def inline(value: Any) -> str:
    """Return `value` as YAML on one line, fit to stand inside brackets too."""
    text: str = yaml.dump(
        [plain(value)], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=_ONE_LINE
    )
    return text.strip()[1:-1]


def edited_text(text: str, name: str, old: Tree, new: Tree) -> str:
    """Return `text`, which holds `old`, changed to hold `new`.

    Parameters
    ----------
    text:
        YAML of one document.
    name:
        Its file name, for messages.
    old, new:
        What it holds; what it shall hold.

    Raises
    ------
    ConfigError
        If this cannot be done by changing values in their places.
    """
    bare = text.removeprefix(_BOM)
    root = yaml.compose(bare, Loader=yaml.CSafeLoader)
    editor = _Editor(bare)
    if root is not None and editor.can_descend(root, old, new):
        result = spliced(bare, editor.mapping(root, old, new))
    else:
        result = bare if same(old, new) else _from_nothing(bare, new)
    if not _holds(result, name, new):
        raise ConfigError(
            f"{name} cannot be changed without disturbing its layout (does it use aliases?)",
            hint=f"change config/current/{name} by hand",
        )
    return text[: len(text) - len(bare)] + result


def _holds(text: str, name: str, tree: Tree) -> bool:
    try:
        found = parse_yaml(text, name, document=True)
    except ConfigError:
        return False
    return same(Tree({}) if found is None else found, tree)


def spliced(text: str, splices: Iterator[Splice]) -> str:
    """Return `text` with all `splices` done; those at one place in their order."""
    parts, at = [], 0
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        parts += [text[at : splice.start], splice.text]
        at = splice.end
    return "".join([*parts, text[at:]])


def _from_nothing(text: str, new: Tree) -> str:
    comments = "".join(line for line in text.splitlines(keepends=True) if line.lstrip().startswith("#"))
    return comments + dump_yaml(new)


class _Editor:
    """Finds the splices that turn one tree into another in a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def value(self, entry: _Entry, old: Any, new: Any, inside: bool) -> Iterator[Splice]:
        """Yield what changes a key's value, or an item (no key); `inside` brackets nothing spans lines."""
        node = entry.value
        if same(old, new):
            return
        if isinstance(old, Tree) and isinstance(new, Tree) and self.can_descend(node, old, new):
            yield from self.mapping(node, old, new, inside)
        elif isinstance(old, Items) and isinstance(new, Items) and len(old) == len(new) and new:
            yield from self.items(node, old, new, inside)
        elif entry.key is None or inside:
            yield Splice(node.start_mark.index, self.end_of(node), inline(new))
        else:
            yield self._anew(entry, new)

    def can_descend(self, node: Any, old: Tree, new: Tree) -> bool:
        """Return whether a mapping can be changed key by key."""
        if not old or not new:
            return False
        if isinstance(node, yaml.MappingNode) and not node.flow_style:
            gone = [key for key in old if own_key(new, key) is None]
            return not gone or all(self._begins_line(entry.key) for entry in self._entries(node))
        return {*old} == {*new}

    def mapping(self, node: Any, old: Tree, new: Tree, inside: bool = False) -> Iterator[Splice]:
        """Yield what changes a mapping key by key."""
        entries = dict(zip(old, self._entries(node), strict=True))
        for key, entry in entries.items():
            if key in {*new}:
                before, after = dict.__getitem__(old, key), dict.__getitem__(new, key)
                yield from self.value(entry, before, after, inside or bool(node.flow_style))
            else:
                yield self._without(entry)
        last = entries[next(reversed(entries))]
        for key in new:
            if key not in entries:
                yield self._with(node, last, key, dict.__getitem__(new, key))

    def items(self, node: Any, old: Items, new: Items, inside: bool) -> Iterator[Splice]:
        """Yield what changes a list item by item."""
        for child, before, after in zip(node.value, old, new, strict=True):
            yield from self.value(_Entry(None, child), before, after, inside or bool(node.flow_style))

    def _entries(self, node: Any) -> list[_Entry]:
        """Return the entries of a mapping, or of the list of pairs that an ``!!omap`` is."""
        if isinstance(node, yaml.MappingNode):
            return [_Entry(*pair) for pair in node.value]
        return [_Entry(*pair.value[0]) for pair in node.value]

    def _anew(self, entry: _Entry, new: Any) -> Splice:
        """Write the value of a key anew, after its colon; a comment on the key's line stays."""
        colon = self.text.index(":", entry.key.end_mark.index) + 1
        start = entry.value.start_mark.index
        between = self.text[colon:start]
        indent = entry.key.start_mark.column
        if "\n" not in between:
            lead = "" if between.strip(" ") == "" and between else " "
            text = self._rendered(new, indent)
            is_block = text.startswith(self.newline)
            at = colon if is_block else start
            return Splice(at, self.end_of(entry.value), text if is_block else lead + text.lstrip(" "))
        note = between.split("\n")[0].rstrip()
        rendered = self._rendered(new, indent)
        head, rest = ("", rendered) if rendered.startswith(self.newline) else (rendered, "")
        return Splice(colon, self.end_of(entry.value), head + note + rest)

    def _rendered(self, value: Any, indent: int) -> str:
        """Return what stands after a key's colon: the value on the same line, or a block below."""
        text = inline(value)
        holds_mappings = isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(each, dict | list) for each in value)
        )
        if not value or not holds_mappings or (isinstance(value, list) and len(text) < _LINE):
            return f" {text}"
        lines = dump_yaml(value).splitlines()
        return "".join(f"{self.newline}{' ' * (indent + 2)}{line}" for line in lines)

    def _without(self, entry: _Entry) -> Splice:
        """Take out the lines of a key."""
        start = self._line_start(entry.key.start_mark.index)
        return Splice(start, self._line_end(self.end_of(entry.value, entry.key)), "")

    def _with(self, node: Any, last: _Entry, key: Key, value: Any) -> Splice:
        """Add a key behind the last one."""
        indent = last.key.start_mark.column
        at = self._line_end(self.end_of(last.value, last.key))
        line = f"{' ' * indent}{inline(key)}:{self._rendered(value, indent)}{self.newline}"
        ended = at == 0 or self.text[at - 1] == "\n"
        return Splice(at, at, line if ended else self.newline + line.removesuffix(self.newline))

    def end_of(self, node: Any, key: Any = None) -> int:
        """Return where a value ends, without the blank lines and comments that the parser counts to it."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self.end_of(last[1], last[0]) if isinstance(last, tuple) else self.end_of(last)
        end: int = node.end_mark.index
        if key is not None and end == node.start_mark.index:
            return max(end, self.text.index(":", key.end_mark.index) + 1)
        is_block_scalar = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        return len(self.text[:end].rstrip()) if is_block_scalar else end

    def _begins_line(self, node: Any) -> bool:
        start = node.start_mark.index
        return not self.text[self._line_start(start) : start].strip()

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1


def edited(texts: Mapping[str, str], old: Mapping[str, Tree], new: Mapping[str, Tree]) -> dict[str, str]:
    """Return the texts of the documents `new`, made from those of `old`; a new document is a new file."""
    files = {name.rpartition(".")[0].casefold(): name for name in texts}
    result = {}
    for document, tree in new.items():
        name = files.get(document)
        if name is None:
            result[f"{document}.yaml"] = dump_yaml(tree)
        else:
            result[name] = edited_text(texts[name], name, old[document], tree)
    return result
