"""Every verb x every call of the file system x every errno, once and until it is healed.

A trial: a fresh spool, something to do, and a server in which the n-th call that can fail so does.
With a fault that lasts, the storage is healed as soon as the server has said a sentence about it. Then
the server must come to its end by itself; one that could not even start has to say why, and the
next one goes on. Nothing may be lost or be there twice.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from . import forked
from .healing import all_is_well, gone_on, watched
from .injector import CHANGES, ERRNOS, POSSIBLE, Fault, Injector, Wire
from .scenarios import SCENARIOS, Ends, broken, insisting
from .tally import Tally, total

_RENAMES = ("rename", "replace")
VERBS = (
    "submit",
    "accept",
    "claim",
    "heartbeat",
    "commit",
    "publish",
    "cancel",
    "hold",
    "release",
    "move",
    "edit",
    "resume",
    "config",
    "recover",
)
"""What the calls that were struck belonged to, as `verb_of` tells it."""
_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[a-z0-9]{5}")
_TOKEN = re.compile(r"(?<=[.~])(?:[0-9a-f]{8}){1,2}(?=[.~])")
_NUMBER = re.compile(r"\d+")
_SAID = ("storage trouble", "Error: ")


@dataclass(frozen=True)
class Case:
    """One trial: what is done, what goes wrong, and who goes on after a death."""

    scenario: str
    fault: Fault
    heir: str = "lab"

    def __str__(self) -> str:
        return f"{self.scenario}, {self.fault}{f', then {self.heir}' * (self.heir != 'lab')}"


def verb_of(scenario: str, hit: str) -> str:
    """Return the verb that a failed call belonged to, judged by what it touched."""
    plain = {
        "submit": "submit",
        "a_cancel": "cancel",
        "a_hold": "hold",
        "a_release": "release",
        "a_release_of_one_hold": "release",
        "a_move": "move",
        "a_new_place": "move",
        "an_edit": "edit",
        "a_parked_job": "hold",
        "a_resume": "resume",
        "a_new_default": "config",
    }
    for mark, verb in (("servers/", "heartbeat"), (".open", "claim"), ("result.h5", "publish"),
                       ("result.c", "commit"), ("done.c", "commit")):  # fmt: skip
        if mark in hit:
            return verb
    if "dead_server" in scenario:
        return "recover"
    if scenario in plain:
        return plain[scenario]
    return "claim" if "running/" in hit else "accept"


def one(template: Path, work: Path, case: Case, calls: Path | None = None) -> dict[str, Any]:
    """Make one trial and return its tally; write its calls into the file `calls`."""
    root, log = work / "spool", work / "log"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copytree(template, root)
    wire = Wire()
    try:
        ends = SCENARIOS[case.scenario](root, work)
        problems = _struck(root, log, case.fault, ends, wire, calls)
        told = replace(ends, jobs={**ends.jobs, **(_told(log) if ends.client else {})})
        if problems or case.fault.code is None or not all_is_well(root, told):
            problems += gone_on(root, work / "after.log", case.heir, ends)
        found = broken(root, told)
    except Exception:
        found, problems = Tally(""), [traceback.format_exc()]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kinds = {verb_of(case.scenario, wire.what): 1} if wire.what else {}
    found = found + Tally("", 1, stuck=tuple(problems), kinds=kinds)
    return {"tally": found.under(f"{case} ({wire.what})").dumps()}


def _struck(root: Path, log: Path, fault: Fault, ends: Ends, wire: Wire, calls: Path | None) -> list[str]:
    """Let the fault strike the server or the client; return what went wrong."""

    def work() -> int:
        Injector(root, fault, wire, calls).install()
        if ends.client is None:
            return forked.serve_here(root, drain=ends.drain)
        print(f"told {insisting(ends.client, wire)}", flush=True)
        return 0

    child = forked.fork(work, log)
    how = watched(child, root, ends, lambda: _heal_when_said(wire, log))
    wire.heal()
    said = log.read_text()
    if how is None:
        return [f"it did not come to its end: {said[-800:]}"]
    if how == forked.FELL_OVER or "Traceback" in said:
        return [f"it fell over: {said[-1500:]}"]
    if how == forked.GAVE_UP and " serves " in said:
        return [f"it gave up in the middle of its work: {said[-800:]}"]
    if how == 0 and ends.drain and ends.client is None and (left := broken(root, ends).faults):
        return [f"it ended well and left something to the next start: {left}: {said[-800:]}"]
    return []


def _heal_when_said(wire: Wire, log: Path) -> None:
    if not wire.healed and wire.what and any(each in log.read_text() for each in _SAID):
        wire.heal()


def _told(log: Path) -> dict[str, str]:
    told = [line.removeprefix("told ") for line in log.read_text().splitlines() if line.startswith("told ")]
    return dict.fromkeys(told, "done")


# ---------------------------------------------------------------- many


def calls_of(template: Path, work: Path, scenarios: Sequence[str]) -> dict[str, list[str]]:
    """Return the calls that a scenario makes when nothing fails, such as ``rename queue/… running/…``."""
    work.mkdir(parents=True, exist_ok=True)
    logs = {scenario: work / f"calls-{scenario}" for scenario in scenarios}
    counting = (
        partial(one, template, work / f"count-{scenario}", Case(scenario, Fault(0)), log)
        for scenario, log in logs.items()
    )
    for report in forked.side_by_side(counting, work):
        if report is None or Tally.loads(report["tally"]).faults:
            raise RuntimeError(f"a scenario fails with no fault at all: {report}")
    return {scenario: log.read_text().splitlines() for scenario, log in logs.items()}


def cases(template: Path, work: Path, scenarios: Sequence[str] = tuple(SCENARIOS)) -> Iterator[Case]:
    """Yield every case, in an order in which the first hundreds strike every call on every kind of file."""
    groups: dict[str, list[Case]] = {}
    for scenario, calls in calls_of(template, work, scenarios).items():
        for kind, n in Counter(map(kind_of, calls)).items():
            fault = Fault(0, among=partial(_is, kind), of=f"{kind},")
            groups.setdefault(kind, []).extend(
                Case(scenario, replace(fault, nth=nth, code=code, lasting=lasting, short=short))
                for nth in range(1, n + 1)
                for code in ERRNOS
                if code in POSSIBLE[kind.split(" ", 1)[0]]
                for lasting in (False, True)
                for short in (False, True)
                if not short or (code == errno.ENOSPC and kind.startswith("write "))
            )
    for turn in range(max(map(len, groups.values()))):
        for number, group in enumerate(groups.values()):
            if turn < len(group):
                yield group[_spread(turn + number, len(group))]


def kind_of(told: str) -> str:
    """Return a call without what differs between two jobs, claims and tokens."""
    return _NUMBER.sub("N", _ID.sub("ID", _TOKEN.sub("TOKEN", told)))


def _is(kind: str, told: str) -> bool:
    return kind_of(told) == kind


def _spread(turn: int, n: int) -> int:
    """Return the `turn`-th of the numbers below `n`, in an order that is spread evenly from the start."""
    step = next(each for each in range(max(1, int(n * 0.618)), n + 2) if _coprime(each, n))
    return turn * step % n


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def lost_replies(template: Path, work: Path, scenarios: Sequence[str] = tuple(SCENARIOS)) -> Iterator[Case]:
    """Yield a lost reply to every rename: it is carried out, and reported to have found nothing."""
    renames = _counted(template, work, scenarios, _RENAMES)
    for nth in range(1, 1 + max(renames.values())):
        for each in scenarios:
            if nth <= renames[each]:
                yield Case(each, Fault(nth, errno.ENOENT, late=True, calls=_RENAMES))


def deaths(template: Path, work: Path, scenarios: Sequence[str] = tuple(SCENARIOS)) -> Iterator[Case]:
    """Yield a death before every change of the disk, after which the same server goes on, or another."""
    every = [
        Case(scenario, Fault(nth), heir="heir" if nth % 2 else "lab")
        for scenario, n in _counted(template, work, scenarios, CHANGES).items()
        for nth in range(1, 2 + n)
    ]
    yield from (every[_spread(turn, len(every))] for turn in range(len(every)))


def _counted(template: Path, work: Path, scenarios: Sequence[str], kinds: Sequence[str]) -> dict[str, int]:
    """Return how many calls of some kinds each scenario makes when nothing fails."""
    calls = calls_of(template, work, scenarios)
    return {each: sum(told.split(" ", 1)[0] in kinds for told in calls[each]) for each in scenarios}


def made(template: Path, work: Path, chosen: Iterable[Case], show: Callable[[Tally], bool]) -> Tally:
    """Make trials side by side and return what came of them."""
    work.mkdir(parents=True, exist_ok=True)
    trials = (partial(one, template, work / f"case-{number}", case) for number, case in enumerate(chosen))
    tallies = []
    with contextlib.closing(forked.side_by_side(trials, work)) as reports:
        for report in reports:
            fell = Tally("", 1, stuck=("a trial fell over",))
            told = fell if report is None else Tally.loads(report["tally"])
            tallies.append(told)
            if not show(told):
                break
    return total("", tallies)
