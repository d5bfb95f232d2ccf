"""What the tests of the server share: real processes, and jobs to give them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtrl_spool import Spool

DEADLINE_S = 60.0


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


Serve = Callable[..., ServerProcess]

ONE_FILE = """\
format: qtrl-sequence/1
name: rabi by hand
n_elements: 11
x_axis: {name: pulse width, unit: us, values: [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2]}
appends:
- {pulse: Q1/rabi, element: {sweep: [0, 11]}, width: {linspace: [0, 200.e-9, 11]}}
- {pulse: Readout/R1, start: ref1}
- {pulse: Readout/Trigger, start: ref1, start_delay: 130.e-9}
config:
  variables: {Q1/rabi_amp: 0.2}
job:
  n_reps: 60
  n_batches: 1
...
"""


def quick(**more: object) -> dict[str, object]:
    return {"n_reps": 40, "n_batches": 1, **more}


def slow(batch_s: float = 0.3, n_batches: int = 100) -> dict[str, object]:
    return {"config": {"simulator": {"batch_s": batch_s}}, "n_reps": 10, "n_batches": n_batches}


def only_job(spool: Spool) -> str:
    return str(until(lambda: [job.id for job in spool.jobs()])[0])


def fs_names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))
