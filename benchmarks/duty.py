"""Duty cycle: the share of wall time in which the backend acquires while the queue is not empty.

``python benchmarks/duty.py [--batch-s 0.1] [--jobs 100]``: a real server process on the simulator, durable
mode, jobs of one batch, each its own Ramsey of 50 elements and its own patch, all queued before the
server starts. The time counts from the first acquisition to the last. The acquisition is the simulator's
``batch_s``.

The baseline of the same run is what a server would reach that does one after the other what this one does at
once: prepare, acquire, process and write, each measured by itself for one such job.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from qtrl_spool import Job, Spool, fs, run
from qtrl_spool.backends import load_backend
from qtrl_spool.config import ConfigStore
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import ramsey
from qtrl_spool.gathered import Data


def submitted(spool: Spool, n_jobs: int, batch_s: float) -> list[Job]:
    """Drop `n_jobs` jobs, each with a sequence and a patch of its own."""
    return [
        spool.submit(
            ramsey("Q1", n_elements=50, step_size=(10 + number % 7) * 1e-9),
            config={"simulator": {"batch_s": batch_s}, "variables": {"Q1/rabi_amp": 0.1 + 1e-4 * number}},
            n_reps=100,
            n_batches=1,
            check=False,
        )
        for number in range(n_jobs)
    ]


def served(root: Path) -> None:
    words = [sys.executable, "-m", "qtrl_spool", "serve", "--drain", "--spool", str(root)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)


def acquired_at(job: Job) -> tuple[datetime, datetime]:
    """Return when the backend began to acquire a job, and when its data were handed on."""
    events = {event["event"] if "phase" not in event else event["phase"]: event["at"] for event in job.log()}
    return datetime.fromisoformat(events["started"]), datetime.fromisoformat(events["processing"])


def gaps_ms(jobs: list[Job]) -> list[float]:
    starts = sorted(acquired_at(job)[0] for job in jobs)
    return [1e3 * (after - before).total_seconds() for before, after in itertools.pairwise(starts)]


def in_turn_s(root: Path) -> float:
    """Return how long (s) a server needs besides acquiring that prepares, writes and acquires in turn."""
    spool, default = Spool(root), ConfigStore(root / "config").current()
    sequence = ramsey("Q1", n_elements=50, step_size=11e-9)
    bundle = spool.bundle(sequence, config={"simulator": {"batch_s": 0.0}}, n_reps=100, n_batches=1)
    backend = load_backend("simulator")
    backend.connect()
    times = []
    for _ in range(9):
        began = time.perf_counter()
        prepared = run.prepare(bundle, default)
        backend.arm(backend.prepare(run.measurement(prepared)))
        data = Data()
        never = dict.fromkeys(("halting", "aborting"), lambda: False)
        run.acquire(prepared, backend, data, on_batch=lambda n: None, **never)
        fs.replace_by(root / "again.h5", run.conclude(prepared, data, {}))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-s", type=float, nargs="*", default=[1.0, 0.1])
    parser.add_argument("--jobs", type=int, default=60)
    options = parser.parse_args()
    for batch_s in options.batch_s:
        with tempfile.TemporaryDirectory(prefix="duty-", dir=".") as folder:
            root = Path(folder).resolve() / "spool"
            create_spool(root, who="benchmark")
            jobs = submitted(Spool(root), min(options.jobs, round(60 / batch_s)), batch_s)
            served(root)
            gaps = gaps_ms(jobs)
            duty = 1e3 * batch_s * len(gaps) / sum(gaps)
            in_turn = batch_s / (batch_s + in_turn_s(root))
            print(
                f"batch {batch_s:5.2f} s, {len(jobs)} jobs: duty cycle {100 * duty:5.1f} % "
                f"(between starts: median {statistics.median(gaps):.1f} ms, longest {max(gaps):.1f} ms)"
            )
            print(f"{' ' * 14}the same work done in turn: at most {100 * in_turn:5.1f} %")


if __name__ == "__main__":
    main()
