"""The only module that asks the operating system about files.

Owns: atomic replacement, durable renames, appends, listings, safe reading, ownership.
Called by: ``spool``, ``config.store``, ``server``, ``client``.
Fails: every `OSError` of a change becomes a `StorageError` that names the operation and the path;
reading what is not there returns None or an empty list, because on a share a file may vanish
between a look and a read.

A *move* is judged by looking at its target, whatever ``rename`` returned: a network file system
may carry out a rename, lose the reply, and report that the source does not exist. So targets of
moves must be names that nobody else makes.

Known limits: directories cannot be synced on Windows; there a power cut may undo the last renames.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from qtrl_spool import appending
from qtrl_spool.errors import StorageError

if TYPE_CHECKING:
    from qtrl_spool.syncs import Syncs

Durable: TypeAlias = "bool | Syncs"
"""Of a change: synced at once (True), not at all, or with others when they are committed."""

_RETRIES = 5
_LONGEST_BEGINNING = 200
_OPEN_SAFELY = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_GONE = {errno.ENOENT, errno.ENOTDIR}
_NAMELESS = {*_GONE, errno.ELOOP, errno.ENAMETOOLONG}
_REMEDY = {
    errno.ENOSPC: "the storage is full: free some space",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EROFS: "the storage is mounted read-only",
    errno.EACCES: "the permissions do not allow it: see 'qtrl-spool doctor'",
    errno.EPERM: "the permissions do not allow it: see 'qtrl-spool doctor'",
    errno.ESTALE: "the share changed underneath: is it still mounted?",
    errno.ENOTCONN: "the share is not connected: is it still mounted?",
    errno.EIO: "the storage reports an input/output error",
}


@contextlib.contextmanager
def reporting(doing: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError` that names what was being done and to what."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDY.get(error.errno or 0)
        raise StorageError(f"cannot {doing} {path}: {error.strerror or error}", hint=remedy) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    if os.name == "nt":
        return
    with reporting("sync", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_file(descriptor: int, path: Path, durable: Durable) -> None:
    if durable is True:
        os.fsync(descriptor)
    elif durable:
        durable.file(descriptor, path)


def _sync_names(durable: Durable, folder: Path) -> None:
    if durable is True:
        sync_folder(folder)
    elif durable:
        durable.folder(folder)


def write_new(
    path: Path,
    data: bytes,
    *,
    durable: Durable = True,
    mode: int = 0o644,
    meant: Path | None = None,
    is_shared: bool = False,
) -> None:
    """Write a file that must not exist yet, and sync its contents (not its name).

    `meant` is the name that an error tells, if `path` is only a temporary one; with `is_shared` the file has
    that mode whatever the umask takes away.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with reporting("write", meant or path):
        descriptor = os.open(path, flags, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if is_shared and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            _sync_file(file.fileno(), path, durable)


def temporary_name(path: Path, number: int | None = None) -> Path:
    """Return a name beside `path` that no scan takes for a drop, a ticket or a result.

    Nobody else knows it, unless a `number` below 2**32 is given.
    """
    beginning = os.fsencode(path.name)[:_LONGEST_BEGINNING].decode(errors="ignore")
    digits = os.urandom(4).hex() if number is None else f"{number:08x}"
    return path.with_name(f".{beginning}.{digits}.tmp")


def replace(
    path: Path, data: bytes, *, durable: Durable = True, mode: int = 0o644, is_shared: bool = False
) -> None:
    """Make `path` hold `data`: readers see the old file or the new one, never a part."""
    temporary = temporary_name(path)
    try:
        write_new(temporary, data, durable=durable, mode=mode, meant=path, is_shared=is_shared)
        if isinstance(durable, bool):
            put_in_place(temporary, path)
        else:
            durable.rename(temporary, path)
    except StorageError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_names(durable, path.parent)


def replace_if(
    path: Path, data: bytes, beside: Path, may: Callable[[], bool], *, durable: Durable = True
) -> bool:
    """Make `path` hold `data`, unless somebody takes that right away before it is in its place.

    Parameters
    ----------
    path, data:
        The file, and what it shall hold.
    beside:
        Where it lies before: a name that others know, too, who remove it to forbid the rename.
    may:
        Whether we still may, asked when it lies there.
    durable:
        Whether it is synced; with others, the rename comes at their commit, and forbidding it is no error.

    Returns
    -------
    bool
        False if it may not be in place: `may` said so, or what lay beside has gone.
    """
    is_there = False
    try:
        _write_anew(beside, data, durable, path)
        is_there = may() and _was_put(beside, path, durable)
    finally:
        if not is_there:
            with contextlib.suppress(OSError):
                beside.unlink()
    if is_there:
        _sync_names(durable, path.parent)
    return is_there


def _write_anew(beside: Path, data: bytes, durable: Durable, meant: Path) -> None:
    try:
        write_new(beside, data, durable=durable, meant=meant)
    except StorageError as error:
        if not isinstance(error.__cause__, FileExistsError):
            raise
        remove(beside)
        write_new(beside, data, durable=durable, meant=meant)


def _was_put(beside: Path, path: Path, durable: Durable) -> bool:
    if not isinstance(durable, bool):
        durable.rename(beside, path, put=_was_renamed)
        return True
    return _was_renamed(beside, path)


def _was_renamed(beside: Path, path: Path) -> bool:
    with reporting("replace", path):
        try:
            os.replace(beside, path)
        except OSError as error:
            if error.errno not in _GONE or exists(beside):
                raise
            return False
    return True


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a temporary file over `path`; one that nobody else knows and that has gone was renamed."""
    with reporting("replace", path):
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in _GONE or exists(temporary) or not exists(path):
                raise


def replace_by(
    path: Path, write: Callable[[BinaryIO], None], *, durable: Durable = True, into: Path | None = None
) -> None:
    """Make `path` hold what `write` writes into a file: readers see the old file or the new one.

    Parameters
    ----------
    path:
        The file to replace.
    write:
        Called with an empty binary file that it may seek in and read; its `OSError` becomes a
        `StorageError` about `path`, whatever it raises leaves `path` as it was.
    durable:
        Whether it is synced.
    into:
        A file beside `path` that space was reserved with (see `reserve`); else a new temporary one.
    """
    temporary = into or temporary_name(path)
    try:
        with reporting("write", path), open(opened_to_fill(temporary, is_new=into is None), "r+b") as file:
            write(file)
            file.flush()
            _sync_file(file.fileno(), path, durable)
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_names(durable, path.parent)


def opened_to_fill(path: Path, *, is_new: bool) -> int:
    """Open a file to be written and read, and return its descriptor; `is_new` refuses one that is there."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | (os.O_EXCL if is_new else getattr(os, "O_NOFOLLOW", 0)), 0o644)


def in_utf8(text: str) -> bytes:
    r"""Return JSON text as bytes: what is no character (half of a name that is no UTF-8) as ``\udcff``."""
    return text.encode(errors="backslashreplace")


def in_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON, as it is written into files."""
    return in_utf8(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def replace_json(path: Path, document: Mapping[str, Any], *, durable: Durable = True) -> None:
    """Replace `path` by `document` as JSON."""
    replace(path, in_json(document), durable=durable)


def move(source: Path, target: Path, *, durable: Durable = True, folder: int | None = None) -> bool:
    """Rename one file or folder to a name that only this caller makes.

    Parameters
    ----------
    source, target:
        The paths.
    durable:
        Whether both ends are synced.
    folder:
        Descriptor of the folder in which `source` lies, where that folder is somebody else's.

    Returns
    -------
    bool
        True if `target` is there afterwards: the move is ours. False if `source` had surely gone: somebody
        else was first.

    Raises
    ------
    StorageError
        If the rename failed and neither explains it: on a share that is away, nothing has gone.
    """
    try:
        os.rename(source if folder is None else source.name, target, src_dir_fd=folder)
    except OSError as error:
        if not exists(target):
            if error.errno in _GONE and _has_left(folder, source):
                return False
            with reporting(f"move {source} to", target):
                raise
    if durable:
        _sync_names(durable, target.parent)
        if source.parent != target.parent and exists(source.parent):
            _sync_names(durable, source.parent)
    return exists(target)


def _has_left(folder: int | None, path: Path) -> bool:
    """Return whether `path` is surely not in its folder, of which `folder` may be a descriptor."""
    if folder is None:
        return is_gone(path)
    try:
        os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return error.errno == errno.ENOENT
    return False


def is_immovable(error: StorageError) -> bool:
    """Return whether a move failed because the mover may not, or because it would cross file systems."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.EACCES, errno.EPERM, errno.EXDEV}


def mark_of(path: Path) -> str:
    """Return a text that changes when a file is replaced, not when it is moved; "" if it cannot be seen."""
    try:
        at = facts(path)
    except StorageError:
        return ""
    return "" if at is None else f"{at.st_size} {at.st_mtime_ns}"


def create(path: Path, *, durable: Durable = True) -> None:
    """Make an empty file of a durable name, unless there is a file already."""
    with reporting("make", path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644))
    _sync_names(durable, path.parent)


def touched(path: Path) -> bool:
    """Set the time of a file's last change to now; False if there is no such file: no cache tells that."""
    with reporting("touch", path):
        try:
            os.utime(path)
        except PermissionError:  # somebody else's
            return exists(path)
        except OSError as error:
            if error.errno not in {*_GONE, errno.ESTALE}:
                raise
            return False
    return True


def touch(path: Path) -> None:
    """Set the time of a file's last change to now, which needs no room."""
    with reporting("touch", path):
        os.utime(path)


def append_line(path: Path, line: str, *, durable: Durable = True, is_named: bool = False) -> None:
    """Append one line, all of it, or fail and leave the file as it was; a torn line is closed first.

    `is_named` says that the file is there, under a durable name: its folder need not be synced.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with reporting("append to", path):
        descriptor = os.open(path, flags, 0o644)
        with open(descriptor, "r+b", buffering=0) as file:
            added = appending.append(file, in_utf8(line) + b"\n")
            try:
                _sync_file(file.fileno(), path, durable)
            except (OSError, StorageError):
                appending.take_back(file, added)
                raise
    if added.begin == 0 and not is_named:
        _sync_names(durable, path.parent)


def make_folder(folder: Path, *, durable: Durable = True, mode: int | None = None) -> None:
    """Make `folder` and what is missing above it, so that its name survives a power cut."""
    missing = []
    for each in (folder, *folder.parents):
        if exists(each):
            break
        missing.append(each)
    with reporting("make", folder):
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            _sync_names(durable, each.parent)
        if mode is not None:
            folder.chmod(mode)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there; a link is removed, never followed."""
    import shutil

    with reporting("remove", path):
        try:
            if is_real_folder(path):
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return


def exists(path: Path) -> bool:
    """Return whether there is something of that name (a dangling link counts).

    A share that fails says nothing about the file: `StorageError`.
    """
    return facts(path) is not None


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder, or a link to one; a share that fails is a `StorageError`."""
    return _is(stat.S_ISDIR, path)


def is_real_folder(path: Path) -> bool:
    """Return whether `path` is itself a folder, no link; a share that fails is a `StorageError`."""
    found = facts(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(path: Path) -> bool:
    """Return whether `path` is a regular file, or a link to one; a share that fails is a `StorageError`."""
    return _is(stat.S_ISREG, path)


def _is(kind: Callable[[int], bool], path: Path) -> bool:
    found = _looked(os.stat, path)
    return found is not None and kind(found.st_mode)


def is_gone(path: Path) -> bool:
    """Return whether `path` is surely not there: its folder is, and it is not in it.

    A share that fails or vanishes says nothing about the file: False.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return _is_surely_folder(path.parent)
    except OSError:
        return False
    return False


def _is_surely_folder(path: Path) -> bool:
    try:
        return is_folder(path)
    except StorageError:
        return False


def names(folder: Path) -> list[str]:
    """Return the names in `folder`, sorted; none if it is not there."""
    return sorted(listed(folder))


def listed(folder: Path) -> list[str]:
    """Return the names in `folder` as they come; none if it is not there."""
    for attempt in range(_RETRIES):
        try:
            return os.listdir(folder)
        except OSError as error:
            if error.errno in _GONE:
                return []
            if error.errno != errno.ESTALE or attempt == _RETRIES - 1:
                with reporting("list", folder):
                    raise
    return []


def folders(folder: Path) -> list[str]:
    """Return the names of the real folders in `folder`, sorted; links to folders are left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    except OSError:
        with reporting("list", folder):
            raise


def read(path: Path, *, limit: int | None = None) -> bytes | None:
    """Return the bytes of a regular file, or None if there is none.

    A link, a FIFO or a device is nothing to read: None. A file larger than `limit` is a `StorageError`.
    On a share a file that is being replaced may be stale for a moment: it is tried again.
    """
    for attempt in range(_RETRIES):
        try:
            return _read_once(path, limit)
        except OSError as error:
            if error.errno in {*_GONE, errno.ELOOP}:
                return None
            if error.errno != errno.ESTALE or attempt == _RETRIES - 1:
                with reporting("read", path):
                    raise
    return None


def _read_once(path: Path, limit: int | None) -> bytes | None:
    descriptor = os.open(path, _OPEN_SAFELY)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        if limit is not None and facts.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes")
        return file.read() if limit is None else file.read(limit + 1)[:limit]


def head(path: Path, n_bytes: int) -> tuple[bytes, int] | None:
    """Return the first bytes of a regular file, and its size in bytes; None if there is none."""
    with reporting("read", path):
        try:
            with open(os.open(path, _OPEN_SAFELY), "rb", buffering=0) as file:
                facts = os.fstat(file.fileno())
                return (file.read(n_bytes), facts.st_size) if stat.S_ISREG(facts.st_mode) else None
        except OSError as error:
            if error.errno in {*_GONE, errno.ELOOP}:
                return None
            raise


def read_text(path: Path, *, limit: int | None = None) -> str | None:
    """Return the text of a regular file (UTF-8), or None if there is none."""
    data = read(path, limit=limit)
    return None if data is None else data.decode("utf-8-sig")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object that a file holds; None if there is no such file, or no object in it."""
    data = read(path)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def facts(path: Path) -> os.stat_result | None:
    """Return what is known of `path` itself (a link is not followed), or None if it is not there.

    A share that fails says nothing about the file: `StorageError`.
    """
    return _looked(os.lstat, path)


def _looked(look: Callable[[Path], os.stat_result], path: Path) -> os.stat_result | None:
    with reporting("look at", path):
        try:
            return look(path)
        except OSError as error:
            if error.errno in _NAMELESS:
                return None
            raise


def free_bytes(folder: Path) -> int:
    """Return how many bytes the storage of `folder` has left."""
    import shutil

    with reporting("ask for the free space of", folder):
        return shutil.disk_usage(folder).free
