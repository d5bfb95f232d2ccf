"""What ``submit``, ``retry`` and ``edit`` are told of a job: its patch and its manifest, by options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtrl_spool.cli.options import Count, assigned
from qtrl_spool.errors import UsageError

if TYPE_CHECKING:
    from qtrl_spool.client import Spool

_F = TypeVar("_F", bound=Callable[..., Any])
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")

PATCH = (
    click.option("--config", "config", metavar="FILE", help="A patch in YAML, over the bundle's own."),
    click.option(
        "--set", "settings", metavar="PATH=VALUE", multiple=True,
        help="One setting, over everything else; the value is YAML: --set variables/Q6/freq=5.41e9.",
    ),
    click.option("--n-reps", type=Count(), metavar="N", help="Repetitions of a batch."),
    click.option("--n-batches", type=Count(), metavar="N", help="Batches."),
)  # fmt: skip
_MANIFEST = (
    click.option("--name", metavar="NAME", help="Of the job; else its own, or its file's."),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="For whoever looks for it later."),
    click.option("--notes", metavar="TEXT", help="For whoever looks at it later."),
    click.option(
        "--config-version", metavar="V", help="Of the default: latest (when it runs), submitted, or a number."
    ),
    click.option("--after", metavar="JOB", multiple=True, help="Not before this job has ended, however."),
    click.option(
        "--not-before", metavar="TIME", help="18:00, the next time that it is so here; or a date and a time."
    ),
)


def added(options: Iterable[Callable[[_F], _F]]) -> Callable[[_F], _F]:
    """Return what adds options to a command, in their order."""

    def add(function: _F) -> _F:
        for option in reversed(tuple(options)):
            function = option(function)
        return function

    return add


def wishes(function: _F) -> _F:
    """Add all that a job can be told: its patch and its manifest."""
    return added((*PATCH, *_MANIFEST))(function)


def manifest_of(
    place: Spool,
    *,
    tags: tuple[str, ...],
    config_version: str | None,
    after: tuple[str, ...],
    not_before: str | None,
    **plain: Any,
) -> dict[str, Any]:
    """Return what options say of the manifest; None where they say nothing."""
    return {
        **plain,
        "tags": list(tags) or None,
        "config_version": _version(config_version),
        "after": [place.job(each).id for each in after] or None,
        "not_before": None if not_before is None else time_of(not_before, datetime.now()),
    }


def _version(word: str | None) -> int | str | None:
    return int(word) if word is not None and word.isdecimal() else word


def time_of(word: str, now: datetime) -> datetime:
    """Return the time that a word means, with its zone.

    Parameters
    ----------
    word:
        ``18:00``, the next time that clocks here show it; or a date and a time, here if it has no zone.
    now:
        The time here, without a zone.

    Raises
    ------
    UsageError
        If it means none.
    """
    shown = _CLOCK.fullmatch(word.strip())
    if shown is not None:
        hour, minute, second = (int(each or 0) for each in shown.groups())
        clock = time(hour, minute, second)
        today = datetime.combine(now.date(), clock)
        return (today if today > now else today + timedelta(days=1)).astimezone()
    try:
        return datetime.fromisoformat(word.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{word!r} is no time", hint="write 18:00, '2026-11-23 18:00' or 2026-11-23T18:00:00+01:00"
        ) from None


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
