"""The Python of the page on analysing runs as it stands there, on a result."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "analyse.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split("\n")[0])
def test_the_example_runs_as_it_stands(tmp_path: Path, program: str) -> None:
    shutil.copy(ROOT / "tests" / "results" / "golden" / "0.1-rabi.h5", tmp_path / "result.h5")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_there_are_examples() -> None:
    assert len(PROGRAMS) >= 5
