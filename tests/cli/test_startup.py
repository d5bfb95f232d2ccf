"""The command is light: what it loads on the way to an answer. ``benchmarks/startup.py`` measures it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qtrl_spool import Spool

from .conftest import Run

HEAVY = {
    "filelock", "h5netcdf", "h5py", "jsonschema", "matplotlib", "numpy", "rich", "scipy", "watchdog",
    "xarray", "yaml",
}  # fmt: skip
_ASK = """\
import sys
from qtrl_spool.cli import main
status = main(sys.argv[1:])
print("loaded", *sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
sys.exit(status)
"""


def loaded(*words: str) -> set[str]:
    """Return the packages that a command loads in a fresh process."""
    done = subprocess.run([sys.executable, "-c", _ASK, *words], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("verb", ["--help", "--version", "queue", "status", "log", "jobs"])
def test_an_answer_from_files_loads_nothing_heavy(run: Run, spool: Spool, job_file: Path, verb: str) -> None:
    job_id = run("submit", job_file).out.strip()
    words = (verb, job_id) if verb in {"status", "log"} else (verb,)
    assert not loaded(*words) & HEAVY


def test_importing_the_package_loads_nothing_heavy() -> None:
    ask = "import sys, qtrl_spool; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY
