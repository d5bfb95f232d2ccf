"""Whose job is it: two users, an admin, a group of admins, and a server that is none of them."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool

from .people import ADA, BOB, SERVER, ask_as, needs_root, serving_as, shared_spool, submit_as
from .support import until

pytestmark = needs_root
ROOT = 0


def ask(uid: int, spool: Spool, verb: str, job: Any, **more: Any) -> dict[str, Any]:
    return ask_as(uid, spool, {verb: job.id, **more})


@pytest.fixture(scope="module")
def staff() -> Iterator[int]:
    """Return a user of the Unix group ``users``, whose members are admins here."""
    uid = 12044
    subprocess.run(["useradd", "-M", "-u", str(uid), "-g", "users", "qtrlstaff"], check=True)
    yield uid
    subprocess.run(["userdel", "qtrlstaff"], check=True)


@pytest.fixture(scope="module")
def shared(template: Path, staff: int) -> Iterator[Spool]:
    """Return a spool with a server that is not root, for all tests here; the group ``users`` are admins."""
    with shared_spool(template) as spool:
        mark = spool.path / "spool.yaml"
        mark.write_text(mark.read_text().replace("admins: [] ", "admins: ['@users'] "))
        with serving_as(SERVER, template, spool):
            yield spool


# ---------------------------------------------------------------- one's own jobs


@pytest.mark.parametrize(
    "request_",
    [("cancel", {}), ("hold", {}), ("release", {}), ("move", {"priority": "urgent"})],
    ids=lambda request: request[0],
)
def test_a_stranger_cannot_steer_a_job_and_is_told_whose_it_is(
    shared: Spool, request_: tuple[str, dict[str, Any]]
) -> None:
    job = submit_as(ADA, shared)
    before = job.status()

    reply = ask(BOB, shared, request_[0], job, **request_[1])

    assert reply["error"]["type"] == "NotAllowedError"
    assert f"belongs to {ADA}, not to {BOB}" in reply["message"]
    assert job.status() == before


def test_what_a_request_says_of_its_user_does_not_count(shared: Spool) -> None:
    job = submit_as(ADA, shared)

    reply = ask(BOB, shared, "cancel", job, user=ADA)

    assert not reply["ok"] and job.state == "held"


def test_the_owner_steers_a_job_whoever_runs_the_server(shared: Spool) -> None:
    job = submit_as(ADA, shared)

    replies = [
        ask(ADA, shared, "move", job, priority="low"),
        ask(ADA, shared, "release", job),
    ]

    assert [reply["ok"] for reply in replies] == [True, True]
    assert job.wait(60).status()["priority"] == 70


# ---------------------------------------------------------------- admins


def test_the_admins_hold_is_not_undone_by_the_owner_who_reads_why(shared: Spool) -> None:
    job = submit_as(ADA, shared)
    ask(ROOT, shared, "hold", job, reason="the fridge is warm")

    own = ask(ADA, shared, "release", job)
    refused = ask(ADA, shared, "release", job)

    assert own["ok"] and "still held by root (admin): the fridge is warm" in own["message"]
    assert not refused["ok"] and "held by root (admin): the fridge is warm" in refused["message"]
    assert job.state == "held" and job.status()["reason"] == "held by root (admin): the fridge is warm"


def test_the_owners_hold_is_not_undone_with_the_admins(shared: Spool) -> None:
    job = submit_as(ADA, shared)
    ask(ROOT, shared, "hold", job)

    first = ask(ROOT, shared, "release", job)
    kept = job.state
    ask(ROOT, shared, "release", job)

    assert f"still held by {ADA}" in first["message"] and kept == "held"
    assert job.wait(60).state == "done"


def test_holding_twice_is_holding_once(shared: Spool) -> None:
    job = submit_as(ADA, shared)

    replies = [ask(ROOT, shared, "hold", job) for _ in range(2)]

    assert [reply["ok"] for reply in replies] == [True, True]
    assert [event["event"] for event in job.log()].count("held") == 2  # as it was submitted, and root's


def test_the_queue_tells_who_holds_what(shared: Spool) -> None:
    job = submit_as(ADA, shared)
    ask(ROOT, shared, "hold", job, reason="the fridge is warm")

    both = f"held by root (admin): the fridge is warm; held by {ADA}: until it is released"

    assert until(lambda: (job.id, both) in [(each["id"], each["reason"]) for each in shared.queue()["held"]])


# ---------------------------------------------------------------- the whole queue


@pytest.mark.parametrize(
    "request_", [{"pause": "queue", "reason": "mine"}, {"resume": "queue"}, {"drain": "queue"}]
)
def test_only_admins_pause_resume_and_drain_the_queue(shared: Spool, request_: dict[str, str]) -> None:
    reply = ask_as(BOB, shared, request_)

    assert reply["error"]["type"] == "NotAllowedError" and "for admins" in reply["message"]
    assert not shared.queue()["paused"]


def test_the_members_of_a_group_are_admins_where_the_spool_says_so(shared: Spool, staff: int) -> None:
    assert grp.getgrnam("users").gr_gid == pwd.getpwuid(staff).pw_gid
    job = submit_as(ADA, shared)

    reply = ask(staff, shared, "hold", job)

    assert reply["ok"], reply
    assert "held by qtrlstaff (admin)" in job.status()["reason"]
    assert ask_as(staff, shared, {"pause": "queue", "reason": "a visit"})["ok"]
    assert ask_as(staff, shared, {"resume": "queue"})["ok"]


# ---------------------------------------------------------------- the file decides


def test_a_second_name_of_somebody_elses_request_is_refused(shared: Spool) -> None:
    job = submit_as(ADA, shared)
    aside = shared.path / "requests" / ".kept.tmp"
    aside.write_text(f"{{release: {job.id}}}\n")
    os.chown(aside, ADA, ADA)
    os.link(aside, shared.path / "requests" / "again.yaml")

    answered = shared.path / "requests" / "answered" / "again.yaml"
    until(answered.exists)

    assert "has 2 names" in answered.read_text() and job.state == "held"


def test_a_folder_of_another_user_in_requests_is_answered_once_and_stops_nothing(shared: Spool) -> None:
    folder = shared.path / "requests" / "my wishes"
    folder.mkdir()
    (folder / "cancel.yaml").write_text("{}")
    for path in (folder, *folder.iterdir()):
        os.chown(path, BOB, BOB)
    answered = shared.path / "requests" / "answered" / "my wishes"
    until(answered.exists)

    job = submit_as(ADA, shared)

    assert ask(ADA, shared, "cancel", job)["ok"]
    assert "this is a folder" in answered.read_text() and folder.exists()
