"""The model of the claim protocol: spin goes through all its orders, and the code has the same moves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qtrl_spool.job import MOVES

MODEL = Path(__file__).parents[2] / "docs" / "model" / "claim.pml"

HOLDS = {
    "three servers, a crash, a lost reply": "",
    "a person": "-DSERVERS=2 -DSTEPS=1 -DPAUSES=1 -DCRASHES=0",
    "two stages": "-DSTAGES -DCRASHES=0 -DLOST=0",
}
FAILS = {
    "no claim number in the name": "-DSTAGES -DCRASHES=0 -DLOST=0 -DNO_NUMBER",
    "no look at the target": "-DSERVERS=2 -DNO_LOOK",
    "looked first, then copied": "-DCHECK_FIRST",
    "nobody else publishes": "-DNO_SETTLE",
}


def errors(work: Path, options: str, *, optimise: str = "-O0") -> int:
    """Return how many errors spin finds in the model with these options (it stops at the first)."""
    if not (shutil.which("spin") and shutil.which("gcc")):
        pytest.skip("needs spin and gcc")
    subprocess.run(["spin", *options.split(), "-a", MODEL], cwd=work, check=True, capture_output=True)
    build = ["gcc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"]
    subprocess.run(build, cwd=work, check=True, capture_output=True)
    ran = subprocess.run(["./pan", "-m200000", "-n"], cwd=work, check=True, capture_output=True, text=True)
    found = re.search(r"errors: (\d+)", ran.stdout)
    assert found and "max search depth too small" not in ran.stdout, ran.stdout
    return int(found[1])


@pytest.mark.parametrize("options", HOLDS.values(), ids=HOLDS.keys())
def test_a_ticket_is_there_once_and_a_result_is_published_once_in_every_order(
    tmp_path: Path, options: str
) -> None:
    assert errors(tmp_path, options, optimise="-O2") == 0


@pytest.mark.parametrize("options", FAILS.values(), ids=FAILS.keys())
def test_a_protocol_with_a_part_taken_out_is_found_wrong(tmp_path: Path, options: str) -> None:
    assert errors(tmp_path, options) == 1


def test_the_model_and_the_code_have_the_same_moves() -> None:
    modelled = set(re.findall(r"MOVE\((\w+), (\w+), (\w+),", MODEL.read_text())) - {
        ("before", "move", "after")
    }

    assert modelled == {(before or "new", move.value, after) for (before, move), after in MOVES.items()}
