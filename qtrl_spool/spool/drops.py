"""What lies in the drop boxes: is it a drop, has all of it arrived, and what does it say?

`look` answers for one path of ``incoming/<priority>/``, `look_text` for one of ``requests/``; both
are called again and again, with a `Stillness` that remembers since when the observer saw no change
(by the observer's own monotonic clock; times of files are compared, never subtracted). A drop is taken

* as a ZIP, when its central directory ends the file and every checksum fits;
* as JSON, when its last bracket is closed;
* as YAML, when it ends with ``...`` or as a closed ``{…}``, else after `settle_s` without a change;
* as a folder, after `settle_s` without a change of it and of its files: that one member is whole does
  not tell that no other one follows;
* any of them at once, if it was seen to be renamed in.

What ends too early, or may not be read, is given up after `abandoned_s` without a change; what is wrong,
whatever may follow, after `settle_s`. `take` and `read_drop` (from ``spool.whole``) read without waiting.

Fails: what is wrong with a drop is returned as `Bad`, never raised; trouble of the storage is a
`StorageError`.

Known limits: a copy of loose YAML or of a folder that stalls for longer than `settle_s` cannot be told
from its end. Where a file system does not count the names of a file (sshfs), a hard link to somebody else's
file counts as that user's drop.
"""

from __future__ import annotations

import errno
import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qtrl_spool import fs
from qtrl_spool.bundle import Limits
from qtrl_spool.bundle.archive import is_complete, may_be_zip
from qtrl_spool.bundle.forms import parse_text
from qtrl_spool.bundle.names import is_arriving, is_ignored, printable
from qtrl_spool.bundle.strict import decode
from qtrl_spool.errors import BundleError, StorageError, UnfinishedError
from qtrl_spool.spool.stillness import Bad, Ignored, Incomplete, Stillness, Watch, changing
from qtrl_spool.spool.untrusted import OpenFile, OpenFolder
from qtrl_spool.spool.whole import (
    Whole,
    check_kind,
    check_size,
    kind_by_name,
    read_drop,
    read_file,
    read_folder,
    take,
    unreadable,
)

__all__ = [
    "Bad",
    "Ignored",
    "Incomplete",
    "Stillness",
    "Text",
    "Whole",
    "has_changed",
    "is_ignored",
    "look",
    "look_text",
    "read_drop",
    "take",
]

_DOCUMENT_END = re.compile(rb"(?:\A|[\r\n])\.\.\.[ \t]*[\r\n]*\Z")
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO, errno.EISDIR}
_NOT_STILL = "its end cannot be seen, and it has not stood still yet"
_NOT_READABLE = "the server may not read it yet: make it readable (chmod -R g+rX)"
_BLANK = b" \t\r\n"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Text:
    """A request that has arrived: what it says, its text, the SHA-256 of its bytes, its owner's number."""

    tree: Any
    text: str
    sha256: str
    uid: int


def look(
    path: Path,
    stillness: Stillness,
    *,
    now: float,
    limits: Limits,
    settle_s: float,
    abandoned_s: float,
    renamed: bool = False,
    box: OpenFolder | None = None,
) -> Ignored | Incomplete | Whole | Bad:
    """Say what `path`, in a drop box, is at this moment.

    Parameters
    ----------
    path:
        What lies in ``incoming/<priority>/``.
    stillness:
        The observer's memory; this look is added to it.
    now:
        The observer's monotonic time, in s.
    limits:
        What a drop may hold.
    settle_s, abandoned_s:
        Patience with loose text and with incomplete files, in s.
    renamed:
        True if it was seen to be renamed in, hence whole.
    box:
        The folder that it lies in, open; without, it is opened by its path.

    Raises
    ------
    StorageError
        If the storage fails.
    """
    watch = Watch(path, stillness, now, limits, 0.0 if renamed else settle_s, abandoned_s, box)
    return _guarded(watch, _look)


def look_text(
    path: Path,
    stillness: Stillness,
    *,
    now: float,
    limits: Limits,
    settle_s: float,
    abandoned_s: float,
    renamed: bool = False,
) -> Ignored | Incomplete | Text | Bad:
    """Say what `path`, in ``requests/``, is at this moment: as `look`, for a small YAML or JSON text.

    Raises
    ------
    StorageError
        If the storage fails.
    """
    patience = (0.0, 0.0) if renamed else (settle_s, abandoned_s)
    watch = Watch(path, stillness, now, limits, *patience)
    return _guarded(watch, _look_text)


def has_changed(error: StorageError) -> bool:
    """Return whether a drop could not be read because it has gone, or is another thing than it was."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _CHANGED


def _guarded(watch: Watch, looking: Callable[[Watch, int], _T]) -> _T | Ignored | Incomplete | Bad:
    """Look, and turn what the system says into an answer."""
    if is_ignored(watch.path.name):
        return Ignored("a temporary or system file")
    facts = watch.facts()
    if facts is None:
        watch.stillness.forget(watch.path)
        return Ignored("it has gone")
    try:
        check_kind(facts.st_mode, watch.where)
        return looking(watch, facts.st_mode)
    except BundleError as error:
        return Bad(error)
    except PermissionError:
        age = watch.age(facts.st_size, facts.st_mtime_ns, facts.st_mode, facts.st_uid, facts.st_gid)
        if age < watch.abandoned_s:
            return watch.wait(watch.abandoned_s, age, _NOT_READABLE)
        return Bad(unreadable(watch.where))
    except OSError as error:
        if error.errno in _CHANGED:
            return changing()
        with fs.reporting("read", watch.path):
            raise


def _look(watch: Watch, mode: int) -> Incomplete | Whole | Bad:
    if stat.S_ISDIR(mode):
        with watch.opened_folder() as folder:
            return _look_folder(watch, folder)
    name = watch.path.name
    with watch.opened() as file:
        age = watch.age(*file.fingerprint)
        check_size(file.size, watch.limits.max_bytes, watch.where)
        error = _looks_wrong(file, watch.where) or _is_no_drop(file, watch.where)
        if error is not None:
            return watch.refuse(age, error)
        kind = kind_by_name(name)
        if age < watch.settle_s and not _ends(file, kind):
            return watch.wait(watch.settle_s, age, _NOT_STILL)
        return watch.attempt(age, lambda: read_file(file, kind, watch.limits, name, single=True))


def _look_text(watch: Watch, mode: int) -> Incomplete | Text | Bad:
    if stat.S_ISDIR(mode):
        raise BundleError(
            "this is a folder, a request is a file", where=watch.where, hint="write {cancel: JOB}"
        )
    with watch.opened() as file:
        age = watch.age(*file.fingerprint)
        check_size(file.size, watch.limits.max_request_bytes, watch.where, "max_request_bytes")
        _check_own(file, watch.where)
        error = _looks_wrong(file, watch.where)
        if error is not None:
            return watch.refuse(age, error)
        kind = "json" if file.name.casefold().endswith(".json") else "yaml"
        if age < watch.settle_s and not _ends(file, kind):
            return watch.wait(watch.settle_s, age, _NOT_STILL)
        return watch.attempt(age, lambda: _request(watch, file))


def _check_own(file: OpenFile, where: str) -> None:
    """Refuse a second name of a file: its owner may not have meant it as a request, or not once more."""
    n_names = file.facts.st_nlink
    if n_names > 1:
        raise BundleError(
            f"the file has {n_names} names, so nobody knows whose request it is",
            where=where,
            hint="write it anew, do not link it",
        )


def _request(watch: Watch, file: OpenFile) -> Text:
    data = file.read(watch.limits.max_request_bytes)
    text = decode(data, watch.where)
    tree = parse_text(text, watch.path.name, watch.limits)
    return Text(tree, text, hashlib.sha256(data).hexdigest(), file.facts.st_uid)


def _looks_wrong(file: OpenFile, where: str) -> BundleError | None:
    """Return what the two ends of a file show to be wrong with it, whatever it is."""
    if (file.head + file.tail).strip(_BLANK + b"\0"):
        return None
    what = "the file holds only zeros" if b"\0" in file.tail else "the file is empty"
    return UnfinishedError(what, where=where, hint="copy it again")


def _is_no_drop(file: OpenFile, where: str) -> BundleError | None:
    """Return why a file is no drop, or no whole ZIP, as far as its name and its ends show."""
    try:
        kind = kind_by_name(file.name)
    except BundleError as error:
        return error
    if kind == "zip" and file.head.startswith(b"\0"):
        return UnfinishedError("the ZIP's first bytes are not there yet", where=where, hint="copy it again")
    if kind == "zip" and not may_be_zip(file.head):
        hint = "pack it with 'qtrl-spool submit'; a text is called *.json or *.yaml"
        return BundleError("this is no ZIP", where=where, hint=hint)
    if kind == "zip" and not is_complete(file.tail, file.size):
        return UnfinishedError("the ZIP has no central directory yet", where=where, hint="copy it again")
    return None


def _ends(file: OpenFile, kind: str) -> bool:
    """Return whether the last bytes can be the end of what they belong to."""
    if kind == "zip":
        return True
    closed = file.tail.rstrip(_BLANK).endswith(b"}")
    if kind == "json":
        return closed
    is_flow = file.head.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK).startswith(b"{")
    return (is_flow and closed) or _DOCUMENT_END.search(file.tail) is not None


def _look_folder(watch: Watch, folder: OpenFolder) -> Incomplete | Whole | Bad:
    entries, name = folder.entries(watch.limits.max_members), watch.path.name
    seen = ((name, facts.st_size, facts.st_mtime_ns) for name, facts in entries.items())
    age = watch.age(folder.facts.st_mtime_ns, *seen)
    if age < watch.settle_s:
        return watch.wait(watch.settle_s, age, "the folder has not stood still yet")
    arriving = next((each for each in entries if is_arriving(each)), None)
    if arriving:
        story = f"the file {printable(arriving)!r} in it is still on its way"
        return watch.refuse(age, UnfinishedError(story, where=watch.where, hint="copy the folder again"))
    return watch.attempt(age, lambda: read_folder(folder, entries, watch.limits, name, single=True))
