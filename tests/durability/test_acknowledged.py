"""What is acknowledged survives a power cut: every way of a job on a disk that forgets as much as it may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.requesting import post
from qtrl_spool.spool.layout import Layout

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
WAYS = ("a submitted job", "forty submitted jobs", "a dropped file", "a bad drop")
ANSWERS = ("cancel", "release", "move", "edit", "config")
_QUICK = {"settle_s: 2 ": "settle_s: 0.1 ", "scan_s: 1.0 ": "scan_s: 0.05 "}
_OF_THE_PROBE = 4


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "spool"
    create_spool(root, who="the tests")
    change(root, _QUICK)
    return root


def change(root: Path, settings: dict[str, str]) -> None:
    text = (root / "spool.yaml").read_text()
    for old, new in settings.items():
        assert old in text
        text = text.replace(old, new)
    (root / "spool.yaml").write_text(text)


@pytest.fixture(scope="module")
def careless(template: Path) -> Path:
    import shutil

    root = template.parent / "careless"
    shutil.copytree(template, root)
    change(root, {"durability: durable": "durability: fast"})
    return root


def followed(template: Path, work: Path, scenario: str) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.durability.acknowledging", str(template), str(work), scenario]
    made = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    found: dict[str, Any] = json.loads(made.stdout)
    return found


@pytest.mark.parametrize("scenario", [*WAYS, *ANSWERS])
def test_nothing_that_was_acknowledged_can_be_lost_torn_or_undone(
    template: Path, tmp_path: Path, scenario: str
) -> None:
    assert followed(template, tmp_path, scenario)["broken"] == []


@pytest.mark.parametrize("scenario", [*WAYS, *ANSWERS])
def test_the_same_look_finds_what_a_spool_without_syncs_may_lose(
    careless: Path, tmp_path: Path, scenario: str
) -> None:
    found = followed(careless, tmp_path, scenario)

    assert found["broken"]
    assert found["n_syncs"] <= _OF_THE_PROBE


def test_jobs_that_arrive_together_share_their_syncs(template: Path, tmp_path: Path) -> None:
    assert followed(template, tmp_path, "forty submitted jobs")["n_syncs"] < 40 * 9


def test_what_a_client_hands_in_can_be_read_whatever_its_umask(tmp_path: Path, template: Path) -> None:
    import shutil

    root = tmp_path / "spool"
    shutil.copytree(template, root)
    before = os.umask(0o077)
    try:
        Spool(root).submit(pi_no_pi(0), check=False)
        post(Layout.of(root), {"cancel": "x"})
    finally:
        os.umask(before)

    handed_in = [*root.glob("incoming/*/*.qjob"), *root.glob("requests/*.yaml")]
    assert len(handed_in) == 2
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in handed_in)
