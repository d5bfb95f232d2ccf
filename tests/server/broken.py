"""A real server on storage of which some calls fail, for as long as a file says which.

Run as ``python -m tests.server.broken SPOOL NAME FILE [--standby] [--rig]``. The first line of FILE is a
regular expression for calls as `tests.faults.injector` tells them, such as ``read queue/…``; if it says
nothing, or is not there, all is well. With a second line, ``late``, a call is carried out before it is said
to have failed.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qtrl_spool import Spool
from tests.faults.injector import Fault, Injector, Wire

from .support import DEADLINE_S, ServerProcess


class _Refusing(Injector):
    """Refuses the calls that a file names."""

    def __init__(self, root: Path, named: Path) -> None:
        super().__init__(root, Fault(0, errno.EIO), Wire())
        self._named = named

    def call(self, name: str, what: str, real: Callable[[], Any]) -> Any:
        wanted, _, how = self._named.read_text().partition("\n") if self._named.exists() else ("", "", "")
        if not wanted or not re.search(wanted, f"{name} {what}"):
            return real()
        if how.startswith("late"):
            real()
        with self._named.with_suffix(".hit").open("a") as hits:
            hits.write(f"{name} {what}\n")
        raise OSError(errno.EIO, os.strerror(errno.EIO), what)


class BrokenServer(ServerProcess):
    """A running server whose storage refuses what `refuse` says.

    Parameters
    ----------
    spool, name:
        As for `ServerProcess`.
    refuses:
        What it refuses from its start on.
    options:
        ``--standby``, ``--rig``.
    more:
        What is added to the environment.
    """

    def __init__(
        self,
        spool: Spool,
        *options: str,
        name: str = "lab",
        refuses: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.spool, self.name = spool, name
        self.log = spool.path.parent / f"{name}.log"
        self._log = self.log.open("ab")
        self._named = spool.path.parent / f"{name}.refused"
        self.refuse(refuses)
        words = [sys.executable, "-m", "tests.server.broken", spool.path, name, self._named, *options]
        environment = {**os.environ, **(more or {})}
        self.process = subprocess.Popen(
            list(map(str, words)), stdout=self._log, stderr=self._log, env=environment
        )

    def refuse(self, wanted: str, *, late: bool = False) -> None:
        """Let these calls fail from now on; "" heals the storage."""
        unfinished = self._named.with_suffix(".new")
        unfinished.write_text(f"{wanted}\nlate" if late else wanted)
        unfinished.replace(self._named)

    def hits(self) -> int:
        """Return how many calls were refused so far."""
        hits = self._named.with_suffix(".hit")
        return len(hits.read_text().splitlines()) if hits.exists() else 0

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def main() -> int:
    import logging

    from qtrl_spool.backends import load_backend
    from qtrl_spool.server import Server
    from qtrl_spool.spool.layout import Layout

    root, name, named, *options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _Refusing(Path(root), Path(named)).install()
    server = Server(
        Layout.of(root),
        name=name,
        make_backend=lambda: load_backend("rig" if "--rig" in options else "simulator"),
        standby="--standby" in options,
        drain="--drain" in options,
    )
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
