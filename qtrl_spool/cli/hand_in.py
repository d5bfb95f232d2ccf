"""``submit`` and ``check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import assigned, json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, report, word
from qtrl_spool.errors import QtrlSpoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtrl_spool.bundle import Bundle
    from qtrl_spool.client import Job, Spool

_bundles = click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
_config = click.option("--config", "config", metavar="FILE", help="A patch in YAML, over the bundle's own.")
_set = click.option(
    "--set", "settings", metavar="PATH=VALUE", multiple=True,
    help="One setting, over everything else; the value is YAML: --set variables/Q6/freq=5.41e9.",
)  # fmt: skip
_n_reps = click.option("--n-reps", type=click.IntRange(min=1), metavar="N", help="Repetitions of a batch.")
_n_batches = click.option("--n-batches", type=click.IntRange(min=1), metavar="N", help="Batches.")


def _what(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what submit and check are told alike."""
    for option in (_n_batches, _n_reps, _set, _config, _bundles):
        function = option(function)
    return function


@click.command()
@_what
@click.option("--priority", metavar="P", default="normal", show_default=True, help="10, urgent or 10-urgent.")
@click.option("--name", metavar="NAME", help="Of the job; else the manifest's, the sequence's, the file's.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="For whoever looks for it later.")
@click.option("--hold", is_flag=True, help="Wait for 'qtrl-spool release'.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the end, as 'qtrl-spool wait' does.")
@spool_option
@json_option
def submit(
    bundles: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    n_reps: int | None,
    n_batches: int | None,
    priority: str,
    name: str | None,
    tags: tuple[str, ...],
    hold: bool,
    waits: bool,
    spool: str,
    as_json: bool,
) -> int:
    """Check, pack and queue jobs; print their ids.

    A BUNDLE is anything that may be dropped: a .yaml or .json text, a .qjob, a folder. All are checked
    before any is queued.
    """
    place = opened(spool)
    place.priority(priority)
    manifest: dict[str, Any] = {
        "name": name,
        "n_reps": n_reps,
        "n_batches": n_batches,
        "tags": list(tags) or None,
        "hold": hold or None,
    }
    patch = _patch(config, settings)
    packed = [place.bundle(bundle, patch, **manifest) for bundle in bundles]
    for each in packed:
        place.check(each)
    jobs = [_dropped(place, each, priority, quiet=as_json) for each in packed]
    return _finish(jobs, waits, as_json)


def _dropped(place: Spool, bundle: Bundle, priority: str, *, quiet: bool) -> Job:
    job = place.drop(bundle, priority=priority)
    if not quiet:
        fact(job.id)
    return job


def _finish(jobs: list[Job], waits: bool, as_json: bool) -> int:
    from qtrl_spool.cli.fetch import wait_for

    status = wait_for(jobs, None) if waits else 0
    if as_json:
        document([job.status() for job in jobs])
    return status


@click.command()
@_what
@spool_option
@json_option
def check(
    bundles: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    n_reps: int | None,
    n_batches: int | None,
    spool: str,
    as_json: bool,
) -> int:
    """Check jobs as submit does, with a compilation against the default configuration; queue nothing."""
    place = opened(spool)
    patch = _patch(config, settings)
    verdicts = [_verdict(place, each, patch, n_reps=n_reps, n_batches=n_batches) for each in bundles]
    if as_json:
        document(verdicts)
    else:
        for each in verdicts:
            fact(f"{each['bundle']}: {'fine' if each['ok'] else 'refused'}")
    return 0 if all(each["ok"] for each in verdicts) else 1


def _verdict(place: Spool, path: str, patch: Mapping[str, Any], **manifest: Any) -> dict[str, Any]:
    try:
        place.check(place.bundle(path, patch, **manifest))
    except QtrlSpoolError as error:
        if error.exit_status != 1:
            raise
        word(f"{path}:")
        report(error)
        problems = [each.record() for each in getattr(error, "problems", (error,))]
        return {"bundle": path, "ok": False, "problems": problems}
    return {"bundle": path, "ok": True, "problems": []}


def _patch(config: str | None, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return what ``--config`` says and then what every ``--set`` says."""
    if config is None and not settings:
        return {}
    from qtrl_spool.config.patches import stacked

    patch: Mapping[str, Any] = read_patch(config) if config is not None else {}
    for setting in settings:
        patch = stacked(patch, assigned((setting,)))
    return dict(patch)


def read_patch(path: str) -> Mapping[str, Any]:
    """Return the patch that a YAML file holds.

    Raises
    ------
    NotFoundError
        If there is no such file.
    ConfigError
        If it is no patch.
    """
    from pathlib import Path

    from qtrl_spool import fs
    from qtrl_spool.config.merge import parse_patch
    from qtrl_spool.errors import NotFoundError

    file = Path(path).expanduser()
    text = fs.read_text(file.resolve())
    if text is None:
        raise NotFoundError(f"there is no file {path}")
    return parse_patch(text, file.name)
