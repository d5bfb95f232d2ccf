"""What the operating system says of processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from qtrl_spool import host
from qtrl_spool.spool.servers import silence
from tests.server.support import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
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
