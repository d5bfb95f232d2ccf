"""Servers: one of a name, several on a spool, stopped, killed, restarted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import ServerNameTakenError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import servers
from qtrl_spool.spool.layout import Layout

from .support import (
    Serve,
    command,
    fs_names,
    quick,
    slow,
    until,
)

# ---------------------------------------------------------------- servers


def test_a_second_server_of_the_same_name_is_refused_with_the_holders_name(
    spool: Spool, serve: Serve
) -> None:
    first = serve().ready()

    second = command("serve", "--spool", spool.path, "--name", "lab")

    assert second.returncode == 1
    assert f"process {first.process.pid}" in second.stderr
    assert first.process.poll() is None


def test_sigterm_lets_the_running_job_pause_after_its_batch(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=0.1))
    until(job.running)

    assert server.stop() == 0

    assert job.state == "paused"
    assert job.status()["server"] is None
    assert fs_names(spool.path / "running" / "lab") == []


def test_sigterm_gives_up_a_batch_that_takes_too_long(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=600))
    until(lambda: job.status()["phase"] == "acquiring")

    assert server.stop() == 0
    assert job.state == "paused"


def test_two_servers_share_a_spool_and_each_job_is_run_once(spool: Spool, serve: Serve) -> None:
    jobs = [spool.submit(pi_no_pi(0), **quick(), check=False) for _ in range(12)]
    both = [serve("--drain", name=name) for name in ("lab-a", "lab-b")]

    for server in both:
        server.process.wait(60)

    assert [job.state for job in jobs] == ["done"] * 12
    assert [[e["event"] for e in job.log()].count("claimed") for job in jobs] == [1] * 12


def test_of_several_servers_none_starves(spool: Spool, serve: Serve) -> None:
    names = ("lab-a", "lab-b", "lab-c")
    for name in names:
        serve(name=name).ready()
    jobs = [
        spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.2}}, check=False, n_reps=2, n_batches=2)
        for _ in range(15)
    ]

    ran = [job.wait(60).status()["server"] for job in jobs]

    assert all(ran.count(name) > 1 for name in names), ran


def test_a_killed_server_goes_on_where_it_was_after_a_restart(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=20)
    until(lambda: job.status()["progress"]["batch"] >= 3)

    server.kill()
    serve()

    assert job.wait(60).state == "done"
    assert job.status()["attempt"] == 2
    assert [event["event"] for event in job.log()].count("requeued") == 1


def test_a_killed_servers_job_is_taken_over_by_another_after_the_lease(spool: Spool, serve: Serve) -> None:
    server = serve(name="lab-a")
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=40)
    until(lambda: job.status()["progress"]["batch"] >= 1)

    server.kill()
    serve(name="lab-b")

    assert job.wait(60).state == "done"
    assert job.status()["server"] == "lab-b"


def test_an_interrupted_job_that_must_not_run_again_fails(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(), on_interrupt="fail")
    until(lambda: job.status()["phase"] == "acquiring")

    server.kill()
    serve()
    job.wait(60)

    assert job.state == "failed"
    assert "on_interrupt" in job.status()["error"]["hint"]


def test_many_clients_submit_at_once_and_nothing_is_lost(spool: Spool, serve: Serve) -> None:
    serve()
    seq, ids = pi_no_pi(0), []
    clients = [
        threading.Thread(
            target=lambda: ids.extend(spool.submit(seq, check=False, n_reps=5).id for _ in range(5))
        )
        for _ in range(4)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    until(lambda: len(spool.jobs(state="done")) == 20)

    assert sorted(job.id for job in spool.jobs(state="done")) == sorted(ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["a command", "a fork"])
def test_a_child_of_the_server_does_not_hold_its_locks_when_the_server_is_gone(
    spool: Spool, how: str
) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from qtrl_spool.spool import servers\n"
        "from qtrl_spool.spool.layout import Layout\n"
        "with servers.holding_name(Layout.of(sys.argv[1]), 'lab'):\n"
        "    if sys.argv[2] == 'a command':\n"
        "        child = subprocess.Popen(['sleep', '60'], close_fds=False).pid\n"
        "    else:\n"
        "        child = os.fork()\n"
        "        if not child:\n"
        "            import time; time.sleep(60); os._exit(0)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    words = [sys.executable, "-c", code, str(spool.path), how]
    died = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert died.stdout is not None
    child = int(died.stdout.readline())
    died.wait()
    died.stdout.close()

    def is_free() -> bool:
        try:
            with servers.holding_name(Layout.of(spool.path), "lab"):
                return True
        except ServerNameTakenError:  # a forked child lets go of it when it first runs
            return False

    try:
        until(is_free)
        os.kill(child, 0)
    finally:
        os.kill(child, 9)
