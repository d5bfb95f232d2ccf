"""A second process that looks at the same storage; run by path, with nothing but the standard library.

``spool.trials`` starts it (`python -I -S witness.py`) because what one process sees of its own files and
locks proves nothing. It reads one request a line, ``["see", PATH]`` or ``["lock", PATH]``, as JSON, and
answers each with one line, ``see`` with ``{"looking": true}`` before it::

    see    {"seen_at": monotonic time (s) when PATH was listed in its folder and had content, or null}
    lock   {"got": whether an exclusive lock of PATH was to be had, "error": text or null}

Both processes run on one host, whose monotonic clock they share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_LOOK_FOR_S = 5.0


def see(path: str) -> dict[str, Any]:
    """Look for a file until it is there."""
    folder, name = Path(path).parent, Path(path).name
    _listed(folder)
    print(json.dumps({"looking": True}), flush=True)
    end = time.monotonic() + _LOOK_FOR_S
    while time.monotonic() < end:
        try:
            if name in _listed(folder) and Path(path).stat().st_size > 0:
                return {"seen_at": time.monotonic()}
        except OSError:
            continue
        time.sleep(0.0005)
    return {"seen_at": None}


def _listed(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def lock(path: str) -> dict[str, Any]:
    """Try to get a lock that the other process may hold; let go of it at once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor)
    except BlockingIOError:
        return {"got": False, "error": None}
    except OSError as error:
        return {"got": False, "error": error.strerror or str(error)}
    finally:
        os.close(descriptor)
    return {"got": True, "error": None}


def _take(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def main() -> None:
    """Answer until there is nothing more to read."""
    for line in sys.stdin:
        what, path = json.loads(line)
        print(json.dumps(see(path) if what == "see" else lock(path)), flush=True)


if __name__ == "__main__":
    main()
