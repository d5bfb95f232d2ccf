"""What a manifest's ``after`` may name: jobs that are known, and never a circle of jobs that wait.

Called at acceptance and for edits. *After* means that the other job has come to its end, whichever: done,
failed, cancelled or rejected. A job whose home was removed later has ended, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qtrl_spool.errors import ManifestError
from qtrl_spool.spool.arriving import is_arriving
from qtrl_spool.spool.journal import read_status
from qtrl_spool.spool.layout import Layout


def check_after(layout: Layout, job_id: str, after: Iterable[str]) -> None:
    """Refuse jobs to wait for that do not exist, and those that wait for this one.

    Raises
    ------
    ManifestError
        If there is such a job.
    """
    for other in after:
        if other == job_id:
            raise ManifestError(
                f"after names {other!r} itself: a job cannot wait for itself", where="job.yaml"
            )
        if not _is_known(layout, other):
            raise ManifestError(
                f"after names {other!r}, and there is no such job",
                where="job.yaml",
                hint="'qtrl-spool jobs' lists them; name a full id",
            )
        if waits_for(other, job_id, lambda each: read_status(layout, each)):
            raise ManifestError(
                f"after names {other!r}, which itself waits for {job_id}",
                where="job.yaml",
                hint="of two jobs only one can wait for the other",
            )


def _is_known(layout: Layout, job_id: str) -> bool:
    if read_status(layout, job_id) is not None or is_arriving(layout, job_id):
        return True
    return read_status(layout, job_id) is not None  # it may have been accepted between the two looks


def waits_for(job_id: str, other: str, record_of: Callable[[str], Mapping[str, Any] | None]) -> bool:
    """Return whether a job is another one, or waits for it, through however many jobs."""
    seen, left = set(), [job_id]
    while left:
        each = left.pop()
        if each == other:
            return True
        if each not in seen:
            seen.add(each)
            left += (record_of(each) or {}).get("after") or ()
    return False
