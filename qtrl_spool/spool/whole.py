"""Reads a drop that is whole (or says why it is none): file or folder in, `Whole` out.

Called by ``spool.drops`` when it thinks that all has arrived, by the server after it has renamed a
drop out of ``incoming/``, and by ``submit`` and ``check``. Nothing here waits or remembers.

Fails: `UnfinishedError` where more bytes may mend it, another `SubmitterError` where not, `OSError`
from the storage (`take` and `read_drop`: `StorageError`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qtrl_spool import fs
from qtrl_spool.bundle import Bundle, Limits, from_members, from_text, unpack
from qtrl_spool.bundle.limits import or_raise
from qtrl_spool.bundle.names import SHORT_LIST, is_ignored, is_member, member_of, printable
from qtrl_spool.bundle.strict import decode
from qtrl_spool.errors import BundleError, NotFoundError, UnfinishedError
from qtrl_spool.spool.untrusted import ChangedError, OpenFile, OpenFolder, kind_of, opened, opened_folder

_KINDS = {".qjob": "zip", ".zip": "zip", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}

Entries = Mapping[str, os.stat_result]


@dataclass(frozen=True)
class Whole:
    """A drop that has arrived and is a bundle.

    Attributes
    ----------
    bundle:
        What it says.
    sha256:
        Of its bytes, hexadecimal; of a folder, of its members' names and bytes.
    kind:
        ``zip``, ``json``, ``yaml`` or ``folder``.
    uid:
        Number of the user who owns it.
    """

    bundle: Bundle
    sha256: str
    kind: str
    uid: int


def take(
    path: Path,
    limits: Limits | None = None,
    *,
    name: str | None = None,
    by_server: bool = True,
    known: Whole | None = None,
) -> Whole:
    """Return what a whole drop says, without waiting for anything.

    Parameters
    ----------
    path:
        Where it lies now.
    limits:
        What it may hold.
    name:
        The name that it was dropped under, if it was renamed since.
    by_server:
        Whether the server reads a drop, or a user something of his own: the remedy for what cannot be
        read is another, and his own files may have several names.
    known:
        What it said when it was looked at before: it is read again, and not taken apart again if it holds
        the same bytes.

    Raises
    ------
    NotFoundError
        If there is nothing.
    SubmitterError
        If it is no bundle.
    StorageError
        If the storage fails.
    """
    name = name or path.name
    facts = fs.facts(path)
    if facts is None:
        raise NotFoundError(f"there is nothing at {path}", hint="check the path")
    try:
        how = _How(limits or Limits(), name, by_server, known)
        return _take(path, facts.st_mode, how)
    except PermissionError as error:
        raise (unreadable(printable(name)) if by_server else _unreadable_to_you(path)) from error
    except OSError:
        with fs.reporting("read", path):
            raise


def read_drop(path: Path | str, limits: Limits | None = None) -> Bundle:
    """Return the bundle in a file or folder of one's own (a link to it will do), in any form of a drop.

    Raises
    ------
    NotFoundError
        If there is nothing.
    SubmitterError
        If it is no bundle.
    StorageError
        If the storage fails.
    """
    return take(Path(path).expanduser().resolve(), limits, by_server=False).bundle


@dataclass(frozen=True)
class _How:
    """How a drop is to be read."""

    limits: Limits
    name: str
    by_server: bool
    known: Whole | None


def _take(path: Path, mode: int, how: _How) -> Whole:
    check_kind(mode, printable(how.name))
    if stat.S_ISDIR(mode):
        with opened_folder(path) as folder:
            entries = folder.entries(how.limits.max_members)
            return read_folder(folder, entries, how.limits, how.name, single=how.by_server, known=how.known)
    kind = kind_by_name(how.name)
    with opened(path) as file:
        check_size(file.size, how.limits.max_bytes, printable(how.name))
        return read_file(file, kind, how.limits, how.name, single=how.by_server, known=how.known)


def read_file(
    file: OpenFile, kind: str, limits: Limits, name: str, *, single: bool = False, known: Whole | None = None
) -> Whole:
    """Return what the drop in one file says.

    Parameters
    ----------
    file:
        The file.
    kind:
        ``zip``, ``json`` or ``yaml``.
    limits, name:
        What it may hold; what it is called.
    single:
        Whether a file with another name elsewhere is refused.
    known:
        What the same bytes said before, if they are the same.
    """
    where = printable(name)
    if single:
        check_single(file.facts, where)
    data = file.read(limits.max_bytes)
    sha256 = hashlib.sha256(data).hexdigest()
    if known is not None and (known.sha256, known.kind) == (sha256, kind):
        return replace(known, uid=file.facts.st_uid)
    bundle = unpack(data, limits, where) if kind == "zip" else from_text(decode(data, where), name, limits)
    return Whole(bundle, sha256, kind, file.facts.st_uid)


def read_folder(
    folder: OpenFolder,
    entries: Entries,
    limits: Limits,
    name: str,
    *,
    single: bool = False,
    known: Whole | None = None,
) -> Whole:
    """Return what the drop in a folder says, whose `entries` were seen before; see `read_file`.

    Raises
    ------
    ChangedError
        If one of them is not as it was seen.
    UnfinishedError
        If there is no sequence in it, yet.
    """
    where = printable(name)
    members = _members(entries, limits, where)
    contents = {}
    digest = hashlib.sha256()
    for each, seen in members.items():
        with folder.file(each) as file:
            if single:
                check_single(file.facts, f"{where}/{printable(each)}")
            if (file.size, file.facts.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
                raise ChangedError(each)
            contents[each] = file.read(limits.max_bytes)
        digest.update(each.encode() + b"\0" + hashlib.sha256(contents[each]).digest())
    sha256 = digest.hexdigest()
    if known is not None and (known.sha256, known.kind) == (sha256, "folder"):
        return replace(known, uid=folder.facts.st_uid)
    bundle = from_members(contents, limits, where)
    return Whole(bundle, sha256, "folder", folder.facts.st_uid)


def _members(entries: Entries, limits: Limits, where: str) -> Entries:
    """Return those entries of a folder that make the bundle, checked as far as their looks go."""
    if len(entries) > limits.max_members:
        raise BundleError(
            f"the folder holds more than {limits.max_members} files",
            where=where,
            hint=or_raise("max_members", "a bundle is one job: drop one folder for each"),
        )
    members = {name: facts for name, facts in entries.items() if not is_ignored(name)}
    for name, facts in members.items():
        if not stat.S_ISREG(facts.st_mode):
            raise BundleError(
                f"the folder holds {printable(name)!r}, {kind_of(facts.st_mode)}",
                where=where,
                hint=f"a bundle holds only the files {SHORT_LIST}",
            )
    roles = _roles(members, where)
    check_size(sum(facts.st_size for facts in members.values()), limits.max_bytes, where)
    if "sequence" not in roles:
        raise UnfinishedError(
            "the folder has no sequence.json",
            where=where,
            hint=f"it must hold {SHORT_LIST}; {_perhaps_a_priority(where)}",
        )
    return members


def _roles(members: Entries, where: str) -> set[str]:
    """Return the roles of a folder's files; if none has one, it may be meant as something else."""
    try:
        return {member_of(name, where) for name in members}
    except BundleError as error:
        if any(map(is_member, members)):
            raise
        raise BundleError(
            error.message, where=where, hint=f"{error.hint}; {_perhaps_a_priority(where)}"
        ) from error


def _perhaps_a_priority(where: str) -> str:
    return f"or is this meant as a priority? a priority's directory is called <number>-{where}"


def kind_by_name(name: str) -> str:
    """Return ``zip``, ``json`` or ``yaml``, by the end of a file's name.

    Raises
    ------
    BundleError
        If no drop is called so.
    """
    kind = _KINDS.get(Path(name).suffix.casefold())
    if kind is None:
        raise BundleError(
            f"nothing that may be dropped is called {printable(name)!r}",
            where=printable(name),
            hint="drop *.qjob, *.json, *.yaml, or a folder",
        )
    return kind


def check_kind(mode: int, where: str) -> None:
    """Refuse what is neither a file nor a folder: it is neither opened nor followed."""
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BundleError(
            f"this is {kind_of(mode)}, only files and folders may be dropped",
            where=where,
            hint="copy the file itself" if stat.S_ISLNK(mode) else "put a regular file there",
        )


def check_size(n_bytes: int, most: int, where: str, limit: str = "max_bytes") -> None:
    """Refuse what is too large to be read, with the name of the limit."""
    if n_bytes > most:
        raise BundleError(
            f"the drop has {n_bytes} bytes, more than the {most} that it may have",
            where=where,
            hint=or_raise(limit, "write less; sweeps as {sweep: …}"),
        )


def check_single(facts: os.stat_result, where: str) -> None:
    """Refuse a file that has another name: it may be somebody else's, who did not mean to drop it."""
    if facts.st_nlink > 1:
        raise BundleError(
            "the file has another name elsewhere: it is a hard link",
            where=where,
            hint="drop a copy of it (cp, not ln)",
        )


def _unreadable_to_you(path: Path) -> BundleError:
    return BundleError(
        "you may not read it",
        where=str(path),
        hint="make it readable (chmod -R u+rX), or copy it as its owner",
    )


def unreadable(where: str) -> BundleError:
    """Return the error for what the server may move but not read."""
    return BundleError(
        "the server may not read it",
        where=where,
        hint="make it readable (chmod -R g+rX) and drop it again, or use 'qtrl-spool submit'",
    )
