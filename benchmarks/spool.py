"""How many jobs a second are submitted and accepted, beside what the storage itself can do.

    python benchmarks/spool.py [FOLDER] [N]

Raw limits and ours are measured in turn, in one run and in one folder (on the storage that is to be
measured), so that their ratios hold on a noisy machine. Medians of five rounds. Submitting is `Spool.drop` of
a checked bundle; accepting is the server's intake, from the first look at the drops to the last ticket.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtrl_spool import Spool, fs
from qtrl_spool.bundle import Bundle, Manifest, pack
from qtrl_spool.config import ConfigStore
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import read_settings

_ROUNDS = 5
_GROUP = 32
_BUNDLE = Bundle(sequence=pi_no_pi(0).to_dict(), manifest=Manifest(n_reps=2))


def raw(folder: Path, n: int, *, sync: bool, group: int = 1) -> None:
    """Create, write and rename `n` files; synced with their folder, in groups."""
    data = pack(_BUNDLE)
    target = folder / "names"
    target.mkdir(parents=True)
    for first in range(0, n, group):
        for number in range(first, min(first + group, n)):
            descriptor = os.open(folder / f"t{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, data)
            if sync:
                os.fsync(descriptor)
            os.close(descriptor)
            (folder / f"t{number}").rename(target / str(number))
        if sync:
            fs.sync_folder(target)


def spool_in(folder: Path, durability: str) -> Spool:
    """Return a spool of that durability."""
    create_spool(folder, who="benchmark")
    mark = folder / "spool.yaml"
    mark.write_text(mark.read_text().replace("durability: durable", f"durability: {durability}"))
    return Spool(folder)


def submit(spool: Spool, n: int) -> None:
    """Submit `n` jobs."""
    for _ in range(n):
        spool.drop(_BUNDLE)


def intake_of(spool: Spool) -> Intake:
    """Return the intake of a server on a spool."""
    layout = Layout.of(spool.path)
    settings = read_settings(layout.mark)
    journal = Journal(layout, "lab", durable=settings.durable)
    store, index = ConfigStore(layout.config), Index(layout)
    fs.make_folder(layout.accepting_by("lab"))
    return Intake(layout, settings, journal, "lab", lambda _: store.current(), lambda _: True, index)


def accept(intake: Intake, n: int) -> None:
    """Accept `n` jobs that were submitted."""
    while n > 0:
        n -= intake.scan()


def one_by_one(spool: Spool, intake: Intake, n: int) -> None:
    """Submit and accept `n` jobs, each alone."""
    for _ in range(n):
        submit(spool, 1)
        accept(intake, 1)


def rate(act: Callable[[], None], n: int) -> float:
    """Return how often a second `act` does what it does `n` times."""
    started = time.perf_counter()
    act()
    return n / (time.perf_counter() - started)


def one_round(work: Path, n: int) -> dict[str, float]:
    """Measure everything once, in turn."""
    found = {
        "raw: create, write, rename": rate(lambda: raw(work / "a", n, sync=False), n),
        "raw: and sync both": rate(lambda: raw(work / "b", n, sync=True), n),
        f"raw: in groups of {_GROUP}": rate(lambda: raw(work / "c", n, sync=True, group=_GROUP), n),
    }
    for durability in ("fast", "durable"):
        spool = spool_in(work / durability, durability)
        intake = intake_of(spool)
        one_by_one(spool, intake, 1)
        name = "submit and accept, one by one"
        found[f"{name}, {durability}"] = rate(partial(one_by_one, spool, intake, n // 4), n // 4)
        found[f"submit, {durability}"] = rate(partial(submit, spool, n), n)
        found[f"accept, all at once, {durability}"] = rate(partial(accept, intake, n), n)
    return found


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    rounds = []
    for _ in range(_ROUNDS):
        work = Path(tempfile.mkdtemp(dir=folder))
        rounds.append(one_round(work, n))
        shutil.rmtree(work)
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    base, synced, *_ = medians.values()
    print(f"{n} jobs of {len(pack(_BUNDLE))} bytes, medians of {_ROUNDS}; ratios to the raw limits")
    print(f"{'':44} {'per s':>8} {'of raw':>8} {'of synced':>10}")
    for name, value in medians.items():
        print(f"{name:44} {value:8.0f} {value / base:8.3f} {value / synced:10.3f}")


if __name__ == "__main__":
    main()
