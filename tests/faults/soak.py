"""The release size of all trials, and the table of what came of them: ``scripts/soak``.

Each row is made in parts, each part in a room and a process of its own, until it has as many trials as it
shall have or its share of the time is over. A row that cannot be made here says why. It ends with 1 if
anything was lost, twice, torn, undone or stuck.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import beds, hardship, mutants, rooms
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
        if self.on in {"ext4", "xfs"} or self.trial == "torn-images":
            return beds.wants_disk(self.on or "ext4")
        return beds.wants(self.on) if self.on else None


ROWS = (
    Row("power-cuts", "ext4", 2000, 52),
    Row("power-cuts", "xfs", 2000, 52),
    Row("torn-images", "", 5000, 250),
    Row("kills", "gluster", 5000, 12),
    Row("kills", "plain", 2000, 100),
    Row("kills", "bindfs", 1500, 100),
    Row("kills", "lossy", 700, 12),
    Row("kills", "sshfs", 600, 10),
    Row("kills", "stale-sshfs", 200, 5),
    Row("deaths", "plain", 600, 600),
    Row("failed-calls", "plain", 20_000, 400),
    *(Row("failed-calls", on, 3000, 200) for on in ("bindfs", "sshfs", "gluster")),
    Row("lost-replies", "plain", 2000, 200),
    *(Row("hardship", on, 100, 10) for on in ("full-disk", "no-inodes", "dead-replicas", "cut-network")),
    Row("shifted-clocks", "", 50, 5),
    Row("stories", "", 100_000, 500),
    Row("fuzz", "", 1_000_000, 10_000),
)


def made(row: Row, n: int, until: float) -> Tally:
    """Make `n` trials of a row, or as many as there is time for."""
    found, part = Tally(row.name), 0
    while found.trials < n and time.monotonic() < until:
        size = min(row.part, n - found.trials)
        seed = found.trials if row.trial in {"failed-calls", "lost-replies"} else part
        on = ("--on", row.on) if row.on else ()
        one = rooms.tried(row.trial, *on, "--n", size, "--seed", seed, room=row.in_a_room, timeout=3600)
        found, part = found + replace(one, bed=row.name), part + 1
        print(
            f"{row.name}: {found.trials} of {n}, {found.faults or 'no faults'}", file=sys.stderr, flush=True
        )
        if one.trials < size or row.trial == "deaths":
            break
    return found


def soaked(rows: Sequence[Row], *, scale: float, minutes: float | None) -> list[Tally]:
    """Make all rows and return what came of them; time is shared out evenly among those that are left."""
    end = time.monotonic() + 60 * (minutes if minutes is not None else 1e6)
    tallies = []
    for number, row in enumerate(rows):
        if reason := row.wanting():
            print(f"{row.name}: not tried: {reason}", file=sys.stderr)
            continue
        share = (end - time.monotonic()) / (len(rows) - number)
        try:
            tallies.append(made(row, max(1, round(row.full * scale)), time.monotonic() + share))
        except (AssertionError, OSError) as error:
            tallies.append(Tally(row.name, stuck=(str(error),)))
    return tallies


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
    for tally in tallies:
        for fault, found in tally.faults.items():
            for each in found:
                print(f"\n{fault}, {tally.bed}: {each}")
    return int(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
