"""``submit`` and ``check``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, report, word
from qtrl_spool.cli.wishes import PATCH, added, manifest_of, patch_of, wishes
from qtrl_spool.errors import QtrlSpoolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from qtrl_spool.bundle import Bundle
    from qtrl_spool.client import Job, Spool
    from qtrl_spool.sequence import Sequence

_bundles = click.argument("bundles", metavar="BUNDLE...", nargs=-1)
_PICTURES = (".png", ".pdf", ".svg")


@click.command()
@_bundles
@wishes
@click.option(
    "--like",
    metavar="JOB",
    help="Once more as this job ran; JOB may be the path of a result.h5 from anywhere.",
)
@click.option("--priority", metavar="P", default="normal", show_default=True, help="10, urgent or 10-urgent.")
@click.option("--hold", is_flag=True, help="Wait for 'qtrl-spool release'.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the end, as 'qtrl-spool wait' does.")
@spool_option
@json_option
def submit(
    bundles: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    like: str | None,
    priority: str,
    hold: bool,
    waits: bool,
    spool: str,
    as_json: bool,
    **told: Any,
) -> int:
    """Check, pack and queue jobs; print their ids.

    A BUNDLE is anything that may be dropped: a .yaml or .json text, a .qjob, a folder. All are checked
    before any is queued.
    """
    if bool(bundles) == (like is not None):
        raise UsageError("submit what? name bundles, or a job with --like, not both")
    place = opened(spool)
    place.priority(priority)
    manifest = {**manifest_of(place, **told), "hold": hold or None}
    patch = patch_of(config, settings)
    packed = [place.bundle(bundle, patch, **manifest) for bundle in bundles]
    packed += [place.bundle(None, patch, like=like, **manifest)] if like is not None else []
    return queued(place, [(each, priority) for each in packed], waits, as_json)


def queued(place: Spool, packed: Collection[tuple[Bundle, str | int]], waits: bool, as_json: bool) -> int:
    """Check bundles, and queue all at their priorities, or none; return the exit status."""
    for bundle, _ in packed:
        place.check(bundle)
    jobs = [_dropped(place, bundle, priority, quiet=as_json) for bundle, priority in packed]
    return _finish(jobs, waits, as_json)


def _dropped(place: Spool, bundle: Bundle, priority: str | int, *, quiet: bool) -> Job:
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
@_bundles
@added(PATCH)
@click.option("--plot", "picture", metavar="FILE", help="Draw the compiled sequence: .png, .pdf or .svg.")
@click.option(
    "--element", type=int, metavar="N", help="With --plot: this element as traces, not all as maps."
)
@spool_option
@json_option
def check(
    bundles: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    n_reps: int | None,
    n_batches: int | None,
    picture: str | None,
    element: int | None,
    spool: str,
    as_json: bool,
) -> int:
    """Check jobs as submit does, with a compilation against the default configuration; queue nothing.

    With --plot, the sequence is drawn as it would be played today; of several bundles each into a file
    of its own, FILE with the bundle's name added.
    """
    if not bundles:
        raise UsageError("check what?", hint="name bundles")
    if picture is None and element is not None:
        raise UsageError("--element says what --plot draws", hint="add --plot FILE")
    place = opened(spool)
    patch = patch_of(config, settings)
    verdicts = []
    for number, path in enumerate(bundles):
        file = _picture(picture, path, number if len(bundles) > 1 else None) if picture else None
        bundle = partial(place.bundle, path, patch, n_reps=n_reps, n_batches=n_batches)
        verdicts.append(_verdict(place, path, bundle, file, element))
    if as_json:
        document(verdicts)
    else:
        for each in verdicts:
            fact(f"{each['bundle']}: {'fine' if each['ok'] else 'refused'}")
    return 0 if all(each["ok"] for each in verdicts) else 1


def _verdict(
    place: Spool, path: str, bundle: Callable[[], Bundle], picture: str | None, element: int | None
) -> dict[str, Any]:
    """Return what the check of one bundle found, after it was told and drawn."""
    try:
        sequence = place.check(bundle())
    except QtrlSpoolError as error:
        if error.exit_status != 1:
            raise
        word(f"{path}:")
        report(error)
        problems = [each.record() for each in getattr(error, "problems", (error,))]
        return {"bundle": path, "ok": False, "problems": problems}
    if picture is not None:
        _draw(sequence, picture, element)
    return {"bundle": path, "ok": True, "problems": []}


def _picture(file: str, bundle: str, number: int | None) -> str:
    """Return where the sequence of a bundle is drawn; `number` tells several bundles apart."""
    from pathlib import Path

    path = Path(file).expanduser()
    if path.suffix.lower() not in _PICTURES:
        raise UsageError(f"{file!r} is no kind of picture", hint=f"end it with {', '.join(_PICTURES)}")
    if number is None:
        return str(path)
    return str(path.with_name(f"{path.stem}-{number + 1}-{Path(bundle).stem}{path.suffix}"))


def _draw(sequence: Sequence, picture: str, element: int | None) -> None:
    if element is not None and not -sequence.n_elements <= element < sequence.n_elements:
        raise UsageError(
            f"there is no element {element}", hint=f"elements are 0 to {sequence.n_elements - 1}"
        )
    sequence.plot(element, file=picture)
    word(f"drew {picture}")
