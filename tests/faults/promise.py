"""Looks at a spool and says which of its promises are broken.

It reads the directory with nothing but the standard library, h5py and the names that the contract
fixes: a fault of the product's own looking would hide what it should show. Call it when no server runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from .tally import Tally

_ID = r"\d{8}-\d{6}-[a-z0-9-]+-[a-z0-9]{5}"
_TICKET = re.compile(rf"\d+-\d+(?:\.\d+)?-(?P<id>{_ID})\.c(?P<claim>\d+)\.qjob")
_FINAL = re.compile(r"(?P<state>done|failed|cancelled)\.c(?P<claim>\d+)\.qjob")
ENDS = ("done", "failed", "cancelled", "rejected")


def tickets(root: Path) -> dict[str, list[Path]]:
    """Return every ticket in a spool, by job."""
    found = defaultdict(list)
    for folder in ("queue/*", "held", "running/*"):
        for path in root.glob(f"{folder}/*.qjob"):
            if match := _TICKET.fullmatch(path.name):
                found[match["id"]].append(path)
    for path in root.glob("jobs/*/*/*.qjob"):
        if _FINAL.fullmatch(path.name):
            found[path.parent.name].append(path)
    return dict(found)


def is_open(at: Sequence[Path]) -> bool:
    """Return whether a job, given its tickets, has not come to its end."""
    return not at or not all(_FINAL.fullmatch(path.name) for path in at)


def drops(root: Path) -> dict[str, list[Path]]:
    """Return the drops that are on their way, by job."""
    found = defaultdict(list)
    for path in (*root.glob("incoming/**/*.qjob"), *root.glob("accepting/*/*~*")):
        if match := re.search(_ID, path.name):
            found[match[0]].append(path)
    return dict(found)


def published(root: Path, but: Container[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of every published result, by job, but for some."""
    found = {path.parent.name: path for path in root.glob("jobs/*/*/result.h5")}
    return {job: _sha256(path) for job, path in found.items() if job not in but}


def look(root: Path, accepted: Iterable[str], seen: Mapping[str, str] | None = None) -> Tally:
    """Return what is broken right after a fault, before any server has put anything right.

    Parameters
    ----------
    root:
        The spool.
    accepted:
        Ids of the jobs whose submission was acknowledged.
    seen:
        SHA-256 of the results that were seen, by job.
    """
    there, arriving, wanted = tickets(root), drops(root), set(accepted)
    coming = {job: at for job, at in arriving.items() if job in wanted and job not in there}
    return Tally(
        "",
        lost=tuple(f"{job} is nowhere" for job in wanted if job not in there and job not in arriving),
        twice=tuple(f"{job} has tickets {_told(at)}" for job, at in there.items() if len(at) > 1),
        torn=(*_torn_bundles(there), *_torn_bundles(coming), *_torn_records(root), *_torn_results(root)),
        undone=tuple(_changed(root, seen or {})),
    )


def judge(root: Path, accepted: Mapping[str, str], seen: Mapping[str, str] | None = None) -> Tally:
    """Return what is broken after everything was healed and a server has drained the spool.

    Parameters
    ----------
    root:
        The spool.
    accepted:
        State in which each acknowledged job must have ended.
    seen:
        SHA-256 of the results that were seen, by job.
    """
    found = look(root, accepted, seen)
    there = tickets(root)
    stuck = [
        f"{job} is {state}, not {wanted}: {_told(there[job])}; {_story(root, job)}"
        for job, wanted in accepted.items()
        if job in there and (state := status(root, job).get("state")) != wanted
    ]
    stuck += [f"{job} waits in {_told(at)}" for job, at in there.items()
              if job not in accepted and not _FINAL.fullmatch(at[0].name)]  # fmt: skip
    stuck += [f"{path.relative_to(root)} was left" for path in root.glob("running/*/*.open")]
    twice = [
        f"{job} was published by claims {claims}" for job in there if len(claims := _commits(root, job)) > 1
    ]
    done = [job for job, at in there.items() if at[0].name.startswith("done.")]
    lost = [
        f"{job} is done and has no result" for job in done if not (home(root, job) / "result.h5").exists()
    ]
    return found + Tally("", lost=tuple(lost), twice=tuple(twice), stuck=tuple(stuck))


def home(root: Path, job: str) -> Path:
    """Return the home of a job."""
    return root / "jobs" / f"{job[:4]}-{job[4:6]}-{job[6:8]}" / job


def status(root: Path, job: str) -> dict[str, Any]:
    """Return a job's status record; empty if there is none."""
    try:
        found = json.loads((home(root, job) / "status.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _story(root: Path, job: str) -> str:
    """Return what was noted of a job, by whom, and what was last written."""
    lines = (line for log in sorted(home(root, job).glob("events.c*.jsonl")) for line in log.open())
    events = ", ".join("{event} by {by} at {at}".format_map(json.loads(line)) for line in lines)
    return f"{events}; its record is of {status(root, job).get('updated')}"


def _commits(root: Path, job: str) -> list[str]:
    """Return the logs, one for each claim, that tell of a publication."""
    logs = sorted(home(root, job).glob("events.c*.jsonl"))
    return [path.name for path in logs if b'"event": "committed"' in path.read_bytes()]


def _torn_bundles(there: Mapping[str, list[Path]]) -> Iterable[str]:
    for path in (each for at in there.values() for each in at):
        try:
            with zipfile.ZipFile(path) as bundle:
                if bundle.testzip() is not None:
                    yield f"{path} has a bad member"
        except (OSError, zipfile.BadZipFile) as error:
            yield f"{path}: {error}"


def _torn_records(root: Path) -> Iterable[str]:
    for path in root.glob("jobs/*/*/status.json"):
        try:
            json.loads(path.read_bytes())["state"]
        except (ValueError, KeyError) as error:
            yield f"{path}: {error}"


def _torn_results(root: Path) -> Iterable[str]:
    for path in root.glob("jobs/*/*/result.h5"):
        try:
            with h5py.File(path) as file:
                if file.attrs["job_id"] != path.parent.name or not file["iq"][()].size:
                    yield f"{path} is not the result of its job"
        except (OSError, KeyError) as error:
            yield f"{path}: {error}"


def _changed(root: Path, seen: Mapping[str, str]) -> Iterable[str]:
    """Tell which results that were seen are gone, or others: a claim's own result still counts as there."""
    for job, sha256 in seen.items():
        there = home(root, job)
        kept = [there / "result.h5"] if (there / "result.h5").exists() else list(there.glob("result.c*.h5"))
        if sha256 not in map(_sha256, kept):
            yield f"the result of {job} was seen and is gone or another"
        elif not list(there.glob("done.c*.qjob")):
            yield f"{job} was done and is no longer"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _told(paths: Iterable[Path]) -> str:
    return ", ".join("/".join(path.parts[-3:]) for path in paths)
