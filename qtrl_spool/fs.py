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
import functools
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from qtrl_spool.errors import StorageError

_RETRIES = 5
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


def write_new(
    path: Path, data: bytes, *, durable: bool = True, mode: int = 0o644, meant: Path | None = None
) -> None:
    """Write a file that must not exist yet, and sync its contents (not its name).

    `meant` is the name that an error tells, if `path` is only a temporary one.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with reporting("write", meant or path):
        descriptor = os.open(path, flags, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that no scan takes for a drop, a ticket or a result."""
    return path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}.tmp")


def replace(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o644) -> None:
    """Make `path` hold `data`: readers see the old file or the new one, never a part."""
    temporary = temporary_name(path)
    try:
        write_new(temporary, data, durable=durable, mode=mode, meant=path)
        _put_in_place(temporary, path)
    except StorageError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a temporary file over `path`; one that nobody else knows and that has gone was renamed."""
    with reporting("replace", path):
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in _GONE or exists(temporary) or not exists(path):
                raise


def replace_by(
    path: Path, write: Callable[[BinaryIO], None], *, durable: bool = True, into: Path | None = None
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
        with reporting("write", path), open(_opened_to_fill(temporary, is_new=into is None), "r+b") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def _opened_to_fill(path: Path, *, is_new: bool) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | (os.O_EXCL if is_new else getattr(os, "O_NOFOLLOW", 0)), 0o644)


def replace_json(path: Path, document: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace `path` by `document` as JSON."""
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    replace(path, text.encode(), durable=durable)


def move(source: Path, target: Path, *, durable: bool = True) -> bool:
    """Rename one file or folder to a name that only this caller makes.

    Returns
    -------
    bool
        True if `target` is there afterwards: the move is ours. False if `source` had gone.

    Raises
    ------
    StorageError
        If the rename failed and neither explains it.
    """
    try:
        os.rename(source, target)
    except OSError as error:
        if not exists(target):
            if error.errno in _GONE and not exists(source):
                return False
            with reporting(f"move {source} to", target):
                raise
    if durable:
        sync_folder(target.parent)
        if source.parent != target.parent and exists(source.parent):
            sync_folder(source.parent)
    return exists(target)


def is_immovable(error: StorageError) -> bool:
    """Return whether a move failed because the mover may not, or because it would cross file systems."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.EACCES, errno.EPERM, errno.EXDEV}


def fingerprint(path: Path) -> str:
    """Return a text that changes when a file, or a folder's list of files, is changed or made anew."""
    entries = [path, *(path / name for name in names(path))]
    seen = [(each.name, facts(each)) for each in entries]
    return repr([(name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in seen if at is not None])


def mark_of(path: Path) -> str:
    """Return a text that changes when a file is replaced, and stays when it is moved."""
    at = facts(path)
    return "" if at is None else f"{at.st_size} {at.st_mtime_ns}"


def create(path: Path, *, durable: bool = True) -> None:
    """Make an empty file of a durable name, unless there is a file already."""
    with reporting("make", path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644))
    if durable:
        sync_folder(path.parent)


def append_line(path: Path, line: str, *, durable: bool = True, is_named: bool = False) -> None:
    """Append one line; a line torn by an earlier death is closed first.

    `is_named` says that the file is there, under a durable name: its folder need not be synced.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with reporting("append to", path):
        descriptor = os.open(path, flags, 0o644)
        with open(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and _last_byte(file.fileno(), size) != b"\n"
            file.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            if durable:
                os.fsync(file.fileno())
    if durable and size == 0 and not is_named:
        sync_folder(path.parent)


def _last_byte(descriptor: int, size: int) -> bytes:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1)


def make_folder(folder: Path, *, durable: bool = True, mode: int | None = None) -> None:
    """Make `folder` and what is missing above it, so that its name survives a power cut."""
    missing = []
    for each in (folder, *folder.parents):
        if exists(each):
            break
        missing.append(each)
    with reporting("make", folder):
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            if durable:
                sync_folder(each.parent)
        if mode is not None:
            folder.chmod(mode)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there; a link is removed, never followed."""
    import shutil

    with reporting("remove", path):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return


def exists(path: Path) -> bool:
    """Return whether there is something of that name (a dangling link counts).

    A share that fails says nothing about the file: `StorageError`.
    """
    with reporting("look at", path):
        try:
            os.lstat(path)
        except OSError as error:
            if error.errno in _NAMELESS:
                return False
            raise
    return True


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder; a share that fails is a `StorageError`."""
    with reporting("look at", path):
        return path.is_dir()


def is_file(path: Path) -> bool:
    """Return whether `path` is a regular file; a share that fails is a `StorageError`."""
    with reporting("look at", path):
        return path.is_file()


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
        return path.is_dir()
    except OSError:
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
    """Return what is known of `path` itself (a link is not followed), or None if it is not there."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def user_name(uid: int) -> str:
    """Return the login name of a user number, or the number where it has no name here."""
    try:
        import pwd
    except ImportError:
        return str(uid)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_names(uid: int) -> frozenset[str]:
    """Return the names of the groups that a user is in, numbers where they have no name here."""
    try:
        import grp
        import pwd
    except ImportError:
        return frozenset()
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(_group_name(grp, gid) for gid in os.getgrouplist(user.pw_name, user.pw_gid))


def _group_name(grp: Any, gid: int) -> str:
    try:
        return str(grp.getgrgid(gid).gr_name)
    except KeyError:
        return str(gid)


def allocate(descriptor: int, n_bytes: int) -> bool:
    """Let the file system set `n_bytes` apart for an empty file; return whether it could.

    Only where the file system itself can: then it is quick (10 GB in 20 ms on ext4), and the space is
    taken at once, by its owner's quota too. The C library would write zeros elsewhere, which is not.

    Raises
    ------
    OSError
        If there is not so much; nothing is taken then.
    """
    native = _native_fallocate()
    if native is None or native(descriptor, 0, 0, n_bytes) == 0:
        return native is not None
    import ctypes

    number = ctypes.get_errno()
    os.ftruncate(descriptor, 0)
    if number in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
        return False
    raise OSError(number, os.strerror(number))


@functools.cache
def _native_fallocate() -> Callable[[int, int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function


def reserve(path: Path, n_bytes: int) -> bool:
    """Make or empty the file `path` and set space apart for it; return whether the file system can.

    Raises
    ------
    StorageError
        If there is not so much space; the file is gone then.
    """
    try:
        with reporting("set space apart for", path):
            descriptor = _opened_to_fill(path, is_new=False)
            try:
                os.ftruncate(descriptor, 0)
                return allocate(descriptor, n_bytes)
            finally:
                os.close(descriptor)
    except StorageError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def free_bytes(folder: Path) -> int:
    """Return how many bytes the storage of `folder` has left."""
    import shutil

    with reporting("ask for the free space of", folder):
        return shutil.disk_usage(folder).free


def room(folder: Path) -> int | None:
    """Return how many bytes the storage of `folder` has left, or None where it does not tell."""
    import shutil

    with reporting("ask for the free space of", folder):
        usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None


def host_name() -> str:
    """Return the name of this host."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def process_exists(pid: int) -> bool:
    """Return whether a process of that number runs on this host; True where that cannot be told."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
