"""Whatever is acknowledged was synced before: on the worst disk, call by call, for every way of a job.

``python -m tests.durability.acknowledging TEMPLATE WORK SCENARIO`` runs one scenario on a
`worst_disk.Disk` and prints a JSON document: what was found broken, and how many syncs were made.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from qtrl_spool import Spool
from qtrl_spool.backends import load_backend
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server import Server
from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

from .worst_disk import Disk

_ID = r"\d{8}-\d{6}-[a-z0-9-]+-[a-z0-9]{5}"
_JOB = re.compile(
    rf"incoming/([^/]+/)?[^./][^/]*\.\w+|accepting/lab/\d+~{_ID}~[^/]+|(queue/[^/]+|held|running/[^/]+)/\d+-[\d.]+-{_ID}\.c\d+\.qjob"
    r"|jobs/[^/]+/[^/]+/(done|failed|cancelled)\.c\d+\.qjob|rejected/[^.].*~[^/]+"
)
_WHOLE = re.compile(
    rf"incoming/.*{_ID}\.qjob|(queue/[^/]+|held|running/[^/]+)/\d+-[^/]*\.qjob"
    r"|jobs/[^/]+/[^/]+/(status\.json|result\.h5|(done|failed|cancelled)\.c\d+\.qjob)"
    r"|rejected/[^./][^/]*\.txt|requests/answered/[^.][^/]*|config/versions/\d+/version\.json"
)
_DONE = re.compile(r"(?P<home>jobs/[^/]+/[^/]+)/done\.c(?P<claim>\d+)\.qjob")


def no_name_leads_to_less(disk: Disk) -> list[str]:
    """Return the names that may survive without what they stand for."""
    return [
        f"{path} may be torn" for path, is_whole in disk.present() if not is_whole and _WHOLE.fullmatch(path)
    ]


def results_are_there(disk: Disk) -> list[str]:
    """Return the jobs that are done and whose result may be lost."""
    sure = {path for path, is_whole in disk.surviving() if is_whole}
    done = filter(None, (_DONE.fullmatch(path) for path, _ in disk.present()))
    return [
        f"the result of {each['home']} may be lost"
        for each in done
        if not sure & {f"{each['home']}/result.c{each['claim']}.h5", f"{each['home']}/result.h5"}
    ]


_WAITING = re.compile(r"incoming/([^/]+/)?[^./][^/]*\.\w+")


def jobs_are_somewhere(n: int) -> Callable[[Disk], list[str]]:
    """Return a look at whether so many jobs survive, once their drops have left ``incoming/``."""

    def look(disk: Disk) -> list[str]:
        waiting = [path for path, _ in disk.present() if _WAITING.fullmatch(path)]
        sure = {_of(path) for path, is_whole in disk.surviving() if is_whole and _JOB.fullmatch(path)}
        left = n - len(waiting)
        gone = left - len({each for each in sure if each not in {_of(path) for path in waiting}})
        return [f"{gone} of {left} jobs that have left incoming/ may be lost"] if gone > 0 else []

    return look


def _of(path: str) -> str:
    """Return the id in a path, else the drop's own name."""
    found = re.findall(_ID, path)
    return found[-1] if found else path.rpartition("/")[2]


def answers_are_kept(name: str, *places: str) -> Callable[[Disk], list[str]]:
    """Return a look at whether, once a request is answered, what it did survives in one of `places`."""
    patterns = [re.compile(each) for each in places]

    def look(disk: Disk) -> list[str]:
        if not any(path == f"requests/answered/{name}" for path, _ in disk.present()):
            return []
        sure = [path for path, is_whole in disk.surviving() if is_whole]
        if any(pattern.fullmatch(path) for pattern in patterns for path in sure):
            return []
        return [f"what {name} did may be undone"]

    return look


def serve(root: Path) -> None:
    layout = Layout.of(root)
    server = Server(
        layout, name="lab", make_backend=lambda: load_backend("simulator"), drain=True, events=False
    )
    server.run()


# ---------------------------------------------------------------- ways of a job

_TICKET = rf"\d+-[\d.]+-{_ID}\.c\d+\.qjob"


def submitted(spool: Spool) -> None:
    spool.submit(pi_no_pi(0), check=False, n_reps=2)


def many_submitted(spool: Spool) -> None:
    for _ in range(40):
        spool.submit(pi_no_pi(0), check=False, hold=True, n_reps=2)


def dropped(spool: Spool) -> None:
    text = json.dumps({**pi_no_pi(0).to_dict(), "job": {"n_reps": 2, "hold": True}})
    descriptor = os.open(spool.path / "incoming" / "50-normal" / "a.json", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def bad(spool: Spool) -> None:
    descriptor = os.open(spool.path / "incoming" / "bad.json", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"[1]")
    os.close(descriptor)


Look = Callable[[Disk], list[str]]
SCENARIOS: dict[str, tuple[Callable[[Spool], None], tuple[Look, ...]]] = {
    "a submitted job": (submitted, (jobs_are_somewhere(1), results_are_there)),
    "forty submitted jobs": (many_submitted, (jobs_are_somewhere(40),)),
    "a dropped file": (dropped, (jobs_are_somewhere(1),)),
    "a bad drop": (bad, ()),
}
_STEERED = {
    "cancel": ({}, (r"jobs/[^/]+/[^/]+/cancelled\.c\d+\.qjob",)),
    "release": ({}, (rf"(queue/[^/]+|running/lab)/{_TICKET}", r"jobs/.*/done\.c\d+\.qjob")),
    "move": ({"priority": 10}, (rf"held/10-[\d.]+-{_ID}\.c\d+\.qjob",)),
    "edit": ({"manifest": {"n_reps": 3}}, (rf"held/50-[\d.]+-{_ID}\.c1\.qjob",)),
}

_IN_HAND = re.compile(rf"accepting/lab/edit(ed)?~(held|queued)~{_TICKET}")


def the_job_is_kept(disk: Disk) -> list[str]:
    """Return whether the one job may be lost while it is steered."""
    sure = [path for path, is_whole in disk.surviving() if is_whole]
    kept = any(_JOB.fullmatch(path) or _IN_HAND.fullmatch(path) for path in sure)
    return [] if kept else ["the job may be lost"]


def run(template: Path, work: Path, scenario: str) -> dict[str, object]:
    root = work / "spool"
    shutil.copytree(template, root)
    spool = Spool(root)
    looks: tuple[Look, ...]
    if scenario in SCENARIOS:
        act, looks = SCENARIOS[scenario]
    elif scenario == "config":
        request = {"config": {"variables": {"Q1/rabi_amp": 0.125}}, "base": 1, "reason": "recalibrated"}
        requests.send(Layout.of(root), request, "r.yaml")
        act, looks = (lambda _: None), (answers_are_kept("r.yaml", r"config/versions/2/version\.json"),)
    else:
        job = spool.submit(pi_no_pi(0), check=False, hold=True, n_reps=2)
        serve(root)
        more, places = _STEERED[scenario]
        requests.send(Layout.of(root), {scenario: job.id, **more}, "r.yaml")
        act, looks = (lambda _: None), (answers_are_kept("r.yaml", *places), the_job_is_kept)
    found: list[str] = []

    def after_each(disk: Disk) -> None:
        found.extend(each for look in (no_name_leads_to_less, *looks) for each in look(disk))

    after_submit: list[str] = []
    disk = Disk(root, lambda _: None)
    with disk.followed():
        act(spool)
        if scenario.endswith(("submitted job", "submitted jobs")):
            sure = [path for path, is_whole in disk.surviving() if is_whole and path.startswith("incoming/")]
            n = sum(path.endswith(".qjob") for path in sure)
            wanted = 40 if "forty" in scenario else 1
            after_submit = [] if n == wanted else [f"{wanted - n} jobs were submitted and may be lost"]
        disk._after_each = after_each
        n_before = disk.n_syncs
        serve(root)
    return {"broken": sorted({*found, *after_submit}), "n_syncs": disk.n_syncs - n_before}


def main() -> None:
    template, work, scenario = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    try:
        print(json.dumps(run(template, work, scenario)))
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
