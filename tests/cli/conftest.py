"""The command in this process, on a spool of its own; real processes come from the server's tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qtrl_spool import Spool
from qtrl_spool.cli import main
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import rabi
from tests.server.conftest import ServerProcess

MISSPELT = """\
format: qtrl-sequence/1
name: misspelt
n_elements: 2
appends:
- {pulse: Q1/X181}
- {pulse: Q9/X180}
- {pulse: Readout/R1, start: ref1}
"""
_QUICK = {"settle_s: 2 ": "settle_s: 0.3 ", "scan_s: 1.0 ": "scan_s: 0.2 "}


class Said(NamedTuple):
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in this process."""

    def call(*words: object) -> Said:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a spool with the shipped configuration, to be copied."""
    root = create_spool(tmp_path_factory.mktemp("made") / "spool", who="ada").path
    text = (root / "spool.yaml").read_text()
    for old, new in _QUICK.items():
        assert old in text
        text = text.replace(old, new)
    (root / "spool.yaml").write_text(text)
    return root


@pytest.fixture
def spool(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return a fresh spool, named by the environment."""
    root = tmp_path / "spool"
    shutil.copytree(made, root)
    monkeypatch.setenv("QTRL_SPOOL", str(root))
    return Spool(root)


@pytest.fixture
def serve(spool: Spool) -> Iterator[Callable[..., ServerProcess]]:
    """Return a function that starts a server on the spool; all are gone after the test."""
    started: list[ServerProcess] = []

    def start(*options: str, name: str = "lab") -> ServerProcess:
        server = ServerProcess(spool, *options, name=name)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def lab(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a running server on a spool that the tests of a module share."""
    root = tmp_path_factory.mktemp("lab") / "spool"
    shutil.copytree(made, root)
    server = ServerProcess(Spool(root)).ready()
    yield server
    server.close()


@pytest.fixture
def shared(lab: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool of the shared server, named by the environment."""
    monkeypatch.setenv("QTRL_SPOOL", str(lab.spool.path))
    return lab.spool


@pytest.fixture(scope="session")
def job_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a job in one file that takes a moment."""
    path = tmp_path_factory.mktemp("bundles") / "rabi.json"
    tree = {**rabi(1, n_elements=5).to_dict(), "job": {"n_reps": 20, "n_batches": 2}}
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture
def misspelt(tmp_path: Path) -> Path:
    """Return a job with two pulses that nobody has."""
    path = tmp_path / "misspelt.yaml"
    path.write_text(MISSPELT)
    return path
