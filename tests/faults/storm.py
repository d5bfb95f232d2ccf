"""Four servers on one spool that are killed and frozen at random, while a client submits, edits and moves.

A killed server comes back after a while, or the others take over what it left. A frozen one wakes, often
after its lease, and believes that its job is still its own; now and then it is killed with the first thing
that it does. At the end all are killed, and one healthy server must bring everything to its end.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.errors import QtrlSpoolError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

from . import forked
from .beds import Bed
from .healing import gone_on
from .promise import is_open, published, tickets
from .scenarios import Ends, broken
from .tally import Tally

_SERVERS = ("a", "b", "c", "d")
_MOST_OPEN = 6
_ASKED = 0.4
_STRUCK_AWAKING, _AWAKING_S = 0.3, 0.01
_KILLED, _THAWED = -signal.SIGKILL, -signal.SIGTERM


@dataclass
class Member:
    """One of the servers, and whether it is frozen or gone."""

    name: str
    root: Path
    child: int | None = None
    until: float = 0.0
    frozen: bool = False

    @property
    def is_up(self) -> bool:
        """Whether it works."""
        return self.child is not None and not self.frozen


@dataclass
class Storm:
    """What goes on while servers are killed.

    Attributes
    ----------
    bed:
        Where; a spool lies in each of its roots, the same one.
    log:
        Of all servers.
    chance:
        Decides who is struck, how and for how long.
    """

    bed: Bed
    log: Path
    chance: random.Random
    accepted: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    kills: int = 0
    freezes: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        roots = self.bed.roots
        self.members = [Member(name, roots[n % len(roots)] / "spool") for n, name in enumerate(_SERVERS)]
        self.client = roots[-1] / "spool"

    def blow(self, n: int, show: Callable[[Tally], bool]) -> None:
        """Kill `n` times."""
        while self.kills < n:
            self._hurry()
            for member in self.members:
                self._tend(member)
            self._submit()
            self._strike(self.chance.choice(self.members))
            self._look()
            if not show(Tally("")):
                break
            time.sleep(self.chance.uniform(0, 0.12) * self.bed.slow)
        for member in self.members:
            self._kill(member)

    def _hurry(self) -> None:
        """Let the first one come back at once when nobody is left: there is nothing to see until then."""
        if not any(member.is_up for member in self.members):
            min(self.members, key=lambda member: member.until).until = 0.0

    def _tend(self, member: Member) -> None:
        """Start a server that is gone, and wake one that is frozen, when its time has come."""
        now = time.monotonic()
        if member.child is not None and member.is_up:
            how = forked.ended_by_now(member.child)
            if how is not None:
                member.child = None
                self.troubles.append(f"server {member.name} ended with {how}: {self.log.read_text()[-1500:]}")
        if now < member.until:
            return
        if member.frozen and member.child is not None:
            os.kill(member.child, signal.SIGCONT)
            member.frozen = False
            if self.chance.random() < _STRUCK_AWAKING:
                time.sleep(self.chance.uniform(0, _AWAKING_S))
                self._kill(member)
                self.kills += 1
        elif member.child is None:
            serve = _serving(member.root, member.name)
            member.child = forked.fork(serve, self.log)

    def _strike(self, member: Member) -> None:
        if member.child is None or not member.is_up:
            return
        member.until = time.monotonic() + self.chance.choice((0.0, 0.5, 2.0)) * self.bed.lease_s
        if self.chance.random() < 0.25:
            os.kill(member.child, signal.SIGSTOP)
            member.frozen = True
            self.freezes += 1
        else:
            self._kill(member)
            self.kills += 1

    @staticmethod
    def _kill(member: Member) -> None:
        if member.child is not None:
            forked.kill(member.child)
        member.child, member.frozen = None, False

    def _submit(self) -> None:
        there = tickets(self.client)
        if sum(is_open(there.get(job, ())) for job in self.accepted) >= _MOST_OPEN:
            return
        paced = {"simulator": {"batch_s": self.chance.choice((0.0, 0.02, 0.1)) * self.bed.slow}}
        with contextlib.suppress(QtrlSpoolError):  # the client is told so; nothing was acknowledged
            job = Spool(self.client).submit(
                pi_no_pi(0), paced, check=False, n_reps=2, n_batches=self.chance.randint(1, 3)
            )
            self.accepted[job.id] = "done"
            if self.chance.random() < _ASKED:
                self._ask(job.id)

    def _ask(self, job_id: str) -> None:
        """Ask for something that takes the ticket out of its place, whatever comes of it."""
        change = self.chance.choice(
            ({"edit": job_id, "manifest": {"n_reps": 3}}, {"move": job_id, "priority": 10})
        )
        requests.send(Layout.of(self.client), change, f"{job_id}.yaml")
        self.requests += 1

    def _look(self) -> None:
        """Remember every result when it is first seen: it must stay as it is."""
        for job, sha256 in published(self.client, but=self.seen).items():
            self.seen[job] = sha256


def _serving(root: Path, name: str) -> Callable[[], int]:
    return lambda: forked.serve_here(root, name, drain=False)


def storm(bed: Bed, template: Path, work: Path, n: int, seed: int, show: Callable[[Tally], bool]) -> Tally:
    """Kill servers on a bed `n` times and return what came of it."""
    root = bed.roots[0] / "spool"
    shutil.copytree(template, root)
    blowing = Storm(bed, work / "storm.log", random.Random(seed))
    blowing.blow(n, show)
    ends = Ends(blowing.accepted, drain=False)
    troubles = gone_on(root, work / "after.log", "lab", ends, deadline_s=60 + 60 * bed.slow)
    found = broken(root, ends, seen=blowing.seen)
    kinds = {"kills": blowing.kills, "freezes": blowing.freezes, "jobs": len(blowing.accepted)}
    kinds["requests"] = blowing.requests
    more = Tally(bed.name, blowing.kills, stuck=(*blowing.troubles, *troubles), kinds=kinds)
    return more + found
