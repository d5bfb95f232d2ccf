"""A spool with jobs in every state, and every way to damage it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import survey, tickets
from qtrl_spool.spool.layout import Layout
from tests.faults import spools
from tests.faults.forked import serve_here

ELSEWHERE = "elsewhere"
"""The server for which the waiting jobs wait."""
DAYS_S = 2 * 86_400
_MADE_ANEW = ("status.json", "queue.json", "spool.yaml")


def make_template(root: Path) -> Path:
    """Make a spool with jobs that wait, are held, are done, failed, were cancelled and rejected."""
    spools.template(root, durability="fast")
    spool = Spool(root)
    for name in ("done", "also-done"):
        spool.submit(pi_no_pi(0), check=False, n_reps=2, name=name)
    spool.submit(pi_no_pi(0), check=False, n_reps=2, name="held", hold=True)
    slow = {"simulator": {"batch_s": 600}}
    spool.submit(pi_no_pi(0), slow, check=False, n_reps=2, name="failed", max_duration=0.05)
    for name in ("first", "second", "third", "cancelled"):
        spool.submit(pi_no_pi(0), check=False, n_reps=2, name=name, instrument=ELSEWHERE)
    (root / "incoming" / "rejected.json").write_text("[1]")
    assert serve_here(root) == 0
    from qtrl_spool.spool import requests

    requests.send(Layout.of(root), {"cancel": job(root, "cancelled")}, "cancel.yaml")
    assert serve_here(root) == 0
    return root


def job(root: Path, name: str) -> str:
    """Return the id of the job of that name."""
    found = [each for each in ids(root) if each[16:-6] == name]
    if not found:
        raise LookupError(name)
    return found[0]


def home(root: Path, name: str) -> Path:
    return Layout(root).home(job(root, name))


def ticket(root: Path, name: str) -> Path:
    """Return the ticket of the job of that name."""
    found = tickets.find(Layout(root), job(root, name))
    assert found is not None
    return found.path


def ids(root: Path) -> list[str]:
    """Return the ids of all jobs that have a home."""
    return sorted(each.name for each in root.glob("jobs/*/*"))


# ---------------------------------------------------------------- what is kept


def contents(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a repair may not lose, by path."""
    found = {}
    for path in root.rglob("*"):
        if (
            path.is_file()
            and not path.is_symlink()
            and path.name not in _MADE_ANEW
            and path.suffix != ".lock"
        ):
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def lost(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the files whose contents are nowhere any more; files of events may have grown."""
    there = set(after.values())
    return [path for path, digest in before.items() if digest not in there and "events.c" not in path]


def events(root: Path) -> set[bytes]:
    """Return all lines of events that are whole."""
    lines = (line for path in root.rglob("events.c*.jsonl*") for line in path.read_bytes().splitlines())
    return {line for line in lines if survey.kind_of(line) is not None}


# ---------------------------------------------------------------- damages

Damage = Callable[[Path], None]


def lose_waiting_ticket(root: Path) -> None:
    ticket(root, "second").unlink()


def lose_waiting_ticket_with_a_copy(root: Path) -> None:
    path = ticket(root, "first")
    copy = root / "accepting" / "gone" / f".{path.name}"
    copy.parent.mkdir(exist_ok=True)
    path.rename(copy)


def lose_ticket_with_a_partial_result(root: Path) -> None:
    ticket(root, "third").unlink()
    shutil.copy(home(root, "done") / "result.h5", home(root, "third") / "partial.h5")


def lose_held_ticket(root: Path) -> None:
    ticket(root, "held").unlink()


def lose_done_ticket(root: Path) -> None:
    ticket(root, "done").unlink()


def lose_cancelled_ticket(root: Path) -> None:
    ticket(root, "cancelled").unlink()


def copy_ticket_to_another_priority(root: Path) -> None:
    path = ticket(root, "first")
    shutil.copy(path, root / "queue" / "70-low" / path.name.replace("50-", "70-", 1))


def copy_ticket_to_held(root: Path) -> None:
    path = ticket(root, "second")
    shutil.copy(path, root / "held" / path.name)


def leave_half_a_claim(root: Path) -> None:
    path = ticket(root, "third")
    (root / "running" / "gone").mkdir(exist_ok=True)
    shutil.copy(path, root / "running" / "gone" / path.name.replace(".c0.", ".c1."))


def queue_a_done_job_again(root: Path) -> None:
    name = f"50-000000099-{job(root, 'done')}.c3.qjob"
    shutil.copy(ticket(root, "done"), root / "queue" / "50-normal" / name)


def end_a_job_twice(root: Path) -> None:
    shutil.copy(ticket(root, "also-done"), home(root, "also-done") / "failed.c2.qjob")


def put_strays_everywhere(root: Path) -> None:
    (root / "running" / "gone").mkdir(exist_ok=True)
    (root / "accepting" / "gone").mkdir(exist_ok=True)
    for place in (
        "queue",
        "queue/50-normal",
        "held",
        "running",
        "running/gone",
        "accepting",
        "accepting/gone",
    ):
        (root / place / "notes.txt").write_text(f"in {place}")
    (root / "queue" / "50-normal" / "a folder").mkdir()
    (root / "queue" / "50-normal" / "a folder" / "file").write_text("in a folder")
    (root / "queue" / "urgent things").mkdir()
    (root / "held" / "a link").symlink_to(root / "spool.yaml")


def put_a_folder_in_the_place_of_a_ticket(root: Path) -> None:
    (root / "queue" / "50-normal" / "50-000000077-20261123-101530-rabi-k3f9x.c0.qjob").mkdir()


def put_ticket_into_queue_itself(root: Path) -> None:
    path = ticket(root, "first")
    path.rename(root / "queue" / path.name)


def put_ticket_into_a_folder_that_is_no_priority(root: Path) -> None:
    path = ticket(root, "second")
    (root / "queue" / "soon").mkdir()
    path.rename(root / "queue" / "soon" / path.name)


def put_ticket_into_running_itself(root: Path) -> None:
    path = ticket(root, "third")
    path.rename(root / "running" / path.name)


def lose_home(root: Path) -> None:
    shutil.rmtree(home(root, "first"))


def lose_home_of_a_held_job(root: Path) -> None:
    shutil.rmtree(home(root, "held"))


def leave_an_empty_home(root: Path) -> None:
    (root / "jobs" / "2026-11-23" / "20261123-101530-rabi-k3f9x").mkdir(parents=True)


def lose_record(root: Path) -> None:
    for name in ("first", "done", "cancelled", "rejected", "failed"):
        (home(root, name) / "status.json").unlink()


def garble_record(root: Path) -> None:
    (home(root, "second") / "status.json").write_bytes(b'{"state": "que')
    (home(root, "also-done") / "status.json").write_bytes(b'{"state": "cooking"}')


def contradict_the_ticket(root: Path) -> None:
    for name, state in (("third", "done"), ("done", "running"), ("held", "queued")):
        path = home(root, name) / "status.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": state}))


def lose_events(root: Path) -> None:
    for name in ("first", "held", "done", "rejected", "cancelled"):
        for path in home(root, name).glob("events.c*"):
            path.unlink()


def tear_events(root: Path) -> None:
    for name in ("second", "also-done"):
        path = home(root, name) / "events.c0.jsonl"
        path.write_bytes(b'{"at": "20\n' + path.read_bytes() + b'{"half a li')


def unpublish(root: Path) -> None:
    (home(root, "done") / "result.h5").rename(home(root, "done") / "result.c1.h5")


def unpublish_and_forget(root: Path) -> None:
    unpublish(root)
    path = home(root, "done") / "events.c1.jsonl"
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"committed"' not in line]
    path.write_bytes(b"".join(lines))
    (home(root, "done") / "status.json").unlink()


def lose_result(root: Path) -> None:
    (home(root, "also-done") / "result.h5").unlink()


def leave_marks(root: Path) -> None:
    (root / "running" / "gone").mkdir(exist_ok=True)
    for name in ("done", "second"):
        (root / "running" / "gone" / f"{job(root, name)}.open").touch()


def leave_temporaries(root: Path) -> None:
    places = ("queue", "incoming", "requests", "servers", "jobs", "config")
    folders = [root / place for place in places] + [home(root, "done")]
    for path in (folder / ".file.0a1b2c3d.tmp" for folder in folders):
        path.write_text(f"left in {path.parent}")
        os.utime(path, (time.time() - DAYS_S,) * 2)


def close_the_boxes(root: Path) -> None:
    for box in ("incoming", "incoming/50-normal", "requests"):
        (root / box).chmod(0o755)


def lose_folders(root: Path) -> None:
    shutil.rmtree(root / "requests" / "answered")
    (root / "requests" / "answered").write_text("a file in the place of a folder")
    shutil.rmtree(root / "rejected")


def cut_ticket_with_a_copy(root: Path) -> None:
    path = ticket(root, "first")
    (root / "accepting" / "gone").mkdir(exist_ok=True)
    shutil.copy(path, root / "accepting" / "gone" / f".{path.name}")
    path.write_bytes(path.read_bytes()[:100])


def cut_ticket(root: Path) -> None:
    path = ticket(root, "third")
    path.write_bytes(path.read_bytes()[:100])


DAMAGES: dict[str, Damage] = {
    each.__name__: each
    for each in (
        lose_waiting_ticket,
        lose_waiting_ticket_with_a_copy,
        lose_ticket_with_a_partial_result,
        lose_held_ticket,
        lose_done_ticket,
        lose_cancelled_ticket,
        copy_ticket_to_another_priority,
        copy_ticket_to_held,
        leave_half_a_claim,
        queue_a_done_job_again,
        end_a_job_twice,
        put_strays_everywhere,
        put_a_folder_in_the_place_of_a_ticket,
        put_ticket_into_queue_itself,
        put_ticket_into_a_folder_that_is_no_priority,
        put_ticket_into_running_itself,
        lose_home,
        lose_home_of_a_held_job,
        leave_an_empty_home,
        lose_record,
        garble_record,
        contradict_the_ticket,
        lose_events,
        tear_events,
        unpublish,
        unpublish_and_forget,
        lose_result,
        leave_marks,
        leave_temporaries,
        close_the_boxes,
        lose_folders,
        cut_ticket_with_a_copy,
        cut_ticket,
    )
}
"""Every way to damage the spool, by name."""
EXPECTED = {
    "done": "done",
    "also-done": "done",
    "held": "held",
    "failed": "failed",
    "cancelled": "cancelled",
    "rejected": "rejected",
    "first": "queued",
    "second": "queued",
    "third": "queued",
}
"""The state of each job before and after, but for what `EXCEPT` says."""
ENDS = {**EXPECTED, **dict.fromkeys(("first", "second", "third"), "done")}
"""The state of each job when a server has drained the repaired spool, but for what `ENDS_EXCEPT` says."""
ENDS_EXCEPT = {
    "lose_waiting_ticket": {"second": "failed"},
    "lose_held_ticket": {"held": "failed"},
    "cut_ticket": {"third": "failed"},
}
EXCEPT = {
    "lose_waiting_ticket": {"second": "failed"},
    "lose_held_ticket": {"held": "failed"},
}
