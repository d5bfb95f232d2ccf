"""What the operating system says of processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qtrl_spool import host
from qtrl_spool.spool.doctor import examine
from qtrl_spool.spool.layout import make
from qtrl_spool.spool.servers import silence, write_heartbeat
from tests.server.support import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()", "serve"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_stopped_process_is_told_with_what_wakes_it(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGSTOP)
    until(lambda: host.is_frozen(child.pid))
    assert silence({"pid": child.pid}) == f"its process {child.pid} is stopped: kill -CONT {child.pid}"


def test_a_process_that_runs_and_says_nothing_perhaps_misses_its_storage(
    child: subprocess.Popen[bytes],
) -> None:
    assert silence({"pid": child.pid}).startswith(f"its process {child.pid} runs: is the storage full")


def test_a_process_that_is_gone_is_not_frozen(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert not host.is_frozen(child.pid)


def test_the_doctor_tells_a_stopped_server_as_that(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    layout = make(tmp_path / "spool", "")
    beat = {
        "name": "lab",
        "host": host.host_name(),
        "pid": child.pid,
        "updated": "2026-11-23T10:15:30.000000Z",
    }
    write_heartbeat(layout, beat)
    child.send_signal(signal.SIGSTOP)
    until(lambda: host.is_frozen(child.pid))
    found = [each for each in examine(layout, now=datetime.now(UTC)) if each.what == "server lab"]
    assert found[0].verdict == "wrong" and f"kill -CONT {child.pid}" in found[0].said
