"""``wait`` and ``result``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.command import INTERRUPTED
from qtrl_spool.cli.options import Count, Seconds, jobs_argument, json_option, named, opened, spool_option
from qtrl_spool.cli.say import complain, document, fact, hush_libraries, report, word
from qtrl_spool.errors import JobCancelledError, NotFoundError, WaitTimeoutError
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
    n_done = 0
    try:
        for n_ended, job in enumerate(jobs):
            note = f"{n_ended} of {len(jobs)} jobs ended" if len(jobs) > 1 else ""
            _wait_until(job, end, timeout, note)
            n_done += _ended_well(job)
    except KeyboardInterrupt:
        complain(f"interrupted; {'the job goes' if len(jobs) == 1 else 'the jobs go'} on")
        return INTERRUPTED
    if len(jobs) > 1:
        word(f"{len(jobs)} jobs, {n_done} done")
    return 0 if n_done == len(jobs) else 1


def _wait_until(job: Job, end: float | None, timeout: float | None, note: str) -> None:
    """Wait for one job until a monotonic time (s), which is `timeout` s after the first one's beginning."""
    try:
        job.wait(None if end is None else max(0.0, end - time.monotonic()), note=note, tell=word)
    except WaitTimeoutError as error:
        said = f"job {job.id} is still {job.state} after {timeout:g} s"
        raise WaitTimeoutError(f"{said}, {note}" if note else said, hint=error.hint) from None


def _ended_well(job: Job) -> bool:
    """Return whether a job that ended is done; say why if it is not."""
    error = job.exception()
    if error is None:
        return True
    if not isinstance(error, JobCancelledError):
        complain(f"job {job.id} is {job.state}")
    report(error)
    return False


@click.command()
@click.argument("job", metavar="JOB")
@click.option("--path", "wants_path", is_flag=True, help="Print only where the file is.")
@click.option("--plot", metavar="FILE", help="Draw it: .png, .pdf or .svg.")
@click.option("--csv", "table", metavar="FILE", help="Write its populations as a table; - for stdout.")
@click.option("--netcdf", metavar="FILE", help="Copy all of it to a file that is called netCDF.")
@click.option("--partial", is_flag=True, help="What was acquired so far, of a job that is not done.")
@click.option("--number", type=Count(), default=1, metavar="N", help="The one that 'process' wrote as N.")
@spool_option
@json_option
def result(job: str, partial: bool, number: int, spool: str, **wanted: Any) -> int:
    """Show what a job measured: a summary, the file, a picture, a table.

    JOB may also be the path of a result.
    """
    if Path(job).expanduser().is_file():
        from qtrl_spool.results import Result

        with Result(Path(job).expanduser()) as measured:
            _give(measured, **wanted)
        return 0
    found = opened(spool).job(job)
    if not partial and not found.done():
        raise NotFoundError(
            f"job {found.id} has no result yet: it is {found.state}",
            hint="'qtrl-spool wait' waits for it, --partial shows what there is",
        )
    with found.partial() if partial else _measured(found, number) as measured:
        _give(measured, **wanted)
    return 0


def _give(
    measured: Result,
    *,
    wants_path: bool,
    plot: str | None,
    table: str | None,
    netcdf: str | None,
    as_json: bool,
) -> None:
    """Write the files that are wanted, and print what is wanted, else a summary."""
    if plot is not None:
        hush_libraries()
        measured.plot(Path(plot).expanduser())
        word(f"drew {plot}")
    if table is not None:
        _tabulate(measured, table)
    if netcdf is not None:
        _copy(measured, netcdf)
    if as_json:
        document(_facts(measured))
    elif wants_path:
        fact(str(measured.path))
    elif plot is table is netcdf is None:
        fact(f"{measured.summary()}\n  file        {measured.path}")


def _tabulate(measured: Result, name: str) -> None:
    from qtrl_spool.results.export import csv_text, write_csv

    if name == "-":
        fact(csv_text(measured).removesuffix("\n"))
    else:
        write_csv(measured, Path(name).expanduser())
        word(f"wrote {name}")


def _copy(measured: Result, name: str) -> None:
    from qtrl_spool.results.export import netcdf

    netcdf(measured, Path(name).expanduser())
    word(f"copied it to {name}")


def _facts(measured: Result) -> dict[str, Any]:
    found = {
        label: {name: vars(each) for name, each in quantities.items()}
        for label, quantities in measured.fitted.items()
    }
    names = ("path", "attrs", "fits", "notes")
    return {**{name: getattr(measured, name) for name in names}, "fitted": found}


def _measured(job: Job, number: int) -> Result:
    """Return a result of a job that ended; if it has none, say whether there is a partial one."""
    error = job.exception()
    if error is None:
        return job.result() if number == 1 else job.processed(number)
    if (job.home / PARTIAL).exists():
        error.add_remedy("--partial shows what was acquired")
    raise error


@click.command()
@click.argument("job", metavar="JOB")
@click.option("--config", metavar="FILE", help="A patch in YAML of adc and variables: the other chain.")
@click.option(
    "--set", "settings", metavar="PATH=VALUE", multiple=True,
    help="One setting, over everything else; the value is YAML.",
)  # fmt: skip
@click.option("--current", is_flag=True, help="Take the chain of the default configuration as it is now.")
@click.option("--output", metavar="FILE", help="Where to write it; else beside the job's result.")
@spool_option
@json_option
def process(
    job: str,
    config: str | None,
    settings: tuple[str, ...],
    current: bool,
    output: str | None,
    spool: str,
    as_json: bool,
) -> int:
    """Process what a job measured once more, with another chain; its own result stays as it is.

    The new result is result-2.h5 (-3, ...) beside the first. JOB may also be the path of a result.
    """
    from qtrl_spool.cli.wishes import patch_of
    from qtrl_spool.reprocess import reprocess
    from qtrl_spool.results import Result

    path = Path(job).expanduser()
    if not path.is_file():
        with opened(spool).job(job).result() as first:
            path = first.path
    target = None if output is None else Path(output).expanduser()
    default = opened(spool).config.current() if current else None
    made = reprocess(path, patch_of(config, settings), default=default, output=target)
    with Result(made) as measured:
        _give(measured, wants_path=False, plot=None, table=None, netcdf=None, as_json=as_json)
    return 0


def is_done(job: Job) -> bool:
    """Return whether a job ended well."""
    return job.state == State.DONE
