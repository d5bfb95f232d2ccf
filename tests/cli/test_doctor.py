"""What the doctor finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import pytest

from qtrl_spool import Spool, host
from qtrl_spool.job import blank_record, utc

from .conftest import Run, Said

_OF_THE_MACHINE = {"durability", "space"}
"""What may be wrong with the storage that the tests run on."""


def test_doctor_finds_nothing_wrong_with_a_new_spool(run: Run, spool: Spool) -> None:
    findings = run("doctor", "--json").facts["findings"]
    wrong = [each["what"] for each in findings if each["verdict"] == "wrong"]
    assert [each for each in wrong if each not in _OF_THE_MACHINE] == []


def test_doctor_leaves_nothing_behind(run: Run, spool: Spool) -> None:
    before = sorted(spool.path.rglob("*"))
    run("doctor")
    assert sorted(spool.path.rglob("*")) == before


@pytest.mark.parametrize(
    "what", ["storage", "durability", "renaming", "links", "names", "visibility", "locks"]
)
def test_doctor_tries_the_storage(run: Run, spool: Spool, what: str) -> None:
    assert what in {each["what"] for each in run("doctor", "--json").facts["findings"]}


def test_doctor_says_that_locks_exclude_a_second_process(run: Run, spool: Spool) -> None:
    findings = run("doctor", "--json").facts["findings"]
    (told,) = [each for each in findings if each["what"] == "locks"]
    assert told["verdict"] == "fine" and "second process" in told["said"]


def test_doctor_says_that_nothing_is_synced_by_choice(run: Run, spool: Spool) -> None:
    mark = spool.path / "spool.yaml"
    mark.write_text(mark.read_text().replace("durability: durable", "durability: fast"))
    (told,) = [each for each in run("doctor", "--json").facts["findings"] if each["what"] == "durability"]
    assert told["verdict"] == "note" and "durability: fast" in told["said"]


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda root: (root / "held").rmdir(), "directories"),
        (lambda root: (root / "spool.yaml").write_text("format: qtrl-spool/1\nlease: 3\n"), "settings"),
        (
            lambda root: (root / "queue/50-normal/50-1-20261123-101530-rabi-k3f9x.c0.qjob").touch(),
            "tickets",
        ),
    ],
)
def test_doctor_finds_what_is_wrong(
    run: Run, spool: Spool, harm: Callable[[Path], object], what: str
) -> None:
    harm(spool.path)
    said = run("doctor", "--json")
    wrong = {each["what"] for each in said.facts["findings"] if each["verdict"] == "wrong"}
    assert said.status == 1 and what in wrong


def wrong(said: Said) -> list[str]:
    """Return what the doctor found to be wrong."""
    findings = [each for each in said.facts["findings"] if each["what"] not in _OF_THE_MACHINE]
    return [each["said"] for each in findings if each["verdict"] == "wrong"]


def test_doctor_finds_a_server_whose_process_is_gone_and_the_job_that_it_left(run: Run, spool: Spool) -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
    beat = {"format": "qtrl-server/1", "name": "lab", "host": host.host_name(), "pid": int(child.stdout)}
    beat["instrument"] = "fridge"
    updated = utc(datetime.now(UTC))
    (spool.path / "servers" / "lab.json").write_text(json.dumps({**beat, "updated": updated}))
    ticket = spool.path / "running" / "lab" / "50-1-20261123-101530-rabi-k3f9x.c1.qjob"
    ticket.parent.mkdir(parents=True)
    ticket.touch()
    said = run("doctor", "--json")
    assert said.status == 1
    assert any(each.startswith(f"its process {beat['pid']} is gone") for each in wrong(said))
    assert any("is claimed by server 'lab', which is not running" in each for each in wrong(said))
    hints = [each["hint"] or "" for each in said.facts["findings"]]
    assert any("'qtrl-spool serve --name lab --instrument fridge' again" in each for each in hints)


def test_doctor_tells_that_the_clock_of_a_servers_host_differs(run: Run, spool: Spool) -> None:
    wrong_time = utc(datetime.now(UTC) + timedelta(seconds=30))
    beat = {"format": "qtrl-server/1", "name": "far", "host": "elsewhere", "pid": 1, "updated": wrong_time}
    (spool.path / "servers" / "far.json").write_text(json.dumps(beat))
    findings = run("doctor", "--json").facts["findings"]
    (told,) = [each for each in findings if each["what"] == "server far" and each["verdict"] == "note"]
    assert "behind the clock of its host, elsewhere" in told["said"]


def test_a_heartbeat_of_this_host_that_is_only_touched_tells_of_no_clock(run: Run, spool: Spool) -> None:
    updated = utc(datetime.now(UTC) - timedelta(seconds=10))
    beat = {"format": "qtrl-server/1", "name": "full", "host": host.host_name(), "pid": os.getpid()}
    (spool.path / "servers" / "full.json").write_text(json.dumps({**beat, "updated": updated}))

    said = [each["said"] for each in run("doctor", "--json").facts["findings"]]

    assert not any("of its host" in each for each in said)


def recorded(spool: Spool, state: str) -> tuple[Path, str]:
    """Make the home of a job with a record, and return it with the job's id."""
    job_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-rabi-k3f9x"
    home = spool.path / "jobs" / f"{datetime.now(UTC):%Y-%m-%d}" / job_id
    home.mkdir(parents=True)
    (home / "status.json").write_text(json.dumps({**blank_record(job_id, "rabi"), "state": state}))
    return home, job_id


def put_result(home: Path) -> Path:
    """Put a small HDF5 file into the home of a job, and return it."""
    with h5py.File(home / "result.h5", "w", libver=("v110", "v110")) as file:
        file["iq"] = [0.0] * 100
    return home / "result.h5"


@pytest.mark.parametrize("state", ["done", "running", "cancelled"])
def test_doctor_finds_a_record_that_contradicts_the_place_of_the_ticket(
    run: Run, spool: Spool, state: str
) -> None:
    _, job_id = recorded(spool, state)
    (spool.path / "held" / f"50-1-{job_id}.c0.qjob").touch()
    assert f"{job_id} is {state} by its record, and its ticket lies in held" in wrong(run("doctor", "--json"))


@pytest.mark.parametrize("state", ["done", "queued"])
def test_doctor_finds_a_job_whose_ticket_is_gone(run: Run, spool: Spool, state: str) -> None:
    _, job_id = recorded(spool, state)
    (said,) = wrong(run("doctor", "--json"))
    assert said == f"1 have no ticket, such as {job_id}, by its record {state}"


def test_doctor_does_not_miss_the_ticket_of_a_job_that_is_being_accepted(run: Run, spool: Spool) -> None:
    _, job_id = recorded(spool, "queued")
    (spool.path / "accepting" / "lab").mkdir()
    (spool.path / "accepting" / "lab" / f"50~{job_id}~rabi.json").touch()
    assert wrong(run("doctor", "--json")) == []


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "rejected"])
def test_doctor_finds_nothing_wrong_with_a_job_that_ended(run: Run, spool: Spool, state: str) -> None:
    home, _ = recorded(spool, state)
    if state != "rejected":
        (home / f"{state}.c1.qjob").touch()
        put_result(home)
    assert wrong(run("doctor", "--json")) == []


def test_doctor_names_all_closed_drop_boxes_at_once(run: Run, spool: Spool) -> None:
    for box in (spool.path / "incoming").iterdir():
        box.chmod(0o755)
    findings = run("doctor", "--json").facts["findings"]
    (told,) = [each for each in findings if each["what"] == "permissions" and each["verdict"] == "note"]
    assert "incoming/10-urgent" in told["said"] and "incoming/90-idle" in told["said"]


@pytest.mark.parametrize("size", [0, 7, 20, 200, -1])
def test_doctor_finds_a_recent_result_that_was_cut_off(run: Run, spool: Spool, size: int) -> None:
    home, job_id = recorded(spool, "done")
    (home / "done.c1.qjob").touch()
    path = put_result(home)
    path.write_bytes(path.read_bytes()[:size])
    (said,) = wrong(run("doctor", "--json"))
    assert job_id in said and "result.h5 was cut off" in said


def test_doctor_counts_a_rejected_text_file_once(run: Run, spool: Spool) -> None:
    job_id = "20261123-101530-x-k3f9x"
    for name in (f"{job_id}.txt", f"{job_id}~x.txt"):
        (spool.path / "rejected" / name).touch()
    (told,) = [each for each in run("doctor", "--json").facts["findings"] if each["what"] == "drops"]
    assert told["said"] == f"1 was rejected: {job_id}"


# ---------------------------------------------------------------- damages, and their repair


def test_doctor_finds_strays_and_says_how_they_are_put_aside(run: Run, spool: Spool) -> None:
    (spool.path / "held" / "notes.txt").touch()
    findings = run("doctor", "--json").facts["findings"]
    (told,) = [each for each in findings if each["what"] == "strays"]
    assert "held/notes.txt" in told["said"] and "--repair" in told["hint"]


def test_doctor_names_each_of_a_few_strays_and_counts_the_others(run: Run, spool: Spool) -> None:
    for name in "abcde":
        (spool.path / "held" / name).touch()
    (said,) = wrong(run("doctor", "--json"))
    assert said.startswith("5 lie ") and said.endswith("held/a, held/b, held/c, and 2 more")


def test_doctor_finds_a_priority_without_a_drop_box(run: Run, spool: Spool) -> None:
    (spool.path / "incoming" / "30-high").rmdir()
    assert wrong(run("doctor", "--json")) == ["priorities lack one of their two folders: incoming/30-high"]


def test_a_folder_that_was_dropped_is_no_drop_box(run: Run, spool: Spool) -> None:
    (spool.path / "incoming" / "xyz").mkdir(mode=0o755)

    assert "incoming/xyz" not in run("doctor", "--json").out


def test_doctor_notes_a_priority_without_a_folder_in_the_queue(run: Run, spool: Spool) -> None:
    (spool.path / "queue" / "70-low").rmdir()
    (told,) = [each for each in run("doctor", "--json").facts["findings"] if each["what"] == "directories"]
    assert told["verdict"] == "note" and "queue/70-low" in told["said"] and "--repair" in told["hint"]


@pytest.mark.parametrize("folder", ["incoming/30-high", "queue/70-low"])
def test_the_repair_makes_the_other_folder_of_a_priority(run: Run, spool: Spool, folder: str) -> None:
    before = (spool.path / folder).stat().st_mode
    (spool.path / folder).rmdir()
    (told,) = run("doctor", "--repair", "--json").facts["repairs"]
    assert (told["verdict"], told["what"]) == ("mended", folder)
    assert (spool.path / folder).stat().st_mode == before


def test_two_folders_of_one_number_are_one_priority(run: Run, spool: Spool, job_file: Path) -> None:
    (spool.path / "queue" / "30-high").rename(spool.path / "queue" / "30")
    assert wrong(run("doctor", "--json")) == []
    assert run("submit", job_file, "--priority", "high").status == 0


def test_a_drop_into_a_box_that_is_gone_is_refused_with_what_makes_it_anew(
    run: Run, spool: Spool, job_file: Path
) -> None:
    (spool.path / "incoming" / "30-high").rmdir()
    said = run("submit", job_file, "--priority", "high")
    assert said.status == 1 and "'qtrl-spool doctor --repair' makes it anew" in said.err


def test_doctor_finds_a_job_with_two_tickets(run: Run, spool: Spool) -> None:
    _, job_id = recorded(spool, "queued")
    for folder in ("held", "queue/50-normal"):
        (spool.path / folder / f"50-1-{job_id}.c0.qjob").touch()
    assert f"{job_id}: it has several tickets" in wrong(run("doctor", "--json"))


def test_doctor_repairs_and_then_looks_again(run: Run, spool: Spool) -> None:
    (spool.path / "held" / "notes.txt").write_text("mine")
    said = run("doctor", "--repair")
    assert (
        "mended held/notes.txt: it does not belong there: put aside in lost+found/held/notes.txt" in said.out
    )
    assert "strays" not in said.out
    assert (spool.path / "lost+found" / "held" / "notes.txt").read_text() == "mine"


def test_doctor_tells_repairs_as_json(run: Run, spool: Spool) -> None:
    (spool.path / "held" / "notes.txt").touch()
    (told,) = run("doctor", "--repair", "--json").facts["repairs"]
    assert (told["verdict"], told["what"]) == ("mended", "held/notes.txt")


def test_doctor_says_that_there_was_nothing_to_repair(run: Run, spool: Spool) -> None:
    assert "nothing to repair" in run("doctor", "--repair").err
