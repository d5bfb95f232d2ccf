"""A change of a job that waits: other values in its patch and its manifest, never another sequence.

`changed` makes the bundle that a request for an edit asks for; `told` says in words what differs. Pure.
Called by ``server.editing``, and by the client for a job that is submitted again.

Fails: `ManifestError`, `ConfigError` for what cannot be; `UsageError` for a change that makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from qtrl_spool.bundle.forms import Bundle
from qtrl_spool.bundle.manifest import Manifest
from qtrl_spool.bundle.names import printable, shown
from qtrl_spool.errors import ConfigError, ManifestError, UnknownPathError, UsageError, did_you_mean

FIXED = {"hold": "use 'qtrl-spool hold' and 'release'", "user": "the label stays as it was submitted"}
"""Keys of the manifest that an edit cannot change, and what to do instead."""
_MOST_TOLD = 20


@dataclass(frozen=True)
class Change:
    """What an edit asks for.

    Attributes
    ----------
    set:
        A patch, laid over the bundle's own.
    unset:
        Paths that are taken out of the bundle's patch.
    manifest:
        Keys of ``job.yaml`` with their new values; null means as if the key were not there.
    patch:
        The whole text of ``config.yaml``, in the place of the old one; then neither `set` nor `unset`.
    """

    set: Mapping[Any, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    patch: str | None = None

    def __post_init__(self) -> None:
        if self.patch is not None and (self.set or self.unset):
            raise UsageError("an edit gives the whole patch, or what to set and unset", hint="not both")

    @classmethod
    def from_request(cls, tree: Mapping[str, Any]) -> Change:
        """Return what the keys ``set``, ``unset``, ``manifest`` and ``patch`` of a request ask for."""
        change, paths = tree.get("set") or {}, tree.get("unset") or ()
        paths = (paths,) if isinstance(paths, str) else paths
        manifest, patch = tree.get("manifest") or {}, tree.get("patch")
        if not isinstance(change, Mapping):
            raise UsageError("set is no patch", hint="write {edit: JOB, set: {variables/Q6/freq: 5.41e9}}")
        if not isinstance(paths, list | tuple) or not all(isinstance(each, str) for each in paths):
            raise UsageError(
                "unset is no list of paths", hint="write {edit: JOB, unset: [variables/Q6/freq]}"
            )
        if not isinstance(manifest, Mapping):
            raise UsageError("manifest is no mapping", hint="write {edit: JOB, manifest: {n_reps: 500}}")
        if patch is not None and not isinstance(patch, str):
            raise UsageError(
                "patch is no text", hint="it is the whole text of config.yaml; 'set' takes values"
            )
        return cls(change, tuple(paths), dict(manifest), patch)


def changed(bundle: Bundle, change: Change) -> Bundle:
    """Return a bundle with a change made; what it does not name stays as it is.

    Raises
    ------
    ManifestError, ConfigError
        If a value cannot be.
    UnknownPathError
        If what shall be taken out is not there.
    """
    return replace(_repatched(bundle, change), manifest=_remade(bundle.manifest, change.manifest))


def _repatched(bundle: Bundle, change: Change) -> Bundle:
    from qtrl_spool.config.merge import parse_patch
    from qtrl_spool.config.patches import stacked, without_places
    from qtrl_spool.config.yaml12 import parse_yaml

    if change.patch is not None:
        tree = parse_yaml(change.patch, "config.yaml")
        if tree is not None and not isinstance(tree, Mapping):
            raise ConfigError("the patch must be a mapping", where="config.yaml", hint="variables: {…}")
        return replace(bundle, patch=tree or {}, patch_text=change.patch)
    if not change.set and not change.unset:
        return bundle
    patch = parse_patch(bundle.patch)
    for path in change.unset:
        patch = _without(patch, path)
    return replace(bundle, patch=stacked(patch, without_places(change.set)))


def _without(patch: Any, path: str) -> Any:
    """Return a patch without what it says of a path, and without what is empty then."""
    from qtrl_spool.config.merge import without
    from qtrl_spool.config.tree import find, is_missing, join_path, leaves, split_path

    parts = split_path(path.strip("/"))
    if is_missing(find(patch, parts)):
        known = [join_path(each) for each, _ in leaves(patch)]
        hint = did_you_mean(path, known) or f"it says {', '.join(known[:8]) or 'nothing'}"
        raise UnknownPathError(f"the job's patch says nothing of {shown(path)}", hint=hint)
    patch = without(patch, parts)
    for n in range(len(parts) - 1, 0, -1):
        if find(patch, parts[:n]) == {}:
            patch = without(patch, parts[:n])
    return patch


def _remade(manifest: Manifest, changes: Mapping[str, Any]) -> Manifest:
    for key in changes:
        if key in FIXED:
            raise ManifestError(f"an edit cannot change {key!r}", where="job.yaml", hint=FIXED[key])
    kept = {key: value for key, value in manifest.to_dict().items() if key not in changes}
    return Manifest.from_dict({**kept, **changes})


def told(old: Bundle, new: Bundle) -> list[str]:
    """Return in words what differs, one value each, at most 20."""
    from qtrl_spool.config.merge import changes, parse_patch
    from qtrl_spool.config.tree import Delete, join_path

    said = [
        f"{each.name}: {_value(before)} → {_value(after)}"
        for each in fields(Manifest)
        if (before := getattr(old.manifest, each.name)) != (after := getattr(new.manifest, each.name))
    ]
    for path, before, after in changes(parse_patch(old.patch), parse_patch(new.patch)):
        sides = ("nothing" if isinstance(side, Delete) else _value(side) for side in (before, after))
        said.append(f"{join_path(path)}: {' → '.join(sides)}")
    return _first(said)


def _value(value: Any) -> str:
    if value is None or value == ():
        return "nothing"
    return printable(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _first(said: Iterable[str]) -> list[str]:
    listed = list(said)
    more = len(listed) - _MOST_TOLD
    return [*listed[:_MOST_TOLD], f"and {more} more"] if more > 0 else listed
