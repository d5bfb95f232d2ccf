"""How fast results are written, beside ``np.save``, and in how much memory a job of many GB ends.

Run as ``python benchmarks/results.py [--folder DIR] [--gb 1]`` for the first and ``… --memory 10`` for
the second: a job of 10 GB of raw traces, measured, demodulated, processed and written in a process of
its own, whose peak memory is told. Times are medians of alternating runs; trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import BinaryIO

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from qtrl_spool import fs, run
from qtrl_spool.axes import IQ_AXES, RAW_AXES, Batches, InMemory, Labelled, whole
from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import load_config
from qtrl_spool.experiments import rabi
from qtrl_spool.processing import demodulate, process
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


def large(folder: Path, gigabytes: float) -> None:
    """Measure, process and write a job that keeps its traces; print the sizes and the peak memory."""
    default = load_config(default_config_folder())
    patch = {"adc": {"acquisition_settings": {"keep_raw": True, "n_reps": 100}}}
    bundle = Bundle(rabi("Q1", N_ELEMENTS, 20e-9).to_dict(), patch, Manifest())
    prepared = run.prepare(bundle, default)
    settings = prepared.settings
    shape = (2, settings.n_reps, settings.n_elements, settings.n_triggers, settings.points)
    traces = np.random.default_rng(1).integers(-99, 99, shape, np.int16)
    n_batches = round(gigabytes * 1e9 / traces.nbytes)
    begun = time.perf_counter()
    with Scratch(folder=folder) as iq, Scratch(expected=n_batches * traces.nbytes, folder=folder) as raw:
        for _ in range(n_batches):
            batch = Labelled(traces, RAW_AXES)
            raw.append(batch)
            iq.append(demodulate(batch, prepared.config.adc, prepared.readouts))
        measured = time.perf_counter()
        adc, x = prepared.config.adc, np.asarray(prepared.wrapper.x_axis)
        processed = process(iq.batches(), adc, readouts=prepared.readouts, x_axis=x)

        def fill(file: BinaryIO) -> None:
            write(
                file,
                iq=iq.batches(),
                raw=raw.batches(),
                processed=processed,
                readouts=prepared.readouts,
                x_axis=("x", "", x),
                identity={},
                documents={},
            )

        fs.replace_by(folder / "result.h5", fill)
    ended = time.perf_counter()
    size = (folder / "result.h5").stat().st_size
    print(f"{n_batches} batches of {traces.nbytes / 1e6:.0f} MB of traces, result of {size / 1e9:.2f} GB")
    print(f"measured in {measured - begun:.0f} s, processed and written in {ended - measured:.0f} s")
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(f"peak memory {int(peak) / 1e3:.0f} MB")


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
