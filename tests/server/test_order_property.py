"""The order of a real server's queue against a plain model, over random sequences of all that changes it.

The model is a list: first accepted, first in it. Priority counts before the list; a move to a priority
leaves the list alone, a move before another job puts one next before the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qtrl_spool import Spool
from qtrl_spool.bundle import Bundle
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.snapshot import read_snapshot

from .support import ServerProcess, slow, until

N_EXAMPLES, N_STEPS = 26, 40
PRIORITIES = {"20-mine": 20, "10-urgent": 10, "50-normal": 50, "90-idle": 90}
ENDLESS = slow(batch_s=600.0, n_batches=1)

step = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(sorted(PRIORITIES)), st.just(0)),
    st.tuples(st.sampled_from(["cancel", "hold", "release"]), st.integers(0, 99), st.just(0)),
    st.tuples(st.sampled_from(["move", "mv"]), st.integers(0, 99), st.sampled_from(sorted(PRIORITIES))),
    st.tuples(st.just("before"), st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.just("finish"), st.just(0), st.just(0)),
)


@dataclass
class Model:
    """What the queue has to be."""

    accepted: list[str] = field(default_factory=list)
    priority: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    running: str | None = None

    def in_order(self) -> list[str]:
        return sorted(self.accepted, key=lambda job: (self.priority[job], self.accepted.index(job)))

    def queued(self) -> list[str]:
        return [job for job in self.in_order() if job not in self.held and job != self.running]

    def waiting(self) -> list[str]:
        return [job for job in self.in_order() if job != self.running]

    def run_next(self) -> None:
        if self.running is None:
            self.running = next(iter(self.queued()), None)

    def submit(self, job: str, priority: int) -> None:
        self.accepted.append(job)
        self.priority[job] = priority
        self.run_next()

    def forget(self, job: str) -> None:
        self.accepted.remove(job)
        self.held.discard(job)
        self.running = None if self.running == job else self.running
        self.run_next()

    def before(self, job: str, other: str) -> None:
        order = self.in_order()
        same = self.priority[job] == self.priority[other]
        if same and order.index(job) + 1 == order.index(other):
            return
        self.accepted.remove(job)
        self.accepted.insert(self.accepted.index(other), job)
        self.priority[job] = self.priority[other]


class Pair:
    """A real server and its model, taken through the same steps."""

    def __init__(self, spool: Spool, server: ServerProcess, bundle: Bundle) -> None:
        self.spool, self.server, self.bundle = spool, server, bundle
        self.model = Model()
        self.n_steps = 0

    def reset(self) -> None:
        """Cancel everything, what waits first."""
        for job in [*reversed(self.model.waiting()), self.model.running]:
            if job is not None:
                self.cancel(job)
        self.check()

    def take(self, what: str, first: object, second: object) -> None:
        self.n_steps += 1
        getattr(self, f"do_{what}")(first, second)
        self.check()

    def check(self) -> None:
        """Compare what runs, what waits in which order, and what is held.

        A job is noted as accepted, and a ticket as moved, a moment before or after the rename: so it is
        looked at until it is so, and told how it is if it never is.
        """
        model = self.model
        wanted = {
            "running": [model.running] if model.running else [],
            "queued": model.queued(),
            "held": [job for job in model.in_order() if job in model.held],
        }
        try:
            until(lambda: self._seen() == wanted, deadline=30.0)
        except AssertionError:
            assert self._seen() == wanted

    def _seen(self) -> dict[str, list[str]]:
        found = self.spool.queue()
        return {name: [job["id"] for job in found[name]] for name in ("running", "queued", "held")}

    # ------------------------------------------------------------ steps

    def _one(self, among: list[str], number: object) -> str | None:
        return among[int(str(number)) % len(among)] if among else None

    def do_submit(self, folder: object, _: object) -> None:
        job = self.spool.drop(self.bundle, priority=str(folder))
        until(lambda: job.status()["accepted"])
        self.model.submit(job.id, PRIORITIES[str(folder)])

    def cancel(self, job: str) -> None:
        self.spool.ask({"cancel": job, "now": True}, timeout=60)
        until(lambda: self.spool.job(job).cancelled())
        self.model.forget(job)

    def do_cancel(self, number: object, _: object) -> None:
        job = self._one(self.model.waiting(), number)
        if job is not None:
            self.cancel(job)

    def do_finish(self, *_: object) -> None:
        if self.model.running is not None:
            self.cancel(self.model.running)

    def do_hold(self, number: object, _: object) -> None:
        job = self._one(self.model.queued(), number)
        if job is not None:
            self.spool.ask({"hold": job}, timeout=60)
            self.model.held.add(job)

    def do_release(self, number: object, _: object) -> None:
        job = self._one(sorted(self.model.held), number)
        if job is not None:
            self.spool.ask({"release": job}, timeout=60)
            self.model.held.discard(job)
            self.model.run_next()

    def do_move(self, number: object, folder: object) -> None:
        job = self._one(self.model.waiting(), number)
        if job is not None:
            self.spool.ask({"move": job, "priority": str(folder)}, timeout=60)
            self.model.priority[job] = PRIORITIES[str(folder)]

    def do_mv(self, number: object, folder: object) -> None:
        """Move a ticket as an admin may, by hand; the server's queue.json tells of it when it goes by it."""
        job = self._one(self.model.queued(), number)
        if job is None:
            return
        ticket = next((self.spool.path / "queue").glob(f"*/*{job}*"))
        ticket.rename(self.spool.path / "queue" / str(folder) / ticket.name)
        self.model.priority[job] = PRIORITIES[str(folder)]
        until(lambda: self._told(job).get("priority") == PRIORITIES[str(folder)])

    def _told(self, job: str) -> dict[str, Any]:
        found = read_snapshot(Layout.of(self.spool.path))
        return (found.record(job) if found is not None else None) or {}

    def do_before(self, number: object, other_number: object) -> None:
        waiting = self.model.waiting()
        job, other = self._one(waiting, number), self._one(waiting, other_number)
        if job is not None and other is not None and job != other:
            self.spool.ask({"move": job, "before": other}, timeout=60)
            self.model.before(job, other)

    def restart(self) -> None:
        """Kill the server and start another: the running job goes back to its place, and the first runs."""
        self.server.close()
        self.server = ServerProcess(self.spool, name=self.server.name).ready()
        self.model.running = None
        self.model.run_next()
        self.check()


@pytest.fixture(scope="module")
def pair(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("order") / "spool"
    shutil.copytree(template, root)
    mark = root / "spool.yaml"
    text = mark.read_text()
    assert "durability: durable" in text
    mark.write_text(text.replace("durability: durable", "durability: fast   "))
    for box in ("incoming", "queue"):
        (root / box / "20-mine").mkdir()
    spool = Spool(root)
    made = Pair(spool, ServerProcess(spool).ready(), spool.bundle(pi_no_pi(0), **ENDLESS))
    yield made
    made.server.close()


@pytest.mark.timeout(1200)
def test_the_queue_is_in_the_order_of_a_plain_model_whatever_is_done_to_it_and_after_a_restart(
    pair: Pair,
) -> None:
    @settings(
        max_examples=N_EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(step, min_size=N_STEPS, max_size=N_STEPS))
    def example(steps: list[tuple[str, object, object]]) -> None:
        pair.reset()
        for each in steps:
            pair.take(*each)
        pair.restart()

    example()
    print(f"\n{pair.n_steps} steps")
    assert pair.n_steps >= 1_000
