"""Whether a result was cut off, by its first bytes: nothing of its data is read.

An HDF5 file tells in its superblock where it ends (HDF5 File Format Specification, II.A "Disk Format: Level
0A"). Results have a superblock of version 2 or 3; of any other file nothing is said. Pure.
"""

from __future__ import annotations

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LONGEST = 64
"""So many bytes are enough."""
_VERSIONS = {2, 3}
_ADDRESSES = 12  # signature 8, version 1, size of addresses 1, of lengths 1, flags 1


def is_cut(head: bytes, size: int) -> bool:
    """Return whether a result of `size` bytes that begins with `head` is no whole HDF5 file."""
    if not head.startswith(SIGNATURE) or size <= _ADDRESSES:
        return True
    version, width = head[8], head[9]
    if version not in _VERSIONS:
        return False
    end = head[_ADDRESSES + 2 * width : _ADDRESSES + 3 * width]  # base, extension, end of file
    return len(end) < width or size < int.from_bytes(end, "little")
