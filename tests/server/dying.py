"""Kills a server before its n-th change of the disk, for every n, and looks what a restart makes of it.

Run as ``python -m tests.server.dying TEMPLATE WORK SCENARIO``; prints one JSON line for each n. The
process forks, so that no death costs the start of an interpreter. A death is `os._exit` in place of
the n-th rename, unlink, mkdir or creation of a file, in whichever thread it happens: nothing is
flushed, nothing is cleaned up, exactly as with kill -9.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from qtrl_spool import Spool
from qtrl_spool.backends import Backend, load_backend
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server import Server
from qtrl_spool.spool import requests, tickets
from qtrl_spool.spool.layout import Layout

_DIED = 137
_CHANGES = ("rename", "replace", "unlink", "mkdir", "rmdir")


def die_before(n: int) -> None:
    """Make the n-th change of the disk by this process its last."""
    left = [n]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os._exit(_DIED)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            count()
            return call(*args, **kwargs)

        return wrapper

    for name in _CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    real_open = os.open

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_CREAT | os.O_APPEND):
            count()
        return real_open(path, flags, *args, **kwargs)

    os.open = opening


def serve(root: Path, n: int | None) -> int:
    """Serve a spool until it is drained, in a child that dies before its n-th change; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if n is not None:
            die_before(n)
        layout = Layout.of(root)

        def make() -> Backend:
            return load_backend("simulator")

        Server(layout, name="lab", make_backend=make, drain=True, events=False).run()
    except BaseException:  # a child must not return into the parent's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


# ---------------------------------------------------------------- what is dropped, what must follow


def job_of(spool: Spool, **manifest: Any) -> str:
    return spool.submit(pi_no_pi(0), check=False, n_reps=2, **manifest).id


def expect(spool: Spool, job_id: str, state: str) -> None:
    """Check that a job came to its one end, and that nothing else is left of it."""
    job, layout = spool.job(job_id), Layout.of(spool.path)
    assert job.state == state, job.status()
    place = tickets.find(layout, job_id)
    assert place is not None and place.state == state, place
    ended = [event["event"] for event in job.log() if event["event"] in {"committed", "cancelled", "failed"}]
    assert len(ended) == 1, ended
    waiting = [*tickets.queued(layout), *tickets.held(layout), *tickets.running(layout)]
    assert not [each for each in waiting if each.ticket.job_id == job_id]
    if state == "done":
        with h5py.File(job.home / "result.h5") as file:
            assert file.attrs["job_id"] == job_id
    assert not [name for name in os.listdir(layout.running / "lab") if name.endswith(".open")]


def a_job(spool: Spool) -> Callable[[], None]:
    job_id = job_of(spool)
    return lambda: expect(spool, job_id, "done")


def a_folder(spool: Spool) -> Callable[[], None]:
    folder = spool.path / "incoming" / "50-normal" / "my job"
    folder.mkdir()
    (folder / "sequence.json").write_text(json.dumps(pi_no_pi(0).to_dict()))
    (folder / "job.yaml").write_text("n_reps: 2\n")

    def check() -> None:
        jobs = spool.jobs()
        assert len(jobs) == 1, jobs
        expect(spool, jobs[0].id, "done")

    return check


def a_bad_drop(spool: Spool) -> Callable[[], None]:
    (spool.path / "incoming" / "bad.yaml").write_text(
        "format: qtrl-sequence/1\nn_elements: 1\nappend: []\n...\n"
    )

    def check() -> None:
        jobs = spool.jobs()
        assert [job.state for job in jobs] == ["rejected"], jobs
        names = [name for name in os.listdir(spool.path / "rejected") if not name.startswith(".")]
        assert sorted(Path(name).suffix for name in names) == [".txt", ".yaml"], names
        assert (spool.path / jobs[0].status()["rejected"]).exists()

    return check


def a_release(spool: Spool) -> Callable[[], None]:
    return held_then(spool, "release", "done")


def a_cancel(spool: Spool) -> Callable[[], None]:
    return held_then(spool, "cancel", "cancelled")


def held_then(spool: Spool, verb: str, state: str) -> Callable[[], None]:
    job_id = job_of(spool, hold=True)
    assert serve(spool.path, None) == 0
    layout = Layout.of(spool.path)
    requests.send(layout, {verb: job_id}, "request.yaml")

    def check() -> None:
        expect(spool, job_id, state)
        assert (requests.answer(layout, "request.yaml") or {})["ok"]
        assert requests.pending(layout) == []

    return check


def a_new_default(spool: Spool) -> Callable[[], None]:
    layout = Layout.of(spool.path)
    request = {"config": {"variables": {"Q1/rabi_amp": 0.125}}, "base": 1, "reason": "recalibrated"}
    requests.send(layout, request, "request.yaml")

    def check() -> None:
        assert (requests.answer(layout, "request.yaml") or {})["ok"], requests.answer(layout, "request.yaml")
        assert spool.config["variables/Q1/rabi_amp"] == 0.125
        assert [entry["version"] for entry in spool.config.log()] == [1, 2]

    return check


SCENARIOS = {
    each.__name__: each for each in (a_job, a_folder, a_bad_drop, a_release, a_cancel, a_new_default)
}


def one_death(template: Path, work: Path, scenario: str, n: int) -> dict[str, Any]:
    root = work / f"{scenario}-{n}"
    shutil.copytree(template, root)
    check = SCENARIOS[scenario](Spool(root))
    first = serve(root, n)
    again = serve(root, None) if first == _DIED else first
    problem = ""
    try:
        assert again == 0, f"the server ended with {again}"
        check()
    except Exception:
        problem = traceback.format_exc()
    shutil.rmtree(root)
    return {"n": n, "died": first == _DIED, "problem": problem}


def main() -> None:
    template, work, scenario = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    n, died = 1, True
    while died:
        report = one_death(template, work, scenario, n)
        print(json.dumps(report), flush=True)
        died, n = report["died"], n + 1


if __name__ == "__main__":
    main()
