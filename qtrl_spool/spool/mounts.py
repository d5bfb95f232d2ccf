"""What a mounted file system is, and what follows from its kind and its options. Pure but for `mount_of`.

Owns: the table of kinds. Called by ``spool.probe``. The facts come from ``/proc/self/mountinfo``; where
there is none (macOS, Windows) nothing is known of a mount, and nothing is claimed.

Known limits: what an option of the *server* does (an NFS export that is ``async``, a ZFS dataset with
``sync=disabled``, a disk whose cache lies) cannot be seen from a client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qtrl_spool import fs

_TABLE = Path("/proc/self/mountinfo")
_MEMORY = {"tmpfs", "ramfs", "rootfs"}
_NETWORK = {
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
}  # fmt: skip
_NO_BARRIER = {"nobarrier", "barrier=0", "barrier=none"}
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mounted file system.

    Attributes
    ----------
    kind:
        As the kernel names it: ``ext4``, ``nfs4``, ``fuse.sshfs``.
    source:
        What is mounted: a device, ``host:/export``.
    point:
        Where.
    options:
        Of the mount and of the file system, such as ``ro`` and ``uid=1000``.
    """

    kind: str
    source: str
    point: str
    options: frozenset[str]

    @property
    def is_shared(self) -> bool:
        """Whether others may change it without this machine's kernel being told: network and FUSE."""
        return self.kind in _NETWORK or self.kind.startswith(("fuse.", "nfs")) or self.kind == "fuse"

    @property
    def is_memory(self) -> bool:
        """Whether it is gone after a restart of the machine."""
        return self.kind in _MEMORY

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written."""
        return "ro" in self.options

    def option(self, name: str) -> str | None:
        """Return the value of the option ``name=value``, or None if it is not set."""
        found = (each.partition("=") for each in self.options)
        return next((value for key, equals, value in found if equals and key == name), None)


def mount_of(path: Path) -> Mount | None:
    """Return the mount that holds `path`, or None where the system does not tell."""
    table = fs.read_text(_TABLE)
    return None if table is None else find_mount(table, str(path.resolve()))


def find_mount(table: str, path: str) -> Mount | None:
    """Return the mount that holds `path`, by the text of ``/proc/self/mountinfo``.

    The deepest point counts, and of several on one point the last, which covers the others.
    """
    found = None
    place = PurePosixPath(path)
    for line in table.splitlines():
        mount = _parse(line)
        if mount is None or not place.is_relative_to(mount.point):
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def _parse(line: str) -> Mount | None:
    """Return what one line says: ``id parent dev root POINT OPTIONS … - KIND SOURCE OPTIONS``."""
    left, dash, right = line.partition(" - ")
    before, after = left.split(" "), right.split(" ")
    if not dash or len(before) < 6 or len(after) < 3:
        return None
    options = {*before[5].split(","), *after[2].split(",")}
    return Mount(after[0], _plain(after[1]), _plain(before[4]), frozenset(options))


def _plain(text: str) -> str:
    """Return a field of the table without its octal escapes, which stand for spaces and their like."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def undone_by_power_cut(mount: Mount) -> str | None:
    """Return why what was synced to this mount may be gone after a power cut; None if nothing says so."""
    if mount.is_memory:
        return f"{mount.kind} is memory: everything is gone after a restart"
    if mount.options & _NO_BARRIER:
        return "it is mounted without write barriers: the disk may keep in its cache what was synced"
    if mount.kind == "overlay" and "volatile" in mount.options:
        return "the overlay is mounted volatile: it syncs nothing"
    if mount.kind in {"cifs", "smb3"} and "nostrictsync" in mount.options:
        return "it is mounted with nostrictsync: a sync does not reach the file server"
    return None


def cautions(mount: Mount) -> tuple[tuple[str, str | None], ...]:
    """Return what the lab should know of such a mount: each a sentence and a remedy."""
    rules: tuple[tuple[bool, str, str | None], ...] = (
        (mount.is_read_only, "it is mounted read-only", "mount it read-write: a server must write"),
        (
            mount.kind == "fuse.sshfs",
            "sshfs shows other machines' changes up to 20 s late, and its locks hold on this host only",
            "mount it with -o dir_cache=no, or use NFS; jobs are safe either way: a rename decides",
        ),
        (
            mount.kind.startswith("nfs") and "soft" in mount.options,
            "it is mounted soft: a write may be given up while the file server is slow",
            "mount it hard",
        ),
        (
            mount.kind.startswith("nfs")
            and (
                "nolock" in mount.options or (mount.option("local_lock") or "none") not in {"none", "posix"}
            ),
            "its locks hold on this host only",
            "mount it without nolock and local_lock; jobs are safe either way: a rename decides",
        ),
        (
            mount.kind in {"cifs", "smb3"} and "nobrl" in mount.options,
            "its locks hold on this host only (nobrl)",
            "mount it without nobrl; jobs are safe either way: a rename decides",
        ),
        (
            mount.option("cache") in {"loose", "fscache", "mmap"} and mount.kind in {"cifs", "smb3", "9p"},
            f"it is mounted with cache={mount.option('cache')}: other machines' changes may not be seen",
            "mount it with cache=strict (cifs) or cache=none (9p)",
        ),
        (
            mount.kind in {"vfat", "exfat", "msdos"},
            f"{mount.kind} knows neither owners nor permissions, and loses renames in a power cut",
            "put the spool on ext4, xfs or a share of such",
        ),
    )
    return tuple((said, hint) for holds, said, hint in rules if holds)
