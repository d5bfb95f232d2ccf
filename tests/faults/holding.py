"""What one job meets while its server cannot write: a hold that counts, and a file that keeps no other job.

The server is told to end while the job acquires, and the storage refuses the partial result, so that the job
is neither running nor back in the queue for as long as that lasts. Then somebody asks for a hold.

Or the record of a running job can no longer be replaced, as where the replicas of a share disagree about it.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtrl_spool import Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

from . import forked
from .beds import until
from .healing import gone_on, watched
from .injector import Fault, Injector, Wire
from .promise import status
from .scenarios import Ends, broken
from .tally import Tally

_PARTIAL = "partial.h5"
_DEADLINE_S = 60.0


class _NoRecord(Injector):
    """Refuses to replace the record of one job, from the moment at which a file is there."""

    def __init__(self, root: Path, wire: Wire, job: str, when: Path) -> None:
        super().__init__(root, Fault(1, errno.EIO, lasting=True), wire)
        self._record, self._when = f"{job}/status.json", when

    def call(self, name: str, what: str, real: Callable[[], Any]) -> Any:
        is_it = name == "replace" and what.endswith(self._record) and self._when.exists()
        return super().call(name, what, real) if is_it else real()


def served_beside_a_damaged_file(template: Path, work: Path) -> Tally:
    """Let a server run another job while one's record cannot be written; return what came of it."""
    root, log, wire, damaged = work / "spool", work / "server.log", Wire(), work / "damaged"
    shutil.copytree(template, root)
    config = {"simulator": {"batch_s": 0.1}}
    first = Spool(root).submit(pi_no_pi(0), config, check=False, n_reps=2, n_batches=15).id

    def serving() -> int:
        _NoRecord(root, wire, first, damaged).install()
        return forked.serve_here(root, drain=False)

    server = forked.fork(serving, log)
    until(lambda: status(root, first).get("phase") == "acquiring", _DEADLINE_S)
    damaged.touch()
    second = Spool(root).submit(pi_no_pi(0), check=False, n_reps=2).id
    until(lambda: wire.what and status(root, second).get("state") == "done", _DEADLINE_S)
    wire.heal()
    ends = Ends({first: "done", second: "done"}, drain=False)
    how = watched(server, root, ends)
    wrong = [] if how == 0 else [f"the server ended with {how}: {log.read_text()[-800:]}"]
    return broken(root, ends) + Tally("a damaged file", 1, stuck=tuple(wrong))


def stopped_beside_a_damaged_file(template: Path, work: Path) -> Tally:
    """Tell a server twice to end while the record of its job cannot be written; return what came of it."""
    root, log, wire, damaged = work / "spool", work / "server.log", Wire(), work / "damaged"
    shutil.copytree(template, root)
    config = {"simulator": {"batch_s": 0.1}}
    job = Spool(root).submit(pi_no_pi(0), config, check=False, n_reps=2, n_batches=15).id

    def serving() -> int:
        _NoRecord(root, wire, job, damaged).install()
        return forked.serve_here(root, drain=False)

    server = forked.fork(serving, log)
    until(lambda: status(root, job).get("phase") == "acquiring", _DEADLINE_S)
    damaged.touch()
    until(lambda: wire.what and "storage trouble" in log.read_text(), _DEADLINE_S)
    os.kill(server, signal.SIGTERM)
    until(lambda: "asked to end" in log.read_text(), _DEADLINE_S)
    os.kill(server, signal.SIGTERM)
    how = forked.ended(server, _DEADLINE_S)
    said = log.read_text()
    wrong = [] if how == 0 and "is left unwritten while" in said else [f"it ended with {how}: {said[-800:]}"]
    wrong += [f"it did not say why: {said[-800:]}"] if "(None)" in said else []
    ends = Ends({job: "done"})
    wrong += gone_on(root, work / "after.log", "lab", ends)
    return broken(root, ends) + Tally("a damaged file", 1, stuck=tuple(wrong))


class _NoPartial(Injector):
    """Refuses whatever would make a partial result."""

    def call(self, name: str, what: str, real: Callable[[], Any]) -> Any:
        return super().call(name, what, real) if _PARTIAL in what else real()


def held_while_stopping(template: Path, work: Path) -> Tally:
    """Ask for a hold in that moment; return what came of it."""
    root, log, wire = work / "spool", work / "server.log", Wire()
    shutil.copytree(template, root)
    layout, config = Layout.of(root), {"simulator": {"batch_s": 0.1}}
    job = Spool(root).submit(pi_no_pi(0), config, check=False, n_reps=2, n_batches=500).id

    def serving() -> int:
        _NoPartial(root, Fault(1, errno.ENOSPC, lasting=True), wire).install()
        return forked.serve_here(root, drain=False)

    server = forked.fork(serving, log)
    until(lambda: status(root, job).get("phase") == "acquiring", _DEADLINE_S)
    os.kill(server, signal.SIGTERM)
    until(lambda: wire.what, _DEADLINE_S)
    requests.send(layout, {"hold": job}, "request.yaml")
    until(lambda: requests.answer(layout, "request.yaml"), _DEADLINE_S)
    wire.heal()
    how = forked.ended(server, _DEADLINE_S)
    answer = requests.answer(layout, "request.yaml") or {}
    wrong = [] if answer.get("ok") else [f"the hold was answered with {answer}"]
    wrong += [] if how == 0 else [f"the server ended with {how}: {log.read_text()[-800:]}"]
    return broken(root, Ends({job: "held"}, drain=False)) + Tally("a late hold", 1, stuck=tuple(wrong))
