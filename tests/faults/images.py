"""What a power cut may leave on a disk that reorders and tears: every image is mounted and looked at.

Jobs are submitted and served on an ext4 whose block device logs all its writes and flushes. A crash image
is everything up to a flush, and of the writes after it any subset, in any order, some torn after a sector.
What was acknowledged before that flush must be in the image; on some images a server goes on.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi

from . import forked
from .beds import folders, is_mounted, run, until
from .blocklog import Record, records
from .healing import gone_on
from .promise import is_open, look, published, status, tickets
from .scenarios import Ends, broken
from .tally import Tally

_BYTES = 48 * 2**20
_SECTOR = 512
_TORN = 0.3
_JOBS = 14
_SERVE_EVERY = 10
_DEADLINE_S = 120.0


@dataclass
class Recording:
    """What happened on a disk, and what was acknowledged when.

    Attributes
    ----------
    base:
        The disk before any job.
    records:
        Writes and flushes since then.
    accepted:
        Length of the log when a submission was acknowledged, by job.
    seen:
        The same and the SHA-256 of the result, for jobs that were seen to be done.
    """

    base: bytes
    records: list[Record]
    accepted: dict[str, int] = field(default_factory=dict)
    seen: dict[str, tuple[int, str]] = field(default_factory=dict)


def images(template: Path, work: Path, n: int, seed: int, show: Callable[[Tally], bool]) -> Tally:
    """Look at `n` crash images of one recording and return what came of it."""
    made = recorded(template, work)
    chance, found = random.Random(seed), Tally("torn images, ext4", kinds={"jobs": len(made.accepted)})
    (mount,) = folders(work, "crash")
    for number in range(n):
        image, flushed = crash(made, chance)
        one = _looked_at(made, image, flushed, mount, work, serve=number % _SERVE_EVERY == 0)
        found = found + one.under(f"image {number}")
        if not show(one):
            break
    return found


# ---------------------------------------------------------------- record


def recorded(template: Path, work: Path) -> Recording:
    """Submit and serve some jobs on a disk that logs, and return what it logged."""
    mount, root = folders(work, "device", "recorded")
    log = work / "blocks.log"
    daemon = subprocess.Popen([sys.executable, "-m", "tests.faults.blocklog", log, mount, str(_BYTES)])
    until(lambda: is_mounted(mount))
    run("mkfs.ext4", "-q", "-F", "-J", "size=4", mount / "disk")
    run("mount", "-o", "loop", mount / "disk", root)
    shutil.copytree(template, root / "spool")
    os.sync()
    run("sync", "-f", root)
    began = log.stat().st_size
    made = Recording((mount / "disk").read_bytes(), [])
    _work_on(root / "spool", log, made, work)
    run("umount", root)
    daemon.kill()
    daemon.wait()
    run("umount", "-l", mount)
    made.records = [each for each in records(log) if each.end > began]
    return made


def _work_on(root: Path, log: Path, made: Recording, work: Path) -> None:
    """Submit jobs one after another while a server runs; note what was acknowledged when."""
    server = forked.fork(lambda: forked.serve_here(root, drain=False), work / "server.log")
    end = time.monotonic() + _DEADLINE_S
    while len(made.seen) < _JOBS and time.monotonic() < end:
        there = tickets(root)
        waiting = sum(is_open(there.get(job, ())) for job in made.accepted)
        if waiting < 3 and len(made.accepted) < _JOBS:
            job = Spool(root).submit(pi_no_pi(0), check=False, n_reps=2, n_batches=1 + len(there) % 2)
            made.accepted[job.id] = log.stat().st_size
        for job_id, sha256 in published(root, but=made.seen).items():
            if status(root, job_id).get("state") == "done":
                made.seen[job_id] = log.stat().st_size, sha256
        time.sleep(0.005)
    forked.kill(server)
    if len(made.seen) < _JOBS:
        raise RuntimeError(
            f"only {len(made.seen)} jobs were done: {(work / 'server.log').read_text()[-800:]}"
        )


# ---------------------------------------------------------------- crash


def crash(made: Recording, chance: random.Random) -> tuple[bytearray, int]:
    """Return an image that a crash may leave, and the length of the log at its last flush."""
    cut = chance.randrange(len(made.records))
    flushes = [number for number, each in enumerate(made.records[: cut + 1]) if each.is_flush]
    last = flushes[-1] if flushes else -1
    image = bytearray(made.base)
    for each in made.records[: last + 1]:
        _write(image, each.offset, each.data)
    tail = [each for each in made.records[last + 1 : cut + 1] if not each.is_flush]
    for each in chance.sample(tail, chance.randint(0, len(tail))):
        data = each.data
        if chance.random() < _TORN:
            data = data[: _SECTOR * chance.randint(0, len(data) // _SECTOR)]
        _write(image, each.offset, data)
    return image, made.records[last].end if flushes else 0


def _write(image: bytearray, offset: int, data: bytes) -> None:
    if offset >= 0:
        image[offset : offset + len(data)] = data


def _looked_at(
    made: Recording, image: bytearray, flushed: int, mount: Path, work: Path, *, serve: bool
) -> Tally:
    """Mount an image and look at it; with `serve` let a server go on."""
    file = work / "crash.img"
    file.write_bytes(image)
    accepted = {job: "done" for job, at in made.accepted.items() if at <= flushed}
    seen = {job: sha256 for job, (at, sha256) in made.seen.items() if at <= flushed}
    tried = subprocess.run(["mount", "-o", "loop", file, mount], capture_output=True, text=True, check=False)
    if tried.returncode:
        return Tally("", 1, lost=(f"it cannot be mounted: {tried.stderr}",))
    root, kinds = mount / "spool", {"acknowledged": len(accepted), "served": int(serve)}
    found = Tally("", 1, kinds=kinds) + look(root, accepted, seen)
    if serve and not found.faults:  # else a server would wait for what is lost
        ends = Ends(accepted)
        troubles = gone_on(root, work / "after.log", "lab", ends)
        found = found + broken(root, ends, seen=seen) + Tally("", stuck=tuple(troubles))
    run("umount", mount)
    checked = subprocess.run(["e2fsck", "-fn", file], capture_output=True, text=True, check=False)
    damaged = (
        (f"e2fsck ends with {checked.returncode}: {checked.stdout[-300:]}",) if checked.returncode else ()
    )
    return found + Tally("", torn=damaged)
