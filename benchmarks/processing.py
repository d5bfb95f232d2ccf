"""How fast the processing is, beside what this machine's matrix multiplication can do.

Run as ``python benchmarks/processing.py``. Medians of alternating runs; on a shared machine trust the ratios.

Heterodyne is compared with one float32 ``numpy.matmul`` of the same traces with as many columns: the same
number of floating point operations, and nothing else. Memory is the peak that `tracemalloc` sees, the input
included.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median

_CORE = "OPENBLAS_CORETYPE"
if _CORE in os.environ:  # it may name an older processor than this one: start again without it
    os.execve(
        sys.executable, [sys.executable, *sys.argv], {k: v for k, v in os.environ.items() if k != _CORE}
    )

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))

from qtrl_spool.axes import IQ_AXES, RAW_AXES, InMemory, Labelled  # noqa: E402
from qtrl_spool.config import load_config  # noqa: E402
from qtrl_spool.processing import process  # noqa: E402
from qtrl_spool.processing.classification import classify, mixture  # noqa: E402
from qtrl_spool.processing.demodulation import heterodyne  # noqa: E402
from qtrl_spool.shipped import default_config_folder  # noqa: E402

RATE = 1e9


def in_turn(*works: Callable[[], object], n: int = 9) -> list[float]:
    """Return the median time of each work, s; they are run in turn, so that all meet the same noise."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(n):
        for work, seconds in zip(works, times, strict=True):
            begun = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - begun)
    return [median(seconds) for seconds in times]


def peak(work: Callable[[], object]) -> int:
    """Return the most memory that `work` takes beyond what is there, bytes."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def demodulation(n_reps: int, n_elements: int, n_points: int, n_readouts: int, dtype: type) -> None:
    random = np.random.default_rng(1)
    shape = (2, n_reps, n_elements, 1, n_points)
    raw = Labelled(random.integers(-100, 100, shape).astype(dtype), RAW_AXES)
    frequencies = 1e6 * np.arange(10, 10 + 20 * n_readouts, 20)
    matrix = raw.values.reshape(-1, n_points).astype(np.float32)
    weights = random.normal(size=(n_points, 2 * n_readouts)).astype(np.float32)
    ours, theirs = in_turn(lambda: heterodyne(raw, frequencies, RATE), lambda: matrix @ weights)
    n_operations = 2 * matrix.size * 2 * n_readouts
    memory = 1 + peak(lambda: heterodyne(raw, frequencies, RATE)) / raw.values.nbytes
    print(
        f"  {n_readouts} readouts, {raw.values.nbytes / 1e6:5.0f} MB of {raw.values.dtype!s:8s}"
        f"{n_operations / ours / 1e9:7.1f} GFLOP/s  matmul {n_operations / theirs / 1e9:6.1f}"
        f"  ratio {theirs / ours:5.2f} (target 0.50)  memory {memory:5.2f} x input (target 1.30)"
    )


def largest_rate() -> float:
    """Return what a product of large square float32 matrices reaches, GFLOP/s."""
    square = np.random.default_rng(0).normal(size=(1500, 1500)).astype(np.float32)
    (seconds,) = in_turn(lambda: square @ square, n=5)
    return 2 * 1500**3 / seconds / 1e9


def points(n_reps: int) -> Labelled:
    values = np.random.default_rng(2).normal(size=(4, n_reps, 51, 2, 2))
    return Labelled((100 * values).astype(np.float32), IQ_AXES)


def classification() -> None:
    iq = points(1000)
    blobs = mixture([[-100.0, 0.0, 100.0, 0.0]] * 4, [[2000.0, 2500.0]] * 4, None)
    (seconds,) = in_turn(lambda: classify(iq, blobs))
    print(f"classification{iq.values.size / 2e6 / seconds:24.0f} million points/s")


def chain() -> None:
    adc, batches = load_config(default_config_folder()).adc, InMemory([points(250)] * 4)
    (seconds,) = in_turn(
        lambda: process(batches, adc, readouts=("R0", "R1", "R2", "R3"), x_axis=np.arange(51.0)), n=5
    )
    print(f"shipped chain, 1000 x 51 x 4 readouts   {1e3 * seconds:8.0f} ms")


def main() -> None:
    print(f"float32 matmul of square matrices {largest_rate():8.1f} GFLOP/s")
    print("heterodyne")
    for n_readouts in (1, 4, 8):
        demodulation(200, 51, 1024, n_readouts, np.float32)
    for n_readouts in (1, 4, 8):
        demodulation(200, 51, 1024, n_readouts, np.int16)
    classification()
    chain()


if __name__ == "__main__":
    main()
