"""What came of a number of trials, as a row of the one table that `scripts/soak` prints.

Pure. Each fault that was found is a sentence, so that a failing test tells which; the table counts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

FAULTS = ("lost", "twice", "torn", "undone", "stuck")


@dataclass(frozen=True)
class Tally:
    """Trials on one bed.

    Attributes
    ----------
    bed:
        Where and what was tried.
    trials:
        How many.
    lost:
        Jobs that were acknowledged and are nowhere.
    twice:
        Jobs that exist or were published more than once.
    torn:
        Files that are not whole.
    undone:
        Ends that were seen and are no longer so.
    stuck:
        What did not come to its end after everything was well again; servers that ended with a traceback.
    kinds:
        How many trials of each kind, for tests that must know that all were there.
    """

    bed: str
    trials: int = 0
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    torn: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        sums = {each: getattr(self, each) + getattr(other, each) for each in FAULTS}
        kinds = dict(self.kinds)
        for kind, count in other.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
        return Tally(self.bed or other.bed, self.trials + other.trials, **sums, kinds=kinds)

    @property
    def faults(self) -> dict[str, tuple[str, ...]]:
        """What was found, of each kind of fault that was."""
        return {each: found for each in FAULTS if (found := getattr(self, each))}

    def under(self, name: str) -> Tally:
        """Return the same with `name` before each sentence."""
        told = {fault: tuple(f"{name}: {each}" for each in found) for fault, found in self.faults.items()}
        return replace(self, **told)

    def dumps(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def loads(cls, text: str) -> Tally:
        """Return the tally that `dumps` wrote."""
        found = json.loads(text)
        return cls(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
        )


def total(bed: str, tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies under one name."""
    found = Tally(bed)
    for each in tallies:
        found = found + each
    return found


def table(tallies: Iterable[Tally]) -> str:
    """Return the table of trials and faults, one row a bed."""
    rows = [("bed", "trials", *FAULTS)]
    rows += [
        (each.bed, str(each.trials), *(str(len(getattr(each, fault))) for fault in FAULTS))
        for each in tallies
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in
                  enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
