"""A job's status while it is asked for as fast as can be, across every change of its state."""

from __future__ import annotations

import threading
from itertools import pairwise
from types import TracebackType

from qtrl_spool import Job, Spool
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.experiments import pi_no_pi

from .support import Serve, quick, slow, until

BACK = {("running", "paused"), ("running", "held"), ("running", "queued")}
"""Where a state may go back to: after a more urgent job, after a hold, after the server's death."""
ONWARD = {
    *(("queued", state) for state in ("running", "paused", "held", "done")),
    *(("held", state) for state in ("queued", "paused", "running", "done")),
    *(("paused", state) for state in ("running", "held", "done")),
    ("running", "done"),
}


class Poll:
    """Asks for a job's status again and again in a thread of its own, and keeps what it was told."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._over = threading.Event()
        self.states: list[str] = []
        self.errors: list[object] = []
        self.n = 0
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Poll:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                record = self._job.status()
                for state in (record["state"], self._job.state):
                    if not self.states or self.states[-1] != state:
                        self.states.append(state)
                if record["place"] is not None and record["state"] != "queued":
                    self.errors.append(record)
            except (QtrlSpoolError, KeyError) as error:
                self.errors.append(error)
            self.n += 1

    def moves(self) -> set[tuple[str, str]]:
        return set(pairwise(self.states))


def test_status_is_told_at_every_moment_and_goes_back_only_where_a_job_does(
    spool: Spool, serve: Serve
) -> None:
    job = spool.submit(pi_no_pi(0), priority="low", **slow(batch_s=0.15, n_batches=40))
    with Poll(job) as poll:
        server = serve()
        until(lambda: job.status()["progress"]["batch"] >= 2)
        urgent = spool.submit(pi_no_pi(0), priority="urgent", **slow(batch_s=0.4, n_batches=3))
        until(lambda: job.state == "paused")
        urgent.wait(60)
        until(job.running)
        job.hold()
        until(lambda: job.state == "held")
        job.release()
        until(job.running)
        assert ("running", "queued") not in poll.moves()
        server.kill()
        serve()
        job.wait(120)

    assert poll.errors == []
    assert poll.states[0] == "queued" and poll.states[-1] == "done"
    assert {"running", "paused", "held"} <= set(poll.states)
    assert poll.moves() <= ONWARD | BACK
    assert poll.n > 100


def test_a_job_that_submit_returned_is_known_before_and_while_it_is_accepted(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    for _ in range(10):
        job = spool.submit(pi_no_pi(0), check=False, **quick())
        with Poll(job) as poll:
            job.wait(60)
        assert poll.errors == [] and poll.moves() <= ONWARD
