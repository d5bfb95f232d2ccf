"""The backend of the documentation, word for word, keeps the contract and runs a job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import rabi

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-backend.md"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return a folder with the module and the test that the page shows."""
    module, test = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").touch()
    (tmp_path / "mylab" / "loopback.py").write_text(module)
    (tmp_path / "test_loopback.py").write_text(test)
    return tmp_path


def run(lab: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(lab), str(PAGE.parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "QTRL_SPOOL_LOCKS": str(lab)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=lab, env=environment, capture_output=True, text=True, timeout=120)


def test_the_example_has_about_sixty_lines(lab: Path) -> None:
    assert len((lab / "mylab" / "loopback.py").read_text().splitlines()) <= 65


def test_the_example_keeps_the_contract(lab: Path) -> None:
    ended = run(lab, "pytest", "-q", "-p", "no:cacheprovider", "test_loopback.py")

    assert ended.returncode == 0, ended.stdout
    assert "passed" in ended.stdout


def test_the_example_runs_a_job(lab: Path) -> None:
    create_spool(lab / "spool", who="the tests")
    spool = Spool(lab / "spool")
    job = spool.submit(rabi("Q1", n_elements=5, step_size=8e-9), n_reps=4, n_batches=2)

    words = ["serve", "--drain", "--spool", "spool", "--backend", "mylab.loopback:Loopback"]
    ended = run(lab, "qtrl_spool", *words)

    assert ended.returncode == 0, ended.stderr
    assert job.result(1).dataset["iq"].sizes["repetition"] == 8
