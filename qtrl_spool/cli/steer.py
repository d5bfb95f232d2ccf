"""``cancel``, ``hold``, ``release``, ``move``, ``pause``, ``resume``: requests, answered by a server."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtrl_spool.cli.options import Seconds, jobs_argument, json_option, named, opened, spool_option
from qtrl_spool.cli.say import document, refusal, report, word
from qtrl_spool.errors import QtrlSpoolError, UsageError
from qtrl_spool.requesting import ANSWER_TIMEOUT_S, NOTHING_TO_DRAIN, WAITS

if TYPE_CHECKING:
    from qtrl_spool.client import Job, Spool

_F = TypeVar("_F", bound=Callable[..., Any])
_timeout = click.option(
    "--timeout", metavar="S", type=Seconds(min=0), default=ANSWER_TIMEOUT_S, show_default=True,
    help="Wait at most so many seconds for each answer.",
)  # fmt: skip
_no_wait = click.option("--no-wait", is_flag=True, help="Ask, and do not wait for the answer.")
_reason = click.option("--reason", "-m", metavar="WHY", help="Why, for whoever sees it.")
_server = click.option("--server", metavar="NAME", help="Only this one; without it, the whole queue.")


def asking(function: _F) -> _F:
    """Add what every request is told: the spool, and how long to wait for its answer."""
    for option in (json_option, spool_option, _no_wait, _timeout):
        function = option(function)
    return function


@click.command()
@jobs_argument
@click.option("--now", is_flag=True, help="Do not wait for the end of the running batch.")
@asking
def cancel(jobs: tuple[str, ...], now: bool, **how: Any) -> int:
    """Cancel jobs; a running one stops after its batch and keeps its partial result."""

    def do(job: Job, timeout: float) -> str:
        if not job.cancel(now=now, timeout=timeout):
            raise UsageError(f"job {job.id} is {job.state} already and cannot be cancelled")
        if timeout == 0:
            return f"{job.id} is to be cancelled"
        return f"{job.id} {'is cancelled' if job.cancelled() else _stops(now)}"

    return each_job(do, jobs, **how)


def _stops(now: bool) -> str:
    return f"stops {'now' if now else 'after this batch'}"


@click.command()
@jobs_argument
@_reason
@asking
def hold(jobs: tuple[str, ...], reason: str | None, **how: Any) -> int:
    """Park jobs until they are released; a running one after its batch, and it goes on from there.

    An admin's hold of other people's jobs counts apart: only an admin can release it.
    """
    return each_job(lambda job, timeout: job.hold(reason, timeout=timeout), jobs, **how)


@click.command()
@jobs_argument
@asking
def release(jobs: tuple[str, ...], **how: Any) -> int:
    """Let held jobs run."""
    return each_job(lambda job, timeout: job.release(timeout=timeout), jobs, **how)


@click.command()
@click.argument("job", metavar="JOB")
@click.argument("priority", metavar="[PRIORITY]", required=False)
@click.option("--before", metavar="OTHER", help="Next before this job, at its priority.")
@asking
def move(job: str, priority: str | None, before: str | None, **how: Any) -> int:
    """Give a waiting or held job another priority: 10, urgent or 10-urgent; or a place before another.

    With a new priority it keeps its order among its equals. Both jobs of --before must be yours.
    """
    place = opened(how["spool"])
    if (priority is None) == (before is None):
        raise UsageError("move it where?", hint="name a priority, or a job with --before")
    if priority is not None:
        place.priority(priority)
    other = None if before is None else place.job(before)
    return each_job(lambda found, timeout: found.move(priority, before=other, timeout=timeout), (job,), **how)


# ---------------------------------------------------------------- the whole queue


@click.command()
@click.option("--reason", "-m", metavar="WHY", required=True, help="Why, for everybody who waits.")
@_server
@asking
def pause(reason: str, server: str | None, **how: Any) -> int:
    """Let no server take another job until 'resume'; for admins. Running jobs go on."""
    return _queue({"pause": "queue", "server": server, "reason": reason}, **how)


@click.command()
@_server
@asking
def resume(server: str | None, **how: Any) -> int:
    """End a pause; for admins."""
    return _queue({"resume": "queue", "server": server}, **how)


@click.command()
@_server
@asking
def drain(server: str | None, **how: Any) -> int:
    """Let all servers, or one, take no more drops and end when nothing is left to run; for admins."""
    return _queue({"drain": "queue", "server": server}, **how)


def _queue(request: dict[str, Any], spool: str, as_json: bool, timeout: float, no_wait: bool) -> int:
    """Ask for something that is about the whole queue."""
    place = opened(spool)
    wait = 0 if no_wait else timeout
    given = {key: value for key, value in request.items() if value is not None}
    waits = NOTHING_TO_DRAIN if "drain" in given else WAITS
    reply = place.ask(given, timeout=wait, asked=lambda: _tell_if_alone(place, wait, waits))
    if as_json:
        document(reply)
    else:
        word(reply["message"])
    return 0


def _tell_if_alone(place: Spool, timeout: float, waits: str = WAITS) -> None:
    """Say that nobody is there to answer what was asked."""
    if not any(server.get("alive") for server in place.servers()):
        word(f"no server is running: {f'waiting {timeout:g} s for one' if timeout else waits}")


def each_job(
    do: Callable[[Job, float], str],
    words: tuple[str, ...],
    spool: str,
    as_json: bool,
    timeout: float,
    no_wait: bool,
) -> int:
    """Do something to each job; one that refuses keeps none of the others from it."""
    refused: list[QtrlSpoolError] = []
    wait = 0 if no_wait else timeout
    place = opened(spool)
    jobs = named(place, words)
    tell = cache(partial(_tell_if_alone, place, wait))
    for job in jobs:
        job.asked = tell
        try:
            word(do(job, wait))
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
