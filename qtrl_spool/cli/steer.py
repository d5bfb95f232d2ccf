"""``cancel``, ``hold``, ``release``, ``move``: requests, answered by a server."""

from __future__ import annotations

from collections.abc import Callable

import click

from qtrl_spool.cli.options import jobs_argument, json_option, named, opened, spool_option
from qtrl_spool.cli.say import document, refusal, report, word
from qtrl_spool.client import Job
from qtrl_spool.errors import QtrlSpoolError, UsageError


@click.command()
@jobs_argument
@click.option("--now", is_flag=True, help="Do not wait for the end of the running batch.")
@spool_option
@json_option
def cancel(jobs: tuple[str, ...], now: bool, spool: str, as_json: bool) -> int:
    """Cancel jobs; a running one stops after its batch and keeps its partial result."""

    def do(job: Job) -> str:
        if not job.cancel(now=now):
            raise UsageError(f"job {job.id} is {job.state} already and cannot be cancelled")
        return "is cancelled" if job.cancelled() else f"stops {'now' if now else 'after this batch'}"

    return _each(do, jobs, spool, as_json)


@click.command()
@jobs_argument
@spool_option
@json_option
def hold(jobs: tuple[str, ...], spool: str, as_json: bool) -> int:
    """Park waiting jobs until they are released."""

    def do(job: Job) -> str:
        job.hold()
        return "is held"

    return _each(do, jobs, spool, as_json)


@click.command()
@jobs_argument
@spool_option
@json_option
def release(jobs: tuple[str, ...], spool: str, as_json: bool) -> int:
    """Let held jobs run."""

    def do(job: Job) -> str:
        job.release()
        return "is released"

    return _each(do, jobs, spool, as_json)


@click.command()
@click.argument("job", metavar="JOB")
@click.argument("priority", metavar="PRIORITY")
@spool_option
@json_option
def move(job: str, priority: str, spool: str, as_json: bool) -> int:
    """Give a waiting job another priority: 10, urgent or 10-urgent. It keeps its order among its equals."""
    opened(spool).priority(priority)

    def do(found: Job) -> str:
        found.move(priority)
        return f"has priority {priority}"

    return _each(do, (job,), spool, as_json)


def _each(do: Callable[[Job], str], words: tuple[str, ...], spool: str, as_json: bool) -> int:
    """Do something to each job; one that refuses keeps none of the others from it."""
    refused = []
    jobs = named(opened(spool), words)
    for job in jobs:
        try:
            word(f"job {job.id} {do(job)}")
        except QtrlSpoolError as error:
            refused.append(error)
            report(error)
    answers = [job.status() for job in jobs] if as_json else []
    if as_json and refused:
        refusal(refused[0], jobs=answers)
    elif as_json:
        document(answers)
    return max(map(_exit_status, refused), default=0)


def _exit_status(error: QtrlSpoolError) -> int:
    """Return 1 where the words of the command were right and the job's state was not."""
    return 1 if isinstance(error, UsageError) else error.exit_status
