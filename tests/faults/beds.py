"""The same storage as several hosts see it, and how it is taken down again: by leaving the room.

Every bed is a context that yields a `Bed`. All but the plain one want a room of their own, see `rooms`:
what they mount and start ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from .rooms import wanting

_UP_S = 20.0
_SFTP = "/usr/lib/openssh/sftp-server"
_DISK_BYTES = 320 * 2**20
_FS_IOC_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
_ADDRESS = "10.99.0.1"


@dataclass(frozen=True)
class Bed:
    """Storage that several hosts share.

    Attributes
    ----------
    name:
        Of the kind.
    roots:
        The same folder as each host sees it.
    lease_s:
        For how long a server may be silent here: longer than the storage's own stalls.
    slow:
        How much longer things take here than on the plain bed.
    """

    name: str
    roots: tuple[Path, ...]
    lease_s: float = 0.4
    slow: float = 1.0


def run(*words: object) -> str:
    """Run a command to its end and return what it printed."""
    made = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False)
    if made.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, words))} ended with {made.returncode}: {made.stderr}{made.stdout}"
        )
    return made.stdout


def until(what: Callable[[], object], deadline_s: float = _UP_S) -> None:
    """Wait until something is true."""
    end = time.monotonic() + deadline_s
    while not what():
        if time.monotonic() > end:
            raise RuntimeError(f"did not happen within {deadline_s:g} s: {what}")
        time.sleep(0.02)


def is_mounted(path: Path) -> bool:
    """Return whether something is mounted at `path`."""
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").read_text().splitlines())


def folders(work: Path, *names: str) -> tuple[Path, ...]:
    """Make folders and return them."""
    made = tuple(work / name for name in names)
    for each in made:
        each.mkdir(parents=True, exist_ok=True)
    return made


# ---------------------------------------------------------------- beds


@contextlib.contextmanager
def plain(work: Path) -> Iterator[Bed]:
    """One folder, one host."""
    (folder,) = folders(work, "plain")
    yield Bed("one host", (folder,))


@contextlib.contextmanager
def bindfs(work: Path) -> Iterator[Bed]:
    """Two FUSE mounts of one folder: two hosts, cheaply; locks are kept from each other."""
    source, *mounts = folders(work, "source", "m1", "m2")
    for mount in mounts:
        run("bindfs", source, mount)
    yield Bed("bindfs x 2", tuple(mounts))


@contextlib.contextmanager
def lossy(work: Path) -> Iterator[Bed]:
    """A FUSE mount that carries one rename in five out, and reports that the source does not exist."""
    source, mount = folders(work, "source", "m1")
    daemon = subprocess.Popen([sys.executable, "-m", "tests.faults.lossy", source, mount])
    until(lambda: is_mounted(mount))
    yield Bed("lost replies", (mount,), lease_s=1.2, slow=3.0)
    daemon.kill()
    daemon.wait()


@contextlib.contextmanager
def sshfs(work: Path, options: str = ",dcache_timeout=2", lease_s: float = 3.0) -> Iterator[Bed]:
    """Two sshfs mounts of one folder: locks that do not exclude, and listings that are 2 s old."""
    store, *mounts = folders(work, "store", "m1", "m2")
    wire = work / "wire"
    wire.write_text(f"#!/bin/sh\nexec {_SFTP}\n")  # in the place of ssh: nothing listens, no keys
    wire.chmod(0o755)
    for mount in mounts:
        run("sshfs", f"here:{store}", mount, "-o", f"ssh_command={wire}{options}")
    yield Bed("sshfs x 2", tuple(mounts), lease_s=lease_s, slow=3.0)


def stale_sshfs(work: Path) -> AbstractContextManager[Bed]:
    """The same with the caches that sshfs has by default: listings that are 20 s old."""
    return sshfs(work, "", lease_s=25.0)


@contextlib.contextmanager
def gluster(work: Path) -> Iterator[Bed]:
    """Two mounts of a GlusterFS volume with three replicas; the second is a host that can be cut off."""
    bricks, mounts = folders(work, "b1", "b2", "b3"), folders(work, "m1", "m2")
    _hide_glusters_own_folders(work)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{_ADDRESS}/24", "dev", "lo")
    run("glusterd", "-L", "WARNING", "-p", str(work / "glusterd.pid"))
    until(
        lambda: subprocess.run(["gluster", "pool", "list"], capture_output=True, check=False).returncode == 0
    )
    gluster = ("gluster", "--mode=script", "volume")
    run(
        *gluster, "create", "spool", "replica", "3", *(f"{_ADDRESS}:{each}/brick" for each in bricks), "force"
    )
    run(*gluster, "set", "spool", "network.ping-timeout", "2")
    run(
        *gluster, "set", "spool", "network.frame-timeout", "20"
    )  # else a call that a cut left behind hangs 30 min
    run(*gluster, "start", "spool")
    _make_second_host()
    mount = ("glusterfs", f"--volfile-server={_ADDRESS}", "--volfile-id=spool")
    run(*mount, mounts[0])
    run("nsenter", "--net=/run/netns/second", *mount, mounts[1])
    until(lambda: all(is_mounted(each) for each in mounts))
    yield Bed("GlusterFS x 2", mounts, lease_s=3.0, slow=8.0)


def _hide_glusters_own_folders(work: Path) -> None:
    """Mount folders of this room over those where GlusterFS keeps what it knows."""
    for place in ("/var/lib/glusterd", "/var/log/glusterfs", "/run/gluster", "/run/netns"):
        (own,) = folders(work, f"own{place.replace('/', '-')}")
        Path(place).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", own, place)


def _make_second_host() -> None:
    """Make a network of its own for the second host, behind a wire that can be cut."""
    run("ip", "netns", "add", "second")
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "plug", "netns", "second")
    run("ip", "address", "add", "10.98.0.1/24", "dev", "wire")
    run("ip", "link", "set", "wire", "up")
    inside = ("nsenter", "--net=/run/netns/second", "ip")
    run(*inside, "address", "add", "10.98.0.2/24", "dev", "plug")
    run(*inside, "link", "set", "plug", "up")
    run(*inside, "route", "add", "default", "via", "10.98.0.1")


@contextlib.contextmanager
def disk(work: Path, kind: str) -> Iterator[Bed]:
    """A file system on a disk of its own."""
    folders(work)
    mounted = Disk(work, kind)
    yield Bed(kind, (mounted.root,), lease_s=1.0)
    mounted.unmount()


BEDS: dict[str, Callable[[Path], AbstractContextManager[Bed]]] = {
    "plain": plain,
    "ext4": lambda work: disk(work, "ext4"),
    "xfs": lambda work: disk(work, "xfs"),
    "bindfs": bindfs,
    "lossy": lossy,
    "sshfs": sshfs,
    "stale-sshfs": stale_sshfs,
    "gluster": gluster,
}


# ---------------------------------------------------------------- block devices


class Disk:
    """A file system on a loop device, on which the power can be cut.

    Parameters
    ----------
    work:
        Where its image lies.
    kind:
        ``ext4`` or ``xfs``.
    """

    def __init__(self, work: Path, kind: str) -> None:
        self.kind = kind
        self.image = work / f"{kind}.img"
        (self.root,) = folders(work, kind)
        self.image.touch()
        os.truncate(self.image, _DISK_BYTES)
        run(f"mkfs.{kind}", "-q", self.image)
        self.mount()

    def mount(self) -> None:
        """Mount it, as it is after the last moment that reached the disk."""
        run("mount", "-o", "loop", self.image, self.root)

    def unmount(self) -> None:
        """Unmount it."""
        until(lambda: subprocess.run(["umount", self.root], capture_output=True, check=False).returncode == 0)

    def cut(self) -> None:
        """Cut the power: nothing more reaches the disk, not even its journal."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)


def wants_disk(kind: str) -> str | None:
    """Return why a `Disk` cannot be made here, or None if it can."""
    return wanting(f"mkfs.{kind}", "mount", "losetup", filesystems=(kind,)) or (
        None if Path("/dev/loop-control").exists() else "needs loop devices"
    )


def wants(bed: str) -> str | None:
    """Return why a bed cannot be made here, or None if it can."""
    if bed == "plain":
        return None
    if bed in {"ext4", "xfs"}:
        return wants_disk(bed)
    tools = {
        "bindfs": ("bindfs",),
        "lossy": ("fusermount3",),
        "sshfs": ("sshfs", _SFTP),
        "stale-sshfs": ("sshfs", _SFTP),
        "gluster": ("glusterd", "gluster", "glusterfs", "ip", "nsenter"),
    }
    modules = ("mfusepy",) if bed == "lossy" else ()
    return wanting(*tools[bed], modules=modules, filesystems=("fuse",))
