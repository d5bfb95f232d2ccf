"""Acceptance on a full disk: at whichever step, the drop stays, it is said, and it goes on with room."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.errors import StorageError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.job import is_id
from qtrl_spool.server.intake import Intake
from qtrl_spool.spool import tickets
from qtrl_spool.spool.arriving import unaccepted
from qtrl_spool.spool.journal import read_events
from qtrl_spool.spool.layout import Layout
from tests.beds import tmpfs

from .intakes import TEXT, intake_of
from .support import Serve, until

_PAGE = 4096


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tmpfs(tmp_path_factory.mktemp("disk") / "small", "6m") as point:
        yield point


@pytest.fixture
def layout(disk: Path, template: Path) -> Iterator[Layout]:
    shutil.copytree(template, disk / "spool")
    yield Layout.of(disk / "spool")
    for path in disk.iterdir():
        fs.remove(path)


def fill(disk: Path, n_pages: int) -> None:
    """Leave room for so many pages."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(_PAGE))
    os.truncate(filler, max(0, filler.stat().st_size // _PAGE - n_pages) * _PAGE)


def leave_inodes(disk: Path, n: int) -> None:
    """Leave so many inodes."""
    most = os.statvfs(disk).f_files - os.statvfs(disk).f_ffree + n
    subprocess.run(["mount", "-o", f"remount,nr_inodes={most}", str(disk)], check=True)


def give_inodes(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=100000", str(disk)], check=True)


def tried(intake: Intake) -> str | None:
    """Scan once; return what the storage refused."""
    try:
        intake.scan()
    except StorageError as error:
        return str(error)
    return None


def there(layout: Layout) -> int:
    """Return how many drops and tickets there are."""
    dropped = [*layout.incoming.glob("*.json"), *layout.incoming.glob("*/*.json")]
    taken = [path for path in layout.accepting_by("lab").iterdir() if path.name[0].isdigit()]
    return len(dropped) + len(taken) + len(tickets.queued(layout)) + len(list(layout.rejected.glob("*~*")))


def ids(layout: Layout) -> list[str]:
    return [
        name for date in fs.folders(layout.jobs) for name in fs.folders(layout.jobs / date) if is_id(name)
    ]


def accepted_once(layout: Layout, n: int) -> None:
    """Check that so many jobs wait, each noted once, and that nothing else is left."""
    waiting = [place.ticket.job_id for place in tickets.queued(layout)]
    assert len(waiting) == len(set(waiting)) == n
    for job_id in waiting:
        kinds = [event["event"] for event in read_events(layout, job_id)]
        assert kinds.count("accepted") == 1
        assert (fs.read_json(layout.status(job_id)) or {})["state"] == "queued"
    assert list(unaccepted(layout)) == []
    left = [path.name for path in layout.accepting_by("lab").iterdir()]
    assert left == []
    assert not list(layout.root.rglob("*.tmp"))


def dropped(layout: Layout, n: int) -> None:
    for number in range(n):
        path = layout.incoming / "50-normal" / f"{number}.json"
        path.write_text(json.dumps({**json.loads(TEXT), "name": f"job {number}"}))


@pytest.mark.parametrize("n_drops", [1, 5])
def test_a_disk_that_is_full_at_any_step_of_acceptance_loses_nothing(
    disk: Path, layout: Layout, n_drops: int
) -> None:
    refusals = []
    for n_pages in range(12 * n_drops):
        shutil.copytree(layout.root, disk / "other")
        here = Layout.of(disk / "other")
        intake = intake_of(here)
        dropped(here, n_drops)
        fill(disk, n_pages)

        refusals.append(tried(intake))
        assert there(here) == n_drops
        tried(intake)
        assert there(here) == n_drops
        (disk / "filler").unlink()

        for _ in range(4):
            intake.scan()
        accepted_once(here, n_drops)
        fs.remove(disk / "other")

    assert any(refusals) and not all(refusals)
    assert all("free some space" in each for each in refusals if each)


def test_a_disk_without_inodes_at_any_step_of_acceptance_loses_nothing(disk: Path, layout: Layout) -> None:
    refusals = []
    intake = intake_of(layout)
    for n, n_inodes in enumerate(range(9), start=1):
        (layout.incoming / "50-normal" / f"{n}.json").write_text(TEXT)
        leave_inodes(disk, n_inodes)
        refusals.append(tried(intake))
        assert there(layout) == n
        give_inodes(disk)
        for _ in range(3):
            intake.scan()
        accepted_once(layout, n)

    assert any(refusals) and not all(refusals)


def test_a_bad_drop_on_a_full_disk_is_rejected_when_there_is_room(disk: Path, layout: Layout) -> None:
    refusals = []
    for n_pages in range(10):
        (layout.incoming / f"{n_pages}.json").write_text("[]")
        fill(disk, n_pages)
        intake = intake_of(layout)
        refusals.append(tried(intake))
        assert there(layout) == n_pages + 1
        (disk / "filler").unlink()
        for _ in range(3):
            intake.scan()
        assert len([path for path in layout.rejected.glob("*.txt") if is_id(path.stem)]) == n_pages + 1
        assert len(ids(layout)) == n_pages + 1

    assert any(refusals)


def test_a_server_says_that_the_disk_is_full_and_goes_on_when_there_is_room(
    disk: Path, layout: Layout, serve: Serve, spool: Spool
) -> None:
    from .support import ServerProcess

    mine = Spool(layout.root)
    server = ServerProcess(mine).ready()
    try:
        hidden = layout.incoming / "50-normal" / ".a.json"
        hidden.write_text(json.dumps({**pi_no_pi(0).to_dict(), "job": {"n_reps": 2}}))
        fill(disk, 0)
        hidden.rename(hidden.with_name("a.json"))
        until(lambda: "storage trouble" in server.said())
        assert server.process.poll() is None
        assert not mine.jobs(state="done")
        (disk / "filler").unlink()
        until(lambda: mine.jobs(state="done"))
    finally:
        server.close()


def test_two_servers_on_a_disk_that_is_full_for_longer_than_a_lease_leave_each_other_their_jobs(
    tmp_path: Path, template: Path
) -> None:
    from .support import ServerProcess

    with tmpfs(tmp_path / "spool", "6m") as root:
        shutil.copytree(template, root, dirs_exist_ok=True)  # its lease is 3 s
        spool = Spool(root)
        servers = [ServerProcess(spool, name=name).ready() for name in ("one", "two")]
        try:
            slow = {"simulator": {"batch_s": 0.1}}
            job = spool.submit(pi_no_pi(0), slow, n_reps=2, n_batches=90)
            until(lambda: job.status()["phase"] == "acquiring")
            fill(root, 0)
            later = (root / "filler").stat().st_mtime + 7
            until(lambda: all(path.stat().st_mtime > later for path in root.glob("servers/???.json")))
            (root / "filler").unlink()
            job.wait(60)
        finally:
            for each in servers:
                each.close()

        assert [event["event"] for event in job.log()].count("started") == 1
        assert not any("taking over" in each.said() for each in servers)
