"""``python -m tests.fuzz --n N [--seed S] [--target T]``: N inputs, one JSON line, status 1 after a crash.

A crash is any exception that is not of the package's own tree, and any input that takes longer than a minute.
It is told by its seed: ``--seed S --n 1 --target T`` gives the same input again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import traceback
from random import Random
from typing import Any

from .targets import TARGETS, attempt

_LONGEST_S = 60
_SHOWN = 10


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(n: int, seed: int, targets: list[str]) -> dict[str, Any]:
    """Try `n` inputs, in turn on each target; `seed` is the number of the first."""
    for target in targets:
        attempt(target, Random(seed))  # loads what is loaded late, which is no input's cost
    worst_s, worst_on, accepted = 0.0, "", 0
    before, crashes = memory_mb(), []
    for number in range(seed, seed + n):
        target = targets[number % len(targets)]
        signal.alarm(_LONGEST_S)
        began = time.process_time()
        try:
            accepted += attempt(target, Random(number))
        except Exception:
            crashes.append({"seed": number, "target": target, "error": traceback.format_exc()[-2000:]})
        took = time.process_time() - began
        if took > worst_s:
            worst_s, worst_on = took, f"{target} {number}"
    signal.alarm(0)
    return {
        "inputs": n,
        "accepted": accepted,
        "crashes": len(crashes),
        "worst_s": round(worst_s, 3),
        "worst_on": worst_on,
        "worst_mb": round(memory_mb() - before, 1),
        "first": crashes[:_SHOWN],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, action="append")
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    found = fuzz(asked.n, asked.seed, asked.target or list(TARGETS))
    print(json.dumps(found))
    return 1 if found["crashes"] else 0


def _too_long(*_: object) -> None:
    raise TimeoutError(f"an input took longer than {_LONGEST_S} s, in process {os.getpid()}")


if __name__ == "__main__":
    sys.exit(main())
