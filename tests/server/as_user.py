"""Serves a spool as another user: ``python -m tests.server.as_user TEMPLATE SPOOL UID``.

The user may not be allowed to read the interpreter's own folder, so a first job is run before the
change of user: it imports all that is imported late.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from qtrl_spool import Spool, host
from qtrl_spool.backends import load_backend
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server import Server
from qtrl_spool.spool.layout import Layout


def server_on(root: Path, *, drain: bool) -> Server:
    layout = Layout.of(root)
    return Server(layout, name="lab", make_backend=lambda: load_backend("simulator"), drain=drain)


def warm_up(template: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "spool"
        shutil.copytree(template, root)
        Spool(root).submit(pi_no_pi(0), n_reps=2)
        (root / "incoming" / "bad.json").write_text("[1]")
        host.group_names(0)
        server_on(root, drain=True).run()


def main() -> None:
    template, root, uid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    warm_up(template)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    server = server_on(root, drain=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run()


if __name__ == "__main__":
    main()
