"""Jobs that wait for others or for a time, jobs once more, and jobs that are edited while they wait."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.errors import ConfigConflictError, ManifestError, PatchError, QtrlSpoolError, UsageError
from qtrl_spool.experiments import pi_no_pi, rabi

from .rig import install_breaking_rig
from .support import Serve, ServerProcess, quick, slow, until


@pytest.fixture(scope="module")
def lab(template: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a running server on a spool that the tests here share."""
    root = tmp_path_factory.mktemp("lab") / "spool"
    shutil.copytree(str(template), root)
    server = ServerProcess(Spool(root)).ready()
    yield server
    server.close()


@pytest.fixture
def lab_spool(lab: ServerProcess) -> Spool:
    return lab.spool


def held(spool: Spool, **manifest: object) -> object:
    job = spool.submit(rabi(1, 3), {"variables/Q1/rabi_amp": 0.1}, **quick(hold=True, **manifest))
    until(lambda: job.state == "held")
    return job


# ---------------------------------------------------------------- after, not before


def test_a_job_waits_for_another_one_and_says_so(lab_spool: Spool) -> None:
    first = held(lab_spool)
    second = lab_spool.submit(pi_no_pi(0), **quick(after=[first.id]))
    third = lab_spool.submit(pi_no_pi(0), **quick())
    third.wait(60)

    assert second.status()["reason"] == f"after job {first.id}"
    first.release()
    assert second.wait(60).state == "done"
    assert second.status()["started"] > first.status()["finished"]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_after_means_ended_whichever_way(lab_spool: Spool, end: str) -> None:
    first = held(lab_spool, max_duration=0.05, n_batches=100)
    first.edit({"simulator": {"batch_s": 1.0}})
    second = lab_spool.submit(pi_no_pi(0), **quick(after=first.id))
    until(lambda: second.status()["accepted"])
    if end == "cancelled":
        first.cancel()
    else:
        first.release()

    assert (second.wait(60).state, first.state) == ("done", end)


def test_a_job_after_one_that_does_not_exist_is_rejected(lab_spool: Spool) -> None:
    job = lab_spool.submit(pi_no_pi(0), **quick(after=["20261123-101530-rabi-k3f9x"]))

    assert job.wait(60).state == "rejected"
    assert "there is no such job" in job.status()["error"]["message"]


def test_jobs_cannot_wait_in_a_circle(lab_spool: Spool) -> None:
    first = held(lab_spool)
    second = held(lab_spool, after=[first.id])
    third = held(lab_spool, after=[second.id])

    with pytest.raises(ManifestError, match="itself waits for"):
        first.edit(after=[third.id])
    with pytest.raises(ManifestError, match="cannot wait for itself"):
        first.edit(after=[first.id])


def test_a_job_does_not_run_before_its_time(lab_spool: Spool) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=3)
    job = lab_spool.submit(pi_no_pi(0), **quick(not_before=moment))
    other = lab_spool.submit(pi_no_pi(0), **quick())
    other.wait(60)
    early = job.status()

    assert early["state"] == "queued" and early["reason"].startswith("not before ")
    job.wait(60)
    assert datetime.fromisoformat(job.status()["started"]) >= moment


def test_a_job_whose_instrument_failed_is_tried_again_after_2_s_and_then_4_s_also_by_another_server(
    spool: Spool, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in install_breaking_rig(tmp_path / "rig", 2).items():
        monkeypatch.setenv(key, f"{value}{os.pathsep}{os.environ.get(key, '')}" if "PATH" in key else value)
    server = serve("--backend", "rig", name="lab-a")
    job = spool.submit(pi_no_pi(0), **quick(retries=2))
    until(lambda: "error" in [event["event"] for event in job.log()])
    server.kill()
    serve("--backend", "rig", name="lab-b")

    assert job.wait(60).state == "done"
    waits = [
        (datetime.fromisoformat(e["retry_at"]) - datetime.fromisoformat(e["at"])).total_seconds()
        for e in job.log()
        if e["event"] == "error"
    ]
    claims = [e["at"] for e in job.log() if e["event"] == "claimed"]
    promised = [e["retry_at"] for e in job.log() if e["event"] == "error"]
    assert waits == pytest.approx([2, 4], abs=0.1)
    assert all(claimed >= time for claimed, time in zip(claims[1:], promised, strict=True))


# ---------------------------------------------------------------- once more


def test_a_job_is_retried_with_other_values_whatever_became_of_it(lab_spool: Spool) -> None:
    job = held(lab_spool, tags=["night"], name="first", priority="low")
    job.cancel()

    again = job.retry({"variables/Q1/rabi_amp": 0.2}, n_reps=7)

    assert again.id != job.id and again.wait(60).state == "done"
    record = again.status()
    assert (record["name"], record["priority"], record["tags"]) == ("first", 70, ["night"])
    result = again.result()
    assert result.config["variables"]["Q1"]["rabi_amp"] == 0.2
    assert result.dataset.sizes["repetition"] == 7


def test_a_rejected_job_is_retried_with_what_was_wrong_put_right(lab_spool: Spool) -> None:
    job = lab_spool.submit(
        rabi(1, 3), {"variables/Q1/rabi_amp": 0.1}, check=False, **quick(config_version=99)
    )
    assert job.wait(60).state == "rejected"

    assert job.retry(config_version="latest").wait(60).state == "done"


# ---------------------------------------------------------------- edited


def test_an_edited_job_runs_as_it_was_edited(lab_spool: Spool) -> None:
    job = held(lab_spool)

    said = job.edit({"variables/Q1/rabi_amp": 0.25}, n_reps=9, name="edited", tags=["new"])
    job.release()

    assert "variables/Q1/rabi_amp: 0.1 → 0.25" in said and "n_reps: 40 → 9" in said
    result = job.result(60)
    assert result.config["variables"]["Q1"]["rabi_amp"] == 0.25
    assert result.dataset.sizes["repetition"] == 9
    assert (job.status()["name"], job.status()["tags"]) == ("edited", ["new"])


def test_an_edit_keeps_the_place_in_the_queue(spool: Spool, serve: Serve) -> None:
    serve().ready()
    spool.pause("a look")
    jobs = [spool.submit(pi_no_pi(0), check=False, **quick()) for _ in range(3)]
    until(lambda: [job.place for job in jobs] == [1, 2, 3])

    jobs[1].edit(n_reps=5)

    assert until(lambda: [job.place for job in jobs] == [1, 2, 3])
    spool.resume()
    assert [job.wait(60).state for job in jobs] == ["done"] * 3


def test_what_could_not_be_accepted_is_refused_and_nothing_is_changed(lab_spool: Spool) -> None:
    job = held(lab_spool)
    before = job.bundle_sha256()

    for change in ({"config": {"variables/Q1/rabi_ampl": 0.2}}, {"config_version": 99}):
        with pytest.raises(QtrlSpoolError):
            job.edit(**change)
    with pytest.raises(PatchError, match="rabi_amp"):
        job.edit({"variables/Q1/rabi_ampl": 0.2})

    assert job.bundle_sha256() == before


def test_a_running_job_is_not_edited(lab_spool: Spool) -> None:
    job = lab_spool.submit(pi_no_pi(0), **slow())
    until(job.running)

    with pytest.raises(UsageError, match="is running and cannot be edited") as refused:
        job.edit(n_reps=5)
    assert "queued or held and have measured nothing yet" in str(refused.value)
    job.cancel(now=True)


def test_an_edit_of_what_was_edited_meanwhile_is_a_conflict(lab_spool: Spool) -> None:
    job = held(lab_spool)
    base = job.bundle_sha256()
    job.edit(n_reps=5, base=base)

    with pytest.raises(ConfigConflictError, match="was edited since"):
        job.edit(n_reps=6, base=base)


def test_an_edit_that_changes_nothing_says_so_and_leaves_no_event(lab_spool: Spool) -> None:
    job = held(lab_spool)

    said = job.edit(n_reps=40)

    assert "stays as it is" in said
    assert "edited" not in [event["event"] for event in job.log()]


def test_edits_race_with_claims_and_each_job_runs_once_with_one_of_the_two_bundles(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    jobs = [spool.submit(pi_no_pi(0), check=False, **quick()) for _ in range(12)]
    edited: dict[str, bool] = {}
    for job in jobs:
        try:
            edited[job.id] = "is edited" in job.edit(n_reps=5)
        except QtrlSpoolError as error:
            assert "cannot be edited" in str(error) or "not in the queue" in str(error), error
            edited[job.id] = False
        time.sleep(0.05)

    sizes = {job.id: job.result(60).dataset.sizes["repetition"] for job in jobs}

    assert sizes == {job.id: 5 if edited[job.id] else 40 for job in jobs}
    assert [[e["event"] for e in job.log()].count("committed") for job in jobs] == [1] * 12


# ---------------------------------------------------------------- a running job is held


def scan(spool: Spool, **more: object) -> Job:
    """Return a job that has measured two of its 30 batches, and goes on."""
    config = {"simulator": {"batch_s": 0.1, "seed": 7}}
    job = spool.submit(rabi(1, 3), config, n_reps=10, n_batches=30, **more)
    until(lambda: job.status()["progress"]["batch"] >= 2)
    return job


def test_a_running_job_is_held_after_its_batch_and_goes_on_from_there(spool: Spool, serve: Serve) -> None:
    serve().ready()
    undisturbed = scan(spool)
    undisturbed.wait(60)
    job = scan(spool)

    said = job.hold("changing the sample")
    parked = until(lambda: (record := job.status())["state"] == "held" and record)
    told = job.release()
    waiting = job.state
    job.wait(60)

    assert "is held after its batch" in said and "is released" in told
    assert parked["reason"] == "held by root: changing the sample"
    assert 2 <= parked["progress"]["batch"] < 30
    assert waiting in {"paused", "running"}
    events = [event["event"] for event in job.log()]
    assert "resumed" in events and events.count("started") == 1
    pair = (each.result().dataset["iq"].values for each in (undisturbed, job))
    np.testing.assert_array_equal(*pair)


def test_a_hold_that_was_answered_survives_the_death_of_the_server(spool: Spool, serve: Serve) -> None:
    server = serve().ready()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=60))
    until(lambda: job.status()["phase"] == "acquiring")

    job.hold()
    server.kill()
    serve().ready()

    assert until(lambda: job.state == "held")
    assert set(job.status()["holds"]) == {"owner"}


def test_a_job_that_is_to_be_held_is_told_as_far_as_it_is(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=3, n_batches=30))
    until(lambda: job.status()["progress"]["batch"] == 1)

    job.hold()
    told = job.status()

    assert (told["state"], told["progress"]["batch"]) == ("running", 1)


def asked_by(spool: Spool, uid: int, text: str) -> None:
    """Drop a request as another user does."""
    new = spool.path / "requests" / ".new"
    new.write_text(text)
    os.chown(new, uid, -1)
    new.rename(spool.path / "requests" / "theirs.yaml")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root is two users")
def test_the_owner_and_an_admin_hold_a_running_job_each_for_itself(spool: Spool, serve: Serve) -> None:
    somebody = 12002
    job = spool.submit(pi_no_pi(0), **slow(batch_s=2, n_batches=9))
    os.chown(next((spool.path / "incoming").rglob(f"{job.id}.qjob")), somebody, -1)
    serve().ready()
    until(lambda: job.status()["phase"] == "acquiring")

    asked_by(spool, somebody, f"{{hold: {job.id}}}")
    until(lambda: "after its batch" in (job.status()["reason"] or ""))
    job.hold("the fridge is warm")
    until(lambda: job.state == "held")
    job.release()

    assert job.state == "held"
    assert set(job.status()["holds"]) == {"owner"}


def test_a_hold_of_a_job_in_its_last_batch_is_refused(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=600, n_batches=1))
    until(lambda: job.status()["phase"] == "acquiring")

    with pytest.raises(UsageError, match="last batch"):
        job.hold()

    assert job.state == "running"


def test_a_hold_of_a_running_job_is_taken_back(spool: Spool, serve: Serve) -> None:
    serve().ready()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=2, n_batches=3))
    until(lambda: job.status()["phase"] == "acquiring")

    job.hold()
    said = job.release()

    assert "is not held after its batch" in said
    assert job.wait(60).state == "done"
    assert "held" not in [event["event"] for event in job.log()]
