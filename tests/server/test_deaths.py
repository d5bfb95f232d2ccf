"""kill -9 before every single change of the disk, in every way that a server changes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .dying import SCENARIOS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_server_killed_at_any_step_loses_nothing_and_does_nothing_twice(
    template: Path, tmp_path: Path, scenario: str
) -> None:
    mark = template / "spool.yaml"
    quicker = tmp_path / "template"
    shutil.copytree(template, quicker)
    (quicker / "spool.yaml").write_text(mark.read_text().replace("scan_s: 0.2", "scan_s: 0.02"))
    words = [sys.executable, "-m", "tests.server.dying", str(quicker), str(tmp_path), scenario]

    made = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    reports = [json.loads(line) for line in made.stdout.splitlines()]

    assert made.returncode == 0, made.stderr
    assert [report for report in reports if report["problem"]] == []
    assert sum(report["died"] for report in reports) >= 10
