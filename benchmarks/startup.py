"""How much longer than a bare Python ``--help``, ``status`` and ``queue`` take: the target is 100 ms.

Run it as ``python benchmarks/startup.py``. Each is started many times in a fresh process, in turn, so
that a busy machine slows all of them alike; on such a one the fastest run tells more than the median.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_RUNS = 31
TARGET_MS = 100.0
BARE = "bare Python"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        subprocess.run(_words("init", str(spool)), check=True, capture_output=True)
        (spool / "incoming" / "50-normal" / "20261123-101530-rabi-k3f9x.qjob").touch()
        starts = {
            BARE: [sys.executable, "-c", "pass"],
            "--help": _words("--help"),
            "status": _words("status", "k3f9x", "--spool", str(spool)),
            "queue": _words("queue", "--spool", str(spool)),
        }
        times = measured(starts)
    print(f"{'':<12} {'median':>10} {'fastest':>10}   more than {BARE} (both); target {TARGET_MS:g} ms")
    for name, each in times.items():
        more = [pick(each) - pick(times[BARE]) for pick in (statistics.median, min)]
        verdict = "" if name == BARE else f"   {more[0]:+6.1f} {more[1]:+6.1f}"
        print(f"{name:<12} {statistics.median(each):7.1f} ms {min(each):7.1f} ms{verdict}")


def measured(starts: dict[str, list[str]]) -> dict[str, list[float]]:
    """Return the wall times of each command, in ms."""
    times: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(N_RUNS):
        for name, words in starts.items():
            begin = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            times[name].append(1e3 * (time.perf_counter() - begin))
    return times


def _words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "qtrl_spool", *arguments]


if __name__ == "__main__":
    main()
