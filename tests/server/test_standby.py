"""Standbys: a second server of an instrument, or of a name, waits visibly and takes over at once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.instrument import InstrumentLock

from .rig import install_rig
from .support import Serve, ServerProcess, command, fs_names, quick, slow, until

FRIDGE = ("--backend", "rig", "--instrument", "fridge")
SOON_S = 5.0
"""A second on an idle machine; less than any lease on a busy one."""


@pytest.fixture(autouse=True)
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install an instrument, and keep its locks here."""
    path = [str(install_rig(tmp_path / "site")), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in path if each))
    monkeypatch.setenv("QTRL_SPOOL_LOCKS", str(tmp_path / "locks"))


def patient(spool: Spool) -> None:
    """Let no lease end during the test."""
    mark = spool.path / "spool.yaml"
    text = mark.read_text()
    assert "lease_s: 3 " in text
    mark.write_text(text.replace("lease_s: 3 ", "lease_s: 3000 "))


def beat(spool: Spool, name: str) -> dict[str, Any]:
    return next((each for each in spool.queue()["servers"] if each["name"] == name), {})


def standing_by(spool: Spool, name: str) -> bool:
    return bool(beat(spool, name).get("standby"))


def test_a_second_server_of_an_instrument_stands_by_and_says_so(spool: Spool, serve: Serve) -> None:
    first = serve(*FRIDGE, name="lab-a").ready()
    second = serve(*FRIDGE, name="lab-b").ready()

    found = beat(spool, "lab-b")
    assert found["standby"] and f"process {first.process.pid}" in found["waits_for"]
    assert "stands by for instrument 'fridge'" in second.said()
    assert "stands by" in command("queue", "--spool", spool.path).stderr
    assert "standby" in command("top", "--spool", spool.path).stdout


def test_a_standby_takes_no_job(spool: Spool, serve: Serve) -> None:
    serve(*FRIDGE, name="lab-a").ready()
    serve(*FRIDGE, name="lab-b").ready()

    jobs = [spool.submit(pi_no_pi(0), check=False, **quick()) for _ in range(4)]

    assert [job.wait(60).status()["server"] for job in jobs] == ["lab-a"] * 4


def test_a_standby_takes_over_within_a_second_when_the_first_is_killed(spool: Spool, serve: Serve) -> None:
    patient(spool)
    first = serve(*FRIDGE, name="lab-a").ready()
    serve(*FRIDGE, name="lab-b").ready()
    until(lambda: standing_by(spool, "lab-b"))

    first.kill()
    killed_at = time.monotonic()
    until(lambda: not standing_by(spool, "lab-b"))

    assert time.monotonic() - killed_at < SOON_S


def test_a_standby_goes_on_with_the_job_of_the_killed_one_before_the_lease_is_over(
    spool: Spool, serve: Serve
) -> None:
    patient(spool)
    first = serve(*FRIDGE, name="lab-a").ready()
    serve(*FRIDGE, name="lab-b").ready()
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=20)
    until(lambda: job.status()["progress"]["batch"] >= 1)

    first.kill()

    assert job.wait(60).state == "done"
    assert (job.status()["server"], job.status()["attempt"]) == ("lab-b", 2)
    assert [event["event"] for event in job.log()].count("committed") == 1


def test_a_frozen_server_keeps_its_instrument(spool: Spool, serve: Serve) -> None:
    first = serve(*FRIDGE, name="lab-a").ready()
    serve(*FRIDGE, name="lab-b").ready()
    os.kill(first.process.pid, signal.SIGSTOP)
    heard = beat(spool, "lab-b")["updated"]

    until(lambda: beat(spool, "lab-b")["updated"] != heard)

    assert standing_by(spool, "lab-b")
    os.kill(first.process.pid, signal.SIGCONT)


def test_a_standby_takes_over_when_the_first_is_stopped(spool: Spool, serve: Serve) -> None:
    first = serve(*FRIDGE, name="lab-a").ready()
    serve(*FRIDGE, name="lab-b").ready()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=0.05, n_batches=20))
    until(job.running)

    first.stop()

    assert job.wait(60).status()["server"] == "lab-b"


def test_servers_of_two_spools_share_no_instrument(
    template: Path, spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    serve(*FRIDGE, name="lab-a").ready()
    other = Spool(shutil.copytree(template, tmp_path / "other" / "spool"))
    second = ServerProcess(other, *FRIDGE, name="lab-b").ready()

    assert beat(other, "lab-b")["standby"]
    assert str(spool.path) in beat(other, "lab-b")["waits_for"]
    assert other.submit(pi_no_pi(0), check=False).status()["reason"] == "not yet accepted"
    second.close()


def test_two_instruments_of_one_host_are_driven_at_once(spool: Spool, serve: Serve) -> None:
    serve("--backend", "rig", name="fridge1").ready()
    serve("--backend", "rig", name="fridge2").ready()
    assert not standing_by(spool, "fridge1") and not standing_by(spool, "fridge2")


def test_simulators_share_a_host_and_a_spool(spool: Spool, serve: Serve) -> None:
    serve("--instrument", "fridge", name="lab-a").ready()
    serve("--instrument", "fridge", name="lab-b").ready()
    assert not standing_by(spool, "lab-a") and not standing_by(spool, "lab-b")


def test_a_job_finds_its_instrument_under_any_server(spool: Spool, serve: Serve) -> None:
    serve(name="lab-a").ready()
    serve("--instrument", "fridge", name="lab-b").ready()
    job = spool.submit(pi_no_pi(0), instrument="fridge", **quick())
    assert job.wait(60).status()["server"] == "lab-b"


# ---------------------------------------------------------------- of one name


def test_a_standby_of_the_same_name_waits_for_it(spool: Spool, serve: Serve) -> None:
    first = serve().ready()
    second = serve("--standby").ready()

    found = next(each for each in spool.queue()["servers"] if each["pid"] == second.process.pid)
    assert found["standby"] and f"process {first.process.pid}" in found["waits_for"]
    assert beat(spool, "lab")["pid"] == first.process.pid


def test_a_standby_of_the_same_name_takes_over_within_a_second(spool: Spool, serve: Serve) -> None:
    patient(spool)
    first = serve().ready()
    second = serve("--standby").ready()
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=20)
    until(lambda: job.status()["progress"]["batch"] >= 1)

    first.kill()
    killed_at = time.monotonic()
    until(lambda: beat(spool, "lab").get("pid") == second.process.pid)

    assert time.monotonic() - killed_at < SOON_S
    assert job.wait(60).status()["attempt"] == 2
    assert [name for name in fs_names(spool.path / "servers") if "standby" in name] == []


def test_a_killed_standby_leaves_nothing_for_long(spool: Spool, serve: Serve) -> None:
    serve().ready()
    serve("--standby").ready().kill()

    third = serve("--standby").ready()

    standbys = [each["pid"] for each in spool.queue()["servers"] if each.get("standby")]
    assert standbys == [third.process.pid]


def test_a_standby_that_is_told_to_end_does(spool: Spool, serve: Serve) -> None:
    serve(*FRIDGE, name="lab-a").ready()
    second = serve(*FRIDGE, name="lab-b").ready()

    assert second.stop() == 0
    assert beat(spool, "lab-b")["stopped"]


def test_a_draining_standby_ends_when_nothing_is_left_to_do(spool: Spool, serve: Serve) -> None:
    serve(*FRIDGE, name="lab-a").ready()
    (spool.path / "accepting/lab-a/.left~50~20261123-101530-rabi-k3f9x~a.json").touch()  # it stays for ever

    second = serve(*FRIDGE, "--drain", name="lab-b")

    assert second.process.wait(60) == 0


def test_a_spool_with_only_standbys_is_not_served(spool: Spool, serve: Serve, tmp_path: Path) -> None:
    lock = InstrumentLock("fridge", tmp_path / "locks")
    assert lock.take({"server": "another program"})
    serve(*FRIDGE, name="lab-b").ready()

    assert "no server is running" in command("queue", "--spool", spool.path).stderr
    lock.release()
    until(lambda: not standing_by(spool, "lab-b"))
