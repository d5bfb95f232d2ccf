"""The release size of all trials, and the table of what came of them: ``scripts/soak``.

Each row is made in parts, each part in a room and a process of its own, until it has as many trials as it
shall have or its share of the time is over. A part begins no trial after that; what a row leaves over or
takes too much is shared out among those after it. A row that cannot be made here says why. It ends with 1
if anything was lost, twice, torn, undone or stuck.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from . import beds, hardship, mutants, rooms, sweep
from .tally import Tally, table


@dataclass(frozen=True)
class Row:
    """A kind of trial.

    Attributes
    ----------
    trial, on:
        As `tests.faults` knows them.
    full:
        How many make a release.
    part:
        How many are made by one process.
    """

    trial: str
    on: str
    full: int
    part: int

    @property
    def name(self) -> str:
        """As the table names it."""
        return f"{self.trial}, {self.on}" if self.on else self.trial

    @property
    def in_a_room(self) -> bool:
        """Whether it wants one."""
        return self.on not in {"", "plain"} or self.trial == "torn-images"

    def wanting(self) -> str | None:
        """Return why it cannot be made here, or None if it can."""
        if self.trial == "hardship":
            return hardship.wants(self.on)
        if self.trial == "shifted-clocks":
            return None if hardship.faketime() else "needs libfaketime"
        if self.trial == "torn-images":
            return beds.wants_disk("ext4") or rooms.wanting("fusermount3", modules=("mfusepy",))
        return beds.wants(self.on) if self.on else None


_SWEPT = ("plain", "ext4", "xfs", "bindfs", "lossy", "sshfs", "stale-sshfs", "gluster")
_IN_ORDER = {"failed-calls", "lost-replies", "deaths"}
_LATE_S = 600.0
ROWS = (
    Row("power-cuts", "ext4", 2000, 120),
    Row("power-cuts", "xfs", 2000, 120),
    Row("torn-images", "", 5000, 250),
    Row("kills", "gluster", 5000, 100),
    Row("kills", "plain", 2000, 100),
    Row("kills", "bindfs", 1500, 100),
    Row("kills", "lossy", 700, 50),
    Row("kills", "sshfs", 600, 50),
    Row("kills", "stale-sshfs", 200, 20),
    Row("deaths", "plain", 1200, 400),
    *(Row("failed-calls", on, 20_000 if on == "plain" else 3000, 400) for on in _SWEPT),
    Row("lost-replies", "plain", 2000, 400),
    *(Row("hardship", on, 100, 10) for on in ("full-disk", "no-inodes", "read-only")),
    *(Row("hardship", on, 100, 1) for on in ("dead-replicas", "cut-network")),  # a room has one GlusterFS
    Row("shifted-clocks", "", 50, 5),
    Row("stories", "", 100_000, 2000),
    Row("fuzz", "", 1_000_000, 50_000),
)


def made(row: Row, n: int, until: float) -> Tally:
    """Make `n` trials of a row, or as many as there is time for: at least one."""
    found, part, on = Tally(row.name), 0, ("--on", row.on) if row.on else ()
    while found.trials < n and (not part or time.monotonic() < until):
        size = min(row.part, n - found.trials)
        seed = found.trials if row.trial in _IN_ORDER else part
        left = max(0.0, until - time.monotonic())
        asked = (*on, "--n", size, "--seed", seed, "--seconds", left)
        one = rooms.tried(
            row.trial, *asked, room=row.in_a_room, first=False, timeout=min(left, 1e6) + _LATE_S
        )
        found, part = found + replace(one, bed=row.name), part + 1
        told = found.faults or "no faults"
        print(f"{row.name}: {found.trials} of {n}, {told}", file=sys.stderr, flush=True)
        if one.trials < size:  # there are no more, or no time
            break
    return found


def soaked(rows: Sequence[Row], *, scale: float, minutes: float | None) -> list[Tally]:
    """Make all rows and return what came of them; time is shared out evenly among those that are left."""
    end = time.monotonic() + 60 * minutes if minutes is not None else math.inf
    reasons = {row.name: row.wanting() for row in rows}
    for name, reason in reasons.items():
        if reason:
            print(f"{name}: not tried: {reason}", file=sys.stderr)
    tried = [row for row in rows if not reasons[row.name]]
    tallies = []
    for number, row in enumerate(tried):
        began = time.monotonic()
        share = max(0.0, end - began) / (len(tried) - number)
        try:
            one = made(row, max(1, round(row.full * scale)), began + share)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            one = Tally(row.name, stuck=(str(error),))
        tallies.append(one)
        took_s = time.monotonic() - began
        rate = one.trials / took_s * 3600
        print(f"{row.name}: {took_s:.0f} s, {rate:.0f} an hour", file=sys.stderr, flush=True)
    return tallies


def verbs(tallies: Iterable[Tally]) -> str:
    """Return how often each verb was struck in each sweep, a line for each of them."""
    struck = ((each.bed, each.kinds) for each in tallies if each.bed.startswith("failed-calls"))
    return "\n".join(
        f"{bed}: {', '.join(f'{verb} {kinds.get(verb, 0)}' for verb in sweep.VERBS)}" for bed, kinds in struck
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Makes all trials of faults, at full size."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size, such as 0.01")
    parser.add_argument("--minutes", type=float, help="for how long at most, shared out among the rows")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--mutants", action="store_true", help="take parts out instead: each must be noticed")
    options = parser.parse_args()
    if options.mutants:
        return mutants.main(options.only)
    rows = [row for row in ROWS if options.only in row.name]
    tallies = soaked(rows, scale=options.scale, minutes=options.minutes)
    print(table(tallies))
    if swept := verbs(tallies):
        print(f"\nverbs that were struck:\n{swept}")
    for tally in tallies:
        for fault, found in tally.faults.items():
            for each in found:
                print(f"\n{fault}, {tally.bed}: {each}")
    return int(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
