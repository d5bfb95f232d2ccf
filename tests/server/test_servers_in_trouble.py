"""Servers that freeze, die, are stopped, or lose their storage: what they leave, and who goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import ConfigError, SequenceError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.recovery import Watch
from qtrl_spool.spool import requests, servers
from qtrl_spool.spool.layout import Layout

from .support import (
    Serve,
    ServerProcess,
    until,
)


def paced(batch_s: float, n_batches: int, **more: object) -> dict[str, object]:
    return {"config": {"simulator": {"batch_s": batch_s}}, "n_reps": 5, "n_batches": n_batches, **more}


# ---------------------------------------------------------------- frozen


def test_a_frozen_server_that_wakes_after_its_job_was_taken_over_changes_nothing(
    spool: Spool, serve: Serve
) -> None:
    frozen = serve(name="lab-a")
    job = spool.submit(pi_no_pi(0), **paced(0.1, 30))
    until(lambda: job.status()["progress"]["batch"] >= 2)

    os.kill(frozen.process.pid, signal.SIGSTOP)
    serve(name="lab-b")
    job.wait(60)
    os.kill(frozen.process.pid, signal.SIGCONT)
    until(lambda: "no longer ours" in frozen.said())
    other = spool.submit(pi_no_pi(0), n_reps=3, n_batches=1)
    other.wait(60)

    status = job.status()
    assert (status["state"], status["server"], status["attempt"]) == ("done", "lab-b", 2)
    assert [event["event"] for event in job.log()].count("committed") == 1
    assert "server 'lab-a' was not heard of for 3 s" in str(job.log())
    assert sorted(path.name for path in job.home.glob("*.h5")) == ["result.h5"]


# ---------------------------------------------------------------- killed


def test_a_cancel_that_was_answered_survives_the_death_of_the_server(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **paced(600, 2))
    until(lambda: job.status()["phase"] == "acquiring")

    job.cancel()
    server.kill()
    serve()

    assert job.wait(60).state == "cancelled"


def test_a_dead_server_on_this_host_is_not_said_to_live(spool: Spool, serve: Serve) -> None:
    server = serve().ready()
    assert spool.queue()["servers"][0]["alive"]

    server.kill()

    assert not spool.queue()["servers"][0]["alive"]


# ---------------------------------------------------------------- a share that is gone


def test_nothing_is_written_where_the_spool_was_and_the_running_job_goes_on_until_it_is_back(
    spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    server = serve().ready()
    job = spool.submit(pi_no_pi(0), **paced(0.2, 10))
    until(lambda: job.status()["progress"]["batch"] >= 2)
    away = tmp_path / "away"

    spool.path.rename(away)
    spool.path.mkdir()  # what is left of a share that was unmounted
    until(lambda: "is the share mounted?" in server.said())
    until(lambda: "no partial result" in server.said())
    left = os.listdir(spool.path)
    spool.path.rmdir()
    away.rename(spool.path)

    assert left == [] and job.wait(60).state == "done"
    assert [event["event"] for event in job.log()].count("started") == 1
    assert "the storage works again" in server.said()
    assert spool.submit(pi_no_pi(0), n_reps=3, n_batches=1).wait(60).done()


def test_a_server_whose_spool_is_gone_in_the_midst_of_a_job_ends_when_it_is_asked_twice(
    spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    server = serve().ready()
    job = spool.submit(pi_no_pi(0), **paced(0.2, 40))
    until(lambda: job.status()["progress"]["batch"] >= 2)
    away = tmp_path / "away"

    spool.path.rename(away)
    until(lambda: "is the share mounted?" in server.said())
    server.process.send_signal(signal.SIGTERM)
    until(lambda: "asked again, it is given up" in server.said())
    status = server.stop()
    away.rename(spool.path)

    assert status == 0 and "is left unwritten while the storage refuses" in server.said()
    serve()
    assert job.wait(60).state == "done"


def with_a_claim_of_another(spool: Spool) -> Layout:
    """Let a server `other` have said something once, and hold the ticket of a job."""
    layout = Layout(spool.path)
    ticket = layout.claimed_by("other") / "50-000000001-20261125-101530-rabi-k3f9x.c1.qjob"
    ticket.parent.mkdir()
    ticket.write_bytes(b"")
    servers.write_heartbeat(layout, {"name": "other", "updated": "2026-11-25T10:15:30.000000Z"})
    return layout


def test_the_time_in_which_a_server_could_not_look_is_no_proof_of_anothers_death(spool: Spool) -> None:
    layout = with_a_claim_of_another(spool)

    watch = Watch(layout, "mine", lease_s=60.0)
    seen = [watch.dead(now, beat_at=now) for now in (0.0, 25.0, 1000.0, 1025.0, 1050.0, 1055.0)]
    dead = [watch.dead(now, beat_at=now) for now in (1061.0, 1070.0)]

    assert seen == [[]] * 6 and dead == [["other"]] * 2


def test_the_time_in_which_a_server_could_not_write_is_no_proof_of_anothers_death(spool: Spool) -> None:
    layout = with_a_claim_of_another(spool)

    watch = Watch(layout, "mine", lease_s=60.0)
    seen = [watch.dead(now, beat_at=0.0) for now in (0.0, 25.0, 50.0, 75.0, 100.0)]
    seen += [watch.dead(now, beat_at=now) for now in (125.0, 150.0)]
    dead = watch.dead(175.0, beat_at=175.0)

    assert seen == [[]] * 7 and dead == ["other"]


def test_a_heartbeat_that_is_touched_because_nothing_can_be_written_is_a_sign_of_life(spool: Spool) -> None:
    layout = with_a_claim_of_another(spool)

    watch = Watch(layout, "mine", lease_s=60.0)
    watch.dead(0.0, beat_at=0.0)
    watch.dead(25.0, beat_at=25.0)
    os.utime(layout.heartbeat("other"), (1, 1))
    seen = [watch.dead(now, beat_at=now) for now in (50.0, 75.0, 100.0)]
    dead = watch.dead(111.0, beat_at=111.0)

    assert seen == [[]] * 3 and dead == ["other"]


def test_a_job_that_is_done_does_not_run_again_when_its_ticket_was_put_among_the_claimed_ones(
    spool: Spool, serve: Serve
) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **paced(0.5, 2))
    claimed = until(lambda: next(iter((spool.path / "running").glob("*/*.qjob")), None))
    job.wait(60)
    server.stop()
    (job.home / "done.c1.qjob").rename(claimed)

    again = serve()
    until(lambda: "is back in its home" in again.said())

    assert job.state == "done" and (job.home / "done.c1.qjob").exists()
    assert [event["event"] for event in job.log()].count("started") == 1


def test_a_claimed_ticket_is_marked_as_long_as_it_lies_there(spool: Spool, serve: Serve) -> None:
    serve().ready()
    folder = spool.path / "running" / "lab"
    bundle = spool.bundle(pi_no_pi(0), **paced(0.02, 2))
    jobs = [spool.drop(bundle) for _ in range(40)]
    unmarked, n_seen = set(), 0
    while not all(job.done() for job in jobs):
        for ticket in list(folder.glob("*.qjob")):
            (job,) = (each for each in jobs if each.id in ticket.name)
            n_seen += 1
            if not (folder / f"{job.id}.open").exists() and ticket.exists():
                unmarked.add(job.id)

    assert not unmarked and n_seen > 40


# ---------------------------------------------------------------- stopped


def test_a_job_that_must_not_run_twice_fails_when_its_server_is_stopped(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **paced(0.1, 100, on_interrupt="fail"))
    until(lambda: job.status()["progress"]["batch"] >= 1)

    server.stop()

    assert job.state == "failed"
    assert "was stopped" in job.status()["error"]["message"]


def test_a_stopped_job_keeps_what_it_measured_in_the_layout_of_a_result(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0, herald=True), **paced(0.1, 100))
    until(lambda: job.status()["progress"]["batch"] >= 1)

    job.cancel(now=True)
    job.wait(60)
    other = spool.submit(pi_no_pi(0, herald=True), n_reps=5, n_batches=1)

    partial, whole = job.partial().dataset, other.result(60).dataset
    assert set(partial.variables) == set(whole.variables)


# ---------------------------------------------------------------- limits of a job


def test_a_job_that_takes_longer_than_it_may_fails(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **paced(600, 1, max_duration=0.5))

    assert job.wait(60).state == "failed"
    assert "0.5 s" in job.status()["error"]["message"]


def test_a_job_whose_data_would_not_fit_is_refused_with_the_sum(spool: Spool) -> None:
    with pytest.raises(ConfigError, match="1000000000 repetitions") as caught:
        spool.submit(pi_no_pi(0), n_reps=1_000_000_000)

    assert "n_reps" in str(caught.value.hint)


def test_a_job_that_a_new_default_has_broken_fails_before_the_backend(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(1), hold=True, n_reps=5)
    until(lambda: job.state == "held")
    spool.config.update({"variables/Q1/amp_180": 1.5}, reason="much too loud")

    job.release()

    assert isinstance(job.exception(60), SequenceError)
    assert "started" not in [event["event"] for event in job.log()]


def test_a_job_waits_for_its_version_of_the_default_while_the_share_does_not_show_that(
    spool: Spool, serve: Serve
) -> None:
    server = serve()
    for amp in (0.1, 0.11):
        spool.config.update({"variables/Q1/amp_180": amp}, reason="twice")
    job = spool.submit(pi_no_pi(1), hold=True, config_version=2, n_reps=5)
    until(lambda: job.state == "held")
    versions = spool.path / "config" / "versions"
    (versions / "2").rename(spool.path / "hidden")

    job.release()
    until(lambda: "version 2 of the configuration is not to be seen" in server.said())
    assert job.state == "queued"
    (spool.path / "hidden").rename(versions / "2")

    assert job.wait(60).state == "done"


def test_a_job_for_a_version_that_is_not_there_is_rejected(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), check=False, config_version=99)

    assert job.wait(60).state == "rejected"
    assert "99" in job.status()["error"]["message"]


# ---------------------------------------------------------------- storage


def test_one_stage_in_trouble_stops_neither_the_heartbeat_nor_the_others(spool: Spool, serve: Serve) -> None:
    server = serve().ready()
    layout = Layout.of(spool.path)
    shutil.rmtree(layout.answered)
    layout.answered.write_text("a file in the place of a folder")

    requests.send(layout, {"cancel": "nothing"}, "request.yaml")
    beat = until(lambda: next((beat for beat in spool.queue()["servers"] if beat["trouble"]), None))
    job = spool.submit(pi_no_pi(0), n_reps=3, n_batches=1)

    assert "answered" in beat["trouble"]
    assert job.wait(60).state == "done"
    layout.answered.unlink()
    layout.answered.mkdir()
    until(lambda: requests.answer(layout, "request.yaml"))
    until(lambda: "works again" in server.said())


# ---------------------------------------------------------------- what is said


def test_the_log_warns_once_of_what_the_lab_should_know_of_its_configuration(
    lab_config: Path, tmp_path: Path, serve: Serve, spool: Spool
) -> None:
    from qtrl_spool.create import create_spool

    root = tmp_path / "lab spool"
    create_spool(root, lab_config, who="the tests")
    server = ServerProcess(Spool(root), "--drain", name="labconfig")
    server.process.wait(60)
    server.close()

    assert server.said().count("Eval") == 1
    assert "Q0/amp_180_ef" in server.said()


def test_a_drop_that_waits_is_told_with_what_it_lacks(spool: Spool, serve: Serve) -> None:
    serve().ready()
    (spool.path / "incoming" / "half.json").write_text('{"format": "qtrl-sequence/1"')

    until((spool.path / "queue.json").exists)
    arriving = until(lambda: json.loads((spool.path / "queue.json").read_text())["arriving"])

    assert arriving[0]["drop"] == "half.json"
    assert arriving[0]["reason"]


def test_the_queue_snapshot_is_fresh_while_things_change(spool: Spool, serve: Serve) -> None:
    serve().ready()
    job = spool.submit(pi_no_pi(0), **paced(0.2, 20))
    until(job.running)

    began = time.monotonic()
    until(lambda: json.loads((spool.path / "queue.json").read_text())["running"])

    assert time.monotonic() - began < 10


def test_nothing_is_made_for_the_claim_lock_where_the_spool_is_away(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    with servers.claiming(layout):
        pass

    assert list(tmp_path.iterdir()) == []
