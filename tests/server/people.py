"""Several users on one spool: a server that is not root, and people who drop requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.bundle import pack
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.job import ID_LETTERS, make_id
from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

from .support import until

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to act as several users"
)
SERVER, ADA, BOB = 12001, 12002, 12003


@contextmanager
def shared_spool(template: Path) -> Iterator[Spool]:
    """Make a spool that belongs to a server who is not root, in a folder that all may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "spool"
        shutil.copytree(template, root)
        for path in (root, *root.rglob("*")):
            os.chown(path, SERVER, -1)
        for box in (root / "incoming", *(root / "incoming").iterdir(), root / "requests"):
            box.chmod(0o3777)
        yield Spool(root)


@contextmanager
def serving_as(uid: int, template: Path, spool: Spool) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on a spool as a user."""
    words = [sys.executable, "-m", "tests.server.as_user", str(template), str(spool.path), str(uid)]
    with (spool.path.parent / "lab.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            until(lambda: any(beat["pid"] == process.pid for beat in spool.queue()["servers"]))
            yield process
        finally:
            process.kill()
            process.wait()


def drop_as(uid: int, spool: Spool, name: str, text: str) -> Path:
    """Put a file of a user into ``requests/``, whole."""
    hidden = spool.path / "requests" / f".{name}.tmp"
    hidden.write_text(text)
    os.chown(hidden, uid, uid)
    return hidden.rename(spool.path / "requests" / name)


def ask_as(uid: int, spool: Spool, request: dict[str, Any], name: str = "") -> dict[str, Any]:
    """Drop a request as a user; return its answer."""
    name = name or f"{next(iter(request))}-by-{uid}-{os.urandom(3).hex()}.yaml"
    drop_as(uid, spool, name, json.dumps(request))
    return until(lambda: requests.answer(Layout.of(spool.path), name))  # type: ignore[no-any-return]


def submit_as(uid: int, spool: Spool, *, hold: bool = True, **manifest: Any) -> Job:
    """Submit a short job as a user, held if nothing else is said; return it when it is accepted."""
    bundle = spool.bundle(pi_no_pi(0), n_reps=3, n_batches=1, hold=hold, **manifest)
    letters = "".join(ID_LETTERS[byte % len(ID_LETTERS)] for byte in os.urandom(5))
    job_id = make_id("pi", now=datetime.now(UTC), letters=letters)
    hidden = spool.path / "incoming" / f".{job_id}.tmp"
    hidden.write_bytes(pack(bundle))
    os.chown(hidden, uid, uid)
    hidden.rename(spool.path / "incoming" / f"{job_id}.qjob")
    job = spool.job(job_id)
    until(lambda: job.status()["accepted"] and job.state == ("held" if hold else job.state))
    return job
