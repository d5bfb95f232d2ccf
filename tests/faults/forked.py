"""Servers and trials in forked children: no start of an interpreter, and an end to everything.

A server here is the real one, `Server.run`, with its log in a file. It ends with 0 when it has
drained the spool, 1 when it gave up with a sentence, 70 when it fell over with a traceback.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

FELL_OVER, GAVE_UP = 70, 1
_PR_SET_PDEATHSIG = 1


def warm_up(root: Path) -> None:
    """Serve a job in the spool at `root` here, so that all a server imports is there in every child.

    And no more than that: every fork copies the tables of all that is there.
    """
    from qtrl_spool import Spool
    from qtrl_spool.experiments import pi_no_pi

    from .promise import published

    job = Spool(root).submit(pi_no_pi(0), n_reps=2)
    if serve_here(root) or job.state != "done" or not published(root):
        raise RuntimeError(f"{job.id} is {job.state} with no fault at all")
    gc.collect()
    gc.freeze()  # so that no child's collector touches, and so copies, what all of them share


def serve_here(root: Path, name: str = "lab", *, drain: bool = True) -> int:
    """Serve a spool in this process, and return how it ended."""
    from qtrl_spool.backends import load_backend
    from qtrl_spool.errors import QtrlSpoolError
    from qtrl_spool.server import Server
    from qtrl_spool.spool.layout import Layout

    try:
        server = Server(
            Layout.of(root),
            name=name,
            make_backend=lambda: load_backend("simulator"),
            drain=drain,
            events=False,
        )
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        server.run()
    except QtrlSpoolError as error:
        print(f"Error: {error}", flush=True)
        return GAVE_UP
    except BaseException:  # a child must not return into its parent's loop
        print(traceback.format_exc(), flush=True)
        return FELL_OVER
    return 0


def fork(work: Callable[[], int], log: Path) -> int:
    """Do `work` in a child whose output goes to `log`; return its process number."""
    child = os.fork()
    if child:
        return child
    try:
        _die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
        os._exit(work())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(FELL_OVER)


def ended_by_now(child: int) -> int | None:
    """Return how a child ended, None if it still runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def ended(child: int, deadline_s: float) -> int | None:
    """Wait for a child; return how it ended, None if it had to be killed at the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if (how := ended_by_now(child)) is not None:
            return how
        time.sleep(0.002)
    kill(child)
    return None


def _die_with_parent() -> None:
    """Have the kernel kill this child when its parent has gone, so that no trial leaves a server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill(child: int) -> None:
    """Kill a child, and so all that it forked, and bury it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def drained(root: Path, log: Path, *, name: str = "lab", deadline_s: float = 60.0) -> str | None:
    """Let a healthy server drain a spool; return what went wrong."""
    how = ended(fork(lambda: serve_here(root, name), log), deadline_s)
    if how == 0:
        return None
    return f"a healthy server ended with {how}: {log.read_text()[-600:]}"


def side_by_side(
    trials: Iterable[Callable[[], dict[str, Any]]], work: Path, *, width: int = 6, deadline_s: float = 90.0
) -> Generator[dict[str, Any] | None, None, None]:
    """Make trials in children, `width` at a time: most of them wait most of the time.

    Yields what each returned, as JSON carries it; None for one that did not end by its deadline or fell over.
    Those that are under way when this is closed are killed.
    """
    running: dict[int, tuple[Path, float]] = {}
    try:
        yield from _reports(iter(enumerate(trials)), running, work, width, deadline_s)
    finally:
        for child in running:
            kill(child)


def _reports(
    waiting: Iterator[tuple[int, Callable[[], dict[str, Any]]]],
    running: dict[int, tuple[Path, float]],
    work: Path,
    width: int,
    deadline_s: float,
) -> Iterator[dict[str, Any] | None]:
    while True:
        while len(running) < width and (following := next(waiting, None)) is not None:
            number, trial = following
            report = work / f"report-{number}"
            running[fork(_reporting(trial, report), work / "trials.log")] = (report, time.monotonic())
        if not running:
            return
        for child, (report, since) in list(running.items()):
            done, _ = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() - since > deadline_s:
                kill(child)
                done = child
            if done:
                del running[child]
                yield json.loads(report.read_text()) if report.exists() else None
                report.unlink(missing_ok=True)
        time.sleep(0.005)


def _reporting(trial: Callable[[], dict[str, Any]], report: Path) -> Callable[[], int]:
    def work() -> int:
        text = json.dumps(trial())
        unfinished = report.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.rename(report)
        return 0

    return work
