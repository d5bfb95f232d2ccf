"""How long building and compiling takes, and what sequences weigh.

Prints, for four experiments, the median of five runs of building a `SequenceWrapper` and compiling it to
the uploadable program and to the dense array; the latter also as a multiple of what numpy needs on this
machine in the same run for "allocate zeros of that shape, one complex64 multiply and real part over the
used channels". Then the peak of memory of one more run (all that numpy and Python allocate, traced), the
same experiments with other toolkits where they are installed (`peers`), and sizes of bundles on disk.

    python benchmarks/compile.py [--json FILE] [--runs N] [--only EXPERIMENT]… [--no-peers]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import peers  # noqa: E402

from qtrl_spool.bundle import Bundle, Manifest, pack  # noqa: E402
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


def rb_gates(n: int, n_cliffords: int, n_qubits: int, seed: int) -> list[peers.Gates]:
    """Return random Cliffords as gates [qubit][element]."""
    random = np.random.default_rng(seed)
    words = [word.split() for word in CLIFFORDS]
    gates: list[peers.Gates] = [[] for _ in range(n_qubits)]
    for _ in range(n):
        for sequences in gates:
            drawn = random.integers(0, 24, n_cliffords).tolist()
            sequences.append([gate for number in drawn for gate in words[number]])
    return gates


def rb(gates: list[peers.Gates], qubits: tuple[int, ...]) -> SequenceWrapper:
    """Return randomized benchmarking, every gate an append."""
    n = len(gates[0])
    seq = SequenceWrapper(n, name="rb")
    for element in range(n):
        for qubit, sequences in zip(qubits, gates, strict=True):
            ref = "Start"
            for gate in sequences[element]:
                _, ref = seq.append(f"Q{qubit}/{gate}", element, start=ref)
        read_out(seq, element, ref, qubits)
    return seq


SINGLE = rb_gates(100, 100, 1, seed=571)
PAIR = rb_gates(30, 500, 2, seed=372)
"""Seeds that give 18,766 and 54,989 appends, the numbers that the wanted times were stated for."""

EXPERIMENTS: dict[str, Callable[[], SequenceWrapper]] = {
    "rabi": rabi,
    "ramsey": ramsey,
    "rb_100x100": lambda: rb(SINGLE, (6,)),
    "rb_30x500x2": lambda: rb(PAIR, (5, 6)),
}
GATES: dict[str, list[peers.Gates]] = {"rabi": [], "ramsey": [], "rb_100x100": SINGLE, "rb_30x500x2": PAIR}
TITLES = {
    "rabi": "Rabi, 100 el.",
    "ramsey": "Ramsey, 100 el.",
    "rb_100x100": "RB 100 el. x 100",
    "rb_30x500x2": "RB 30 el. x 500 x 2",
}
MIB = 2**20


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


def sizes() -> dict[str, tuple[int, int, int]]:
    """Return for each sequence the bytes of its bundle on disk, as ``submit`` writes it; wanted; appends."""
    made = {
        "Ramsey 50 el., appends": (ramsey(50), 8_000),
        "Ramsey 50 el., a sweep": (ramsey_swept(50), 1_500),
        "RB 100 x 100, appends": (rb(SINGLE, (6,)), 200_000),
    }
    return {
        name: (len(pack(Bundle(seq.to_dict(), {}, Manifest(name=seq.name)))), wanted, len(seq))
        for name, (seq, wanted) in made.items()
    }


def peer_times(name: str, runs: int) -> dict[str, float | str]:
    """Return for each installed toolkit its median time in s, or what it said instead."""
    found: dict[str, float | str] = {}
    for peer in peers.installed():
        try:
            work = peers.PEERS[peer][1](name, GATES[name])
            work()
            found[peer] = median_time(work, runs)
        except Exception as error:  # noqa: BLE001 - a toolkit of another version may raise anything
            found[peer] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found


def print_row(title: str, cells: list[str]) -> None:
    print(f"{title:34}" + "".join(f"{cell:>21}" for cell in cells))


def report(lines: list[Line]) -> None:
    """Print the table, an experiment in each column."""
    print_row("", [TITLES[line.name] for line in lines])
    print_row("appends", [f"{line.n_appends}" for line in lines])
    print_row("numpy, the yardstick", [f"{line.numpy:.4f} s" for line in lines])
    print_row("dense array", [f"{line.dense:.4f} s" for line in lines])
    print_row("  as a multiple of numpy", [f"{line.ratio:.1f}x (<= {line.wanted:g}x)" for line in lines])
    print_row(
        "  peak memory beyond the array", [f"{line.dense_memory / MIB:.1f} (<= 64) MiB" for line in lines]
    )
    print_row("uploadable program", [f"{line.program * 1e3:.1f} ms" for line in lines])
    print_row("  wanted", [f"<= {line.budget * 1e3:.1f} ms" for line in lines])
    print_row("  peak memory in all", [f"{line.program_memory / MIB:.1f} (<= 64) MiB" for line in lines])


def report_peers(names: list[str], times: dict[str, dict[str, float | str]]) -> None:
    """Print a row for each toolkit, installed or not."""
    for peer in peers.PEERS:
        found = [times[name].get(peer, "not installed") for name in names]
        print_row(f"({peer})", [each[:20] if isinstance(each, str) else f"{each:.3f} s" for each in found])
        for name, each in zip(names, found, strict=True):
            if isinstance(each, str) and len(each) > 20:
                print(f"    {name}: {each}")


def report_sizes(weights: dict[str, tuple[int, int, int]]) -> None:
    for name, (n_bytes, wanted, n_appends) in weights.items():
        per_append = f"{n_bytes / n_appends:.1f} bytes an append"
        print(f"{name:34}{n_bytes:8d} bytes on disk (<= {wanted}), {n_appends} appends, {per_append}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--only", choices=EXPERIMENTS, action="append")
    parser.add_argument("--no-peers", action="store_true", help="only this program and numpy")
    args = parser.parse_args()
    names = args.only or list(EXPERIMENTS)
    lines = [measure(name, args.runs) for name in names]
    report(lines)
    times = {name: {} if args.no_peers else peer_times(name, min(3, args.runs)) for name in names}
    if not args.no_peers:
        report_peers(names, times)
    weights = sizes()
    print()
    report_sizes(weights)
    if args.json:
        facts = {"times": [asdict(line) for line in lines], "peers": times, "sizes": weights}
        args.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
