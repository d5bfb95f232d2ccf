"""The tutorial, word for word, and the examples of the README."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from tests.server.support import ServerProcess, command

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
README = ROOT / "README.md"
DEADLINE_S = 120.0
_BLOCK = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, one more word, its text."""

    language: str
    note: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that name a language."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text())]


def script_of(page: Path) -> str:
    """Return all blocks of a page as one shell script."""
    return "\n".join(["set -e", *map(_step, blocks(page)), ""])


def _step(block: Block) -> str:
    if block.language == "python":
        return f"python - <<'PYTHON'\n{block.text}PYTHON"
    if block.language == "yaml":
        return f"cat > {block.note} <<'YAML'\n{block.text}YAML"
    assert block.language == "sh", block
    return f"if {block.text.strip()}\nthen exit 99; fi" if block.note == "fails" else block.text


def shell(folder: Path) -> dict[str, str]:
    """Return the environment of a shell in which the command and this Python answer."""
    programs = folder / "bin"
    programs.mkdir()
    for name, words in (("qtrl-spool", "-m qtrl_spool"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "QTRL_SPOOL"}
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}


@pytest.mark.skipif(os.name == "nt", reason="the tutorial is written for a POSIX shell")
def test_the_tutorial_runs_word_for_word(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "tutorial.sh").write_text(script_of(TUTORIAL))
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            ["sh", "-x", str(tmp_path / "tutorial.sh")],
            cwd=work,
            env=shell(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            status = process.wait(DEADLINE_S)
        finally:
            _end(process.pid)
    assert status == 0, (tmp_path / "said").read_text()[-3000:] + (work / "server.log").read_text()[-2000:]
    assert {job.state for job in Spool(work / "spool").jobs(name="quick")} == {"done"}
    assert (work / "rabi.png").is_file() and (work / "by-hand.png").is_file()
    (half_a_turn,) = re.findall(
        r"^half a turn takes ([0-9.]+) ns$", (tmp_path / "said").read_text(), re.MULTILINE
    )
    assert 40 < float(half_a_turn) < 70


def _end(group: int) -> None:
    """End what the tutorial started and did not end."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Return a fresh spool."""
    return Spool(create_spool(tmp_path / "spool", who="ada").path)


def test_the_python_of_the_readme_runs(spool: Spool, tmp_path: Path) -> None:
    (block,) = [each for each in blocks(README) if each.language == "python"]
    server = ServerProcess(spool)
    try:
        done = subprocess.run(
            [sys.executable, "-c", block.text.replace("~/spool", str(spool.path))],
            cwd=tmp_path,
            env=shell(tmp_path),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    finally:
        server.close()
    assert done.returncode == 0 and (tmp_path / "rabi.png").is_file(), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the README is written for a POSIX shell")
def test_the_commands_of_the_readme_make_a_spool_and_serve_it(tmp_path: Path) -> None:
    (begin,) = [each.text for each in blocks(README) if each.language == "sh"]
    (job,) = [each.text for each in blocks(README) if each.language == "yaml"]
    (tmp_path / "rabi.yaml").write_text(job)
    environment = {**shell(tmp_path), "HOME": str(tmp_path)}
    script = f"set -e\n{begin}\nqtrl-spool submit rabi.yaml --wait\nkill $!\nwait $!"
    process = subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.wait(DEADLINE_S) == 0, (tmp_path / "server.log").read_text()
    finally:
        _end(process.pid)
    assert [job.state for job in Spool(tmp_path / "spool").jobs()] == ["done"]


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "reference" / "job-files.md"])
def test_the_job_files_that_are_shown_are_fine(spool: Spool, tmp_path: Path, page: Path) -> None:
    texts = [each.text for each in blocks(page) if each.text.startswith("format: qtrl-sequence/1")]
    (tmp_path / "shown.yaml").write_text(texts[0])
    done = command("check", tmp_path / "shown.yaml", "--spool", spool.path)
    assert done.returncode == 0, done.stderr
