"""ZIP files: written the same way every time, read as if every one were hostile.

`pack_members` writes fixed dates and attributes, so the same members make the same bytes (with one
version of zlib). `read_members` trusts nothing that the file says of itself: the directory must end
exactly where the file ends, names are checked before anything is read, and sizes are counted while
reading. A file which ends too early, or whose checksums do not fit yet, is an `UnfinishedError`: a
slow copy may still mend it; everything else is a `BundleError`.

Known limits: ZIP64, split and encrypted archives, and methods other than deflate, are refused.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtrl_spool.bundle.limits import Limits, or_raise
from qtrl_spool.bundle.names import SHORT_LIST, check_path, folded, is_ignored, printable
from qtrl_spool.errors import BundleError, UnfinishedError

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

SIGNATURE = b"PK\x03\x04"
LONGEST_END = 22 + 0xFFFF

_EMPTY = b"PK\x05\x06"
_END = struct.Struct("<4s4H2LH")
_ENTRY_BYTES = 46
_CHUNK = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_STORED, _DEFLATED = 0, 8
_UNIX = 3
_REPACK = "pack it again with 'qtrl-spool submit', or drop the folder itself"


def pack_members(members: Mapping[str, bytes]) -> bytes:
    """Return a ZIP of `members`, in their order."""
    from io import BytesIO
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

    file = BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = _UNIX
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = ZIP_DEFLATED
            archive.writestr(entry, data)
    return file.getvalue()


def may_be_zip(head: bytes) -> bool:
    """Return whether a file that begins with `head` (at least 4 bytes, or all there is) can become a ZIP."""
    return SIGNATURE.startswith(head[:4]) or _EMPTY.startswith(head[:4])


def is_complete(tail: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes that ends with `tail` holds its central directory to the end.

    `tail` are the last `LONGEST_END` bytes, or all.
    """
    return _directory(tail, size) is not None


def read_members(data: bytes, where: str, limits: Limits) -> dict[str, bytes]:
    """Return the members of a ZIP by name, without system junk and without one folder around them all.

    Raises
    ------
    UnfinishedError
        If the file ends too early or a checksum does not fit.
    BundleError
        If it is no ZIP, or breaks a rule.
    """
    import zlib
    from io import BytesIO
    from zipfile import BadZipFile, ZipFile

    _check_directory(data, where, limits)
    try:
        with ZipFile(BytesIO(data)) as archive:
            entries = _checked_entries(archive.infolist(), where, limits)
            return _contents(archive, entries, where, limits)
    except (BadZipFile, zlib.error, EOFError) as error:
        reason = printable(str(error))
        raise UnfinishedError(f"the ZIP is damaged: {reason}", where=where, hint="copy it again") from error
    except (NotImplementedError, RuntimeError, ValueError, struct.error) as error:
        reason = printable(str(error))
        raise BundleError(f"the ZIP cannot be read: {reason}", where=where, hint=_REPACK) from error


def _directory(tail: bytes, size: int) -> tuple[int, int, int, int] | None:
    """Return disks, entries, size and offset of the central directory, if the file ends with it."""
    at = tail.rfind(_EMPTY)
    while at >= 0:
        if len(tail) - at >= _END.size:
            _, disk, first_disk, _, n_entries, length, offset, comment = _END.unpack_from(tail, at)
            position = size - len(tail) + at
            is_64 = n_entries == 0xFFFF or 0xFFFFFFFF in {length, offset}
            if position + _END.size + comment == size and (is_64 or offset + length == position):
                return disk + first_disk, n_entries, length, offset
        at = tail.rfind(_EMPTY, 0, at)
    return None


def _check_directory(data: bytes, where: str, limits: Limits) -> None:
    if not may_be_zip(data):
        raise BundleError("this is no ZIP", where=where, hint=_REPACK)
    found = _directory(data[-LONGEST_END:], len(data))
    if found is None:
        raise UnfinishedError(
            "the ZIP has no central directory at its end", where=where, hint="copy it again"
        )
    disks, n_entries, length, offset = found
    if disks or n_entries == 0xFFFF or 0xFFFFFFFF in {length, offset}:
        raise BundleError("the archive is a split or a ZIP64 one", where=where, hint=_REPACK)
    if n_entries > limits.max_members:
        raise _too_many(where, limits)
    if length // _ENTRY_BYTES > 64 * limits.max_members:
        raise BundleError(
            f"the archive's list of files has {length} bytes: a name is far too long",
            where=where,
            hint=or_raise("max_members", f"name the files as a bundle does: {SHORT_LIST}"),
        )


def _too_many(where: str, limits: Limits) -> BundleError:
    return BundleError(
        f"the archive holds more than {limits.max_members} files",
        where=where,
        hint=or_raise("max_members", "a bundle needs at most three; drop one bundle for each job"),
    )


def _checked_entries(entries: list[ZipInfo], where: str, limits: Limits) -> dict[str, ZipInfo]:
    """Return the entries of real members by their names, every rule that needs no reading checked."""
    if len(entries) > limits.max_members:
        raise _too_many(where, limits)
    for entry in entries:
        check_path(entry.orig_filename, where)
        _check_kind(entry, where)
    files = [entry for entry in entries if not entry.is_dir() and not _is_junk(entry.orig_filename)]
    strip = _wrapping([entry.orig_filename for entry in files])
    members: dict[str, ZipInfo] = {}
    seen: set[str] = set()
    for entry in files:
        name = entry.orig_filename[strip:]
        if folded(name) in seen:
            raise BundleError(
                f"the member {printable(name)!r} is there twice (letter case and accents aside)",
                where=where,
                hint="keep one of them",
            )
        seen.add(folded(name))
        members[name] = entry
    return members


def _check_kind(entry: ZipInfo, where: str) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == _UNIX else 0
    name = printable(entry.orig_filename)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        what = "a link" if kind == stat.S_IFLNK else "no regular file"
        raise BundleError(
            f"the member {name!r} is {what}", where=where, hint="put the file itself in its place"
        )
    if entry.flag_bits & _ENCRYPTED:
        raise BundleError(f"the member {name!r} is encrypted", where=where, hint="pack it without a password")
    if entry.compress_type not in {_STORED, _DEFLATED}:
        method = entry.compress_type
        raise BundleError(
            f"the member {name!r} is compressed by method {method}, only deflate (8) and none (0) are read",
            where=where,
            hint=_REPACK,
        )


def _is_junk(path: str) -> bool:
    return any(is_ignored(part) for part in path.split("/"))


def _wrapping(paths: list[str]) -> int:
    """Return how many characters the one folder around all members takes, 0 if there is none."""
    tops = {path.partition("/")[0] for path in paths}
    if len(tops) == 1 and all("/" in path for path in paths):
        return len(tops.pop()) + 1
    return 0


def _contents(
    archive: ZipFile, entries: Mapping[str, ZipInfo], where: str, limits: Limits
) -> dict[str, bytes]:
    contents = {}
    room = limits.max_unpacked_bytes
    for name, entry in entries.items():
        contents[name] = _read(archive, entry, room, where, limits)
        room -= len(contents[name])
    return contents


def _read(archive: ZipFile, entry: ZipInfo, room: int, where: str, limits: Limits) -> bytes:
    """Return one member, counting while it is read: the sizes in the directory may lie."""
    ratio_room = max(limits.max_bytes, limits.max_ratio * entry.compress_size)
    chunks, n_bytes = [], 0
    with archive.open(entry) as member:
        while chunk := member.read(_CHUNK):
            n_bytes += len(chunk)
            chunks.append(chunk)
            if n_bytes > min(room, ratio_room):
                raise _too_large(entry, room, ratio_room, where, limits)
    return b"".join(chunks)


def _too_large(entry: ZipInfo, room: int, ratio_room: int, where: str, limits: Limits) -> BundleError:
    if ratio_room < room:
        limit, rule = "max_ratio", f"to more than {limits.max_ratio} times its size"
    else:
        limit = "max_unpacked_bytes"
        rule = f"beyond the {limits.max_unpacked_bytes} bytes that a bundle may hold"
    return BundleError(
        f"the member {printable(entry.orig_filename)!r} unpacks {rule}",
        where=where,
        hint=or_raise(limit, "write sweeps as {sweep: …}, {linspace: …}"),
    )
