"""Makes trials of one kind and prints their tally: ``python -m tests.faults TRIAL --n N``."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from tests.fuzz.__main__ import TARGETS, fuzz

from . import beds, forked, hardship, holding, images, machine, powercut, spools, storm, sweep
from .tally import Tally


def failed_calls(options: argparse.Namespace, work: Path) -> Tally:
    """Make the first n trials of the sweep, after `seed` others, with the spools on a bed."""
    return _swept(options, work, sweep.cases(work / "template", work), "failed calls")


def lost_replies(options: argparse.Namespace, work: Path) -> Tally:
    """Make n trials in which a rename is carried out and its reply gets lost, after `seed` others."""
    return _swept(options, work, sweep.lost_replies(work / "template", work), "lost replies")


def _swept(options: argparse.Namespace, work: Path, cases: Iterable[sweep.Case], name: str) -> Tally:
    wanted = (case for case in cases if options.only in str(case))
    chosen = list(islice(wanted, options.seed, options.seed + options.n))
    with beds.BEDS[options.on](work / "bed") as bed:
        tally = sweep.made(work / "template", bed.roots[-1] / "sweep", chosen, show)
        return replace(tally, bed=f"{name}, {bed.name}")


def hardships(options: argparse.Namespace, work: Path) -> Tally:
    """Let a server go through a hardship n times."""
    lease_s = 6.0 if options.on in {"dead-replicas", "cut-network"} else 0.4
    spools.template(work / "hard", lease_s=lease_s)
    return _one_by_one(
        options.n, lambda n: hardship.weathered(options.on, work / "hard", work / f"hardship-{n}")
    )


def shifted_clocks(options: argparse.Namespace, work: Path) -> Tally:
    """Let servers whose clocks are hours off share a spool, n times."""
    spools.template(work / "clocks", lease_s=60.0)
    return _one_by_one(
        options.n, lambda n: hardship.shifted_clocks(work / "clocks", *beds.folders(work, f"clocks-{n}"))
    )


def late_holds(options: argparse.Namespace, work: Path) -> Tally:
    """Ask n times for a hold while a server stops."""
    return _one_by_one(
        options.n, lambda n: holding.held_while_stopping(work / "template", *beds.folders(work, f"hold-{n}"))
    )


def damaged_files(options: argparse.Namespace, work: Path) -> Tally:
    """Let a server run another job, or end, while the record of one cannot be written, n times in all."""
    ways = (holding.served_beside_a_damaged_file, holding.stopped_beside_a_damaged_file)
    return _one_by_one(options.n, lambda n: ways[n % 2](work / "template", *beds.folders(work, f"file-{n}")))


def _one_by_one(n: int, trial: Callable[[int], Tally]) -> Tally:
    """Make trials until there are `n`, or enough; one may make several at once."""
    found = Tally("")
    while found.trials < n:
        one = trial(found.trials)
        found = found + one
        if not show(one):
            break
    return found


def fuzzed(options: argparse.Namespace, work: Path) -> Tally:
    """Give n inputs to everything that reads what people drop."""
    del work

    def some(n: int) -> Tally:
        report = fuzz(min(_AT_ONCE, options.n - n), options.seed * options.n + n, sorted(TARGETS))
        return Tally("fuzz", report["inputs"], stuck=tuple(str(each) for each in report["first"]))

    return _one_by_one(options.n, some)


def stories(options: argparse.Namespace, work: Path) -> Tally:
    """Tell n stories of servers and people to the model."""
    machine.prepare(work / "template")
    return _one_by_one(
        options.n, lambda n: machine.told(min(_AT_ONCE, options.n - n), options.seed * options.n + n)
    )


def deaths(options: argparse.Namespace, work: Path) -> Tally:
    """Make n trials of those that kill a server before one change of the disk, after `seed` others."""
    return _swept(options, work, sweep.deaths(work / "template", work), "deaths at every step")


def kills(options: argparse.Namespace, work: Path) -> Tally:
    """Kill servers n times on a bed."""
    with beds.BEDS[options.on](work / "bed") as bed:
        spools.template(work / "storm", lease_s=bed.lease_s)
        return replace(
            storm.storm(bed, work / "storm", work, options.n, options.seed, show), bed=f"kills, {bed.name}"
        )


def cuts(options: argparse.Namespace, work: Path) -> Tally:
    """Cut the power n times, on ``ext4`` or ``xfs``."""
    spools.template(work / "cuts", **options.settings)
    return powercut.power_cuts(options.on, work / "cuts", work, options.n, options.seed, show)


def torn_images(options: argparse.Namespace, work: Path) -> Tally:
    """Look at n crash images of a disk that reorders and tears."""
    spools.template(work / "images", **options.settings)
    return images.images(work / "images", work, options.n, options.seed, show)


TRIALS = {
    "torn-images": torn_images,
    "power-cuts": cuts,
    "kills": kills,
    "failed-calls": failed_calls,
    "deaths": deaths,
    "lost-replies": lost_replies,
    "stories": stories,
    "hardship": hardships,
    "shifted-clocks": shifted_clocks,
    "late-hold": late_holds,
    "damaged-file": damaged_files,
    "fuzz": fuzzed,
}
_AT_ONCE = 200
_IN_MEMORY = "/dev/shm"


class Progress:
    """What came of the trials so far, and whether that is enough.

    Attributes
    ----------
    so_far:
        Their sum.
    ends_at_first:
        Whether the first fault ends them all.
    until:
        When their time is over (s of the monotonic clock).
    """

    def __init__(self) -> None:
        self.so_far = Tally("")
        self.ends_at_first = False
        self.until = math.inf

    def __call__(self, tally: Tally) -> bool:
        """Add a trial, show progress if a person watches, and return whether to go on."""
        self.so_far = self.so_far + tally
        if sys.stderr.isatty():
            told = f"{self.so_far.trials} trials, {self.so_far.faults or 'no faults'}"
            print(f"\r{told}"[:200], end="", file=sys.stderr)
        return time.monotonic() < self.until and not (self.ends_at_first and tally.faults)


show = Progress()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("--n", type=int, default=1, help="how many")
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is chosen at random; where a sweep begins"
    )
    parser.add_argument("--only", default="", help="of a sweep: what is told of a case holds this")
    parser.add_argument("--on", default="plain", help="the bed")
    parser.add_argument("--first", action="store_true", help="end at the first fault that is found")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no trial after so long")
    parser.add_argument("--settings", type=json.loads, default={}, help="of spool.yaml, as JSON")
    parser.add_argument("--work", help="the folder to work in, without a room")
    parser.add_argument("--room", action="store_true", help="this process is the first in a room of its own")
    options = parser.parse_args()
    show.ends_at_first = options.first
    show.until = time.monotonic() + options.seconds
    if options.room:  # what is mounted here goes with the room
        beds.run("mount", "-t", "tmpfs", "none", _IN_MEMORY)
    work = Path(tempfile.mkdtemp(prefix="faults-", dir=_IN_MEMORY if options.room else options.work))
    try:
        forked.warm_up(spools.template(work / "warm"))
        spools.template(work / "template")
        print(TRIALS[options.trial](options, work).dumps())
    finally:
        if not options.room:  # else it goes with the room
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
