"""The power goes while jobs are submitted and served: what was acknowledged must be there afterwards.

An ext4 or xfs on a loop device is shut down as a power cut does it: nothing that was not synced reaches
the disk, not even the journal. Acknowledged is a job whose `submit` returned, and a result whose job was
seen to be done. After some cuts a healthy server brings everything to its end.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.experiments import pi_no_pi

from . import forked
from .beds import Disk
from .healing import gone_on
from .promise import is_open, look, published, status, tickets
from .scenarios import Ends, broken
from .tally import Tally

_CUTS_A_ROUND = 12
_MOST_OPEN = 5
_LONGEST_S, _PATIENCE_S = 0.25, 10.0


@dataclass
class Acknowledged:
    """What people were told."""

    jobs: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How much they were told."""
        return len(self.jobs) + len(self.seen)


def power_cuts(
    kind: str, template: Path, work: Path, n: int, seed: int, show: Callable[[Tally], bool]
) -> Tally:
    """Cut the power `n` times and return what came of it."""
    chance, disk, found, goes_on = random.Random(seed), Disk(work, kind), Tally(""), True
    for first in range(0, n, _CUTS_A_ROUND):
        told, root = Acknowledged(), disk.root / f"spool-{first}"
        shutil.copytree(template, root)
        os.sync()
        for cut in range(first, min(n, first + _CUTS_A_ROUND)):
            one = _cut(disk, root, told, work, chance).under(f"cut {cut}")
            found = found + one
            if not (goes_on := show(one)):
                break
        if not found.faults:  # else a server would wait for what is lost
            found = found + _healed(root, told, work)
        shutil.rmtree(root)
        if not goes_on:
            break
    disk.unmount()
    return replace(found, bed=f"power cuts, {kind}")


def _cut(disk: Disk, root: Path, told: Acknowledged, work: Path, chance: random.Random) -> Tally:
    """Work on the spool for a moment, cut the power, and look at what is left."""
    server = forked.fork(lambda: forked.serve_here(root, drain=False), work / "server.log")
    acks, pipe = os.pipe()
    client = forked.fork(lambda: _submit_on_and_on(root, tuple(told.jobs), pipe), work / "client.log")
    os.close(pipe)
    os.set_blocking(acks, False)
    began, known = time.monotonic(), told.size
    end = began + _PATIENCE_S
    while time.monotonic() < end:
        _listen(acks, root, told)
        if told.size > known and end == began + _PATIENCE_S:  # the pause is counted from the first news
            end = time.monotonic() + chance.uniform(0.0, _LONGEST_S)
        time.sleep(0.005)
    _listen(acks, root, told)
    disk.cut()
    forked.kill(server)
    forked.kill(client)
    os.close(acks)
    disk.unmount()
    disk.mount()
    return Tally("", 1, kinds={"jobs": 0}) + look(root, told.jobs, told.seen)


def _submit_on_and_on(root: Path, jobs: tuple[str, ...], pipe: int) -> int:
    """Submit, and tell on a pipe which submissions were acknowledged."""
    mine = list(jobs)
    while True:
        there = tickets(root)
        if sum(is_open(there.get(job, ())) for job in mine) >= _MOST_OPEN:
            time.sleep(0.005)
            continue
        with contextlib.suppress(QtrlSpoolError):
            mine.append(Spool(root).submit(pi_no_pi(0), check=False, n_reps=2).id)
            os.write(pipe, f"{mine[-1]}\n".encode())


def _listen(acks: int, root: Path, told: Acknowledged) -> None:
    """Remember what was acknowledged so far, and the results of the jobs that are said to be done.

    All of it before the cut: xfs lets the sync of a folder succeed after it was shut down, when in the
    world that is tried here nobody would be left to hear of it.
    """
    with contextlib.suppress(BlockingIOError):
        told.jobs.update(dict.fromkeys(os.read(acks, 2**20).decode().split(), "done"))
    for job, sha256 in published(root, but=told.seen).items():
        if status(root, job).get("state") == "done":
            told.seen[job] = sha256


def _healed(root: Path, told: Acknowledged, work: Path) -> Tally:
    ends = Ends(told.jobs)
    troubles = gone_on(root, work / "after.log", "lab", ends)
    found = broken(root, ends, seen=told.seen)
    return found + Tally(
        "", stuck=tuple(troubles), kinds={"jobs": len(told.jobs), "seen done": len(told.seen)}
    )
