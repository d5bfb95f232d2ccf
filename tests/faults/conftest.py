"""What the tests of faults share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import rooms
from .tally import Tally

Trial = Callable[..., Tally]
Count = Callable[[str, int], None]


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory, where there is one: for many small files that nobody needs to keep."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def forked() -> Trial:
    """Return a function that makes trials which need no room of their own, or skip."""
    import os

    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    return lambda trial, *arguments: rooms.tried(trial, *arguments, room=False)
