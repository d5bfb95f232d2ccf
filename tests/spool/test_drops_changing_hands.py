"""A drop that moves on while somebody lists the jobs: it is found where it went, or was taken back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from qtrl_spool.spool.accepting import Taken

JOB = "20261123-101530-rabi-k3f9x"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    create_spool(tmp_path / "spool", who="the tests")
    return Spool(tmp_path / "spool")


Happening = Callable[[Path, int, Callable[[], object]], None]


@pytest.fixture
def on_listing(monkeypatch: pytest.MonkeyPatch) -> Happening:
    """Return a function that has something happen right before a folder is listed for the n-th time."""

    def happening(folder: Path, nth: int, happen: Callable[[], object]) -> None:
        real, seen = os.listdir, [0]

        def listdir(path: Any = ".") -> Any:
            seen[0] += Path(os.fsdecode(path)) == folder
            if seen[0] == nth:
                seen[0] += 1
                happen()
            return real(path)

        monkeypatch.setattr(os, "listdir", listdir)

    return happening


def test_a_drop_that_is_taken_over_while_jobs_are_listed_is_among_them(
    spool: Spool, on_listing: Happening
) -> None:
    heir, dead = (spool.path / "accepting" / name for name in ("a", "b"))
    name = Taken(50, JOB, "rabi").file_name
    for folder in (heir, dead):
        folder.mkdir(parents=True)
    (dead / name).touch()
    ids = [job.id for job in spool.jobs()]
    on_listing(dead, 1, lambda: (dead / name).rename(heir / name))

    state = spool.job(JOB).state

    assert (ids, state) == ([JOB], "queued")


def test_a_drop_that_is_taken_back_while_jobs_are_listed_is_no_longer_among_them(
    spool: Spool, on_listing: Happening
) -> None:
    drop = spool.path / "incoming" / f"{JOB}.qjob"
    drop.touch()
    on_listing(drop.parent, 2, drop.unlink)

    assert spool.jobs() == []
