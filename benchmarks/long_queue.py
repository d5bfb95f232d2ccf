"""What a long queue costs: to list it, to ask for one job, to claim from it, and to look after it.

For 1,000, 10,000 and 100,000 waiting jobs it prints

- a plain ``os.scandir`` of the same directory, for comparison;
- ``qtrl-spool queue`` and ``status JOB``, whole commands, with a server and without, less a bare Python;
- the share of one core that the server takes with nothing to run, and while it runs one long job, less
  what it takes with an empty queue;
- how long one claim takes, the median of many in a row, beside listing and sorting all names each time.

Times are wall time, and in brackets the processor time, which a busy machine changes less.

    python benchmarks/long_queue.py [--only N]… [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from qtrl_spool import Spool, fs
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.job import Ticket, record_of, utc
from qtrl_spool.spool import tickets
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.snapshot import read_snapshot

SIZES = (1_000, 10_000, 100_000)
N_RUNS = 5
N_CLAIMS = 200
_TICK = os.sysconf("SC_CLK_TCK")
USERS = ("ada", "bob", "eve")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=int, action="append", metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S")
    asked = parser.parse_args()
    for n in asked.only or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            report(n, Path(folder) / "spool", asked.seconds)


def report(n: int, root: Path, seconds: float) -> None:
    create_spool(root, who="the benchmark")
    spool, layout = Spool(root), Layout.of(root)
    empty = shares(spool, seconds)
    fill(layout, n)
    bare = took(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    job = tickets.queued(layout)[n // 2].ticket.job_id
    print(f"\n{n:,} waiting jobs")
    plain = took(lambda: list(os.scandir(_folder(layout))))
    print(f"  {'plain scandir':<29} {told(plain)}")
    commands("stopped", root, job, bare)
    with serving(spool) as process:
        wait_until_told(layout, n, process)
        commands("with a server", root, job, bare)
    full = shares(spool, seconds)
    for what, more, less in zip(("idle", "running a job"), full, empty, strict=True):
        print(f"  server, {what:<21} {100 * more:9.2f} % of a core, {100 * (more - less):+.2f} for the queue")
    claims(layout)


def _folder(layout: Layout) -> Path:
    return layout.queue / "50-normal"


def fill(layout: Layout, n: int) -> None:
    """Put jobs into the queue as acceptance leaves them; no server of the benchmark takes them."""
    for i in range(n):
        job_id = f"20261123-{i // 3600 % 24:02d}{i // 60 % 60:02d}{i % 60:02d}-rabi-{i:05d}"
        at = {"at": "2026-11-23T10:15:30.000000Z", "by": "lab"}
        who = {"name": "rabi", "user": USERS[i % 3], "uid": os.getuid(), "priority": 50}
        event = {**at, "event": "accepted", **who, "instrument": "elsewhere", "n_batches": 10}
        home = layout.home(job_id)
        home.mkdir(parents=True)
        (home / "events.c0.jsonl").write_text(json.dumps(event) + "\n")
        (home / "status.json").write_text(json.dumps(record_of(job_id, [event]), indent=1))
        (_folder(layout) / Ticket(50, i + 1, job_id).name).touch()


class Took(NamedTuple):
    """How long something took, in s."""

    wall: float
    cpu: float


def took(action: Callable[[], object], n: int = N_RUNS) -> Took:
    """Return the median wall and processor time of something done `n` times."""
    times = []
    for _ in range(n):
        began, cpu = time.perf_counter(), _all_cpu_s()
        action()
        times.append((time.perf_counter() - began, _all_cpu_s() - cpu))
    return Took(*(statistics.median(each) for each in zip(*times, strict=True)))


def told(time: Took, less: Took | None = None) -> str:
    more = "" if less is None else f", {1e3 * (time.cpu - less.cpu):.0f} more than bare Python"
    return f"{1e3 * time.wall:9.1f} ms ({1e3 * time.cpu:.0f}{more})"


def _all_cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def commands(how: str, root: Path, job: str, bare: Took) -> None:
    for words in (["queue"], ["queue", "--json"], ["status", job]):
        full = [sys.executable, "-m", "qtrl_spool", *words, "--spool", str(root)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        each = took(lambda full=full, quiet=quiet: subprocess.run(full, check=True, **quiet), 3)
        name = " ".join([*words[:1], *(word for word in words[1:] if word.startswith("-"))])
        print(f"  {name + ', ' + how:<29} {told(each, bare)}")


@contextmanager
def serving(spool: Spool) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the body runs."""
    words = [sys.executable, "-m", "qtrl_spool", "serve", "--spool", str(spool.path), "--name", "lab"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_until_told(layout: Layout, n: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until this server's ``queue.json`` tells of all jobs, and it has read them all."""
    began, before = time.monotonic(), _cpu_s(process.pid)
    since = utc(datetime.now(UTC))
    while process.poll() is None:
        seen = read_snapshot(layout)
        if seen and seen.head["updated"] > since and layout.snapshot.read_text().count('"user":"') >= n:
            break
        time.sleep(0.5)
    wall, cpu = time.monotonic() - began, _cpu_s(process.pid) - before
    if n:
        print(f"  the server has read all after {1e3 * wall:9.1f} ms ({1e3 * cpu:.0f})")


def shares(spool: Spool, seconds: float) -> tuple[float, float]:
    """Return the share of a core that a server takes, idle and while it runs a long job."""
    with serving(spool) as process:
        layout = Layout.of(spool.path)
        wait_until_told(layout, len(tickets.queued(layout)), process)
        time.sleep(3.0)
        idle = share(process.pid, seconds)
        config = {"simulator": {"batch_s": 0.5}}
        job = spool.submit(pi_no_pi(0), config, priority="urgent", n_reps=10, n_batches=10_000)
        while not job.running():
            time.sleep(0.1)
        time.sleep(3.0)
        running = share(process.pid, seconds)
        job.cancel(now=True)
        job.wait(60)
    return idle, running


def share(pid: int, seconds: float) -> float:
    """Return the share of a core that a process takes for the next `seconds`."""
    before, began = _cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu_s(pid) - before) / (time.monotonic() - began)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def claims(layout: Layout) -> None:
    """Claim some jobs as the server does, and as one would without an index."""
    index = Index(layout)
    print(f"  {'first look of the index':<29} {told(took(index.look, 1))}")
    moves = tickets.Tickets(layout, durable=False, moved=index.moved)
    fs.make_folder(layout.claimed_by("bench"), durable=False)

    def claim() -> None:
        index.look()
        moves.claim(index.queued[0], "bench")

    def plain() -> None:
        first = min(fs.listed(_folder(layout)))
        fs.move(_folder(layout) / first, layout.held / first, durable=False)

    each = [took(claim, 1).wall for _ in range(N_CLAIMS)]
    shown = f"median {1e3 * statistics.median(each):.3f} ms, mean {1e3 * statistics.fmean(each):.3f} ms"
    print(f"  a claim: {shown}; listing all names each time {1e3 * took(plain).wall:.2f} ms")


if __name__ == "__main__":
    main()
