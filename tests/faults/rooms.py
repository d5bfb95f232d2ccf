"""A room for each trial: namespaces of its own for mounts, processes and network.

When the first process of a room ends, however it ends, the kernel kills all others in it, unmounts
what they mounted and forgets their network: a trial cannot leave anything behind, nor meet another
one. Only root can have a room; without, or without a tool, `wanting` says what is missing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .tally import Tally

_UNSHARE = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child=KILL", "--mount-proc")
_ROOT = Path(__file__).parents[2]


def wanting(*tools: str, modules: tuple[str, ...] = (), filesystems: tuple[str, ...] = ()) -> str | None:
    """Return why a trial cannot be made here, or None if it can.

    Parameters
    ----------
    tools:
        Commands that it calls.
    modules:
        Python modules that it imports.
    filesystems:
        Kinds that the kernel must know.
    """
    if sys.platform != "linux":
        return "needs Linux"
    if os.getuid() != 0:
        return "needs root"
    absent = [tool for tool in ("unshare", *tools) if shutil.which(tool) is None]
    absent += [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    known = Path("/proc/filesystems").read_text().split()
    unknown = [each for each in filesystems if each not in known]
    if unknown:
        return f"the kernel has no {', '.join(unknown)}"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, timeout=30, check=False)
    return None if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


def words_of(trial: str, *arguments: object, room: bool = True) -> list[str]:
    """Return the words of the command that makes a trial, in a room of its own or not."""
    words = [sys.executable, "-m", "tests.faults", trial, *map(str, arguments)]
    return [*_UNSHARE, *words, "--room"] if room else words


def tried(
    trial: str, *arguments: object, room: bool = True, first: bool = True, timeout: float = 280.0
) -> Tally:
    """Make trials in a process of their own and return their tally.

    Parameters
    ----------
    trial, arguments:
        As ``python -m tests.faults`` takes them.
    room:
        Whether they need one.
    first:
        Whether the first fault that is found ends them.
    timeout:
        For how long (s) they may go on.
    """
    asked = (*arguments, *(["--first"] if first else []))
    with tempfile.TemporaryDirectory(prefix="faults-", dir=_in_memory()) as work:
        made = subprocess.run(
            words_of(trial, *asked, "--work", work, room=room),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "default"},
        )
    if made.returncode:
        raise AssertionError(f"the trial ended with {made.returncode}\n{made.stdout}\n{made.stderr}")
    return Tally.loads(made.stdout.splitlines()[-1])


def _in_memory() -> str | None:
    """Return a folder in memory, if there is one: most trials need no disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
