"""The protocol with one of its parts taken out: a test must notice, each time.

Each mutant is made in a copy of the tree; then the test that should notice it runs there. What is not
found in the source any more is an error: the mutant has to be written anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .machine import AT_ONCE

_ROOT = Path(__file__).parents[2]
_COPIED = ("qtrl_spool", "tests", "configs", "docs", "pyproject.toml", "README.md")
_FAULTS = "tests/faults/"


@dataclass(frozen=True)
class Mutant:
    """A part that is taken out.

    Attributes
    ----------
    name:
        Which.
    changes:
        File, old text, new text.
    caught_by:
        The tests that should notice, as pytest names them.
    """

    name: str
    changes: tuple[tuple[str, str, str], ...]
    caught_by: str


_FS, _SYNCS, _LIMITS = "qtrl_spool/fs.py", "qtrl_spool/syncs.py", "qtrl_spool/bundle/limits.py"
_SYNC_FILE = "    if durable is True:\n        os.fsync(descriptor)"
_SYNC_FOLDER = "def sync_folder(folder: Path) -> None:\n"
_LOOK = "        if not exists(target):\n"
_RENAME = "os.rename(source if folder is None else source.name, target, src_dir_fd=folder)"
_COPY = "__import__('shutil').copyfile(source, target)\n        os.unlink(source)"
_FROM_DICT = "    @classmethod\n    def from_dict("
_LIFTED = "    def __post_init__(self):\n        object.__setattr__(self, {!r}, 2**62)\n\n"
_BEYOND = "tests/bundle/test_bundle_hostile.py::test_what_is_beyond_a_limit_is_refused_with_the_limits_name"
_BEYOND_IN_REQUESTS = "tests/spool/test_drops_hostile.py::test_a_request_beyond_a_limit_is_refused"
_CLAIMED = "return replace(self, claim=self.claim + 1)"

MUTANTS = (
    Mutant(
        "no sync of files",
        (
            (_FS, _SYNC_FILE, "    if durable is True:\n        pass"),
            (_SYNCS, "os.fsync(descriptor)", "pass"),
        ),
        f"{_FAULTS}test_power_cuts.py::test_what_was_acknowledged_survives_a_power_cut",
    ),
    Mutant(
        "no sync of folders",
        ((_FS, _SYNC_FOLDER, f"{_SYNC_FOLDER}    return\n"),),
        f"{_FAULTS}test_images.py::test_what_was_acknowledged_is_in_every_image_that_a_crash_may_leave",
    ),
    Mutant("no look at the target", ((_FS, _LOOK, "        if True:\n"),), f"{_FAULTS}test_machine.py"),
    Mutant(
        "no claim number in the name",
        (("qtrl_spool/job.py", _CLAIMED, "return self"),),
        f"{_FAULTS}test_machine.py",
    ),
    Mutant("copied and removed, not renamed", ((_FS, _RENAME, _COPY),), f"{_FAULTS}test_deaths.py"),
    *(
        Mutant(
            f"no {limit}", ((_LIMITS, _FROM_DICT, _LIFTED.format(limit) + _FROM_DICT),), f"{test}[{limit}]"
        )
        for limit, test in {
            **dict.fromkeys(("max_bytes", "max_members", "max_unpacked_bytes", "max_ratio"), _BEYOND),
            **dict.fromkeys(("max_yaml_bytes", "max_depth", "max_values", "max_appends"), _BEYOND),
            "max_request_bytes": _BEYOND_IN_REQUESTS,
        }.items()
    ),
)


def killed(mutant: Mutant) -> str | None:
    """Make a mutant and run its test; return the test that noticed, None if none did."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in _COPIED:
            copy = shutil.copytree if (_ROOT / name).is_dir() else shutil.copy
            copy(_ROOT / name, tree / name)
        for file, old, new in mutant.changes:
            text = (tree / file).read_text()
            if old not in text:
                raise ValueError(f"{mutant.name}: {file} no longer holds {old!r}")
            (tree / file).write_text(text.replace(old, new))
        tests = mutant.caught_by.split(" ")
        words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": folder, AT_ONCE: "1"}
        ran = subprocess.run(
            words, cwd=tree, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
    if ran.returncode != 1:  # 0: nothing was noticed; else the tests could not be run at all
        return None if ran.returncode == 0 else f"pytest ended with {ran.returncode}: {ran.stdout[-300:]}"
    told = (line for line in ran.stdout.splitlines() if line.startswith("FAILED "))
    failed = [line.removeprefix("FAILED ").split(" - ")[0] for line in told]
    return failed[0] if failed else None


def main(only: str = "") -> int:
    """Print which test notices which mutant; return 1 if one goes unnoticed."""
    chosen: Sequence[Mutant] = [mutant for mutant in MUTANTS if only in mutant.name]
    whole = killed(Mutant("", (), " ".join(sorted({mutant.caught_by for mutant in chosen}))))
    print(f"{'nothing is taken out':<34} {whole or 'nothing fails'}", flush=True)
    missed = int(whole is not None)
    for mutant in chosen:
        noticed = killed(mutant)
        missed += not (noticed or "").startswith("tests/")
        print(f"{mutant.name:<34} {noticed or 'NOT NOTICED'}", flush=True)
    return int(missed > 0)
