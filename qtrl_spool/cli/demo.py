"""``demo``: a spool, a server on the simulator, three jobs, their results and a picture, in a minute."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qtrl_spool.cli.fetch import is_done
from qtrl_spool.cli.look import queue_row, queue_table
from qtrl_spool.cli.say import fact, hush_libraries, picture, word
from qtrl_spool.errors import InternalError, OperatorError, StorageError
from qtrl_spool.host import login_name
from qtrl_spool.spool.layout import Layout

if TYPE_CHECKING:
    from qtrl_spool.client import Job, Spool
    from qtrl_spool.sequence import SequenceWrapper

_SERVER = "demo"
_START_S, _END_S = 30.0, 15.0
_N_BATCHES, _BATCH_S = 8, 0.25


@click.command()
@click.argument("folder", metavar="[DIR]", required=False)
def demo(folder: str | None) -> int:
    """Show the whole way: a spool in DIR (else a temporary folder), a server, jobs, results, a plot.

    Everything stays there to be looked at; the server is stopped at the end.
    """
    from qtrl_spool.client import Spool
    from qtrl_spool.create import create_spool

    root = _place(folder)
    _check_new(root)
    word(f"1. A spool, which is a folder: {root / 'spool'}")
    spool = Spool(create_spool(root / "spool", who=login_name()).path)
    word("2. Three jobs, dropped into it while no server is running yet:")
    jobs = [_submit(spool, *each) for each in _experiments()]
    for job, priority in zip(jobs, ("low", "normal", "urgent"), strict=True):
        word(f"     {job.id}  priority {priority}")
    word("3. A server on the simulator; it accepts them and runs the most urgent one first:")
    with _server(spool, root / "server.log"):
        _show_queue(spool, jobs)
        for job in reversed(jobs):
            _show(job)
    word(f"4. The results are HDF5 files that xarray opens. The Rabi oscillation, drawn: {root / 'rabi.png'}")
    hush_libraries()
    jobs[-1].result().plot(root / "rabi.png")
    word(f"   Look around: {_pasted()} jobs --spool {shlex.quote(str(spool.path))}")
    fact(str(root / "rabi.png"))
    return 0 if all(map(is_done, jobs)) else 1


def _pasted() -> str:
    """Return how this command is called from any directory."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py" or not program.is_file():
        return f"{shlex.quote(sys.executable)} -m qtrl_spool"
    return shlex.quote(str(program.absolute()))


def _place(folder: str | None) -> Path:
    if folder is not None:
        return Path(folder).expanduser().absolute()
    import tempfile

    return Path(tempfile.mkdtemp(prefix="qtrl-spool-demo-"))


def _check_new(root: Path) -> None:
    """Refuse a folder in which a demo was shown before."""
    if Layout(root / "spool").mark.exists():
        raise StorageError(
            f"a demo was shown in {root} already: there is its spool",
            hint=f"name another DIR, or remove that one: rm -r {shlex.quote(str(root))}",
        )


def _experiments() -> Iterator[tuple[SequenceWrapper, str, str]]:
    from qtrl_spool.experiments import rabi, ramsey, t1

    yield t1("Q1", n_elements=41, step_size=2e-6), "t1", "low"
    yield ramsey("Q1", n_elements=81, step_size=100e-9, detune=0.5e6), "ramsey", "normal"
    yield rabi("Q1", n_elements=51, step_size=4e-9), "rabi", "urgent"


def _submit(spool: Spool, sequence: SequenceWrapper, name: str, priority: str) -> Job:
    slow = {"simulator": {"batch_s": _BATCH_S}}
    return spool.submit(sequence, slow, name=name, priority=priority, n_reps=200, n_batches=_N_BATCHES)


@contextmanager
def _server(spool: Spool, log: Path) -> Iterator[None]:
    """Run a server in a process of its own for as long as the body runs."""
    words = [sys.executable, "-m", "qtrl_spool", "serve", "--spool", str(spool.path), "--name", _SERVER]
    with log.open("wb") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            _until_it_lives(spool, process, log)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_it_lives(spool: Spool, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while not any(server["alive"] for server in spool.queue()["servers"]):
        if process.poll() is not None:
            raise InternalError("the server ended at once", where=str(log), hint="its log says why")
        if time.monotonic() > end:
            raise OperatorError(f"the server did not start within {_START_S:g} s", where=str(log))
        time.sleep(0.02)


def _show_queue(spool: Spool, jobs: list[Job]) -> None:
    """Show the places of all jobs as soon as all are accepted."""
    end = time.monotonic() + _START_S
    while any(job.status()["accepted"] is None for job in jobs) and time.monotonic() < end:
        time.sleep(0.02)
    found = spool.queue()
    rows = [queue_row(each) for each in (*found["running"], *found["queued"])]
    picture(queue_table(rows, indent="     "))


def _show(job: Job) -> None:
    """Wait for a job with a progress bar, then show its data in the terminal."""
    job.wait()
    with job.result() as result:
        for line in result.text_plot(width=64).splitlines():
            word(f"     {line}")
