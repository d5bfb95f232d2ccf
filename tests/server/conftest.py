"""A spool made by the command, and real server processes on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool

from .people import SERVER, serving_as, shared_spool
from .support import ServerProcess

_QUICK = {"settle_s: 2 ": "settle_s: 0.3 ", "scan_s: 1.0 ": "scan_s: 0.2 ", "lease_s: 60 ": "lease_s: 3 "}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a spool with the shipped configuration, to be copied."""
    root = tmp_path_factory.mktemp("template") / "spool"
    create_spool(root, who="the tests")
    mark = root / "spool.yaml"
    text = mark.read_text()
    for old, new in _QUICK.items():
        assert old in text
        text = text.replace(old, new)
    mark.write_text(text)
    return root


@pytest.fixture
def spool(template: Path, tmp_path: Path) -> Spool:
    """Return a fresh spool."""
    root = tmp_path / "spool"
    shutil.copytree(template, root)
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


@pytest.fixture
def environment() -> dict[str, str]:
    """Return this process's environment."""
    return dict(os.environ)


@pytest.fixture
def shared(template: Path) -> Iterator[Spool]:
    """Return a spool that belongs to a server who is not root, in a folder that all may enter."""
    with shared_spool(template) as spool:
        yield spool


@pytest.fixture
def server(template: Path, shared: Spool) -> Iterator[subprocess.Popen[bytes]]:
    """Return a server that runs as a user of its own."""
    with serving_as(SERVER, template, shared) as process:
        yield process
