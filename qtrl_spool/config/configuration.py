"""`Configuration`: the documents of a configuration, as written and as they count. It never changes.

``documents`` holds what the files (and a job's patch) say, ``effective`` what follows from it:
derived variables made, names of variables replaced, units turned into SI.

Called by: everything that reads a value: ``run``, ``backends``, ``processing``, ``client``, ``cli``.
Fails: `ConfigError` / `PatchError` with all problems when it is made; `UnknownPathError` (a `KeyError`)
for a path that is not there. A text that looks like the name of a variable and is none stays text,
gives a warning, and fails the sequence that uses it.

Known limits: the pulse library is made anew for each configuration, when it is first asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qtrl_spool.config import variables as names
from qtrl_spool.config.documents import canonical, parse_documents, raise_all
from qtrl_spool.config.merge import MOST_PROBLEMS, merged, parse_patch, same, without
from qtrl_spool.config.patches import stacked
from qtrl_spool.config.shapes import Problem
from qtrl_spool.config.tree import (
    Key,
    New,
    Path,
    Replace,
    Tree,
    freeze,
    join_path,
    near,
    place_of,
    split_path,
)
from qtrl_spool.config.validate import validate
from qtrl_spool.errors import ConfigError, PatchError

if TYPE_CHECKING:
    from qtrl_spool.sequence import PulseLibrary

VARIABLES = "variables"


class Configuration:
    """A configuration: made once, checked when it is made, shared by all who read it.

    Parameters
    ----------
    documents:
        Trees by the names of their documents (``variables``, ``pulses``, ``adc``, …), as written.
    texts:
        The texts they were read from, by file name.
    version:
        Its number in the store.

    Attributes
    ----------
    documents, effective:
        As written; as they count.
    patch:
        All that was merged, in its one form; an empty tree if nothing was.
    default:
        What it was merged from last, or None.
    texts:
        The texts that `default` was read from, or this one if nothing was merged; empty if it was not read.
    derived:
        How each derived variable follows from others, by its path in the variables.
    unresolved:
        Texts that look like the name of a variable and are none, by their path.

    Raises
    ------
    ConfigError
        All problems at once, in ``problems``.
    """

    documents: Mapping[str, Tree]
    effective: Mapping[str, Tree]
    derived: Mapping[str, names.Derivation]
    unresolved: Mapping[Path, names.Unresolved]
    _plain_variables: Tree
    _variables: Tree
    _table: dict[str, Any]

    def __init__(
        self,
        documents: Mapping[str, Any],
        *,
        texts: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> None:
        self._raw = Tree({name: freeze(tree, (name,)) for name, tree in documents.items()})
        self.version = version
        self.patch = Tree({})
        self.default: Configuration | None = None
        self.texts: Mapping[str, str] = MappingProxyType(dict(texts or {}))
        self._resolve(None)
        self._check(None)

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], *, version: int | None = None) -> Configuration:
        """Return the configuration that YAML texts hold; each file's name, in any case, names its document.

        Raises
        ------
        ConfigError
            All problems of all files.
        """
        return cls(parse_documents(texts), texts=texts, version=version)

    def merged(self, patch: Mapping[Any, Any]) -> Configuration:
        """Return the configuration that `patch` makes of this one, which stays as it is.

        Raises
        ------
        PatchError
            If the patch names what is not there, or a derived variable.
        ConfigError
            If a value in it is not what its place allows.
        """
        normal = parse_patch(patch)
        try:
            raw = self._merged(normal)
        except PatchError as error:
            raise_all([*error.problems, *self._problems_of_the_rest(normal, error.problems)])
            raise
        new = object.__new__(Configuration)
        new._raw = raw
        new.version = self.version
        new.patch = stacked(self.patch, normal) if self.patch else normal
        new.default = self
        new.texts = self.texts
        new._resolve(self)
        raise_all([*_derived_ones(new.derived, normal, whole=True), *_stale_ones(self, new)])
        new._check(self)
        return new

    def _problems_of_the_rest(self, patch: Tree, known: Iterable[ConfigError]) -> Iterable[ConfigError]:
        """Return what is wrong with a patch besides the known problems, whose paths say what to leave out.

        Of a patch with very many problems the rest is not looked at: it takes time, and helps nobody.
        """
        rest, known = patch, tuple(known)
        if len(known) >= MOST_PROBLEMS:
            return ()
        for each in known:
            rest = without(rest, split_path((each.where or "").rpartition(": ")[2]))
        if same(rest, patch):
            return ()
        try:
            self.merged(rest)
        except ConfigError as error:
            return error.problems
        return ()

    def _merged(self, patch: Tree) -> Tree:
        """Return the documents with the patch; a derived variable in it is told as that alone."""
        problems: list[PatchError] = [*_derived_ones(self.derived, patch, whole=False)]
        places = {each.where for each in problems}
        try:
            raw = merged(self._raw, patch)
        except PatchError as error:
            others = (each for each in error.problems if each.where not in places)
            raise_all([*problems, *others])
            raise
        raise_all(problems)
        return raw

    def _resolve(self, old: Configuration | None) -> None:
        """Make the effective documents, taking over from `old` what did not change."""
        raw = self._raw.get(VARIABLES, Tree({}))
        if not isinstance(raw, Tree):
            raise ConfigError(f"variables: expected a mapping, got {raw!r}")
        before = old._raw.get(VARIABLES) if old else None
        if old is not None and raw is before:
            self._plain_variables, self.derived = old._plain_variables, old.derived
            self._variables, self._table, changed = old._variables, old._table, frozenset[str]()
        else:
            changed = self._resolve_variables(raw, old)
        self._resolutions = {
            name: self._resolve_document(name, tree, old, changed)
            for name, tree in self._raw.items()
            if name != VARIABLES
        }
        effective = {str(name): each.tree for name, each in self._resolutions.items()}
        if VARIABLES in self._raw:
            effective[VARIABLES] = self._variables
        self.documents = MappingProxyType({str(name): tree for name, tree in self._raw.items()})
        self.effective = MappingProxyType({name: effective[name] for name in self.documents})
        self._effective = Tree(self.effective)
        self.unresolved = MappingProxyType(
            {path: each for found in self._resolutions.values() for path, each in found.unresolved.items()}
        )

    def _resolve_variables(self, raw: Tree, old: Configuration | None) -> frozenset[str]:
        self._plain_variables = names.with_units(raw)
        self.derived = names.derivations(self._plain_variables)
        self._variables = names.with_derived(self._plain_variables, self.derived)
        self._table = names.table_of(self._variables)
        names.check_circles(self._table)
        return names.changed_names(old._table, self._table) if old else frozenset()

    def _resolve_document(
        self, name: Key, tree: Any, old: Configuration | None, changed: frozenset[str]
    ) -> names.Resolution:
        if not isinstance(tree, Tree):
            raise ConfigError(f"{name}: expected a mapping, got {tree!r}")
        before = old._resolutions.get(str(name)) if old else None
        return names.resolve(str(name), tree, self._table, before=before, changed=changed)

    def _check(self, old: Configuration | None) -> None:
        """Validate what differs from `old`; a patch may not say names that stand for nothing."""
        found = validate(self._effective, old._effective if old else None, self.unresolved)
        problems = [
            self._located(each.path, each.message, each.hint, of_key=each.of_key)
            for each in (found if old is None else self._at_variables(list(found), old))
        ]
        if old is not None:
            for path, each in self.unresolved.items():
                if path not in old.unresolved and not same(self._raw.get(join_path(path)), old.get_raw(path)):
                    problems.append(self._located(path, self._why_unresolved(each), self._near_name(each)))
        raise_all(problems)

    def _at_variables(self, found: Iterable[Problem], old: Configuration) -> Iterator[Problem]:
        """Yield problems; what a changed variable spoils, however often, is told once, at the variable."""
        told = {each.path for each in found}
        spoilt: dict[Path, list[Problem]] = {}
        for each in found:
            name = self.get_raw(each.path)
            if each.of_key or not isinstance(name, str) or not self._has_changed(name, old):
                yield each
            else:
                spoilt.setdefault((VARIABLES, *split_path(name)), []).append(each)
        for path, uses in spoilt.items():
            if path not in told:
                many = f"{len(uses)} places, such as " if len(uses) > 1 else ""
                yield Problem(path, uses[0].message, f"it is used at {many}{join_path(uses[0].path)}")

    def _has_changed(self, name: str, old: Configuration) -> bool:
        """Return whether a text is the name of a variable that is another one than it was."""
        return name in self._table and not same(self._table[name], old._table.get(name))

    def get_raw(self, path: Path) -> Any:
        """Return what is written at `path`, or None."""
        return self._raw.get(join_path(path))

    def _located(self, path: Path, message: str, hint: str | None, *, of_key: bool = False) -> ConfigError:
        place = place_of(self._raw, path, of_key=of_key)
        excerpt = place.excerpt if place else None
        return ConfigError(message, where=_where(place, join_path(path)), hint=hint, excerpt=excerpt)

    def _why_unresolved(self, each: names.Unresolved) -> str:
        return each.message(self._table)

    def _near_name(self, each: names.Unresolved) -> str | None:
        values = (name for name, value in self._table.items() if not isinstance(value, Tree))
        return near(each.name, values)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each name of a variable that stands for nothing."""
        by_name: dict[str, list[names.Unresolved]] = {}
        for each in self.unresolved.values():
            by_name.setdefault(each.name, []).append(each)
        return tuple(self._warning(places) for places in by_name.values())

    def _warning(self, places: list[names.Unresolved]) -> str:
        first = self._sentence(places[0])
        more = f"; it stands at {len(places) - 1} more places" if len(places) > 1 else ""
        return f"{first}{more}: what uses it cannot be compiled"

    def _sentence(self, each: names.Unresolved) -> str:
        return str(self._located(each.path, self._why_unresolved(each), self._near_name(each)))

    @cached_property
    def pulses(self) -> PulseLibrary:
        """Return the pulses, by key."""
        from qtrl_spool.sequence import PulseLibrary

        unresolved = {
            join_path(path[1:]): self._sentence(each)
            for path, each in self.unresolved.items()
            if path[0] == "pulses"
        }
        return PulseLibrary(self._document("pulses"), self.variables, unresolved)

    @property
    def variables(self) -> Tree:
        """Return the variables, derived ones included; frequencies in Hz, times in s."""
        return self._document(VARIABLES)

    @property
    def adc(self) -> Tree:
        """Return the document ``adc``: acquisition and processing."""
        return self._document("adc")

    @property
    def dac(self) -> Tree:
        """Return the document ``dac``: the analog outputs."""
        return self._document("dac")

    @property
    def devices(self) -> Tree:
        """Return the document ``devices``: the lab's other instruments."""
        return self._document("devices")

    @property
    def simulator(self) -> Tree:
        """Return the document ``simulator``; empty if there is none."""
        return self._document("simulator")

    def _document(self, name: str) -> Tree:
        return self.effective.get(name, _EMPTY)

    def __getitem__(self, path: str) -> Any:
        return self._effective[path]

    def __contains__(self, path: object) -> bool:
        return path in self._effective

    def __iter__(self) -> Iterator[str]:
        return iter(self.effective)

    def __repr__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        return f"<Configuration{version}: {', '.join(self.documents)}>"

    def get(self, path: str, default: Any = None) -> Any:
        """Return the effective value at `path`, such as ``variables/Q6/freq``, else `default`."""
        return self._effective.get(path, default)

    def keys(self) -> list[str]:
        """Return the names of the documents."""
        return list(self.effective)

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of the documents as written: of their values, not of their layout."""
        documents = (f"{canonical(name)}:{self._canonical[name]}" for name in sorted(self._canonical))
        return hashlib.sha256(f"{{{','.join(documents)}}}".encode()).hexdigest()

    @cached_property
    def _canonical(self) -> dict[str, str]:
        """The canonical text of each document; what a patch left alone is not written again."""
        old = self.default
        return {
            name: old._canonical[name]
            if old is not None and old.documents.get(name) is tree
            else canonical(tree)
            for name, tree in self.documents.items()
        }

    def dump(self) -> str:
        """Return all effective documents as one YAML text."""
        from qtrl_spool.config.edit import dump_documents

        return dump_documents(self._effective)

    def files(self) -> dict[str, str]:
        """Return the default, without what was merged, as YAML files by name: those it was read from."""
        from qtrl_spool.config.edit import dump_yaml

        root = self
        while root.default is not None:
            root = root.default
        return dict(root.texts) or {f"{name}.yaml": dump_yaml(tree) for name, tree in root.documents.items()}

    def at_version(self, version: int) -> Configuration:
        """Return the same configuration under a version's number."""
        new = object.__new__(Configuration)
        new.__dict__.update(self.__dict__)
        new.version = version
        return new


_EMPTY = Tree({})


def _where(place: Any, path: str) -> str:
    return f"{place}: {path}" if place else path


def _derived_ones(
    derived: Mapping[str, names.Derivation], patch: Tree, *, whole: bool
) -> Iterator[PatchError]:
    """Yield an error for each derived variable that a patch says.

    Parameters
    ----------
    derived:
        Before the patch for values (`whole` false), after it for whole new groups, which may hold the
        value that follows.
    """
    patched = patch.get(VARIABLES)
    for path, derivation in derived.items():
        said, is_whole = _said(patched, path)
        if said is None or is_whole != whole or (whole and _close(said, derivation.value)):
            continue
        place = place_of(patch, (VARIABLES, *path.split("/")), of_key=True)
        first = derivation.terms[0][1]
        rest = "".join(f" {'-' if sign > 0 else '+'} {each}" for sign, each in derivation.terms[1:])
        yield PatchError(
            f"it is derived: {derivation.formula}",
            where=_where(place, f"variables/{path}"),
            hint=f"set variables/{first} instead, to the value that you want{rest}",
            excerpt=place.excerpt if place else None,
        )


def _stale_ones(old: Configuration, new: Configuration) -> Iterator[PatchError]:
    """Yield an error for each variable that was derived and would now keep whatever number its file holds."""
    for path, derivation in old.derived.items():
        if path in new.derived or path not in new._plain_variables:
            continue
        gone = [term for _, term in derivation.terms if new._plain_variables.get(term) is None]
        if not gone:
            continue  # it is there but no number: the check of values says so
        yield PatchError(
            f"{path} follows from it ({derivation.formula}) and would keep the old number of its file",
            where=f"variables/{gone[0]}",
            hint="give it a number",
        )


def _said(patch: Any, path: str) -> tuple[Any, bool]:
    """Return what a patch of the variables says at `path`, and whether as part of a whole new mapping."""
    whole = False
    for key in path.split("/"):
        if isinstance(patch, New | Replace):
            patch, whole = patch.value, True
        if not isinstance(patch, Tree) or key not in patch:
            return None, whole
        patch = patch[key]
    return patch, whole


def _close(said: Any, value: float) -> bool:
    return isinstance(said, int | float) and abs(said - value) <= 1e-9 * max(abs(said), abs(value))
