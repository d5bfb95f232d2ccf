"""What is dropped into a spool or asked of it, and what must follow: the verbs of the sweeps.

Each scenario prepares a spool while everything is well and returns `Ends`: how each job must end, and
a look at the rest. The fault then strikes the server, or, for ``submit``, the client.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qtrl_spool import Spool
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import requests, tickets
from qtrl_spool.spool.layout import Layout

from . import forked
from .injector import DIED, Fault, Injector, Wire
from .promise import judge
from .tally import Tally

_MOST_ATTEMPTS = 20
_TOO_LATE = "cannot be released"
"""A release that was carried out before a death, and whose job was claimed before the answer."""


@dataclass(frozen=True)
class Ends:
    """What must be true when everything was healed.

    Attributes
    ----------
    jobs:
        The state of each job that was acknowledged.
    wrong:
        Returns what else is wrong, a sentence, or None.
    client:
        What the fault strikes, if it is not the server: returns the id that it was told.
    drain:
        Whether the server ends by itself when it has nothing to do; else it is stopped when all is well.
    """

    jobs: Mapping[str, str] = field(default_factory=dict)
    wrong: Callable[[], str | None] = lambda: None
    client: Callable[[], str] | None = None
    drain: bool = True


Scenario = Callable[[Path, Path], Ends]


def submitted(root: Path, **manifest: Any) -> str:
    """Submit a small job and return its id."""
    return Spool(root).submit(pi_no_pi(0), check=False, n_reps=2, **manifest).id


def submit(root: Path, work: Path) -> Ends:
    """A client submits, and asks again when it was refused."""
    del work
    return Ends(client=lambda: submitted(root))


def a_job(root: Path, work: Path) -> Ends:
    """A job goes its whole way: accept, claim, heartbeat, commit, publish."""
    del work
    return Ends({submitted(root): "done"})


def a_folder(root: Path, work: Path) -> Ends:
    """A folder of plain files is dropped."""
    del work
    folder = root / "incoming" / "50-normal" / "my job"
    folder.mkdir()
    (folder / "sequence.json").write_text(json.dumps(pi_no_pi(0).to_dict()))
    (folder / "job.yaml").write_text("n_reps: 2\n")
    return Ends(wrong=lambda: _one_job(root, "done"))


def a_bad_drop(root: Path, work: Path) -> Ends:
    """A drop is rejected, with its reasons beside it."""
    del work
    (root / "incoming" / "bad.yaml").write_text("format: qtrl-sequence/1\nn_elements: 1\nappend: []\n...\n")

    def wrong() -> str | None:
        names = [name for name in os.listdir(root / "rejected") if not name.startswith(".")]
        if sorted(Path(name).suffix for name in names) != [".txt", ".yaml"]:
            return f"in rejected/ there is {names}"
        return _one_job(root, "rejected")

    return Ends(wrong=wrong)


def a_release(root: Path, work: Path) -> Ends:
    """A held job is released."""
    return _held_then(root, work, "release", "done")


def a_cancel(root: Path, work: Path) -> Ends:
    """A held job is cancelled."""
    return _held_then(root, work, "cancel", "cancelled")


def a_hold(root: Path, work: Path) -> Ends:
    """A job that its owner holds is held by an admin, too: both holds count, each for itself."""
    job, kinds = _held_job(root, work), {"owner", "admin"} if _IS_ROOT else {"owner"}
    requests.send(Layout.of(root), {"hold": job, "reason": "warm"}, "request.yaml")
    return Ends({job: "held"}, lambda: _unanswered(root) or _otherwise_held(root, job, kinds))


def a_release_of_one_hold(root: Path, work: Path) -> Ends:
    """An admin's hold is released, and the owner's must stay, however often that is carried out."""
    job = _held_job(root, work)
    requests.send(Layout.of(root), {"hold": job}, "hold.yaml")
    _drained(root, work)
    requests.send(Layout.of(root), {"release": job}, "request.yaml")
    if not _IS_ROOT:
        return Ends({job: "done"}, lambda: _unanswered(root, also=_TOO_LATE))
    return Ends({job: "held"}, lambda: _unanswered(root) or _otherwise_held(root, job, {"owner"}))


def a_move(root: Path, work: Path) -> Ends:
    """A held job is moved to another priority."""
    job = _held_job(root, work)
    requests.send(Layout.of(root), {"move": job, "priority": 10}, "request.yaml")

    def wrong() -> str | None:
        priority = Spool(root).job(job).status()["priority"]
        return _unanswered(root) or (None if priority == 10 else f"its priority is {priority}")

    return Ends({job: "held"}, wrong)


def a_new_place(root: Path, work: Path) -> Ends:
    """A held job is moved before another one: it has one new number, whoever carries that out again."""
    first, last = (submitted(root, hold=True) for _ in range(2))
    _drained(root, work)
    requests.send(Layout.of(root), {"move": last, "before": first}, "request.yaml")

    def wrong() -> str | None:
        order = [place.ticket.job_id for place in tickets.held(Layout.of(root))]
        return _unanswered(root) or (None if order == [last, first] else f"the order is {order}")

    return Ends({first: "held", last: "held"}, wrong)


def an_edit(root: Path, work: Path) -> Ends:
    """A held job is edited: it has the new bundle at the end, and never two tickets."""
    job = _held_job(root, work)
    requests.send(Layout.of(root), {"edit": job, "manifest": {"n_reps": 3, "name": "new"}}, "request.yaml")

    def wrong() -> str | None:
        found = Spool(root).job(job)
        seen = (found.bundle().manifest.n_reps, found.status()["name"])
        return _unanswered(root) or (None if seen == (3, "new") else f"it is {seen}")

    return Ends({job: "held"}, wrong)


def a_parked_job(root: Path, work: Path) -> Ends:
    """A job is held while it runs: it is parked after its batch, by whoever goes on with it."""
    spool, config = Spool(root), {"simulator": {"batch_s": 0.05}}
    job = spool.submit(pi_no_pi(0), config, check=False, n_reps=2, n_batches=60)

    def ask_when_it_runs() -> int:
        while job.status()["phase"] != "acquiring":
            time.sleep(0.002)
        requests.send(Layout.of(root), {"hold": job.id}, "request.yaml")
        return 0

    forked.fork(ask_when_it_runs, work / "asking.log")
    return Ends({job.id: "held"}, lambda: _unanswered(root) or _otherwise_held(root, job.id, {"owner"}))


def a_resume(root: Path, work: Path) -> Ends:
    """A queue that was paused, with a job in it, is resumed."""
    requests.send(Layout.of(root), {"pause": "queue", "reason": "a visit"}, "pause.yaml")
    _drained(root, work)
    job = submitted(root)
    _drained(root, work)
    if Spool(root).job(job).state != "queued":
        raise RuntimeError("a paused queue ran a job")
    requests.send(Layout.of(root), {"resume": "queue"}, "request.yaml")
    return Ends({job: "done"}, lambda: _unanswered(root))


def a_job_that_cannot_run(root: Path, work: Path) -> Ends:
    """A held job that a new default has broken is released: it is claimed, and fails at once."""
    job = submitted(root, hold=True)
    loud = {"config": {"variables": {"Q0/amp_180": 1.5}}, "base": 1, "reason": "much too loud"}
    requests.send(Layout.of(root), loud, "config.yaml")
    _drained(root, work)
    requests.send(Layout.of(root), {"release": job}, "request.yaml")
    return Ends({job: "failed"}, lambda: _unanswered(root, also=_TOO_LATE))


def a_new_default(root: Path, work: Path) -> Ends:
    """The default configuration is updated by a request."""
    del work
    request = {"config": {"variables": {"Q1/rabi_amp": 0.125}}, "base": 1, "reason": "recalibrated"}
    requests.send(Layout.of(root), request, "request.yaml")

    def wrong() -> str | None:
        spool = Spool(root)
        versions = [entry["version"] for entry in spool.config.log()]
        if spool.config["variables/Q1/rabi_amp"] != 0.125 or versions != [1, 2]:
            return f"the configuration is {versions}"
        return _unanswered(root)

    return Ends(wrong=wrong)


def a_dead_server(root: Path, work: Path) -> Ends:
    """A server of that name died with its result written and its ticket not yet moved."""
    return _died_while(root, work, "lab")


def another_dead_server(root: Path, work: Path) -> Ends:
    """Another server died so; this one takes over after the lease."""
    return replace(_died_while(root, work, "other"), drain=False)


SCENARIOS: Mapping[str, Scenario] = {
    each.__name__: each
    for each in (
        submit,
        a_job,
        a_folder,
        a_bad_drop,
        a_release,
        a_cancel,
        a_hold,
        a_release_of_one_hold,
        a_move,
        a_new_place,
        an_edit,
        a_parked_job,
        a_resume,
        a_job_that_cannot_run,
        a_new_default,
        a_dead_server,
        another_dead_server,
    )
}


def _died_while(root: Path, work: Path, server: str) -> Ends:
    job = submitted(root)
    at = Fault(1, calls=("create",))

    class AtResult(Injector):
        def call(self, name: str, what: str, real: Callable[[], Any]) -> Any:
            return super().call(name, what, real) if "result.c1.h5" in what else real()

    def dying() -> int:
        AtResult(root, at, Wire()).install()
        return forked.serve_here(root, server)

    how = forked.ended(forked.fork(dying, work / "before.log"), 60)
    if how != DIED:
        raise RuntimeError(f"the server that was to die ended with {how}")
    return Ends({job: "done"})


_IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
_SOMEBODY = 12002


def _held_job(root: Path, work: Path) -> str:
    """Submit a held job and let it be accepted: somebody else's, if this is root."""
    job = submitted(root, hold=True)
    if _IS_ROOT:
        os.chown(next((root / "incoming").rglob(f"{job}.qjob")), _SOMEBODY, -1)
    _drained(root, work)
    return job


def _drained(root: Path, work: Path) -> None:
    trouble = forked.drained(root, work / "before.log")
    if trouble:
        raise RuntimeError(trouble)


def _otherwise_held(root: Path, job: str, kinds: set[str]) -> str | None:
    found = set(Spool(root).job(job).status().get("holds") or {})
    return None if found == kinds else f"it is held by {found}, not by {kinds}"


def _held_then(root: Path, work: Path, verb: str, state: str) -> Ends:
    job = submitted(root, hold=True)
    _drained(root, work)
    requests.send(Layout.of(root), {verb: job}, "request.yaml")
    return Ends({job: state}, lambda: _unanswered(root, also=_TOO_LATE if verb == "release" else ""))


def _unanswered(root: Path, also: str = "") -> str | None:
    """Return what is wrong with the request's answer; `also` is a refusal that is as good."""
    answer = requests.answer(Layout.of(root), "request.yaml") or {}
    if not answer.get("ok") and not (also and also in answer.get("message", "")):
        return f"the request was answered with {answer}"
    left = requests.pending(Layout.of(root))
    return f"requests {left} were left" if left else None


def _one_job(root: Path, state: str) -> str | None:
    states = [job.state for job in Spool(root).jobs()]
    return None if states == [state] else f"the jobs are {states}"


def broken(
    root: Path, ends: Ends, told: Mapping[str, str] | None = None, seen: Mapping[str, str] | None = None
) -> Tally:
    """Return what is not as it must be at the end.

    Parameters
    ----------
    root:
        The spool.
    ends:
        What must be.
    told:
        Further jobs that were acknowledged meanwhile.
    seen:
        SHA-256 of results that were seen, by job.
    """
    jobs = {**ends.jobs, **(told or {})}
    found = judge(root, jobs, seen)
    wrong = ends.wrong()
    return found + Tally("", stuck=(wrong,)) if wrong else found


def insisting(client: Callable[[], str], wire: Wire) -> str:
    """Do what a client does until it is told an id; the storage is healed after its first refusal."""
    for _ in range(_MOST_ATTEMPTS):
        try:
            return client()
        except QtrlSpoolError as error:
            print(f"Error: {error}", flush=True)
            wire.heal()
    raise RuntimeError("the client was refused again and again")
