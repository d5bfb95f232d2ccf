"""Hard times that pass: full disks, no inodes, read-only, dead replicas, a cut network, clocks that jump.

A server is at work when it begins; it has to say a sentence about it, to live on, and to bring
everything that was accepted to its end by itself when it is over.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.experiments import pi_no_pi

from . import beds, forked
from .beds import folders, run
from .healing import watched
from .promise import is_open, status, tickets
from .scenarios import Ends, broken
from .tally import Tally

_ROOT = Path(__file__).parents[2]
_HARD_S = 20.0
_SAID = "storage trouble"
_WORDS = {"read-only": "mounted read-only", "full-disk": "free some space", "no-inodes": "free some space"}
"""What the server has to name as the cause."""
_FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


# ---------------------------------------------------------------- hard times


@contextlib.contextmanager
def full_disk(work: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """A disk of some megabytes that somebody fills to the last byte."""
    (root,) = folders(work, "small")
    run("mount", "-t", "tmpfs", "-o", "size=12m", "none", root)
    yield root, _filled(root)


@contextlib.contextmanager
def _filled(root: Path) -> Iterator[None]:
    with (root / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65_536)):
            pass
    with (root / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x"):
            pass
    yield
    (root / "filler").unlink()


@contextlib.contextmanager
def no_inodes(work: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """A disk with room, and no inode left for another file."""
    (root,) = folders(work, "few")
    run("mount", "-t", "tmpfs", "-o", "nr_inodes=600", "none", root)
    yield root, _crowded(root)


@contextlib.contextmanager
def _crowded(root: Path) -> Iterator[None]:
    (crowd,) = folders(root, "crowd")
    with contextlib.suppress(OSError):
        for number in range(10_000):
            (crowd / str(number)).touch()
    yield
    shutil.rmtree(crowd)


@contextlib.contextmanager
def read_only(work: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """A disk that becomes read-only under a server: the kernel answers EROFS to whatever it wants to change.

    The kernel refuses to mount a disk anew as read-only while a file on it is open for writing, as the
    server's locks are. So the same disk, read-only, is moved over itself; what is open stays open.
    """
    root, shut = folders(work, "disk", "shut")
    run("mount", "-t", "tmpfs", "none", root)
    run("mount", "--bind", root, shut)
    run("mount", "-o", "remount,bind,ro", shut)
    yield root, _shut(root, shut)


@contextlib.contextmanager
def _shut(root: Path, shut: Path) -> Iterator[None]:
    run("mount", "--make-private", "/")
    run("mount", "--move", shut, root)
    yield
    run("umount", "--lazy", root)


@contextlib.contextmanager
def dead_replicas(work: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """A GlusterFS volume of which two of three replicas are killed."""
    with beds.gluster(work) as bed:
        yield bed.roots[0], _killed_bricks()


@contextlib.contextmanager
def _killed_bricks() -> Iterator[None]:
    bricks = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _runs(path, "glusterfsd")]
    for brick in sorted(bricks)[:2]:
        forked.kill(brick)  # and buried: this is the first process of the room, and glusterd looks for it
    yield
    run("gluster", "--mode=script", "volume", "start", "spool", "force")


def _runs(process: Path, name: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(process / "cmdline").read_bytes().split(b"\0")[0].endswith(name.encode())
    return False


@contextlib.contextmanager
def cut_network(work: Path) -> Iterator[tuple[Path, AbstractContextManager[None]]]:
    """A GlusterFS volume from a host whose network is unplugged for a while."""
    with beds.gluster(work) as bed:
        yield bed.roots[1], _unplugged()


@contextlib.contextmanager
def _unplugged() -> Iterator[None]:
    inside = ("nsenter", "--net=/run/netns/second", "ip")
    run(*inside, "link", "set", "plug", "down")
    yield
    run(*inside, "link", "set", "plug", "up")
    run(*inside, "route", "add", "default", "via", "10.98.0.1")


HARDSHIPS: dict[str, Callable[[Path], AbstractContextManager[tuple[Path, AbstractContextManager[None]]]]] = {
    "full-disk": full_disk,
    "no-inodes": no_inodes,
    "read-only": read_only,
    "dead-replicas": dead_replicas,
    "cut-network": cut_network,
}


def wants(name: str) -> str | None:
    """Return why a hardship cannot be had here, or None if it can."""
    return beds.wants("gluster") if name in {"dead-replicas", "cut-network"} else beds.wanting("mount")


def weathered(name: str, template: Path, work: Path) -> Tally:
    """Let a server go through one hardship, and return what came of it."""
    with HARDSHIPS[name](work) as (place, hardship):
        root, log = place / "spool", work / "server.log"
        shutil.copytree(template, root)
        server = forked.fork(lambda: forked.serve_here(root, drain=False), log)
        jobs = [_submitted(root) for _ in range(2)]
        beds.until(lambda: any(status(root, str(job)).get("phase") for job in jobs), 60)
        with hardship:
            end = time.monotonic() + _HARD_S
            while time.monotonic() < end and _SAID not in log.read_text():
                jobs.append(_submitted(root))
                time.sleep(0.2)
        jobs.append(_submitted(root, insisting=True))
        ends = Ends({job: "done" for job in jobs if job}, drain=False)
        how = watched(server, root, ends, deadline_s=120)
        said = log.read_text()
        wrong = [] if how == 0 else [f"the server ended with {how}: {said[-1500:]}"]
        untold = [words for words in (_SAID, _WORDS.get(name, _SAID)) if words not in said]
        wrong += [f"the server did not say {words!r}: {said[-800:]}" for words in untold]
        found = broken(root, ends) + Tally(name, 1, stuck=tuple(wrong), kinds={"jobs": len(ends.jobs)})
    return Tally(name) + found


def _submitted(root: Path, *, insisting: bool = False) -> str | None:
    """Submit a job; return its id, None if it was refused."""
    end = time.monotonic() + 60
    while True:
        try:
            job = Spool(root).submit(
                pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, check=False, n_reps=2, n_batches=8
            )
        except QtrlSpoolError:
            if not insisting or time.monotonic() > end:
                return None
            time.sleep(0.2)
        else:
            return job.id


# ---------------------------------------------------------------- clocks


def faketime() -> Path | None:
    """Return the library that shifts the clock of a process, or None if it is not there."""
    return next(iter(Path("/").glob(_FAKETIME.lstrip("/"))), None)


def shifted_clocks(template: Path, work: Path) -> Tally:
    """Let two servers share a spool whose clocks are hours off, and jump to and fro while they work."""
    root = work / "spool"
    shutil.copytree(template, root)
    clocks = {name: work / f"{name}.clock" for name in ("early", "late")}
    _set(clocks, "-3h", "+5h")
    started = [_serving_by(clock, root, name, work) for name, clock in clocks.items()]
    jobs = {job: "done" for _ in range(12) if (job := _submitted(root))}
    try:
        for n, hours in ((8, ("+9h", "-6h")), (4, ("-3h", "+5h")), (0, ("+0h", "+0h"))):
            beds.until(lambda most=n: sum(is_open(tickets(root).get(job, ())) for job in jobs) <= most, 120)
            _set(clocks, *hours)
    finally:
        for each in started:
            each.terminate()
        codes = [each.wait(30) for each in started]
    found = broken(root, Ends(jobs))
    again = [f"{job} was started {n} times" for job in jobs if (n := status(root, job).get("attempt")) != 1]
    wrong = [f"a server ended with {code}" for code in codes if code]
    kinds = {"servers": len({status(root, job).get("server") for job in jobs}), "jobs": len(jobs)}
    return Tally("shifted clocks", 1, twice=tuple(again), stuck=tuple(wrong), kinds=kinds) + found


def _set(clocks: Mapping[str, Path], *shifts: str) -> None:
    for clock, shift in zip(clocks.values(), shifts, strict=True):
        new = clock.with_suffix(".new")
        new.write_text(shift)
        new.rename(clock)


def _serving_by(clock: Path, root: Path, name: str, work: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "qtrl_spool", "serve", "--spool", str(root), "--name", name]
    shifting = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    env = {**os.environ, **shifting, "LD_PRELOAD": str(faketime()), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with (work / f"{name}.log").open("wb") as log:
        return subprocess.Popen(words, cwd=_ROOT, env=env, stdout=log, stderr=log)
