"""The whole protocol against a plain model: any order of what servers and people do to a few jobs.

The servers are the real modules, `Tickets`, `Outcome`, `Journal`, `recover` and `take_over`, on a real
folder, in one process: each remembers the claims that it believes to hold, so that one that stands still
is one that does nothing for a while. The model is a dictionary. A rename may lose its reply, a server may
die right after it, and somebody may repair the spool at any time, in the midst of a move, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from qtrl_spool import fs
from qtrl_spool.bundle import pack
from qtrl_spool.errors import BackendError
from qtrl_spool.job import State, Ticket, utc
from qtrl_spool.repair import FAILED, repair
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.recovery import recover, take_over
from qtrl_spool.spool import servers, tickets
from qtrl_spool.spool.journal import Journal, claimed_result
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.settings import Settings
from qtrl_spool.spool.tickets import Place, Tickets

from . import promise
from .tally import Tally

NAMES = ("a", "b", "c")
PRIORITIES = (10, 50)
AT_ONCE = "FAULTS_AT_ONCE"
"""Environment: a story that breaks the model is told as it is, at once."""
BUNDLE: bytes = b""
"""What every job holds; set by `prepare`."""
TEMPLATE = Path()
SETTINGS = Settings(durability="fast")
SERVER = st.sampled_from(NAMES)
PICK = st.integers(0, 99)
FAULT = st.sampled_from([None, None, None, "lost", "death", "death later", "repair"])


class Died(BaseException):
    """A server died: whatever it was doing, it does not go on."""


@dataclass
class Job:
    """What the model knows of a job.

    Attributes
    ----------
    state:
        Where its ticket is.
    order, priority, claim:
        What its ticket's name says.
    holder:
        Who claimed it, while it runs.
    unsettled:
        Whether a server died, or lost a reply, before it could write what follows from the last move.
    """

    order: int
    priority: int
    state: State = State.QUEUED
    claim: int = 0
    holder: str | None = None
    unsettled: bool = False


class Server:
    """One server: its modules, and the claims that it believes to hold."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout = layout
        self.name = name
        self.forget()

    def forget(self) -> None:
        """Start anew, without memory."""
        self.claims: dict[str, Place] = {}
        marks = Marks(self.layout, self.name, durable=False)
        self.journal = Journal(self.layout, self.name, durable=False, answers=marks.open)
        self.moves = Tickets(self.layout, durable=False)
        self.outcome = Outcome(self.layout, self.journal, self.moves, self.name, max_attempts=1000)


class Protocol(RuleBasedStateMachine):
    """Three servers, two priorities, and whoever asks for something.

    Attributes
    ----------
    n_told:
        How many stories were told so far, by whatever machine.
    """

    n_told = 0

    def __init__(self) -> None:
        super().__init__()
        Protocol.n_told += 1
        self.root = Path(tempfile.mkdtemp(prefix="machine-", dir=TEMPLATE.parent)) / "spool"
        shutil.copytree(TEMPLATE, self.root)
        self.layout = Layout(self.root)
        self.servers = {name: Server(self.layout, name) for name in NAMES}
        self.jobs: dict[str, Job] = {}
        self.real = os.rename, os.replace
        self.fault: str | None = None

    def teardown(self) -> None:
        os.rename, os.replace = self.real
        shutil.rmtree(self.root.parent)

    @initialize()
    def begin(self) -> None:
        os.rename = self._renaming

    def _renaming(self, source: Any, target: Any, **more: Any) -> None:
        """Rename a ticket; its reply may get lost, or it may be the last thing that its server does."""
        self.real[0](source, target, **more)
        fault, self.fault = self.fault, None
        if fault == "death later":
            self.fault = "death"
        if fault == "repair":
            self._repaired(NAMES)
        if fault == "lost":
            raise FileNotFoundError(2, "no such file or directory", str(source))
        if fault == "death":
            raise Died

    # ------------------------------------------------------------ helpers

    def _pick(self, pick: int, *states: State) -> tuple[str, Job, Place] | None:
        """Return one of the jobs that are in such a state, with its place as somebody saw it."""
        there = sorted(job for job, at in self.jobs.items() if at.state in states)
        if not there:
            return None
        job = there[pick % len(there)]
        place = tickets.find(self.layout, job)
        assert place is not None, f"{job} is nowhere"
        return job, self.jobs[job], place

    def _may_die(self, server: Server, job: Job, work: Callable[[], Any]) -> Any:
        """Do something that ends with a move of a ticket; a death leaves the rest to others."""
        try:
            return work()
        except Died:
            server.forget()
            job.unsettled = True
            return None
        finally:
            self.fault = None

    # ------------------------------------------------------------ people

    @rule(server=SERVER, priority=st.sampled_from(PRIORITIES))
    def submit(self, server: str, priority: int) -> None:
        if len(self.jobs) >= 4:
            return
        number = len(self.jobs) + 1
        job_id = f"20261123-1015{number:02d}-job-{number:05d}"
        journal = self.servers[server].journal
        journal.open_home(job_id)
        journal.note(job_id, 0, "accepted", name="job", user="ada", priority=priority)
        ticket = Ticket(priority, number, job_id)
        copy = self.layout.accepting / f".{ticket.name}"
        fs.write_new(copy, BUNDLE, durable=False)
        fs.move(copy, self.servers[server].moves.queue_folder(priority) / ticket.name, durable=False)
        self.servers[server].outcome.close(job_id)
        self.jobs[job_id] = Job(number, priority)

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def hold(self, server: str, pick: int, fault: str | None) -> None:
        self._steer(
            server, pick, fault, (State.QUEUED,), State.HELD, lambda each, place: each.moves.hold(place)
        )

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def release(self, server: str, pick: int, fault: str | None) -> None:
        self._steer(
            server, pick, fault, (State.HELD,), State.QUEUED, lambda each, place: each.moves.enqueue(place)
        )

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def cancel(self, server: str, pick: int, fault: str | None) -> None:
        self._steer(
            server, pick, fault, (State.QUEUED, State.HELD), State.CANCELLED,
            lambda each, place: each.outcome.cancel(place, "cancelled by ada"),
        )  # fmt: skip

    def _steer(
        self, server: str, pick: int, fault: str | None, states: tuple[State, ...], after: State,
        move: Callable[[Server, Place], Any],
    ) -> None:  # fmt: skip
        found = self._pick(pick, *states)
        if found is None:
            return
        job_id, job, place = found
        carrier = self.servers[server]
        self.fault = fault
        moved = self._may_die(carrier, job, lambda: move(carrier, place))
        assert moved or job.unsettled, f"{job_id} could not be moved"
        job.state, job.unsettled = after, job.unsettled or after is not State.CANCELLED

    @rule(server=SERVER, pick=PICK, priority=st.sampled_from(PRIORITIES))
    def move(self, server: str, pick: int, priority: int) -> None:
        found = self._pick(pick, State.QUEUED, State.HELD)
        if found is not None:
            _, job, place = found
            assert self.servers[server].moves.reprioritize(place, priority) is not None
            job.priority = priority

    # ------------------------------------------------------------ servers

    @rule(server=SERVER, fault=FAULT)
    def claim(self, server: str, fault: str | None) -> None:
        waiting = tickets.queued(self.layout)
        model = sorted((job.priority, job.order, job_id) for job_id, job in self.jobs.items()
                       if job.state is State.QUEUED)  # fmt: skip
        assert [place.ticket.job_id for place in waiting] == [job_id for _, _, job_id in model]
        if not waiting:
            return
        claimer, job = self.servers[server], self.jobs[waiting[0].ticket.job_id]
        claimer.outcome.open(waiting[0].ticket.job_id)
        self.fault = fault
        mine = self._may_die(claimer, job, lambda: claimer.moves.claim(waiting[0], server))
        assert mine or job.unsettled
        job.state, job.holder, job.claim = State.RUNNING, server, job.claim + 1
        if mine is not None:
            claimer.claims[mine.ticket.job_id] = mine

    def _believed(self, server: str, pick: int) -> tuple[Server, Place, Job, bool] | None:
        """Return a claim that a server believes to hold, and whether it really does."""
        believer = self.servers[server]
        if not believer.claims:
            return None
        job_id = sorted(believer.claims)[pick % len(believer.claims)]
        place, job = believer.claims.pop(job_id), self.jobs[job_id]
        is_held = job.holder == server and job.claim == place.ticket.claim
        return believer, place, job, is_held

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def commit(self, server: str, pick: int, fault: str | None) -> None:
        found = self._believed(server, pick)
        if found is None:
            return
        believer, place, job, is_held = found
        home = self.layout.home(place.ticket.job_id)
        fs.replace(
            home / claimed_result(place.ticket.claim), _result(server, place.ticket.claim), durable=False
        )
        self.fault = fault if is_held else None
        published = self._may_die(believer, job, lambda: believer.outcome.commit(place))
        assert bool(published) == is_held or job.unsettled
        if is_held:
            job.state, job.holder = State.DONE, None

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def fail(self, server: str, pick: int, fault: str | None) -> None:
        error = BackendError("it does not answer")
        self._end(server, pick, fault, State.FAILED, lambda each, place: each.outcome.fail(place, error, ""))

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def give_back(self, server: str, pick: int, fault: str | None) -> None:
        self._end(
            server, pick, fault, State.QUEUED, lambda each, place: each.outcome.requeue(place, "stopped")
        )

    @rule(server=SERVER, pick=PICK, fault=FAULT)
    def pause(self, server: str, pick: int, fault: str | None) -> None:
        at = {"batch": 1, "n_batches": 2}
        self._end(
            server, pick, fault, State.QUEUED, lambda each, place: each.outcome.pause(place, "urgent", **at)
        )

    def _end(
        self, server: str, pick: int, fault: str | None, after: State, move: Callable[[Server, Place], bool]
    ) -> None:
        found = self._believed(server, pick)
        if found is None:
            return
        believer, place, job, is_held = found
        self.fault = fault if is_held else None
        moved = self._may_die(believer, job, lambda: move(believer, place))
        assert bool(moved) == is_held or job.unsettled
        if is_held:
            job.state, job.holder = after, None

    # ------------------------------------------------------------ death and what follows

    @rule(server=SERVER)
    def crash_and_restart(self, server: str) -> None:
        restarted = self.servers[server]
        restarted.forget()
        recover(self.layout, restarted.outcome, server)
        self._given_back(server)

    @rule(server=SERVER, dead=SERVER)
    def take_over_from_one_that_seems_dead(self, server: str, dead: str) -> None:
        if server == dead:
            return
        heir = self.servers[server]
        take_over(self.layout, heir.outcome, dead, server)
        self._given_back(dead)

    @rule(dead=st.sets(SERVER), fault=FAULT)
    def repair(self, dead: set[str], fault: str | None) -> None:
        """Somebody repairs the spool beside the servers that live; it may be killed, and is done again."""
        for name in dead:
            self.servers[name].forget()
        self.fault = None if fault == "repair" else fault  # a second one beside it is refused
        try:
            self._repaired(set(NAMES) - dead)
        except Died:
            self.fault = None
            self._repaired(set(NAMES) - dead)
        self.fault = None

    def _repaired(self, living: Iterable[str]) -> None:
        for name in NAMES:
            beat = {"name": name, "updated": utc(datetime.now(UTC)), "stopped": name not in living}
            servers.write_heartbeat(self.layout, beat)
        assert [
            each for each in repair(self.layout, SETTINGS, wait=lambda _: None) if each.verdict == FAILED
        ] == []

    def _given_back(self, server: str) -> None:
        for job in self.jobs.values():
            if job.holder == server:
                job.state, job.holder = State.QUEUED, None

    # ------------------------------------------------------------ what must always hold

    @invariant()
    def every_ticket_is_once_where_the_model_says(self) -> None:
        there = promise.tickets(self.root)
        assert set(there) == set(self.jobs)
        for job_id, job in self.jobs.items():
            (path,) = there[job_id]
            assert path.parent == self._folder(job_id, job), (job_id, job, path)
            assert f".c{job.claim}.qjob" in path.name, (job, path)

    def _folder(self, job_id: str, job: Job) -> Path:
        if job.state is State.QUEUED:
            return self.layout.queue / self.layout.priority_folder(job.priority)
        if job.state is State.HELD:
            return self.layout.held
        if job.state is State.RUNNING:
            return self.layout.claimed_by(job.holder or "")
        return self.layout.home(job_id)

    @invariant()
    def a_result_is_that_of_the_claim_that_ended_the_job(self) -> None:
        for job_id, job in self.jobs.items():
            result = self.layout.home(job_id) / "result.h5"
            if result.exists():
                assert job.state is State.DONE, (job_id, job)
                assert result.read_bytes().endswith(f" {job.claim}".encode())
            else:
                assert job.state is not State.DONE or job.unsettled, (job_id, job)

    @precondition(lambda self: any(job.unsettled for job in self.jobs.values()))
    @rule()
    def all_restart_and_settle(self) -> None:
        """After everybody has restarted, every record says what its ticket says."""
        for name in NAMES:
            self.crash_and_restart(name)
        for job_id, job in self.jobs.items():
            job.unsettled = False
            if job.state is State.DONE:
                assert (self.layout.home(job_id) / "result.h5").exists()
                assert promise.status(self.root, job_id)["state"] == "done"


def _result(server: str, claim: int) -> bytes:
    return f"measured by {server} under claim {claim}".encode()


def prepare(template: Path) -> None:
    """Say which spool every example starts from; its folder is where the examples are."""
    global BUNDLE, TEMPLATE
    from qtrl_spool.bundle import Bundle, Manifest
    from qtrl_spool.experiments import pi_no_pi

    BUNDLE = pack(Bundle(pi_no_pi(0).to_dict(), {}, Manifest()))
    TEMPLATE = template


def told(n: int, part: int) -> Tally:
    """Tell the model `n` stories and return what came of it; the first that breaks it ends them.

    It is made as short as it can be, unless somebody only wants to know whether there is one.
    """
    at_once = (Phase.explicit, Phase.generate)
    stories = settings(
        max_examples=n,
        stateful_step_count=14,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=at_once if os.environ.get(AT_ONCE) else tuple(Phase),
    )
    before = Protocol.n_told
    try:
        run_state_machine_as_test(seed(part)(Protocol), settings=stories)
    except Exception:
        return Tally("stories", Protocol.n_told - before, stuck=(traceback.format_exc(),))
    return Tally("stories", Protocol.n_told - before)
