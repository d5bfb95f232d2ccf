"""A bundle and every form that it comes in: ZIP, folder, bare text. Bytes in, bytes out.

`Bundle` is what a client submits. It is checked here only as far as its outside goes (a mapping,
the format, a count of appends); what the sequence means is checked by `SequenceWrapper.from_dict`,
what the patch means by `Configuration.merged`.

Fails: `BundleError` (or `UnfinishedError`, where more bytes may mend it), `ManifestError` for
``job.yaml``, `ConfigError` for YAML that cannot be read; each says in which member.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qtrl_spool.bundle.archive import pack_members, read_members
from qtrl_spool.bundle.limits import Limits, or_raise
from qtrl_spool.bundle.manifest import Manifest
from qtrl_spool.bundle.names import SHORT_LIST, is_ignored, member_of, printable, shown
from qtrl_spool.bundle.patchtext import dump_patch
from qtrl_spool.bundle.strict import canonical_json, decode, parse_json, plain
from qtrl_spool.config.places import Place
from qtrl_spool.config.tree import place_of
from qtrl_spool.errors import BundleError, ConfigError, did_you_mean

FORMAT = "qtrl-sequence/1"

_SECTIONS = {"config", "job"}
_FORMAT_NUMBER = re.compile(r"qtrl-sequence/([0-9]{1,9})")


@dataclass(frozen=True)
class Bundle:
    """What a client submits.

    Attributes
    ----------
    sequence:
        Tree of ``sequence.json``, format ``qtrl-sequence/1``.
    patch:
        Tree of ``config.yaml``, as `parse_yaml` reads it; empty if there is none.
    manifest:
        ``job.yaml``.
    patch_text:
        ``config.yaml`` as its author wrote it, comments and all. It is packed as it is if it still
        says what `patch` says, else `patch` is written anew.
    text:
        The tree that a YAML text was read into, which knows its lines; None for any other form.
    """

    sequence: Mapping[str, Any]
    patch: Mapping[str, Any] = field(default_factory=dict)
    manifest: Manifest = field(default_factory=Manifest)
    patch_text: str | None = field(default=None, compare=False, repr=False)
    text: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def place_of_append(self, number: int) -> Place | None:
        """Return where append `number` stands in the text, or None where that is not known."""
        return None if self.text is None else place_of(self.text, ("appends", number))


def pack(bundle: Bundle) -> bytes:
    """Return the canonical ZIP (``.qjob``) of a bundle: the same bundle, the same bytes.

    Raises
    ------
    BundleError
        If the sequence holds something that JSON cannot.
    """
    members = {"sequence.json": canonical_json(bundle.sequence)}
    patch_text = _patch_text(bundle)
    if patch_text:
        members["config.yaml"] = patch_text.encode()
    members["job.yaml"] = dump_patch(bundle.manifest.to_dict()).encode()
    return pack_members(members)


def unpack(data: bytes, limits: Limits | None = None, where: str = "bundle") -> Bundle:
    """Return the bundle in a ZIP.

    Raises
    ------
    UnfinishedError
        If the ZIP ends too early.
    BundleError, ManifestError, ConfigError
        If it breaks a rule.
    """
    limits = limits or Limits()
    _check_size(len(data), where, "max_bytes", limits.max_bytes)
    return from_members(read_members(data, where, limits), limits, where)


def from_members(members: Mapping[str, bytes], limits: Limits | None = None, where: str = "bundle") -> Bundle:
    """Return the bundle that the files of a folder (or a ZIP) make, given by name.

    Raises
    ------
    BundleError, ManifestError, ConfigError
        If a member is missing, unknown, there in two spellings, or cannot be read.
    """
    limits = limits or Limits()
    names = _roles([name for name in members if not is_ignored(name)], where)
    n_bytes = sum(len(members[name]) for name in names.values())
    _check_size(n_bytes, where, "max_unpacked_bytes", limits.max_unpacked_bytes)
    if "sequence" not in names:
        raise BundleError("the bundle has no sequence.json", where=where, hint=f"it must hold {SHORT_LIST}")
    texts = {role: decode(members[name], f"{where}/{name}") for role, name in names.items()}
    trees = {
        role: _parse(text, names[role], f"{where}/{names[role]}", limits) for role, text in texts.items()
    }
    sequence_at = f"{where}/{names['sequence']}"
    keep_text = "config" in names and _is_yaml(names["config"])
    return Bundle(
        sequence=_checked_sequence(
            trees["sequence"], sequence_at, limits, from_yaml=_is_yaml(names["sequence"])
        ),
        patch=_checked_patch(trees.get("config"), f"{where}/{names.get('config')}"),
        manifest=Manifest.from_dict(trees.get("job"), f"{where}/{names.get('job')}"),
        patch_text=texts["config"] if keep_text else None,
        text=trees["sequence"] if _is_yaml(names["sequence"]) else None,
    )


def from_text(text: str, name: str, limits: Limits | None = None) -> Bundle:
    """Return the bundle in one text: a bare sequence, with optional ``config:`` and ``job:`` at its top.

    Parameters
    ----------
    text:
        JSON if `name` ends with ``.json``, else YAML.
    name:
        Of the file, for the messages.

    Raises
    ------
    UnfinishedError
        If it is JSON that ends too early.
    BundleError, ManifestError, ConfigError
        If it breaks a rule.
    """
    limits = limits or Limits()
    where = printable(name)
    tree = parse_text(text, name, limits)
    if not isinstance(tree, Mapping):
        raise _no_mapping(tree, where)
    sequence = {key: tree[key] for key in tree if key not in _SECTIONS}
    return Bundle(
        sequence=_checked_sequence(sequence, where, limits, from_yaml=_is_yaml(name)),
        patch=_checked_patch(tree.get("config"), f"{where}: config"),
        manifest=Manifest.from_dict(tree.get("job"), f"{where}: job"),
        text=tree if _is_yaml(name) else None,
    )


def parse_text(text: str, name: str, limits: Limits) -> Any:
    """Return the tree of a text: JSON, read strictly, if `name` ends with ``.json``, else YAML.

    Raises
    ------
    BundleError, ConfigError
        If it cannot be read.
    """
    return _parse(text, name, printable(name), limits)


def job_name(bundle: Bundle, file_name: str) -> str:
    """Return the job's name: the manifest's, else the sequence's, else the file's."""
    in_sequence = bundle.sequence.get("name")
    if bundle.manifest.name:
        return bundle.manifest.name
    if isinstance(in_sequence, str) and in_sequence.strip():
        return printable(in_sequence.strip())
    return printable(re.sub(r"\.(qjob|zip|json|ya?ml)\Z", "", file_name, flags=re.IGNORECASE))


def _roles(names: list[str], where: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for name in names:
        role = member_of(name, where)
        if role in roles:
            both = f"{printable(roles[role])!r} and {printable(name)!r}"
            raise BundleError(
                f"the bundle has {both}, two spellings of one member", where=where, hint="keep one"
            )
        roles[role] = name
    return roles


def _is_yaml(name: str) -> bool:
    return not name.casefold().endswith(".json")


def _parse(text: str, name: str, where: str, limits: Limits) -> Any:
    if not _is_yaml(name):
        return parse_json(text, where, limits)
    _check_yaml_size(text, where, limits)
    from qtrl_spool.config import yaml12

    most = yaml12.Limits(
        limits.max_yaml_bytes,
        limits.max_depth,
        limits.max_yaml_bytes,
        if_deep=or_raise("max_depth", "a sequence needs fewer than ten"),
        if_many=or_raise("max_yaml_bytes", "write sweeps as {sweep: …}, and few aliases"),
    )
    return yaml12.parse_yaml(text, where, limits=most)


def _check_size(n_bytes: int, where: str, limit: str, most: int) -> None:
    if n_bytes > most:
        raise BundleError(
            f"the drop has {n_bytes} bytes, more than the {most} that it may have",
            where=where,
            hint=or_raise(limit, "write sweeps as {sweep: …}"),
        )


def _check_yaml_size(text: str, where: str, limits: Limits) -> None:
    if len(text) > limits.max_yaml_bytes:
        raise BundleError(
            f"the YAML has {len(text)} characters, more than the {limits.max_yaml_bytes} that are read",
            where=where,
            hint=or_raise("max_yaml_bytes", "write it as JSON, or submit it from Python"),
        )


def _no_mapping(tree: object, where: str) -> BundleError:
    found = "nothing" if tree is None else f"a {type(tree).__name__}"
    return BundleError(
        f"the sequence must be a mapping, this is {found}",
        where=where,
        hint=f"it begins with 'format: {FORMAT}'",
    )


def _checked_sequence(tree: Any, where: str, limits: Limits, *, from_yaml: bool) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping):
        raise _no_mapping(tree, where)
    sequence: Mapping[str, Any] = plain(tree, where, limits) if from_yaml else tree
    _check_format(sequence, where)
    appends = sequence.get("appends")
    if isinstance(appends, list) and len(appends) > limits.max_appends:
        raise BundleError(
            f"the sequence has {len(appends)} appends, more than the {limits.max_appends} that it may have",
            where=where,
            hint=or_raise("max_appends", "write sweeps as {sweep: …}"),
        )
    return sequence


def _check_format(tree: Mapping[str, Any], where: str) -> None:
    found = tree.get("format")
    if found == FORMAT:
        return
    if found is None:
        hint = did_you_mean("format", tree.keys(), n=1) if "format" not in tree else None
        raise BundleError(
            "the sequence does not say its format", where=where, hint=hint or f"begin with 'format: {FORMAT}'"
        )
    number = _FORMAT_NUMBER.fullmatch(found) if isinstance(found, str) else None
    needed = f"it needs a qtrl-spool that reads {found}: update it" if number else f"write 'format: {FORMAT}'"
    raise BundleError(
        f"the format is {shown(found)}, this qtrl-spool reads {FORMAT!r}", where=where, hint=needed
    )


def _checked_patch(tree: Any, where: str) -> Mapping[str, Any]:
    if tree is None:
        return {}
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"the patch must be a mapping, this is a {type(tree).__name__}",
            where=where,
            hint="such as 'variables: {Q6/freq: 5.41e9}'",
        )
    return tree


def _patch_text(bundle: Bundle) -> str:
    """Return what ``config.yaml`` shall be, empty if there is no patch."""
    from qtrl_spool.config.yaml12 import parse_yaml

    anew = dump_patch(bundle.patch) if bundle.patch else ""
    given = bundle.patch_text
    if not given or not given.strip():
        return anew
    said = parse_yaml(given, "config.yaml")
    return given if (dump_patch(said) if said else "") == anew else anew
