"""What wakes the main loop."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_ROUNDS = """
import signal
from qtrl_spool.server.wake import Wake
wake = Wake()
signal.signal(signal.SIGALRM, lambda *_: wake.set())
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
for _ in range(20_000):
    wake.wait(1e-4)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that signal")
def test_a_signal_handler_may_wake_the_loop_at_any_moment() -> None:
    made = subprocess.run([sys.executable, "-c", _ROUNDS], timeout=30, check=False)

    assert made.returncode == 0
