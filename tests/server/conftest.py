"""A spool made by the command, and real server processes on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool

DEADLINE_S = 60.0
_QUICK = {"settle_s: 2 ": "settle_s: 0.3 ", "scan_s: 1.0 ": "scan_s: 0.2 ", "lease_s: 60 ": "lease_s: 3 "}


def until(what: Callable[[], Any], deadline: float = DEADLINE_S) -> Any:
    """Return the first true thing that `what` returns; fail when the deadline has passed."""
    end = time.monotonic() + deadline
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline:g} s")
        time.sleep(0.005)
    return found


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the real command to its end."""
    words = [sys.executable, "-m", "qtrl_spool", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False, **options)


class ServerProcess:
    """A running ``qtrl-spool serve``."""

    def __init__(self, spool: Spool, *options: str, name: str = "lab") -> None:
        self.log = spool.path.parent / f"{name}.log"
        self._log = self.log.open("ab")
        words = [
            sys.executable,
            "-m",
            "qtrl_spool",
            "serve",
            "--spool",
            str(spool.path),
            "--name",
            name,
            *options,
        ]
        self.process = subprocess.Popen(words, stdout=self._log, stderr=self._log)
        self.spool = spool
        self.name = name

    def ready(self) -> ServerProcess:
        """Wait until it beats."""
        until(lambda: any(beat["pid"] == self.process.pid for beat in self.spool.queue()["servers"]))
        return self

    def kill(self) -> None:
        """Kill it without a word."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def said(self) -> str:
        """Return its log so far."""
        return self.log.read_text()

    def close(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.kill()
        self._log.close()


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
