"""``wait`` and ``result``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import Seconds, jobs_argument, json_option, named, opened, spool_option
from qtrl_spool.cli.say import complain, document, fact, hush_libraries, report, word
from qtrl_spool.errors import JobCancelledError, NotFoundError
from qtrl_spool.job import State
from qtrl_spool.spool.journal import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtrl_spool.client import Job
    from qtrl_spool.results import Result


@click.command()
@jobs_argument
@click.option("--timeout", metavar="S", type=Seconds(min=0), help="At most so many seconds, for all.")
@spool_option
@json_option
def wait(jobs: tuple[str, ...], timeout: float | None, spool: str, as_json: bool) -> int:
    """Wait until jobs have ended, with a progress bar; exit status 0 only if all are done."""
    waited_for = named(opened(spool), jobs)
    status = wait_for(waited_for, timeout)
    if as_json:
        document([job.status() for job in waited_for])
    return status


def wait_for(jobs: Sequence[Job], timeout: float | None) -> int:
    """Wait for every job, say of each that is not done why, and return the exit status.

    Raises
    ------
    WaitTimeoutError
        If they have not all ended within `timeout` s.
    """
    end = None if timeout is None else time.monotonic() + timeout
    status = 0
    for job in jobs:
        job.wait(None if end is None else max(0.0, end - time.monotonic()))
        error = job.exception()
        if error is not None:
            if not isinstance(error, JobCancelledError):
                complain(f"job {job.id} is {job.state}")
            report(error)
            status = 1
    return status


@click.command()
@click.argument("job", metavar="JOB")
@click.option("--path", "wants_path", is_flag=True, help="Print only where the file is.")
@click.option("--plot", "plot", metavar="FILE", help="Draw it: .png, .pdf or .svg.")
@click.option("--partial", is_flag=True, help="What was acquired so far, of a job that is not done.")
@spool_option
@json_option
def result(job: str, wants_path: bool, plot: str | None, partial: bool, spool: str, as_json: bool) -> int:
    """Show what a job measured: a summary, the file, a picture."""
    found = opened(spool).job(job)
    if not partial and not found.done():
        raise NotFoundError(
            f"job {found.id} has no result yet: it is {found.state}",
            hint="'qtrl-spool wait' waits for it, --partial shows what there is",
        )
    measured = found.partial() if partial else _measured(found)
    if plot is not None:
        from pathlib import Path

        hush_libraries()
        measured.plot(Path(plot).expanduser())
        word(f"drew {plot}")
    if as_json:
        document(_facts(measured))
    elif wants_path:
        fact(str(measured.path))
    elif plot is None:
        fact(f"{measured.summary()}\n  file  {measured.path}")
    measured.close()
    return 0


def _facts(measured: Result) -> dict[str, Any]:
    found = {
        label: {name: vars(each) for name, each in quantities.items()}
        for label, quantities in measured.fitted.items()
    }
    names = ("path", "attrs", "fits", "notes")
    return {**{name: getattr(measured, name) for name in names}, "fitted": found}


def _measured(job: Job) -> Result:
    """Return the result of a job that ended; if it has none, say whether there is a partial one."""
    error = job.exception()
    if error is None:
        return job.result()
    if (job.home / PARTIAL).exists():
        error.hint = "; ".join(filter(None, (error.hint, "--partial shows what was acquired")))
    raise error


def is_done(job: Job) -> bool:
    """Return whether a job ended well."""
    return job.state == State.DONE
