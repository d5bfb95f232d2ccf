"""Variables: the derived ones, and the names of variables in the other documents.

The document ``variables`` holds one tree of values. Wherever in another document the whole of a text
is the path of a variable (``Q6/freq``), the variable's value takes its place: once, a value that is
itself a name is not followed. A document's own top-level ``Variables:`` block takes the place of the
variables for that document.

For each group with a ``Q`` in its name three variables are *derived*, whatever the file says:
``mod_freq``, ``mod_freq_ef`` and ``res_mod_freq`` (see `RULES`).

What did not change is not resolved again: a `Resolution` remembers for every mapping and list what
it became and which texts stand below it, so that the configuration of a job costs what its patch touches.

Called by: ``configuration``.
Fails: `ConfigError` if names go in a circle. A name that stands for nothing stays as it is and is
listed in ``Resolution.unresolved``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qtrl_spool.config.quantities import expected_dimension, quantity_of
from qtrl_spool.config.tree import Items, Key, Path, Tree, near, step
from qtrl_spool.errors import ConfigError

RULES: dict[str, tuple[tuple[int, str], ...]] = {
    "mod_freq": ((1, "freq"), (-1, "hardware/qubit_LO")),
    "mod_freq_ef": ((1, "freq"), (1, "anharmonicity"), (-1, "hardware/qubit_LO")),
    "res_mod_freq": ((1, "res_freq"), (-1, "hardware/readout_LO")),
}
OWN_VARIABLES = "Variables"
_NAME = re.compile(r"[A-Za-z_][\w.+-]*(/[\w.+-]+)+")


@dataclass(frozen=True)
class Derivation:
    """How one variable follows from others.

    Attributes
    ----------
    value:
        Its value, in Hz.
    terms:
        Sign and path (in the variables) of what is added up.
    """

    value: float
    terms: tuple[tuple[int, str], ...]

    @property
    def formula(self) -> str:
        """Return it as ``Q6/freq - hardware/qubit_LO``."""
        text = "".join(f" {'+' if sign > 0 else '-'} {path}" for sign, path in self.terms)
        return text.removeprefix(" + ")


def with_units(value: Any) -> Any:
    """Return `value` with each text that is a number with a unit as a `Quantity`; shares what it can."""
    if isinstance(value, Tree):
        new = {key: with_units(each) for key, each in value.items()}
        unchanged = all(new[key] is each for key, each in value.items())
        return value if unchanged else Tree(new, value.marks)
    if isinstance(value, Items):
        items = [with_units(each) for each in value]
        unchanged = all(new is each for new, each in zip(items, value, strict=True))
        return value if unchanged else Items(items, value.marks)
    if isinstance(value, str):
        quantity = quantity_of(value)
        return value if quantity is None else quantity
    return value


def derivations(variables: Tree) -> dict[str, Derivation]:
    """Return every derived variable by its path; none from what is no number, which validation reports."""
    found: dict[str, Derivation] = {}
    for group, values in variables.items():
        if not isinstance(group, str) or "Q" not in group or not isinstance(values, Tree):
            continue
        for name, rule in RULES.items():
            terms = tuple((sign, path if "/" in path else f"{group}/{path}") for sign, path in rule)
            amounts = [_amount(variables, path) for _, path in terms]
            if None not in amounts:
                found[f"{group}/{name}"] = Derivation(_sum(terms, amounts), terms)
    return found


def _amount(variables: Tree, path: str) -> float | None:
    value: Any = variables
    for key in path.split("/"):
        value = step(value, key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sum(terms: tuple[tuple[int, str], ...], amounts: list[Any]) -> float:
    total = float(amounts[0])
    for (sign, _), amount in zip(terms[1:], amounts[1:], strict=True):
        total += sign * amount
    return total


def with_derived(variables: Tree, derived: Mapping[str, Derivation]) -> Tree:
    """Return `variables` with the derived ones in their places."""
    new: dict[Key, dict[Key, Any]] = {}
    for path, derivation in derived.items():
        group, name = path.split("/")
        new.setdefault(group, {})[name] = derivation.value
    groups = {key: Tree({**variables[key], **values}, variables[key].marks) for key, values in new.items()}
    return Tree({**variables, **groups}, variables.marks)


def table_of(variables: Tree) -> dict[str, Any]:
    """Return every value and every subtree of the variables by its path; lists are not entered."""
    table: dict[str, Any] = {}

    def enter(tree: Tree, prefix: str) -> None:
        for key, value in tree.items():
            table[f"{prefix}{key}"] = value
            if isinstance(value, Tree):
                enter(value, f"{prefix}{key}/")

    for key, value in variables.items():
        if isinstance(key, str):
            table[key] = value
        if isinstance(value, Tree):
            enter(value, f"{key}/")
    return table


def changed_names(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Return the names whose value differs, is new, or is gone."""
    missing = object()
    return frozenset(
        name for name in {*old, *new} if not _unchanged(old.get(name, missing), new.get(name, missing))
    )


def _unchanged(a: Any, b: Any) -> bool:
    if a is b:
        return True
    return not isinstance(a, Tree | Items) and type(a) is type(b) and bool(a == b)


def check_circles(table: Mapping[str, Any]) -> None:
    """Refuse names of variables that go in a circle.

    Raises
    ------
    ConfigError
        With the whole circle.
    """
    for start, value in table.items():
        seen = [start]
        while isinstance(value, str) and value in table:
            if value in seen:
                circle = " → ".join([*seen[seen.index(value) :], value])
                raise ConfigError(f"variables/{start}: the names go in a circle: {circle}")
            seen.append(value)
            value = table[value]


@dataclass(frozen=True)
class Unresolved:
    """A text that looks like the name of a variable which is not there.

    Attributes
    ----------
    path:
        Where it stands, beginning with the document.
    name:
        The text.
    """

    path: Path
    name: str

    def message(self, table: Mapping[str, Any]) -> str:
        """Return what is wrong, with near misses."""
        if self.name in table:
            return f"a name of a name is not followed: write {self.name!r} here"
        return f"there is no variable {self.name!r}"


@dataclass
class Resolution:
    """One document with its names replaced.

    Attributes
    ----------
    tree:
        The document.
    memo:
        By the ``id`` of each mapping and list of the document as written: what it became, the texts below it.
    unresolved:
        Texts that look like names and stand for nothing.
    """

    tree: Any = None
    memo: dict[int, tuple[Any, frozenset[str]]] = field(default_factory=dict)
    unresolved: dict[Path, Unresolved] = field(default_factory=dict)


def resolve(
    document: str,
    raw: Tree,
    table: Mapping[str, Any],
    *,
    before: Resolution | None = None,
    changed: frozenset[str] = frozenset(),
) -> Resolution:
    """Return a document with the names of variables replaced by their values.

    Parameters
    ----------
    document:
        Its name.
    raw:
        As written.
    table:
        The variables, see `table_of`.
    before:
        The resolution of an earlier state of the document whose mappings and lists are still alive.
    changed:
        The names whose values differ from those that `before` was made with.
    """
    own = raw.get(OWN_VARIABLES)
    if isinstance(own, Tree):
        table, before = table_of(own), None
        raw = Tree({key: value for key, value in raw.items() if key != OWN_VARIABLES}, raw.marks)
    resolver = _Resolver(document, table, before.memo if before else {}, changed)
    tree, _ = resolver.visit(raw, (document,), None)
    if before is not None:
        resolver.keep(before, tree)
    return Resolution(tree, resolver.memo, resolver.unresolved)


class _Resolver:
    """The walk through one document."""

    def __init__(
        self, document: str, table: Mapping[str, Any], known: Mapping[int, Any], changed: frozenset[str]
    ):
        self.document = document
        self.table = table
        self.known = known
        self.changed = changed
        self.memo: dict[int, tuple[Any, frozenset[str]]] = {}
        self.unresolved: dict[Path, Unresolved] = {}

    def visit(self, raw: Any, path: Path, dimension: str | None) -> tuple[Any, frozenset[str]]:
        """Return what a mapping or list becomes, and the texts that stand below it."""
        known = self.known.get(id(raw))
        if known is not None and self.changed.isdisjoint(known[1]):
            return known[0], known[1]
        texts: set[str] = set()
        result: Any
        if isinstance(raw, Tree):
            result = self.tree(raw, path, texts)
        else:
            items = [self.value(each, (*path, i), dimension, texts) for i, each in enumerate(raw)]
            same = all(new is old for new, old in zip(items, raw, strict=True))
            result = raw if same else Items(items, raw.marks)
        found = (result, frozenset(texts))
        self.memo[id(raw)] = found
        return found

    def tree(self, raw: Tree, path: Path, texts: set[str]) -> Tree:
        """Return what a mapping becomes."""
        new = {}
        same = True
        for key, each in raw.items():
            value = self.value(each, (*path, key), expected_dimension(self.document, key), texts)
            same = same and value is each
            new[key] = value
        return raw if same else Tree(new, raw.marks)

    def value(self, raw: Any, path: Path, dimension: str | None, texts: set[str]) -> Any:
        """Return what a value becomes, and add the texts that stand in it."""
        if isinstance(raw, str):
            texts.add(raw)
            return self.text(raw, path, dimension)
        if isinstance(raw, Tree | Items):
            result, below = self.visit(raw, path, dimension)
            texts |= below
            return result
        return raw

    def text(self, raw: str, path: Path, dimension: str | None) -> Any:
        """Return the variable of that name, else the quantity that it writes, else the text itself."""
        if raw in self.table:
            value = self.table[raw]
            if isinstance(value, str) and (value in self.table or self.is_name(value)):
                self.unresolved[path] = Unresolved(path, value)
            return value
        quantity = quantity_of(raw) if dimension else None
        if quantity is not None:
            return quantity
        if "/" in raw and self.is_name(raw):
            self.unresolved[path] = Unresolved(path, raw)
        return raw

    def is_name(self, text: str) -> bool:
        """Return whether a text that stands for nothing was meant as a name."""
        if not _NAME.fullmatch(text):
            return False
        group = text.split("/")[0]
        return self.document == "pulses" or group in self.table or near(group, self.groups()) is not None

    def groups(self) -> Iterable[str]:
        """Return the first parts of all names."""
        return {name.split("/")[0] for name in self.table}

    def keep(self, before: Resolution, tree: Any) -> None:
        """Take over what was unresolved before and was not looked at again."""
        for path, each in before.unresolved.items():
            value = tree
            for key in path[1:]:
                value = step(value, key)
            if value == each.name and each.name not in self.table:
                self.unresolved.setdefault(path, each)
