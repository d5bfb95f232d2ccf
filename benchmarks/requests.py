"""How soon a request is answered while an acquisition blocks: ``python benchmarks/requests.py [--n N]``.

A server acquires one batch of a job for minutes; a client in another process asks N times for one of the
cheap verbs (hold, release, move in turn) about a job that waits, one after the other, and measures from
the drop of the file to the answer that it can read. In the same run, and on the same storage, a bare round
trip is measured: a file renamed into a folder that is watched, and renamed back by a process that does
nothing else. On a busy machine the ratio of the two says more than either.

Prints p50, p90, p99 and the longest of both, in ms, and the ratios; with ``--json`` as one document.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import pi_no_pi

DEADLINE_S = 60.0
_ECHO = "--echo"


def until(what: Callable[[], Any]) -> None:
    """Wait until `what` is true."""
    end = time.monotonic() + DEADLINE_S
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"did not happen within {DEADLINE_S:g} s")
        time.sleep(0.01)


def asked(root: Path, n: int) -> list[float]:
    """Return how long each of n requests took, in s, while an acquisition blocks."""
    words = [sys.executable, "-m", "qtrl_spool", "serve", "--spool", str(root), "--name", "bench"]
    with (root.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            return _answers(Spool(root), n)
        finally:
            server.kill()
            server.wait()


def _answers(spool: Spool, n: int) -> list[float]:
    blocking = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 600}}, n_reps=2, n_batches=2)
    until(lambda: blocking.status()["phase"] == "acquiring")
    job = spool.submit(pi_no_pi(0), n_reps=2, n_batches=1)
    until(lambda: job.place)
    verbs = (job.hold, job.release, lambda: job.move("low"), lambda: job.move("normal"))
    times = []
    for turn in range(n):
        begin = time.perf_counter()
        verbs[turn % len(verbs)]()
        times.append(time.perf_counter() - begin)
    if blocking.status()["phase"] != "acquiring":
        raise SystemExit("the acquisition ended meanwhile")
    return times


# ---------------------------------------------------------------- the bare round trip


class Inotify:
    """Waits for files that are renamed into a folder: the system's own call, with nothing in between."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(0)
        if libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_MOVED_TO) < 0:
            raise SystemExit(f"no inotify here: {os.strerror(ctypes.get_errno())}")

    def wait(self) -> list[str]:
        """Return the names that were renamed in since; wait for one."""
        data, names = os.read(self._descriptor, 65_536), []
        while data:
            length = struct.unpack_from("iIII", data)[3]
            names.append(data[_HEAD : _HEAD + length].rstrip(b"\0").decode())
            data = data[_HEAD + length :]
        return names


_IN_MOVED_TO, _HEAD = 0x80, 16


def echo(folder: Path) -> None:
    """Rename back all that is renamed in, until something is called ``end``."""
    asked = Inotify(folder / "asked")
    print("ready", flush=True)
    while True:
        for name in asked.wait():
            (folder / "asked" / name).rename(folder / "answered" / name)
            if name == "end":
                return


def bare(folder: Path, n: int) -> list[float]:
    """Return how long each of n renames there and back took, in s."""
    for name in ("asked", "answered"):
        (folder / name).mkdir(parents=True)
    other = subprocess.Popen([sys.executable, __file__, _ECHO, str(folder)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    answered = Inotify(folder / "answered")
    times = [_there_and_back(folder, f"{turn}", answered) for turn in range(n)]
    _there_and_back(folder, "end", answered)
    other.wait()
    return times


def _there_and_back(folder: Path, name: str, answered: Inotify) -> float:
    source = folder / "asked" / f".{name}"
    source.touch()
    begin = time.perf_counter()
    source.rename(folder / "asked" / name)
    while name not in answered.wait():
        continue
    return time.perf_counter() - begin


# ---------------------------------------------------------------- what is said


def percentiles(times: list[float]) -> dict[str, float]:
    """Return p50, p90, p99 and the longest, in ms."""
    ordered = sorted(times)
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in _SHARES}
    return {name: round(1e3 * value, 2) for name, value in {**at, "longest": ordered[-1]}.items()}


_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="requests")
    parser.add_argument("--folder", default=None, help="where; a temporary folder without it")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(_ECHO, metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        echo(Path(options.echo))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = create_spool(Path(folder) / "spool", who="the benchmark").path
        half = options.n // 2
        trips = bare(Path(folder) / "before", half)
        requests = percentiles(asked(root, options.n))
        round_trip = percentiles(trips + bare(Path(folder) / "after", options.n - half))
    ratios = {name: round(requests[name] / round_trip[name], 1) for name in ("p50", "p99")}
    found = {"n": options.n, "requests_ms": requests, "round_trip_ms": round_trip, "ratio": ratios}
    print(json.dumps(found) if options.json else _told(found))


def _told(found: dict[str, Any]) -> str:
    rows = [("", *found["requests_ms"])]
    rows += [(name, *found[name].values()) for name in ("requests_ms", "round_trip_ms")]
    lines = ["  ".join(str(cell).rjust(14) for cell in row) for row in rows]
    return "\n".join([*lines, f"ratio: p50 {found['ratio']['p50']}, p99 {found['ratio']['p99']}"])


if __name__ == "__main__":
    main()
