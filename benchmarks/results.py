"""How fast results are written, beside ``np.save``, and in how much memory a job of many GB ends.

Run as ``python benchmarks/results.py [--folder DIR] [--gb 1]`` for the first and ``… --memory 10`` for
the second: a job that keeps 10 GB of raw traces, on the simulator, run by a server whose peak memory is
told. Times are medians of alternating runs; trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import BinaryIO

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from qtrl_spool import Spool, fs
from qtrl_spool.axes import IQ_AXES, Batches, InMemory, Labelled, whole
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import rabi
from qtrl_spool.results.scratch import Scratch
from qtrl_spool.results.write import write
from qtrl_spool.shipped import default_config_folder

N_ELEMENTS, N_REPS = 51, 1000
X = np.arange(float(N_ELEMENTS))


def points(n_bytes: float) -> InMemory:
    """Return IQ points of two readouts and two triggers, in batches of 1.6 MB."""
    shape = (2, N_REPS, N_ELEMENTS, 2, 2)
    random = np.random.Generator(np.random.SFC64(1))
    n_batches = round(n_bytes / np.prod(shape) / 4)
    return InMemory([Labelled(random.standard_normal(shape, np.float32), IQ_AXES) for _ in range(n_batches)])


def result(iq: Batches, *, durable: bool, compression: str | None = None) -> Callable[[Path], None]:
    def fill(file: BinaryIO) -> None:
        write(
            file,
            iq=iq,
            raw=None,
            processed=None,
            readouts=("R1", "R0"),
            x_axis=("pulse width", "us", X),
            identity={"job_id": "benchmark"},
            documents={},
            compression=compression,
        )

    return lambda path: fs.replace_by(path, fill, durable=durable)


def saved(array: np.ndarray, *, durable: bool) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, array)
            if durable:
                file.flush()
                os.fsync(file.fileno())

    return save


def speeds(folder: Path, gigabytes: float, n: int) -> None:
    iq, few = points(gigabytes * 1e9), points(5e7)
    array = whole(iq).values
    with Scratch(in_memory=0, folder=folder) as scratch:
        for batch in iq:
            scratch.append(batch)
        for durable in (False, True):
            ways = {
                "np.save": saved(array, durable=durable),
                "result, from memory": result(iq, durable=durable),
                "result, from the local disk": result(scratch.batches(), durable=durable),
            }
            print(f"{array.nbytes / 1e9:.3g} GB of IQ points, {'synced' if durable else 'not synced'}")
            compare(folder / "result", ways, array.nbytes, n)
    array = whole(few).values
    ways = {"np.save": saved(array, durable=False)}
    ways["result, gzip"] = result(few, durable=False, compression="gzip")
    print(f"{array.nbytes / 1e9:.3g} GB of IQ points, not synced")
    compare(folder / "result", ways, array.nbytes, n)


def compare(path: Path, ways: dict[str, Callable[[Path], None]], n_bytes: int, n: int) -> None:
    """Print how fast each way fills a new file, in MB/s, and the ratio to the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(n):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            os.sync()
            begun = time.perf_counter()
            ways[name](path)
            times[name].append(time.perf_counter() - begun)
            path.unlink()
    first = median(times["np.save"])
    for name, taken in times.items():
        rate = n_bytes / 1e6 / median(taken)
        print(f"  {name:30s}{rate:8.0f} MB/s   {first / median(taken):.2f} of np.save")


SERVE = """
import sys
from qtrl_spool.cli import main
status = main(["serve", "--drain", "--spool", sys.argv[1]])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(status)
"""


def large(folder: Path, gigabytes: float) -> None:
    """Run a job that keeps its traces, with a server of its own; print sizes, times and the peak memory."""
    create_spool(folder / "spool", default_config_folder(), who="benchmark")
    spool = Spool(folder / "spool")
    per_batch = 2 * 100 * N_ELEMENTS * 1000 * 2
    settings = {"keep_raw": True, "n_reps": 100, "n_batches": round(gigabytes * 1e9 / per_batch)}
    job = spool.submit(rabi("Q1", N_ELEMENTS, 20e-9), {"adc": {"acquisition_settings": settings}})
    begun = time.perf_counter()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "QTRL_SPOOL_SCRATCH": str(folder),
    }
    words = [sys.executable, "-c", SERVE, str(spool.path)]
    served = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    if served.returncode or job.state != "done":
        sys.exit(f"job is {job.state}: {served.stderr[-2000:]}")
    n_bytes = job.result().path.stat().st_size
    print(f"{settings['n_batches']} batches of {per_batch / 1e6:.0f} MB, {took:.0f} s", end=", ")
    print(f"a result of {n_bytes / 1e9:.2f} GB")
    print(f"peak memory of the server {int(served.stdout.split()[-1]) / 1e3:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk that is to be tried")
    parser.add_argument("--gb", type=float, default=1.0)
    parser.add_argument("--memory", type=float, metavar="GB")
    parser.add_argument("-n", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.memory:
            large(Path(folder), arguments.memory)
        else:
            speeds(Path(folder), arguments.gb, arguments.n)


if __name__ == "__main__":
    main()
