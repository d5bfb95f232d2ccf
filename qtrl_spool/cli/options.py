"""The options that verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from qtrl_spool.client import Job, Spool

_F = TypeVar("_F", bound=Callable[..., Any])


class Count(click.IntRange):
    """A whole number from 1 on."""

    name = "whole number"

    def __init__(self) -> None:
        super().__init__(min=1)


class Seconds(click.FloatRange):
    """A time in s."""

    name = "number of seconds"


_spool = click.option(
    "--spool",
    metavar="DIR",
    envvar="QTRL_SPOOL",
    default="spool",
    help="The spool; else $QTRL_SPOOL, else ./spool.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_jobs = click.argument("jobs", metavar="JOB...", nargs=-1, required=True)


def spool_option(function: _F) -> _F:
    """Add ``--spool DIR``."""
    return _spool(function)


def json_option(function: _F) -> _F:
    """Add ``--json``."""
    return _json(function)


def jobs_argument(function: _F) -> _F:
    """Add ``JOB…``, at least one."""
    return _jobs(function)


def opened(path: str) -> Spool:
    """Return the spool that an option names."""
    from qtrl_spool.client import Spool

    return Spool(path)


def named(spool: Spool, words: tuple[str, ...]) -> list[Job]:
    """Return the jobs that words name; nothing is done to any of them if one word names none."""
    return [spool.job(word) for word in words]


def assigned(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the patch that words such as ``variables/Q6/freq=5.41e9`` make; values are YAML.

    Raises
    ------
    UsageError
        If one has no ``=``.
    ConfigError
        If a value is no YAML.
    """
    from qtrl_spool.config.yaml12 import parse_yaml
    from qtrl_spool.errors import UsageError

    patch: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path.strip("/"):
            raise UsageError(
                f"{setting!r} sets nothing", hint="write PATH=VALUE, as variables/Q6/freq=5.41e9"
            )
        patch[path.strip().strip("/")] = parse_yaml(value, f"--set {path}")
    return patch
