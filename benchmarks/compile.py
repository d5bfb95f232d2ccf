"""How long building and compiling takes, and what sequences weigh.

Prints, for four experiments, the median of five runs of building a `SequenceWrapper` and compiling it to
the uploadable program and to the dense array; the latter also as a multiple of what numpy needs on this
machine in the same run for "allocate zeros of that shape, one complex64 multiply and real part over the
used channels". Then peak memory (of one more run, traced) and sizes of the sequences, deflated.

    python benchmarks/compile.py [--json FILE] [--runs N] [--only EXPERIMENT]…
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from qtrl_spool.sequence import Pulse, PulseEnvelope, PulseLibrary, SequenceWrapper  # noqa: E402

NS = 1e-9
CLIFFORDS = (
    "",
    "X180",
    "Y180",
    "X180 Y180",
    "X90 Y90",
    "X90 Y-90",
    "X-90 Y90",
    "X-90 Y-90",
    "Y90 X90",
    "Y90 X-90",
    "Y-90 X90",
    "Y-90 X-90",
    "X90",
    "X-90",
    "Y90",
    "Y-90",
    "X-90 Y90 X90",
    "X-90 Y-90 X90",
    "X180 Y90",
    "X180 Y-90",
    "Y180 X90",
    "Y180 X-90",
    "X90 Y90 X90",
    "X-90 Y90 X-90",
)
WANTED = {"rabi": 2.0, "ramsey": 1.8, "rb_100x100": 7.0, "rb_30x500x2": 16.0}
BUDGET = {"base": 5e-3, "per_append": 5e-6}


def library() -> PulseLibrary:
    """Return two qubits with I and Q, a two-channel readout each, and a trigger; 12 channels."""

    def pair(channel: int, env_func: str, width: float, freq: float, **kwargs: Any) -> list[Pulse]:
        parts = ((channel, 0.0), (channel + 1, -np.pi / 2))
        return [
            Pulse(PulseEnvelope(env_func, {**kwargs, "phase": phase}, width), freq, number, 0)
            for number, phase in parts
        ]

    pulses: dict[str, Any] = {"Readout": {"Trigger": Pulse(PulseEnvelope("square", {}, 2 * NS), 0.0, 8, 0)}}
    variables: dict[str, Any] = {}
    for qubit, (channel, freq) in {"Q5": (6, -261.71e6), "Q6": (4, -86.243261e6)}.items():
        drag = {"alpha": 0.9, "env_func": "DRAG", "width": 30 * NS, "freq": freq}
        pulses[qubit] = {
            90: pair(channel, amplitude=0.124, **drag),
            180: pair(channel, amplitude=0.248, **drag),
            "rabi": pair(channel, "cos_square", 1e-6, freq, amplitude=0.15),
        }
        pulses["Readout"]["R" + qubit[1:]] = pair(
            10, "sin", 1024.8 * NS, 0.0, amplitude=0.06, frequency=103.18e6, sample_rate=1e9
        )
        variables[qubit] = {"mod_freq": freq}
    return PulseLibrary(pulses, variables)


def read_out(seq: SequenceWrapper, element: int, ref: str, qubits: tuple[int, ...] = (6,)) -> None:
    """Append a herald and a readout with their triggers to one element."""
    for qubit in qubits:
        herald, _ = seq.append(
            f"Readout/R{qubit}", element, end="Start", start_delay=10 * NS, end_delay=10e-6
        )
        seq.append(f"Readout/R{qubit}", element, start=ref, end_delay=10 * NS)
    seq.append("Readout/Trigger", element, start=herald, start_delay=140 * NS)
    seq.append("Readout/Trigger", element, start=ref, start_delay=130 * NS)


def rabi(n: int = 100) -> SequenceWrapper:
    seq = SequenceWrapper(n, x_axis=0.01, name="rabi")
    for element in range(n):
        _, ref = seq.append("Q6/rabi", element, width=element * 10 * NS)
        read_out(seq, element, ref)
    return seq


def ramsey(n: int = 100, step: float = 200 * NS) -> SequenceWrapper:
    seq = SequenceWrapper(n, x_axis=step * 1e6, name="ramsey")
    for element in range(n):
        _, ref = seq.append("Q6/X90", element, end_delay=element * step)
        _, ref = seq.append(f"Q6/Z{360 * 0.1e6 * element * step:g}", element, start=ref)
        _, ref = seq.append("Q6/X90", element, start=ref)
        read_out(seq, element, ref)
    return seq


def ramsey_swept(n: int = 50, step: float = 200 * NS) -> SequenceWrapper:
    """Return the same as a sweep: six appends in all."""
    waits = np.arange(n) * step
    seq = SequenceWrapper(n, x_axis=step * 1e6, name="ramsey")
    _, ref = seq.sweep("Q6/X90", end_delay=waits)
    _, ref = seq.sweep("Q6/Z0", start=ref, phase=2 * np.pi * 0.1e6 * waits)
    _, ref = seq.append("Q6/X90", start=ref)
    herald, _ = seq.append("Readout/R6", end="Start", start_delay=10 * NS, end_delay=10e-6)
    seq.append("Readout/Trigger", start=herald, start_delay=140 * NS)
    seq.append("Readout/R6", start=ref, end_delay=10 * NS)
    seq.append("Readout/Trigger", start=ref, start_delay=130 * NS)
    return seq


def rb(n: int, n_cliffords: int, qubits: tuple[int, ...] = (6,)) -> SequenceWrapper:
    """Return randomized benchmarking, every gate an append."""
    random = np.random.default_rng(7)
    seq = SequenceWrapper(n, name="rb")
    gates = [tuple(word.split()) for word in CLIFFORDS]
    for element in range(n):
        for qubit in qubits:
            ref = "Start"
            for number in random.integers(0, 24, n_cliffords).tolist():
                for gate in gates[number]:
                    _, ref = seq.append(f"Q{qubit}/{gate}", element, start=ref)
        read_out(seq, element, ref, qubits)
    return seq


EXPERIMENTS: dict[str, Callable[[], SequenceWrapper]] = {
    "rabi": rabi,
    "ramsey": ramsey,
    "rb_100x100": lambda: rb(100, 100),
    "rb_30x500x2": lambda: rb(30, 500, (5, 6)),
}


def median_time(work: Callable[[], Any], runs: int) -> float:
    """Return the median wall time of `work` in s."""
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
        del result
    return statistics.median(times)


def numpy_work(shape: tuple[int, ...], used: list[int]) -> Callable[[], Any]:
    """Return the yardstick: zeros of that shape, a complex64 multiply and real part on the used channels."""
    envelope = np.ones(shape[1:3], np.complex64)
    carrier = np.exp(1j * np.arange(shape[2])).astype(np.complex64)

    def work() -> Any:
        out = np.zeros(shape, np.float32)
        for channel in used:
            out[channel, :, :, 0] = (envelope * carrier).real
        return out

    return work


def peak(work: Callable[[], Any]) -> tuple[int, Any]:
    """Return the peak of memory that `work` allocates, in bytes, and its result."""
    gc.collect()
    tracemalloc.start()
    result = work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most, result


@dataclass
class Line:
    """One experiment: times in s, memory in bytes beyond the array (dense) and in all (program)."""

    name: str
    n_appends: int
    numpy: float
    program: float
    dense: float
    ratio: float
    wanted: float
    budget: float
    program_memory: int
    dense_memory: int


def measure(name: str, runs: int) -> Line:
    build, pulses = EXPERIMENTS[name], library()
    first = build().compile(pulses)
    shape, used = first.program.shape, np.unique(first.program.plays["channel"]).tolist()
    n_appends = len(build())
    yardstick = median_time(numpy_work(shape, used), runs)
    program = median_time(lambda: build().compile(library()).program, runs)
    dense = median_time(lambda: build().compile(library()).array, runs)
    yardstick = min(yardstick, median_time(numpy_work(shape, used), runs))
    program_memory, _ = peak(lambda: build().compile(pulses).program)
    dense_memory, array = peak(lambda: build().compile(pulses).array)
    return Line(
        name,
        n_appends,
        yardstick,
        program,
        dense,
        dense / yardstick,
        WANTED[name],
        BUDGET["base"] + BUDGET["per_append"] * n_appends,
        program_memory,
        dense_memory - array.nbytes,
    )


def sizes() -> dict[str, tuple[int, int]]:
    """Return for each sequence its bytes deflated and its appends."""
    made = {
        "ramsey 50 el.": ramsey(50),
        "ramsey 50 el., swept": ramsey_swept(50),
        "rb 100x100": rb(100, 100),
    }
    return {
        name: (len(zlib.compress(json.dumps(seq.to_dict(), separators=(",", ":")).encode(), 9)), len(seq))
        for name, seq in made.items()
    }


def report(lines: list[Line], weights: dict[str, tuple[int, int]]) -> None:
    print(
        f"{'':14}{'appends':>8}{'numpy':>9}{'program':>10}{'(budget)':>10}{'dense':>9}"
        f"{'ratio':>7}{'wanted':>8}{'program mem':>13}{'dense mem':>12}"
    )
    for line in lines:
        print(
            f"{line.name:14}{line.n_appends:8d}{line.numpy:9.4f}{line.program:10.4f}{line.budget:10.4f}"
            f"{line.dense:9.4f}{line.ratio:6.1f}x{line.wanted:7.1f}x"
            f"{line.program_memory / 2**20:9.1f} MiB{line.dense_memory / 2**20:+8.1f} MiB"
        )
    print()
    for name, (n_bytes, n_appends) in weights.items():
        print(f"{name:24}{n_bytes:8d} bytes{n_appends:8d} appends{n_bytes / n_appends:8.1f} bytes an append")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--only", choices=EXPERIMENTS, action="append")
    args = parser.parse_args()
    lines = [measure(name, args.runs) for name in args.only or EXPERIMENTS]
    weights = sizes()
    report(lines, weights)
    if args.json:
        facts = {"times": [asdict(line) for line in lines], "sizes": weights}
        args.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
