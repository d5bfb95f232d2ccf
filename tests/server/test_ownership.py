"""Who owns what: drops of other users, a server that is not root, requests of strangers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi

from .support import (
    until,
)

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to act as several users"
)
SERVER, ADA, BOB = 12001, 12002, 12003


@pytest.fixture
def shared(template: Path) -> Iterator[Spool]:
    """Return a spool that belongs to a server who is not root, in a folder that all may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "spool"
        shutil.copytree(template, root)
        for path in (root, *root.rglob("*")):
            os.chown(path, SERVER, -1)
        for box in (root / "incoming", *(root / "incoming").iterdir(), root / "requests"):
            box.chmod(0o3777)
        yield Spool(root)


@pytest.fixture
def server(template: Path, shared: Spool) -> Iterator[subprocess.Popen[bytes]]:
    """Return a server that runs as a user of its own."""
    words = [sys.executable, "-m", "tests.server.as_user", str(template), str(shared.path), str(SERVER)]
    with (shared.path.parent / "lab.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        until(lambda: any(beat["pid"] == process.pid for beat in shared.queue()["servers"]))
        yield process
        process.kill()
        process.wait()


def test_a_folder_that_the_server_may_not_remove_is_copied_and_never_run_twice(
    shared: Spool, server: subprocess.Popen[bytes]
) -> None:
    folder = shared.path / "incoming" / "50-normal" / "adas job"
    folder.mkdir()
    (folder / "sequence.json").write_text(json.dumps(pi_no_pi(0).to_dict()))
    (folder / "job.yaml").write_text("{n_reps: 3, n_batches: 1}\n")
    for path in (folder, *folder.iterdir()):
        os.chown(path, ADA, ADA)

    job = until(lambda: shared.jobs(state="done"))[0]
    again = shared.submit(pi_no_pi(0), n_reps=3, n_batches=1)
    again.wait(60)

    assert {each.id for each in shared.jobs()} == {job.id, again.id}
    assert job.status()["uid"] == ADA
    assert folder.exists()


def test_a_job_belongs_to_the_owner_of_the_file_and_only_he_or_an_admin_can_cancel_it(
    shared: Spool, server: subprocess.Popen[bytes]
) -> None:
    job = shared.submit(pi_no_pi(0), hold=True, n_reps=3)
    until(lambda: job.state in {"held", "queued"})
    drop = shared.submit(pi_no_pi(0), hold=True, n_reps=3, user="a label")
    until(lambda: drop.state == "held")

    refused = ask_as(BOB, shared, {"cancel": job.id})
    by_root = ask_as(0, shared, {"cancel": job.id})

    assert not refused["ok"] and "belongs to" in refused["message"]
    assert by_root["ok"]
    assert job.state == "cancelled"
    assert drop.status()["user"] == "a label"


def ask_as(uid: int, spool: Spool, request: dict[str, str]) -> dict[str, object]:
    """Drop a request as a user, by hand; return its answer."""
    from qtrl_spool.spool import requests
    from qtrl_spool.spool.layout import Layout

    name = f"by-{uid}.yaml"
    hidden = spool.path / "requests" / f".{name}"
    hidden.write_text(json.dumps(request))
    os.chown(hidden, uid, uid)
    hidden.rename(spool.path / "requests" / name)
    return until(lambda: requests.answer(Layout.of(spool.path), name))  # type: ignore[no-any-return]
