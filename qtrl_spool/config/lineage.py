"""Where an effective value comes from: the default at a version, a patch, a variable, a derivation.

Called by: ``config show PATH --why``.
Fails: `UnknownPathError` if the path is not there.

Known limits: which version a value of the default is from is read from the log, whose entries name
what changed as written; a value that is nobody's since the first version is the first version's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qtrl_spool.config.configuration import VARIABLES, Configuration
from qtrl_spool.config.tree import (
    New,
    Path,
    Replace,
    Tree,
    is_missing,
    join_path,
    place_of,
    plain,
    split_path,
    step,
)

Log = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Origin:
    """How one value came about.

    Attributes
    ----------
    path, value:
        The value, as it counts.
    kind:
        ``default``, ``patch``, ``variable`` or ``derived``.
    formula:
        What a derived value follows from, or the name of the variable.
    version:
        Of the default, for ``default``.
    since:
        The entry of the log that made it so: version, who, when, why, and job, if one found it.
    place:
        Where it was read, such as ``pulses.yaml:9:12``.
    sources:
        The variables that it follows from.
    """

    path: str
    value: Any
    kind: str
    formula: str | None = None
    version: int | None = None
    since: Mapping[str, Any] | None = None
    place: str | None = None
    sources: tuple[Origin, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as plain data, what is not there left out."""
        facts = {
            "path": self.path,
            "value": plain(self.value),
            "from": self.kind,
            "formula": self.formula,
            "version": self.version,
            "since": None if self.since is None else dict(self.since),
            "place": self.place,
        }
        sources = {"sources": [each.record() for each in self.sources]} if self.sources else {}
        return {name: fact for name, fact in facts.items() if fact is not None or name == "value"} | sources

    def lines(self) -> list[str]:
        """Return it in words, the value itself first, what it follows from indented below."""
        below = [f"  {line}" for source in self.sources for line in source.lines()]
        return [f"{self.path} = {_shown(self.value)}: {self._story()}", *below]

    def _story(self) -> str:
        if self.kind == "derived":
            return f"derived, {self.formula}"
        if self.kind == "variable":
            return f"the variable {self.formula}"
        version = "" if self.version is None else f" at version {self.version}"
        head = "the patch" if self.kind == "patch" else f"the default{version}"
        return ", ".join([head, *self._since(), *([self.place] if self.place else [])])

    def _since(self) -> list[str]:
        if self.since is None:
            return []
        found = f", found by job {self.since['job']}" if self.since.get("job") else ""
        return [f"since version {self.since['version']} by {self.since['who']} ({self.since['why']}){found}"]


def origins(configuration: Configuration, path: str, log: Log = ()) -> list[Origin]:
    """Return how the value at `path` came about, or each value below it.

    Parameters
    ----------
    configuration:
        The default, or a job's effective configuration.
    path:
        Such as ``variables/Q6/mod_freq`` or ``pulses/Q6/180/0/freq``; or that of a mapping.
    log:
        Of the store, to say since when the default has a value.
    """
    path = path.strip("/")
    return [_origin(configuration, each, log) for each in _values(configuration[path], path)]


def _values(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every value; a list is one unless it holds mappings."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _values(below, f"{path}/{key}")
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, below in enumerate(value):
            yield from _values(below, f"{path}/{index}")
    else:
        yield path


def _origin(configuration: Configuration, path: str, log: Log) -> Origin:
    value = configuration[path]
    document, _, name = path.partition("/")
    derivation = configuration.derived.get(name) if document == VARIABLES else None
    if derivation is not None:
        sources = tuple(_origin(configuration, f"{VARIABLES}/{term}", log) for _, term in derivation.terms)
        return Origin(path, value, "derived", derivation.formula, sources=sources)
    variable = None if document == VARIABLES else _variable(configuration, split_path(path))
    if variable is not None:
        sources = (_origin(configuration, f"{VARIABLES}/{variable}", log),)
        return Origin(path, value, "variable", variable, sources=sources)
    return _written(configuration, path, value, log)


def _variable(configuration: Configuration, path: Path) -> str | None:
    """Return the path in the variables that `path` of another document stands for, or None."""
    tree: Any = configuration.documents.get(str(path[0]))
    for n, key in enumerate(path[1:], start=2):
        tree = step(tree, key)
        if isinstance(tree, str) and f"{VARIABLES}/{tree}" in configuration:
            return join_path((tree, *path[n:]))
    return None


def _written(configuration: Configuration, path: str, value: Any, log: Log) -> Origin:
    parts = split_path(path)
    found = place_of(configuration.documents.get(str(parts[0])), parts[1:])
    place = str(found) if found else None
    if _is_said(configuration.patch, parts):
        return Origin(path, value, "patch", place=place)
    since = _since(path, configuration.version, log)
    return Origin(path, value, "default", version=configuration.version, since=since, place=place)


def _since(path: str, version: int | None, log: Log) -> dict[str, Any] | None:
    """Return the newest entry of the log, up to a version, that changed the value at `path`."""
    if version is None:
        return None
    entries = [each for each in log if each.get("version") and each["version"] <= version]
    changed = [each for each in entries if any(_holds(change, path) for change in each.get("changes", ()))]
    entry = (changed or entries[:1])[-1:]
    names = ("version", "who", "when", "why", "job")
    return {name: entry[0][name] for name in names if name in entry[0]} if entry else None


def _holds(change: Mapping[str, Any], path: str) -> bool:
    return f"{path}/".startswith(f"{change['path']}/")


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
