"""``submit`` and ``check``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qtrl_spool.cli.options import Count, assigned, json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, report, word
from qtrl_spool.errors import QtrlSpoolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtrl_spool.bundle import Bundle
    from qtrl_spool.client import Job, Spool
    from qtrl_spool.sequence import Sequence

_bundles = click.argument("bundles", metavar="BUNDLE...", nargs=-1)
_config = click.option("--config", "config", metavar="FILE", help="A patch in YAML, over the bundle's own.")
_set = click.option(
    "--set", "settings", metavar="PATH=VALUE", multiple=True,
    help="One setting, over everything else; the value is YAML: --set variables/Q6/freq=5.41e9.",
)  # fmt: skip
_n_reps = click.option("--n-reps", type=Count(), metavar="N", help="Repetitions of a batch.")
_PICTURES = (".png", ".pdf", ".svg")
_n_batches = click.option("--n-batches", type=Count(), metavar="N", help="Batches.")


def _what(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what submit and check are told alike."""
    for option in (_n_batches, _n_reps, _set, _config, _bundles):
        function = option(function)
    return function


@click.command()
@_what
@click.option(
    "--like",
    metavar="JOB",
    help="Once more as this job ran; JOB may be the path of a result.h5 from anywhere.",
)
@click.option(
    "--config-version", metavar="V", help="Of the default: latest (when it runs), submitted, or a number."
)
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
    like: str | None,
    config_version: str | None,
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
    if bool(bundles) == (like is not None):
        raise UsageError("submit what?", hint="name bundles, or a job with --like")
    place = opened(spool)
    place.priority(priority)
    manifest: dict[str, Any] = {
        "name": name,
        "n_reps": n_reps,
        "n_batches": n_batches,
        "tags": list(tags) or None,
        "hold": hold or None,
        "config_version": _version(config_version),
    }
    patch = patch_of(config, settings)
    packed = [place.bundle(bundle, patch, **manifest) for bundle in bundles]
    packed += [place.bundle(None, patch, like=like, **manifest)] if like is not None else []
    for each in packed:
        place.check(each)
    jobs = [_dropped(place, each, priority, quiet=as_json) for each in packed]
    return _finish(jobs, waits, as_json)


def _version(word: str | None) -> int | str | None:
    return int(word) if word is not None and word.isdecimal() else word


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


def patch_of(config: str | None, settings: tuple[str, ...]) -> dict[str, Any]:
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
