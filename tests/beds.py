"""Mounts that tests bring up: as root, and skipped with a reason where they cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_UP_S = 10.0


@contextmanager
def bindfs(source: Path, point: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Mount `source`, which must not be empty, on `point` through FUSE; yield the process that serves it."""
    if shutil.which("bindfs") is None or os.geteuid() != 0:
        pytest.skip("needs bindfs and root")
    point.mkdir()
    server = subprocess.Popen(["bindfs", "-f", str(source), str(point)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _UP_S
        while not os.listdir(point):
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip("bindfs cannot mount here")
        yield server
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False, stderr=subprocess.DEVNULL)
        server.kill()
        server.wait()


@contextmanager
def tmpfs(point: Path, size: str) -> Iterator[Path]:
    """Mount an empty disk of so many bytes (``64m``) on `point`; yield it."""
    if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs mount and root")
    point.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(point)]
    if subprocess.run(options, check=False, capture_output=True).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False, stderr=subprocess.DEVNULL)
